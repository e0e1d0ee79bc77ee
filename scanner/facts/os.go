package facts

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

const maxSmallFile = 1 << 20 // bytes of a file that holds a few lines

func osCollector() scanner.Collector {
	return scanner.Collector{
		Table: "os", Doc: "the operating system, one row", Row: scanner.OS{}, Platforms: onBoth, Needs: []string{"android_properties"},
		Reads: scanner.Reads{
			Probes: []scanner.Source{scanner.SourceUname},
			Globs: append([]string{"/etc/os-release", "/usr/lib/os-release", "/etc/alpine-release",
				"/etc/debian_version", "/etc/openwrt_release", "/etc/apk/arch", "/var/lib/dpkg/arch"}, profileGlobs...),
			Meta: append([]string{"/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/opkg/status"}, profileMeta...),
		},
		Collect: collectOS,
	}
}

func collectOS(ctx context.Context, in *scanner.Input) scanner.Table {
	if in.Device.Identity().Platform == "android" {
		return androidOS(in)
	}
	fsys := in.Device.FS()
	row := scanner.OS{Where: "/etc/os-release", AgeDays: -1}
	b, err := scanner.ReadFile(fsys, "/etc/os-release", maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		row.Where = "/usr/lib/os-release"
		b, err = scanner.ReadFile(fsys, row.Where, maxSmallFile)
	}
	kv := parse.OSRelease(b)
	if err != nil {
		if kv, row.Where = olderRelease(fsys); kv == nil {
			return scanner.Table{Absent: scanner.Reason(err)}
		}
	}
	row.ID, row.IDLike, row.Version = strings.ToLower(kv["ID"]), kv["ID_LIKE"], strings.TrimPrefix(kv["VERSION_ID"], "v")
	row.Name = cmp.Or(kv["PRETTY_NAME"], kv["NAME"], row.ID, "Linux")
	row.Codename, row.Variant, row.SupportEnd = kv["VERSION_CODENAME"], kv["VARIANT_ID"], kv["SUPPORT_END"]
	if row.Build = kv["BUILD_ID"]; row.Build == "" {
		row.Build = kv["IMAGE_VERSION"]
	}
	preciseVersion(fsys, &row)
	if !row.Rolling {
		setSupport(&row, in.Options.Now)
	}
	row.AgeDays = ageOf(fsys, in.Options.Now)
	row.Model = firstLine(fsys, "/sys/class/dmi/id/product_name", "/proc/device-tree/model")
	row.Kernel, row.Arch = uname(ctx, in.Device)
	if row.Arch == "" {
		row.Arch = archOf(fsys)
	}
	row.Profile = profileOf(in, &row)
	return scanner.Table{Rows: []scanner.OS{row}}
}

// olderRelease stands in for os-release on systems from before it.
func olderRelease(fsys scanner.FS) (map[string]string, string) {
	if v := firstLine(fsys, "/etc/alpine-release"); v != "" {
		return map[string]string{"ID": "alpine", "NAME": "Alpine Linux", "VERSION_ID": v}, "/etc/alpine-release"
	}
	if v := firstLine(fsys, "/etc/debian_version"); v != "" {
		return map[string]string{"ID": "debian", "NAME": "Debian GNU/Linux", "VERSION_ID": v}, "/etc/debian_version"
	}
	if b, err := scanner.ReadFile(fsys, "/etc/openwrt_release", maxSmallFile); err == nil {
		kv := parse.OSRelease(b)
		return map[string]string{"ID": "openwrt", "NAME": kv["DISTRIB_DESCRIPTION"], "VERSION_ID": kv["DISTRIB_RELEASE"]}, "/etc/openwrt_release"
	}
	return nil, ""
}

// preciseVersion takes the distribution's own version file, where it says more than
// os-release, and tells distributions without releases.
func preciseVersion(fsys scanner.FS, row *scanner.OS) {
	switch row.ID {
	case "alpine":
		if v := firstLine(fsys, "/etc/alpine-release"); v != "" {
			row.Version = v
		}
		row.Rolling = strings.Contains(row.Version, "_alpha") || row.Version == "edge"
	case "debian", "raspbian":
		v := firstLine(fsys, "/etc/debian_version")
		if strings.HasPrefix(v, row.Version+".") {
			row.Version = v
		}
		row.Rolling = row.Version == "" && strings.Contains(v, "/sid")
	case "openwrt", "lede":
		b, err := scanner.ReadFile(fsys, "/etc/openwrt_release", maxSmallFile)
		if err != nil {
			return
		}
		kv := parse.OSRelease(b)
		if row.Version == "" {
			row.Version = kv["DISTRIB_RELEASE"]
		}
		if row.Build == "" {
			row.Build = kv["DISTRIB_REVISION"]
		}
		row.Rolling = strings.Contains(strings.ToLower(row.Version), "snapshot")
	case "postmarketos":
		row.Rolling = strings.Contains(row.Version, "edge")
	default:
		row.Rolling = slices.Contains(rolling, row.ID)
	}
}

// ageOf gives the days since the system was last installed or updated, -1 when no file tells.
// Dates before 2001 are those of builds without a clock.
func ageOf(fsys scanner.FS, now time.Time) int {
	var newest time.Time
	for _, n := range []string{"/etc/os-release", "/usr/lib/os-release", "/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/lib/opkg/status"} {
		if i, err := fsys.Stat(n); err == nil && i.ModTime.After(newest) {
			newest = i.ModTime
		}
	}
	if newest.Year() < 2001 {
		return -1
	}
	return max(0, int(now.Sub(newest).Hours())/24)
}

// uname gives the running kernel's release and machine, or nothing for images.
func uname(ctx context.Context, dev scanner.Device) (release, machine string) {
	b, err := dev.Probe(ctx, scanner.SourceUname)
	if err != nil {
		return "", ""
	}
	var u struct{ Release, Machine string }
	if json.Unmarshal(b, &u) != nil {
		return "", ""
	}
	return u.Release, u.Machine
}

// elfMachines are the machine numbers of elf(5) under the names that uname uses.
var elfMachines = map[uint16]string{3: "i686", 8: "mips", 20: "ppc", 21: "ppc64le", 22: "s390x", 40: "armv7l", 62: "x86_64", 183: "aarch64", 243: "riscv64", 258: "loongarch64"}

// archOf tells an image's machine from its shell, or from what the package manager says.
func archOf(fsys scanner.FS) string {
	for _, n := range []string{"/bin/sh", "/bin/busybox", "/usr/bin/sh", "/sbin/init"} {
		if h, err := fsys.Head(n); err == nil && elfMachine(h) != "" {
			return elfMachine(h)
		}
	}
	return firstLine(fsys, "/etc/apk/arch", "/var/lib/dpkg/arch")
}

func elfMachine(head []byte) string {
	if len(head) < 20 || !bytes.HasPrefix(head, []byte("\x7fELF")) {
		return ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	return elfMachines[order.Uint16(head[18:])]
}

// firstLine gives the first line of the first file that can be read.
func firstLine(fsys scanner.FS, names ...string) string {
	for _, n := range names {
		if b, err := scanner.ReadFile(fsys, n, maxSmallFile); err == nil {
			line, _, _ := strings.Cut(string(b), "\n")
			return strings.Trim(line, " \t\x00")
		}
	}
	return ""
}
