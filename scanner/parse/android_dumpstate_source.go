package parse

import "strings"

// Source names what a section holds, whatever its title in this report:
//
//	dumpsys/NAME      what the service NAME printed, without arguments or with -a
//	getprop, ps, lsmod, dmesg, uptime, df, mount, netstat, ss, lsof, top, env, selinux
//	ip/addr, ip/link, ip/route, ip/rule, ip/neigh, ip/maddr, ip/xfrm
//	iptables/TABLE, ip6tables/TABLE
//	logcat/main (with system and crash), logcat/events, logcat/radio, logcat/stats, ...;
//	logcat/last (of the boot before), logcat/statistics
//	last-kmsg, cmdline, bootconfig
//	/PATH             a file: /proc/meminfo, /data/system/packages.xml
//
// Addresses, routes, rules and neighbours come in a section for each protocol and table. It is a
// key and never a path to open: services have slashes in their names, and the text is hostile. It is
// empty for what has no such name: dumps of a service with arguments, of many services, of
// vendors' own programs.
func (s DumpSection) Source() string {
	if s.Service != "" {
		return "dumpsys/" + s.Service
	}
	words := strings.Fields(s.Command)
	if len(words) > 1 && words[1] == "root" && commandName(words[0]) == "su" {
		words = words[2:]
	}
	if len(words) == 0 {
		return dumpTitleSource(s.Title)
	}
	name, args := commandName(words[0]), words[1:]
	if isDumpFile(strings.Join(words, " ")) {
		return dumpFileSource(words[0])
	}
	switch name {
	case "getprop", "ps", "lsmod", "dmesg", "uptime", "df", "mount", "netstat", "ss", "lsof", "top":
		return name
	case "printenv":
		return "env"
	case "getenforce":
		return "selinux"
	case "ip":
		return ipSource(args)
	case "iptables", "ip6tables":
		return name + "/" + optionValue(args, "-t", "filter")
	case "logcat":
		return logcatSource(args)
	case "dumpsys":
		return dumpsysSource(args)
	}
	return ""
}

// isDumpFile tells the path of a file that was copied from the path of a program.
func isDumpFile(command string) bool {
	return strings.HasPrefix(command, "/") && !strings.Contains(command, " ") && !strings.Contains(command, "bin/")
}

// commandName is the program without its folder.
func commandName(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// dumpTitleSource is for sections that name no command.
func dumpTitleSource(title string) string {
	switch {
	case title == "SYSTEM PROPERTIES":
		return "getprop"
	case title == "PROCESSES" || title == "PROCESSES AND THREADS":
		return "ps"
	case title == "KERNEL LOG":
		return "dmesg"
	case title == "LAST KMSG":
		return "last-kmsg"
	case strings.HasPrefix(title, "ROUTE TABLE"):
		return "ip/route"
	}
	return ""
}

// dumpFileSource is the file's path, but for files that have a command's name as well.
func dumpFileSource(path string) string {
	switch path {
	case "/proc/cmdline":
		return "cmdline"
	case "/proc/bootconfig":
		return "bootconfig"
	case "/proc/mounts", "/proc/self/mounts":
		return "mount"
	case "/proc/last_kmsg", "/sys/fs/pstore/console-ramoops", "/sys/fs/pstore/console-ramoops-0":
		return "last-kmsg"
	case "/sys/fs/selinux/enforce":
		return "selinux"
	}
	return path
}

func ipSource(args []string) string {
	for _, a := range args {
		switch a {
		case "addr", "address", "a":
			return "ip/addr"
		case "link", "route", "rule", "neigh", "maddr", "xfrm":
			return "ip/" + a
		case "-4", "-6", "-s", "-d", "-o":
		default:
			return ""
		}
	}
	return ""
}

func logcatSource(args []string) string {
	for _, a := range args {
		switch a {
		case "-L":
			return "logcat/last"
		case "-S":
			return "logcat/statistics"
		}
	}
	return "logcat/" + optionValue(args, "-b", "main")
}

// dumpsysSource names the service of a dumpsys of one service that prints all it has.
func dumpsysSource(args []string) string {
	for len(args) > 1 && (args[0] == "-t" || args[0] == "-T") {
		args = args[2:]
	}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || len(args) > 1 && (len(args) > 2 || args[1] != "-a") {
		return ""
	}
	return "dumpsys/" + args[0]
}

// optionValue gives what follows an option, or other where it is not there.
func optionValue(args []string, option, other string) string {
	for i := 0; i+1 < len(args); i++ {
		if args[i] == option {
			return args[i+1]
		}
	}
	return other
}
