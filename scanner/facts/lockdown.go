package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Lockdown is one way to get past a device that stands in public.
type Lockdown struct {
	Area    string `expr:"area" json:"area" doc:"usb, kiosk (ways out of the one program that it shows) or boot"`
	Name    string `expr:"name" json:"name" doc:"the way"`
	Open    bool   `expr:"open" json:"open" doc:"it is not closed"`
	Detail  string `expr:"detail" json:"detail,omitempty" doc:"setting that tells"`
	Profile string `expr:"profile" json:"-" doc:"role of the device, as in the table os"`
	Where   string `expr:"where" json:"-" doc:"file and line"`
}

// terminals let a person type commands.
var terminals = []string{"/usr/bin/xterm", "/usr/bin/gnome-terminal", "/usr/bin/konsole", "/usr/bin/xfce4-terminal", "/usr/bin/foot", "/usr/bin/lxterminal", "/usr/bin/weston-terminal"}

var xorgFiles = []string{"/etc/X11/xorg.conf", "/etc/X11/xorg.conf.d/*.conf", "/usr/share/X11/xorg.conf.d/*.conf"}

var grubFiles = []string{"/boot/grub/grub.cfg", "/boot/grub2/grub.cfg", "/boot/grub/user.cfg", "/boot/grub2/user.cfg"}

func lockdownCollector() scanner.Collector {
	return scanner.Collector{
		Table: "lockdown", Doc: "ways past a device that stands in public: USB, the boot menu, out of a kiosk", Row: Lockdown{},
		Reads: scanner.Reads{
			Globs: concat([]string{"/sys/bus/usb/devices/usb*/authorized_default", "/etc/modprobe.d/*.conf", "/etc/systemd/logind.conf", "/etc/systemd/logind.conf.d/*.conf",
				"/etc/systemd/system/*.wants/usbguard.service", "/etc/systemd/system/rescue.service.d/*.conf", "/etc/systemd/system/emergency.service.d/*.conf",
				"/proc/sys/kernel/sysrq"}, xorgFiles, grubFiles, sysctlGlobs),
			Meta: concat(usbStorage, []string{"/etc/systemd/system/ctrl-alt-del.target", "/usr/lib/systemd/systemd", "/usr/bin/Xorg"}, terminals),
		},
		Needs: []string{"os"}, Collect: collectLockdown,
	}
}

type lockdownReader struct {
	*treeReader
	live bool
	rows []Lockdown
	gaps int // of the table when the look at the present way began
}

func collectLockdown(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	l := &lockdownReader{treeReader: newReader(in, &t), live: in.Device.Identity().Live, rows: []Lockdown{}}
	l.usb()
	l.boot()
	l.kiosk()
	if os, _ := scanner.Rows[scanner.OS](in, "os"); len(os) > 0 {
		for i := range l.rows {
			l.rows[i].Profile = os[0].Profile
		}
	}
	t.Rows = l.rows
	return t
}

// begin starts the look at one way.
func (l *lockdownReader) begin() { l.gaps = len(l.table.Partial) }

// add tells of a way. One that seems open while a file that may close it could not be read is
// left to the table's gaps.
func (l *lockdownReader) add(area, name string, open bool, detail, where string) {
	if unread := len(l.table.Partial); open && (unread > l.gaps || unread >= maxGaps) {
		return
	}
	l.rows = append(l.rows, Lockdown{Area: area, Name: name, Open: open, Detail: detail, Where: where})
}

// usbStorage is the driver of USB sticks.
var usbStorage = []string{"/lib/modules/*/kernel/drivers/usb/storage/usb-storage.ko*", "/lib/modules/*/usb-storage.ko"}

// usb: devices are taken unless the kernel is told to ask, usbguard asks, or sticks cannot be
// read for want of a driver.
func (l *lockdownReader) usb() {
	l.begin()
	if len(l.glob(usbStorage...)) == 0 {
		return
	}
	guarded, detail, where := l.wanted("usbguard.service"), "", "/sys/bus/usb"
	for _, name := range l.glob("/sys/bus/usb/devices/usb*/authorized_default") {
		detail, where = "authorized_default "+strings.TrimSpace(string(l.file(name))), name
		guarded = guarded || strings.HasSuffix(detail, " 0")
	}
	for _, name := range l.glob("/etc/modprobe.d/*.conf") {
		for _, d := range parse.Directives(l.file(name)) {
			mod := strings.ReplaceAll(d.Arg(0), "-", "_")
			if mod == "usb_storage" && (d.Words[0] == "blacklist" || d.Words[0] == "install") {
				guarded, where = true, at(name, d.Line)
			}
		}
	}
	l.add("usb", "USB devices", !guarded, detail, where)
}

func (l *lockdownReader) boot() {
	l.begin()
	grub, protected := "", false
	for _, name := range l.glob(grubFiles...) {
		for _, d := range parse.Directives(l.file(name)) {
			protected = protected || d.Words[0] == "password_pbkdf2" || d.Words[0] == "password" || strings.HasPrefix(d.Words[0], "GRUB2_PASSWORD=")
		}
		grub = name
	}
	if grub != "" {
		l.add("boot", "boot menu", !protected, "", grub)
	}
	for _, name := range l.glob("/etc/systemd/system/rescue.service.d/*.conf", "/etc/systemd/system/emergency.service.d/*.conf") {
		for _, e := range parse.INI(l.file(name)) {
			if strings.Contains(e.Value, "SYSTEMD_SULOGIN_FORCE=1") {
				l.begin() // this file alone settles it
				l.add("boot", "rescue shell without password", true, "SYSTEMD_SULOGIN_FORCE", at(name, e.Line))
			}
		}
	}
}

func (l *lockdownReader) kiosk() {
	l.begin()
	if l.exists("/usr/lib/systemd/systemd") {
		to, _ := l.fs.Readlink("/etc/systemd/system/ctrl-alt-del.target")
		l.add("kiosk", "Ctrl-Alt-Del restarts", to != "/dev/null", "", "/etc/systemd/system/ctrl-alt-del.target")
		l.begin()
		vts, where := "6", "/etc/systemd/logind.conf"
		for _, name := range l.glob("/etc/systemd/logind.conf", "/etc/systemd/logind.conf.d/*.conf") {
			if e, ok := parse.INI(l.file(name)).Find("Login", "NAutoVTs"); ok {
				vts, where = e.Value, at(name, e.Line)
			}
		}
		l.add("kiosk", "text consoles", vts != "0", "NAutoVTs "+vts, where)
	}
	if l.exists("/usr/bin/Xorg") {
		l.xorg()
	}
	l.sysrq()
	for _, name := range terminals {
		if l.begin(); l.exists(name) {
			l.add("kiosk", "terminal "+path.Base(name), true, "", name)
		}
	}
}

func (l *lockdownReader) xorg() {
	l.begin()
	closed := map[string]bool{}
	for _, name := range l.glob(xorgFiles...) {
		for _, d := range parse.Directives(l.file(name)) {
			if strings.EqualFold(d.Words[0], "Option") {
				closed[strings.ToLower(d.Arg(0))] = d.Arg(1) == "" || yes(d.Arg(1))
			}
		}
	}
	l.add("kiosk", "switch away from the screen", !closed["dontvtswitch"], "DontVTSwitch", "/etc/X11/xorg.conf")
}

func (l *lockdownReader) sysrq() {
	l.begin()
	value, where := "", ""
	if l.live {
		value, where = strings.TrimSpace(string(l.file("/proc/sys/kernel/sysrq"))), "/proc/sys/kernel/sysrq"
	} else {
		for _, name := range l.glob(sysctlGlobs...) {
			set, _ := parse.Sysctls(l.file(name))
			for _, e := range set {
				if e.Key == "kernel.sysrq" {
					value, where = e.Value, at(name, e.Line)
				}
			}
		}
	}
	if value != "" {
		l.add("kiosk", "SysRq keys", value != "0", "kernel.sysrq "+value, where)
	}
}
