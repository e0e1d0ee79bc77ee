package facts

import (
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// The files by which the role of a device is told.
var (
	profileGlobs = []string{"/etc/machine-info", "/sys/class/dmi/id/product_name", "/sys/class/dmi/id/chassis_type",
		"/proc/device-tree/model", "/etc/xdg/weston/weston.ini", "/lib/modules/*", "/usr/lib/modules/*", "/etc/runlevels/default/*",
		"/etc/systemd/system/*.wants/*", "/proc/1/cgroup", "/proc/2/comm", "/proc/self/mountinfo"}
	profileMeta = []string{"/bin/sh", "/usr/bin/sh", "/bin/busybox", "/sbin/init", "/boot/vmlinuz*", "/etc/config/network",
		"/.dockerenv", "/run/.containerenv", "/usr/bin/phosh", "/usr/bin/phosh-session", "/usr/bin/sxmo_init.sh", "/usr/bin/startplasmamobile", "/usr/bin/cage",
		"/usr/sbin/ofonod", "/etc/systemd/system/display-manager.service", "/usr/lib/systemd/systemd", "/lib/systemd/systemd",
		"/sbin/openrc", "/sbin/procd", "/etc/init.d/rcS", "/etc/rc.d",
		"/boot/grub*", "/boot/extlinux", "/boot/loader", "/boot/zImage*", "/boot/Image*", "/boot/uImage*", "/boot/config.txt"}
)

// phoneShells are what only phones carry.
var phoneShells = []string{"/usr/bin/phosh", "/usr/bin/phosh-session", "/usr/bin/sxmo_init.sh", "/usr/bin/startplasmamobile", "/usr/sbin/ofonod"}

// chassis are the roles by the words of machine-info(5).
var chassis = map[string]string{"handset": "phone", "tablet": "handheld", "watch": "handheld", "desktop": "workstation",
	"laptop": "workstation", "convertible": "workstation", "server": "server", "container": "container-image", "embedded": "iot"}

// dmiChassis are the roles by the chassis types of the SMBIOS specification.
var dmiChassis = map[string]string{"3": "workstation", "4": "workstation", "6": "workstation", "8": "workstation", "9": "workstation",
	"10": "workstation", "13": "workstation", "14": "workstation", "31": "workstation", "32": "workstation",
	"11": "handheld", "30": "handheld", "17": "server", "23": "server", "28": "server", "29": "server"}

// profileOf gives the role that policy names, or the role that the tree shows; "" when the
// signs do not suffice.
func profileOf(in *scanner.Input, row *scanner.OS) string {
	if in.Options.Profile != "" {
		return in.Options.Profile
	}
	if p := in.Device.Identity().Profile; p != "" {
		return p
	}
	r := newReader(in, &scanner.Table{})
	if p := chassis[parse.OSRelease(r.file("/etc/machine-info"))["CHASSIS"]]; p != "" {
		return p
	}
	switch {
	case row.ID == "openwrt" || row.ID == "lede" || r.exists("/etc/config/network"):
		return "router"
	case r.exists("/.dockerenv", "/run/.containerenv") && !isMachine(r, in.Device.Identity().Live):
		return "container-image"
	case strings.Contains(string(r.file("/etc/xdg/weston/weston.ini")), "kiosk-shell") || r.exists("/usr/bin/cage"):
		return "kiosk"
	case row.ID == "postmarketos" || r.exists(phoneShells...):
		return "phone"
	}
	byChassis := dmiChassis[firstLine(r.fs, "/sys/class/dmi/id/chassis_type")]
	switch {
	case byChassis == "server" || row.Variant == "server":
		return "server"
	case r.exists("/etc/systemd/system/display-manager.service") || len(r.glob("/etc/runlevels/default/*dm")) > 0:
		return "workstation"
	case byChassis != "":
		return byChassis
	case !in.Device.Identity().Live && !hasKernel(r) && !hasInit(r):
		return "container-image"
	}
	return ""
}

// isMachine tells a machine on which a container engine left its mark, as machines made from
// container images have it, from a container.
func isMachine(r *treeReader, live bool) bool {
	if !live {
		return hasKernel(r) || hasBootLoader(r) || startsServices(r)
	}
	if parse.Container(r.file("/proc/1/cgroup")) != "" {
		return false
	}
	mounts, _ := parse.MountInfo(r.upTo("/proc/self/mountinfo", maxMountInfo))
	var root parse.Mount
	for _, m := range mounts {
		if m.Target == "/" {
			root = m // the last one is on top
		}
	}
	switch root.FSType {
	case "overlay", "fuse.fuse-overlayfs", "aufs":
		return hasKernel(r) // machines start from layers too, but bring the modules of their kernel
	}
	// Only the first pid namespace shows kernel threads; hidepid= hides them there as well.
	kernelThreads := firstLine(r.fs, "/proc/2/comm") == "kthreadd"
	return kernelThreads || root.Root == "/" && strings.HasPrefix(root.Source, "/dev/")
}

func hasBootLoader(r *treeReader) bool {
	return len(r.glob("/boot/grub*", "/boot/extlinux", "/boot/loader", "/boot/zImage*", "/boot/Image*", "/boot/uImage*", "/boot/config.txt")) > 0
}

// startsServices reports whether there is an init that has something to start.
func startsServices(r *treeReader) bool {
	return r.exists("/usr/lib/systemd/systemd", "/lib/systemd/systemd") && len(r.glob("/etc/systemd/system/*.wants/*")) > 0 ||
		r.exists("/sbin/openrc") && len(r.glob("/etc/runlevels/default/*")) > 0
}

func hasKernel(r *treeReader) bool {
	return len(r.glob("/lib/modules/*", "/usr/lib/modules/*", "/boot/vmlinuz*")) > 0
}

func hasInit(r *treeReader) bool {
	return r.exists("/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/sbin/openrc", "/sbin/procd", "/etc/init.d/rcS", "/etc/rc.d")
}
