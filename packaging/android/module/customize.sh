# shellcheck shell=sh
# Sourced by the installer of Magisk, KernelSU or APatch, which gives ARCH, API, MODPATH,
# ui_print, abort and set_perm.

[ "$ARCH" = arm64 ] || abort "! Picket runs on 64-bit ARM devices; this one is $ARCH"
[ "$API" -ge 21 ] || abort "! Picket needs Android 5.0 or later"

set_perm "$MODPATH/bin/picket" 0 0 0755
set_perm "$MODPATH/service.sh" 0 0 0755
set_perm "$MODPATH/uninstall.sh" 0 0 0755
"$MODPATH/bin/picket" version >/dev/null 2>&1 || abort "! The program does not run on this device"

ui_print "- The agent starts with the next start of the device"
ui_print "- Ask it with: su -c /data/adb/modules/picket/bin/picket status"
