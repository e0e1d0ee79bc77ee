package facts

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const maxSmallFile = 1 << 20 // bytes of a file that holds a few lines

func osCollector() scanner.Collector {
	return scanner.Collector{
		Table: "os", Doc: "the operating system, one row", Row: scanner.OS{},
		Reads: scanner.Reads{Globs: []string{"/etc/os-release", "/usr/lib/os-release", "/etc/alpine-release",
			"/etc/debian_version", "/etc/openwrt_release", "/sys/class/dmi/id/product_name", "/proc/device-tree/model"}},
		Collect: collectOS,
	}
}

func collectOS(_ context.Context, in *scanner.Input) scanner.Table {
	fsys := in.Device.FS()
	row := scanner.OS{Where: "/etc/os-release", Profile: in.Options.Profile}
	b, err := scanner.ReadFile(fsys, "/etc/os-release", maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		row.Where = "/usr/lib/os-release"
		b, err = scanner.ReadFile(fsys, row.Where, maxSmallFile)
	}
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	kv := parse.OSRelease(b)
	row.ID, row.IDLike, row.Version = kv["ID"], kv["ID_LIKE"], kv["VERSION_ID"]
	row.Name = kv["PRETTY_NAME"]
	if row.Name == "" {
		row.Name = kv["NAME"]
	}
	row.Codename, row.Variant, row.Build, row.SupportEnd = kv["VERSION_CODENAME"], kv["VARIANT_ID"], kv["BUILD_ID"], kv["SUPPORT_END"]
	row.Model = firstLine(fsys, "/sys/class/dmi/id/product_name", "/proc/device-tree/model")
	return scanner.Table{Rows: []scanner.OS{row}}
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
