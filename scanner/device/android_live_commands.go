package device

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
)

// androidBin is where Android keeps its own programs. Nothing that stands elsewhere is run.
const androidBin = "/system/bin/"

const (
	phoneCommandTime = 20 * time.Second // that a command of a phone may take
	dumpsysTime      = 30 * time.Second // the same of dumpsys, which is told to end before
	dumpsysOwnTime   = 20               // seconds; its own default of 10 is short for a slow phone
	maxPhoneOutput   = maxRecordedProbe // bytes that a command may print
)

// androidCommand is how a phone is asked for a source. Each line only prints; these are all
// the commands that Picket runs on a phone for what it reports.
type androidCommand struct {
	source scanner.Source
	// lines are tried in turn: older Androids know fewer options. The first word is the name
	// of a program in androidBin, and no word means anything to a shell.
	lines []string
	time  time.Duration
	// rows is how many lines of text there are at least if the command did what was asked.
	// The toolbox of Android 4 to 7 takes an option of ps for a name to look for, and prints
	// its header alone.
	rows int
}

// dumpedServices are the services that dumpsys is asked for, with what follows their name.
// Of activity, the processes are enough; the whole holds what people do in their apps. Of
// packages, the filters tell which have an icon.
func dumpedServices() []string {
	return []string{
		"accessibility", "activity processes", "adb", "appops", "batterystats", "connectivity", "dbinfo", "device_policy",
		"deviceidle", "diskstats", "display", "input_method", "isub", "jobscheduler", "lock_settings", "media_projection", "mount",
		"netstats", "notification", "package -f", "platform_compat", "role", "settings", "telephony.registry", "trust",
		"usagestats", "usb", "user", "vpn_management", "webviewupdate", "wifi",
	}
}

// androidCommands is the table of all sources that a phone answers with a command.
func androidCommands() []androidCommand {
	one := func(s scanner.Source, rows int, lines ...string) androidCommand {
		return androidCommand{source: s, lines: lines, time: phoneCommandTime, rows: rows}
	}
	list := []androidCommand{
		one(scanner.SourceGetprop, 1, "getprop"),
		// The command line stands last: it holds spaces.
		one(scanner.SourcePS, 2, "ps -A -o USER,PID,PPID,VSZ,RSS,S,LABEL,NAME,ARGS", "ps -A", "ps"),
		one(scanner.SourceGetenforce, 1, "getenforce"),
		one(scanner.SourceSettingsSystem, 1, "settings list system"),
		one(scanner.SourceSettingsSecure, 1, "settings list secure"),
		one(scanner.SourceSettingsGlobal, 1, "settings list global"),
		one(scanner.SourceIPAddr, 1, "ip addr"),
		one(scanner.SourceIPRoute, 0, "ip route show table all"),
		one(scanner.SourceIPRule, 1, "ip rule"),
		one(scanner.SourceIPNeigh, 0, "ip neigh"),
		one(scanner.SourceNetstat, 1, "netstat -nape", "netstat -na", "netstat"),
		one(scanner.SourceLsmod, 0, "lsmod"),
		one(scanner.SourceMount, 1, "mount", "cat /proc/mounts"),
		one(scanner.SourceMountInfo, 1, "cat /proc/self/mountinfo"),
		one(scanner.SourceCmdline, 1, "cat /proc/cmdline"),
		one(scanner.SourcePackageList, 1, "pm list packages -f -i -U -u", "pm list packages -f -i -u", "pm list packages -f"),
	}
	for _, s := range dumpedServices() {
		name, _, _ := strings.Cut(s, " ")
		c := one(scanner.Dumpsys(name), 1, "dumpsys -t "+strconv.Itoa(dumpsysOwnTime)+" "+s, "dumpsys "+s) // -t is since Android 7
		c.time = dumpsysTime
		list = append(list, c)
	}
	return list
}

// AndroidCommands gives for each source that a phone answers the command lines that are tried
// for it in turn, on the phone itself and over adb alike.
func AndroidCommands() map[scanner.Source][]string {
	all := map[scanner.Source][]string{}
	for _, c := range androidCommands() {
		for _, l := range c.lines {
			all[c.source] = append(all[c.source], androidBin+l)
		}
	}
	return all
}

// androidCommandFor finds how a phone is asked for a source.
func androidCommandFor(s scanner.Source) (androidCommand, bool) {
	list := androidCommands()
	i := slices.IndexFunc(list, func(c androidCommand) bool { return c.source == s })
	if i < 0 {
		return androidCommand{}, false
	}
	return list[i], true
}

// isAndroidSource tells the sources of Android, those that only recordings have included.
func isAndroidSource(s scanner.Source) bool {
	_, ok := androidCommandFor(s)
	return ok || isSource(s) && !slices.Contains(linuxSources(), s)
}
