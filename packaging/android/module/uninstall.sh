#!/system/bin/sh
# Run by Magisk, KernelSU or APatch when the module is removed: ends the agent and leaves nothing.
# PICKET_ROOT is a folder in place of /, for tests.

PLACE=${PICKET_ROOT:-}/data/adb/picket
keeper=$(cat "$PLACE/service.pid" 2>/dev/null)
if [ -n "$keeper" ]; then
	case "$(tr '\0' ' ' <"/proc/$keeper/cmdline" 2>/dev/null)" in
		*"/picket/service.sh "*)
			kill -TERM "$keeper"
			for _ in 1 2 3 4 5 6 7 8 9 10; do
				[ -d "/proc/$keeper" ] || break
				sleep 1
			done
			;;
	esac
fi
rm -rf "$PLACE"
