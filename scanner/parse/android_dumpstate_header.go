package parse

import "bytes"

// Bounds of the head of a dumpstate.
const (
	maxDumpHeaderLines = 512
	maxDumpHeaderValue = 16 << 10
)

// DumpHeader is the head of a bug report, each value as printed; empty where the report, or the
// Android that wrote it, does not say.
type DumpHeader struct {
	Time           string // 2006-01-02 15:04:05 in the device's time zone
	Build          string
	Fingerprint    string
	Bootloader     string
	Radio          string
	Network        string // operator's name
	SDK            string // Android SDK version (11 and newer)
	ModuleMetadata string // version of the Mainline module metadata
	SDKExtensions  string
	Kernel         string
	CommandLine    string
	Bootconfig     []string // lines of /proc/bootconfig (12 and newer)
	Uptime         string
	FormatVersion  string // Bugreport format version (7 and newer)
	Info           string // Dumpstate info: id, pid, dry_run, args, extra_options
}

// dumpHeaderReader fills a DumpHeader from the lines before the first section.
type dumpHeaderReader struct {
	to    *DumpHeader
	lines int
	boot  bool // lines of the bootconfig follow
}

// begin takes the line "== dumpstate: 2023-12-26 16:19:21".
func (r *dumpHeaderReader) begin(text []byte) {
	if at, ok := bytes.CutPrefix(text, []byte("== dumpstate: ")); ok && r.to.Time == "" && len(at) == len("2006-01-02 15:04:05") && at[0] != 'd' {
		r.to.Time = string(at)
	}
}

func (r *dumpHeaderReader) line(text []byte) {
	text = bytes.TrimRight(text, " \r\n")
	if r.to.Time == "" || r.lines >= maxDumpHeaderLines {
		return
	}
	r.lines++
	key, value, ok := bytes.Cut(text, []byte(": "))
	field := r.field(string(key[:min(len(key), 64)]))
	switch {
	case ok && field != nil:
		if field == &r.to.Fingerprint {
			value = bytes.Trim(value, "'")
		}
		if *field == "" {
			*field = string(value[:min(len(value), maxDumpHeaderValue)])
		}
		r.boot = false
	case ok && string(key) == "Bootconfig":
		r.to.Bootconfig = append(r.to.Bootconfig, string(value[:min(len(value), maxDumpHeaderValue)]))
		r.boot = true
	case r.boot && bytes.Contains(text, []byte(" = ")):
		r.to.Bootconfig = append(r.to.Bootconfig, string(text[:min(len(text), maxDumpHeaderValue)]))
	}
}

func (r *dumpHeaderReader) field(key string) *string {
	switch key {
	case "Build":
		return &r.to.Build
	case "Build fingerprint":
		return &r.to.Fingerprint
	case "Bootloader":
		return &r.to.Bootloader
	case "Radio":
		return &r.to.Radio
	case "Network":
		return &r.to.Network
	case "Android SDK version":
		return &r.to.SDK
	case "Module Metadata version":
		return &r.to.ModuleMetadata
	case "SDK extensions":
		return &r.to.SDKExtensions
	case "Kernel":
		return &r.to.Kernel
	case "Command line":
		return &r.to.CommandLine
	case "Uptime":
		return &r.to.Uptime
	case "Bugreport format version":
		return &r.to.FormatVersion
	case "Dumpstate info":
		return &r.to.Info
	}
	return nil
}
