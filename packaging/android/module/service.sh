#!/system/bin/sh
# Run by Magisk, KernelSU or APatch late in the boot, as root: keeps the agent running. It comes
# back when it ends, after 10 seconds, and later each time that it ends soon after its start.
#
# PICKET_ROOT is a folder in place of / and PICKET_WAIT the first delay in seconds, for tests.

MODDIR=$(cd "${0%/*}" && pwd) || exit 1
ROOT=${PICKET_ROOT:-}
WAIT=${PICKET_WAIT:-10}
PLACE=$ROOT/data/adb/picket
LOG=$PLACE/picket.log
PIDFILE=$PLACE/service.pid
umask 077

# ours tells whether a process is this script: numbers are given again after a restart.
ours() {
	case "$(tr '\0' ' ' <"/proc/$1/cmdline" 2>/dev/null)" in
		*"/picket/service.sh "*) return 0 ;;
	esac
	return 1
}

say() {
	echo "$(date '+%Y-%m-%d %H:%M:%S') service.sh: $*" >>"$LOG"
}

# turn_log keeps the log and one older turn of it, each of 256 KiB and what one run adds.
turn_log() {
	if [ "$(wc -c <"$LOG" 2>/dev/null || echo 0)" -gt 262144 ]; then
		mv -f "$LOG" "$LOG.old"
	fi
}

# wanted is false once the module is switched off or removed in its manager's app.
wanted() {
	[ ! -e "$MODDIR/disable" ] && [ ! -e "$MODDIR/remove" ]
}

end() {
	trap - TERM INT
	if [ -n "$child" ]; then
		kill -TERM "$child" 2>/dev/null
		wait "$child"
	fi
	rm -f "$PIDFILE"
	exit 0
}

mkdir -p "$PLACE" || exit 1
old=$(cat "$PIDFILE" 2>/dev/null)
if [ -n "$old" ] && [ "$old" != $$ ] && ours "$old"; then
	echo "picket is running already, kept so by process $old" >&2
	exit 0
fi
echo $$ >"$PIDFILE"
child=
trap end TERM INT

# Not before a person can use the device; a property that never comes does not keep it away.
tries=0
while [ "$(getprop sys.boot_completed)" != 1 ] && [ "$tries" -lt 120 ]; do
	tries=$((tries + 1))
	sleep "$WAIT"
done

# With other work of the background: fewer cores, less of their time, slower storage.
for group in /dev/cpuset/background /dev/cpuctl/background /dev/blkio/background; do
	if [ -w "$ROOT$group/cgroup.procs" ]; then
		echo $$ >"$ROOT$group/cgroup.procs"
	fi
done 2>/dev/null

delay=$WAIT
while wanted; do
	turn_log
	began=$(date +%s)
	nice -n 10 "$MODDIR/bin/picket" run </dev/null >>"$LOG" 2>&1 &
	child=$!
	wait "$child"
	status=$?
	child=
	lived=$(($(date +%s) - began))
	wanted || break
	# A clock that was set back counts as a short life.
	if [ "$lived" -ge 600 ]; then
		delay=$WAIT
	fi
	say "the agent ended with status $status after $lived s; it starts again in $delay s"
	sleep "$delay" &
	child=$!
	wait "$child"
	child=
	if [ "$lived" -lt 600 ] && [ "$delay" -lt 600 ]; then
		delay=$((delay * 2))
	fi
done
say "the module is switched off"
rm -f "$PIDFILE"
