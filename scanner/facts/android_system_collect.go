package facts

import (
	"context"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

func androidSystemCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android", Doc: "what Android runs and how it was started, one row", Row: AndroidSystem{}, Platforms: onAndroid,
		Reads: scanner.Reads{
			Probes: []scanner.Source{scanner.SourceDumpstate, scanner.SourceGetenforce, scanner.SourceCmdline},
			Globs:  []string{"/sys/fs/selinux/enforce", "/proc/cmdline", "/proc/bootconfig", "/proc/version"},
		},
		Needs: []string{"android_properties", "packages"}, Collect: collectAndroidSystem,
	}
}

func collectAndroidSystem(ctx context.Context, in *scanner.Input) scanner.Table {
	props, why := propertiesOf(in)
	head, headErr := in.Device.Probe(ctx, scanner.SourceDumpstate)
	if why != "" && headErr != nil {
		return scanner.Table{Absent: why}
	}
	var t scanner.Table
	s := &systemReader{in: in, props: props, head: dumpHeader(head), row: AndroidSystem{Where: string(scanner.SourceGetprop)}}
	if len(props.rows) > 0 {
		s.row.Where = props.rows[0].Where
	} else {
		s.row.Where = string(scanner.SourceDumpstate)
	}
	s.boot = bootOptions(ctx, in, s.head)
	s.identity()
	s.patch()
	s.bootState()
	s.protections(ctx)
	s.traits()
	t.Rows = []AndroidSystem{s.row}
	return t
}

// dumpHeader reads the head of a bugreport, where there is one.
func dumpHeader(b []byte) parse.DumpHeader {
	d, err := parse.IndexDumpstate(strings.NewReader(string(b)))
	if err != nil {
		return parse.DumpHeader{}
	}
	return d.Header
}

// systemReader fills the row from the properties, the head of a bugreport and the options that
// the boot loader passed.
type systemReader struct {
	in    *scanner.Input
	props *properties
	head  parse.DumpHeader
	boot  map[string]string
	row   AndroidSystem
}

// unread marks columns that nothing told.
func (s *systemReader) unread(why string, columns ...string) {
	for _, c := range columns {
		s.row.MarkUnread(c, why)
	}
}

const (
	noProperty = "no property tells it"
	needsProps = "needs the properties of the running system"
)

// bootOptions gives androidboot.* options of the kernel's command line and bootconfig.
func bootOptions(ctx context.Context, in *scanner.Input, head parse.DumpHeader) map[string]string {
	args := parse.BootArguments([]byte(head.CommandLine))
	args = append(args, parse.BootConfig([]byte(strings.Join(head.Bootconfig, "\n")))...)
	if b, err := in.Device.Probe(ctx, scanner.SourceCmdline); err == nil {
		args = append(args, parse.BootArguments(b)...)
	}
	if b, err := scanner.ReadFile(in.Device.FS(), "/proc/cmdline", maxSmallFile); err == nil {
		args = append(args, parse.BootArguments(b)...)
	}
	if b, err := scanner.ReadFile(in.Device.FS(), "/proc/bootconfig", maxSmallFile); err == nil {
		args = append(args, parse.BootConfig(b)...)
	}
	out := map[string]string{}
	for _, a := range args {
		if name, ok := strings.CutPrefix(a.Key, "androidboot."); ok && a.HasValue {
			out[name] = a.Value
		}
	}
	return out
}

// buildFingerprint is brand/product/device:release/id/incremental:type/tags.
var buildFingerprint = regexp.MustCompile(`^[^/]+/[^/]+/[^:/]+:([^/]+)/([^/]+)/[^:]+:([a-z]+)/([^/]+)$`)

func (s *systemReader) identity() {
	p, r := s.props, &s.row
	r.Release = p.get("ro.build.version.release", "ro.system.build.version.release")
	r.Fingerprint = p.get("ro.build.fingerprint", "ro.system.build.fingerprint", "ro.bootimage.build.fingerprint")
	if r.Fingerprint == "" {
		r.Fingerprint = strings.Trim(s.head.Fingerprint, "'")
	}
	r.Build = p.get("ro.build.display.id", "ro.build.id")
	if r.Build == "" {
		r.Build = s.head.Build
	}
	r.BuildType, r.BuildTags = p.get("ro.build.type", "ro.system.build.type"), p.get("ro.build.tags", "ro.system.build.tags")
	if m := buildFingerprint.FindStringSubmatch(r.Fingerprint); m != nil {
		r.Release, r.BuildType, r.BuildTags = or(r.Release, m[1]), or(r.BuildType, m[3]), or(r.BuildTags, m[4])
	}
	sdk := p.get("ro.build.version.sdk", "ro.system.build.version.sdk")
	if sdk == "" {
		sdk = strings.TrimSpace(s.head.SDK)
	}
	r.SDK, _ = strconv.Atoi(sdk)
	if r.SDK == 0 {
		r.SDK = sdkOf(r.Release)
	}
	r.ReleasesBehind = releasesBehind(r.SDK, s.in.Options.Now)
	if r.SDK == 0 {
		s.unread(noProperty, "sdk", "releases_behind")
	}
	if r.BuildType == "" {
		s.unread(noProperty, "build_type", "build_tags")
	}
	r.Manufacturer, r.Model = p.get("ro.product.manufacturer", "ro.product.system.manufacturer", "ro.product.vendor.manufacturer"), p.get("ro.product.model", "ro.product.system.model", "ro.product.vendor.model")
	if r.Kernel = s.head.Kernel; r.Kernel == "" {
		r.Kernel = firstLine(s.in.Device.FS(), "/proc/version")
	}
	r.EndOfLifeDays = androidEndDays(r.Release, s.in.Options.Now)
	if r.EndOfLifeDays == unknownEnd {
		r.EndOfLifeDays = 0
		s.unread("the end of this release's updates is not known", "end_of_life_days")
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// sdkOf gives the API level of a release, 0 when unknown.
func sdkOf(release string) int {
	for _, e := range androidReleases {
		if sameRelease(release, e.release) {
			return e.sdk
		}
	}
	return 0
}

// moduleDate finds the date in the version's name of the package that describes the modules.
var moduleDate = regexp.MustCompile(`\b20[0-9]{2}-[01][0-9]-[0-3][0-9]\b`)

// daysSince gives the days from a date (YYYY-MM-DD) to now.
func daysSince(date string, now time.Time) (int, bool) {
	d, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return 0, false
	}
	return int(now.Sub(d).Hours()) / 24, true
}

func (s *systemReader) patch() {
	r, now := &s.row, s.in.Options.Now
	r.Patch, r.VendorPatch = s.props.get("ro.build.version.security_patch"), s.props.get("ro.vendor.build.security_patch")
	var ok bool
	r.Exploited = openHoles(r.Patch, now)
	if r.PatchAgeDays, ok = daysSince(r.Patch, now); !ok {
		r.Exploited = nil
		s.unread(noProperty, "patch", "patch_age_days", "exploited")
	}
	if r.VendorPatchAgeDays, ok = daysSince(r.VendorPatch, now); !ok {
		s.unread(noProperty, "vendor_patch", "vendor_patch_age_days")
	}
	// Version of com.google.android.modulemetadata. The head of a bugreport has its number, which
	// is no date: 340724004.
	r.Mainline = s.props.get("persist.sys.mainline.version", "ro.mainline.version")
	if a := androidTables(s.in).get("com.google.android.modulemetadata"); a != nil && r.Mainline == "" {
		r.Mainline = moduleDate.FindString(a.VersionName)
	}
	if r.MainlineAgeDays, ok = daysSince(r.Mainline, now); !ok {
		s.unread(noProperty, "mainline", "mainline_age_days")
	}
}

func (s *systemReader) bootState() {
	p, r := s.props, &s.row
	option := func(property, option string) string { return or(p.get(property), s.boot[option]) }
	r.VerifiedBoot = strings.ToLower(option("ro.boot.verifiedbootstate", "verifiedbootstate"))
	r.Verity = strings.ToLower(option("ro.boot.veritymode", "veritymode"))
	r.BootKey = strings.ToLower(option("ro.boot.vbmeta.public_key_digest", "vbmeta.public_key_digest"))
	locked := option("ro.boot.flash.locked", "flash.locked")
	state := strings.ToLower(option("ro.boot.vbmeta.device_state", "vbmeta.device_state"))
	secure := p.get("ro.secureboot.lockstate")
	switch {
	case r.VerifiedBoot == "orange", locked == "0", state == "unlocked", secure == "unlocked":
		r.Unlocked = true
	case r.VerifiedBoot == "" && locked == "" && state == "" && secure == "":
		s.unread("the device does not tell whether its boot loader is locked", "unlocked", "verified_boot")
	}
	if r.VerifiedBoot == "" {
		s.unread("the device does not tell its state of verified boot", "verified_boot")
	}
	if r.Verity == "" {
		s.unread(noProperty, "verity")
	}
	r.CustomOS = customOS(p, r)
	if owner := trustedBootKeys[r.BootKey]; owner != "" && r.VerifiedBoot == "yellow" && !r.Unlocked {
		r.CustomOS, r.TrustedOS = owner, true // the key tells better than properties, which systems take from each other
	}
	switch allowed := p.get("sys.oem_unlock_allowed"); {
	case allowed != "":
		r.OEMUnlockAllowed = allowed == "1"
	default:
		s.unread(noProperty, "oem_unlock_allowed")
	}
}

func (s *systemReader) protections(ctx context.Context) {
	p, r := s.props, &s.row
	r.Debuggable = p.get("ro.debuggable") == "1"
	r.Insecure = p.get("ro.secure") == "0" || p.get("ro.adb.secure") == "0" && p.get("qemu.adb.secure") == ""
	if p.get("ro.debuggable") == "" && r.BuildType == "" {
		s.unread(noProperty, "debuggable")
	}
	if p.get("ro.secure") == "" && p.get("ro.adb.secure") == "" {
		s.unread(noProperty, "insecure")
	}
	r.SELinux = s.selinux(ctx)
	if r.SELinux == "" {
		s.unread("nothing tells the state of SELinux", "selinux")
	}
	switch state, kind := p.get("ro.crypto.state"), p.get("ro.crypto.type"); {
	case state == "encrypted":
		r.Encryption = or(kind, "block")
	case state == "unencrypted" || state == "unsupported":
		r.Encryption = "none"
	default:
		s.unread(noProperty, "encryption")
	}
	for _, port := range []string{"service.adb.tcp.port", "persist.adb.tcp.port"} {
		if n, err := strconv.Atoi(p.get(port)); err == nil && n > 0 && n < 1<<16 {
			r.TCPADB = n
		}
	}
	r.USB = p.get("sys.usb.state", "sys.usb.config", "persist.sys.usb.config")
	r.LogSize = p.get("persist.logd.size", "ro.logd.size")
	if !p.live {
		s.unread(needsProps, "adb_tcp_port", "usb", "log_size", "wrap_props", "debug_props")
	}
	for _, row := range p.rows {
		switch {
		case strings.HasPrefix(row.Name, "wrap.") && row.Value != "":
			r.WrapProps = append(r.WrapProps, row.Name)
		case slices.Contains(loosening, row.Name+"="+row.Value):
			r.DalvikDebug = append(r.DalvikDebug, row.Name+"="+row.Value)
		}
	}
}

// loosening are settings of properties that switch a protection off.
var loosening = []string{"persist.sys.disable_signature_check=1", "persist.security.adbinput=1", "ro.allow.mock.location=1", "persist.sys.usb.adb_unsecure=1",
	"persist.sys.strictmode.disable=true", "security.perf_harden=0", "persist.sys.root_access=1", "persist.sys.root_access=3", "ro.hardware.hide_root=1"}

// selinux tells from getenforce, the kernel's file or, where it was switched off as it booted,
// the boot options.
func (s *systemReader) selinux(ctx context.Context) string {
	answer, err := s.in.Device.Probe(ctx, scanner.SourceGetenforce)
	if err != nil {
		answer, err = scanner.ReadFile(s.in.Device.FS(), "/sys/fs/selinux/enforce", maxSmallFile)
	}
	if mode, ok := parse.Enforcing(answer); err == nil && ok {
		if mode == "on" {
			mode = "enforcing"
		}
		return mode
	}
	switch or(s.boot["selinux"], s.props.get("ro.boot.selinux")) {
	case "permissive":
		return "permissive"
	case "disabled":
		return "disabled"
	}
	return ""
}

func (s *systemReader) traits() {
	p, r := s.props, &s.row
	r.EmulatorSigns = emulatorSigns(p, r)
	r.Emulator = len(r.EmulatorSigns) > 0
	r.Inconsistent = disagreements(p, r)
	if len(p.rows) == 0 {
		s.unread(noProperty, "inconsistent")
		if !r.Emulator { // a fingerprint alone can say yes, but not no
			s.unread(noProperty, "emulator")
		}
	}
}

func emulatorSigns(p *properties, r *AndroidSystem) []string {
	var out []string
	sign := func(yes bool, what string) {
		if yes {
			out = append(out, what)
		}
	}
	hardware := p.get("ro.hardware", "ro.boot.hardware")
	sign(p.get("ro.kernel.qemu", "ro.boot.qemu") == "1", "ro.kernel.qemu=1")
	sign(slices.Contains([]string{"goldfish", "ranchu", "vbox86", "cutf_cvm", "cutf", "ttvm", "nox", "windroid"}, hardware), "ro.hardware="+hardware)
	for _, part := range []string{"sdk_gphone", "google_sdk", "/sdk_", "vbox86p", "emulator", "generic_x86", "emu64"} {
		if strings.Contains(r.Fingerprint, part) {
			sign(true, "fingerprint "+r.Fingerprint)
			break
		}
	}
	return out
}

// disagreements finds properties that name different builds, models or lock states. A partition
// may come from another build of the same release: brand and device have to agree.
func disagreements(p *properties, r *AndroidSystem) []string {
	var out []string
	device := func(fingerprint string) string {
		parts := strings.SplitN(fingerprint, ":", 2)
		words := strings.Split(parts[0], "/")
		if len(words) != 3 {
			return ""
		}
		return words[0] + "/" + words[2]
	}
	own := device(r.Fingerprint)
	for _, name := range []string{"ro.vendor.build.fingerprint", "ro.odm.build.fingerprint", "ro.bootimage.build.fingerprint", "ro.product.build.fingerprint"} {
		v := p.get(name)
		// Images that serve many devices carry names of their own.
		if d := device(v); d != "" && own != "" && d != own && !genericBuild(v) && !genericBuild(r.Fingerprint) && r.CustomOS == "" {
			out = append(out, name+" is of "+d+", the build of "+own)
		}
	}
	if state := p.get("ro.boot.vbmeta.device_state"); state == "unlocked" && r.VerifiedBoot == "green" {
		out = append(out, "verified boot is green on an unlocked device")
	}
	if locked := p.get("ro.boot.flash.locked"); locked == "1" && r.VerifiedBoot == "orange" {
		out = append(out, "flash is locked and verified boot is orange")
	}
	if r.BuildTags == "release-keys" && strings.HasSuffix(r.Fingerprint, "test-keys") {
		out = append(out, "tags say release-keys, the fingerprint test-keys")
	}
	if r.BuildType == "user" && strings.Contains(r.Fingerprint, ":userdebug/") {
		out = append(out, "type says user, the fingerprint userdebug")
	}
	return out
}

func genericBuild(fingerprint string) bool {
	for _, part := range []string{"generic", "mainline", "gsi_", "/aosp_", "qssi", "mssi", "sdk_", "qti/", "Android/", "alps/"} {
		if strings.Contains(fingerprint, part) {
			return true
		}
	}
	return false
}
