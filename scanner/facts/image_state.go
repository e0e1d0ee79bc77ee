package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// ImageState is the one row of the table image_state: what kind of build this is.
type ImageState struct {
	Markers    []string `expr:"markers" json:"markers" doc:"signs of a development or test build"`
	TestKeys   []string `expr:"test_keys" json:"test_keys,omitempty" doc:"sample keys that the updater trusts"`
	Mismatches []string `expr:"mismatches" json:"mismatches" doc:"parts of the system that name different distributions or machines"`
	// VerityExpected tells that the image was built to be verified.
	VerityExpected string `expr:"verity_expected" json:"verity_expected,omitempty" doc:"what says that the root file system should be verified; empty when nothing does"`
	VerityActive   bool   `expr:"verity_active" json:"verity_active,omitempty" doc:"a verified file system is in use"`
	Where          string `expr:"where" json:"-" doc:"file that tells first"`
	scanner.Unread
}

// devPackages belong on a developer's bench, not on a device in the field.
var devPackages = []string{"gdbserver", "tcf-agent", "packagegroup-core-tools-debug", "packagegroup-core-eclipse-debug", "ltp", "lttng-tools-ptest", "packagegroup-core-tools-testapps"}

// basePackages say which distribution the system is.
var basePackages = map[string]string{"alpine-baselayout": "alpine", "postmarketos-base": "postmarketos"}

func imageStateCollector() scanner.Collector {
	return scanner.Collector{
		Table: "image_state", Doc: "signs of test builds and of mixed systems, one row", Row: ImageState{},
		Reads: scanner.Reads{Globs: []string{"/etc/build", "/etc/default/dropbear", "/etc/rauc/system.conf", "/etc/rauc/*.pem", "/etc/veritytab",
			"/usr/lib/ostree/prepare-root.conf", "/sys/class/block/*/dm/uuid", "/proc/cmdline"}, Meta: []string{"/bin/sh", "/usr/bin/sh", "/bin/busybox"}},
		Needs: []string{"os", "users", "packages"}, Collect: collectImageState,
	}
}

func collectImageState(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	os, why := scanner.Rows[scanner.OS](in, "os")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	s := ImageState{Where: os[0].Where, Markers: []string{}, Mismatches: []string{}}
	packages, _ := scanner.Rows[Package](in, "packages")
	s.development(r, in, &os[0], packages)
	s.identity(r, &os[0], packages)
	s.verity(r, in.Device.Identity().Live)
	t.Rows = []ImageState{s}
	return t
}

func (s *ImageState) development(r *treeReader, in *scanner.Input, os *scanner.OS, packages []Package) {
	users, _ := scanner.Rows[User](in, "users")
	if slices.ContainsFunc(users, func(u User) bool { return u.UID == 0 && u.LoginShell && u.Password == "empty" }) {
		s.Markers = append(s.Markers, "root has no password")
	}
	for _, e := range parse.Assignments(r.file("/etc/default/dropbear")) {
		if slices.Contains(strings.Fields(e.Value), "-B") {
			s.Markers = append(s.Markers, "dropbear lets empty passwords in")
		}
	}
	if b := string(r.file("/etc/build")); strings.Contains(b, "debug-tweaks") {
		s.Markers = append(s.Markers, "built with debug-tweaks")
	}
	if v := strings.ToLower(os.Variant); v == "dev" || v == "development" || v == "debug" || v == "test" {
		s.Markers = append(s.Markers, "os-release says variant "+v)
	}
	if strings.Contains(strings.ToLower(os.Version), "snapshot") {
		s.Markers = append(s.Markers, "a snapshot build")
	}
	for _, p := range packages {
		if slices.Contains(devPackages, p.Name) && p.Manager != "dpkg" && p.Manager != "rpm" {
			s.Markers = append(s.Markers, "package "+p.Name)
		}
	}
	s.testKeys(r)
}

// testKeys looks for sample authorities in the keyring of RAUC by the names that its and
// Yocto's examples give them.
func (s *ImageState) testKeys(r *treeReader) {
	for _, name := range r.glob("/etc/rauc/*.pem") {
		certs, _ := parse.Certificates(r.file(name))
		for _, c := range certs {
			subject, _, _ := c.Describe()
			l := strings.ToLower(subject)
			if strings.Contains(l, "test org") || strings.Contains(l, "example") || strings.Contains(l, "development") || strings.Contains(l, "test") && strings.Contains(l, "ca") {
				s.TestKeys = append(s.TestKeys, subject)
				s.Where = at(name, c.Line)
			}
		}
	}
}

// identity compares what the parts of the system say of it.
func (s *ImageState) identity(r *treeReader, os *scanner.OS, packages []Package) {
	for _, p := range packages {
		if want := basePackages[p.Name]; want != "" && p.Manager == "apk" && os.ID != want && !strings.Contains(os.IDLike, want) && os.ID != "postmarketos" {
			s.Mismatches = append(s.Mismatches, "os-release says "+os.ID+", package "+p.Name+" says "+want)
		}
	}
	if m := shellMachine(r.fs); m != "" && os.Kernel != "" && !sameMachine(m, os.Arch) {
		s.Mismatches = append(s.Mismatches, "the kernel runs on "+os.Arch+", the shell is for "+m)
	}
	if len(packages) > 0 {
		s.architecture(r, packages)
	}
}

// architecture compares the packages' machine with the shell's.
func (s *ImageState) architecture(r *treeReader, packages []Package) {
	m := shellMachine(r.fs)
	count := map[string]int{}
	for _, p := range packages {
		if p.Manager == "dpkg" || p.Manager == "apk" || p.Manager == "rpm" {
			count[p.Arch]++
		}
	}
	best := ""
	for a, n := range count {
		if machineOf(a) != "" && (n > count[best] || n == count[best] && a < best) {
			best = a
		}
	}
	if m != "" && best != "" && !sameMachine(m, machineOf(best)) {
		s.Mismatches = append(s.Mismatches, "packages are for "+best+", the shell is for "+m)
	}
}

func shellMachine(fsys scanner.FS) string {
	for _, n := range []string{"/bin/sh", "/usr/bin/sh", "/bin/busybox"} {
		if h, err := fsys.Head(n); err == nil && elfMachine(h) != "" {
			return elfMachine(h)
		}
	}
	return ""
}

// machineOf gives the machine of a package manager's architecture, "" for all and unknown ones.
func machineOf(arch string) string {
	return map[string]string{"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64", "armhf": "armv7l", "armv7": "armv7l", "armel": "armv7l",
		"i386": "i686", "i686": "i686", "x86": "i686", "riscv64": "riscv64", "ppc64el": "ppc64le", "ppc64le": "ppc64le", "s390x": "s390x"}[arch]
}

// sameMachine compares by family: a 64-bit machine runs the 32-bit programs of its own.
func sameMachine(a, b string) bool {
	family := func(m string) string {
		switch {
		case strings.HasPrefix(m, "arm") || m == "aarch64":
			return "arm"
		case m == "x86_64" || strings.HasSuffix(m, "86"):
			return "x86"
		case strings.HasPrefix(m, "mips"):
			return "mips"
		case strings.HasPrefix(m, "ppc"):
			return "ppc"
		}
		return m
	}
	return b == "" || family(a) == family(b)
}

// verity tells what says that the root should be verified, and whether it is.
func (s *ImageState) verity(r *treeReader, live bool) {
	if ds := parse.Directives(r.file("/etc/veritytab")); len(ds) > 0 {
		s.VerityExpected = at("/etc/veritytab", ds[0].Line)
	}
	if v := parse.INI(r.file("/usr/lib/ostree/prepare-root.conf")).Get("composefs", "enabled"); v == "signed" || v == "verity" {
		s.VerityExpected = "/usr/lib/ostree/prepare-root.conf"
	}
	if !live {
		s.MarkUnread("verity_active", needsLive)
		return
	}
	cmdline := " " + string(r.file("/proc/cmdline"))
	if strings.Contains(cmdline, " roothash=") || strings.Contains(cmdline, " systemd.verity=yes") {
		s.VerityExpected = "/proc/cmdline"
	}
	for _, name := range r.glob("/sys/class/block/*/dm/uuid") {
		s.VerityActive = s.VerityActive || strings.HasPrefix(string(r.file(name)), "CRYPT-VERITY")
	}
	s.VerityActive = s.VerityActive || strings.Contains(cmdline, "composefs")
}
