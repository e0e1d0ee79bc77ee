package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Mount is a file system mounted on the running system.
type Mount struct {
	Target        string   `expr:"target" json:"target" doc:"where it is mounted"`
	Source        string   `expr:"source" json:"source" doc:"device, or the name the mounter gave"`
	FSType        string   `expr:"fstype" json:"fstype" doc:"type: ext4, tmpfs, overlay, ..."`
	Root          string   `expr:"root" json:"root" doc:"what of the file system is mounted; / is all of it, anything else a bind mount or a subvolume"`
	Options       []string `expr:"options" json:"options" doc:"options of this mount"`
	SuperOptions  []string `expr:"super_options" json:"super_options" doc:"options of the file system, for all its mounts; the overlay's directories are here"`
	MountReadOnly bool     `expr:"mount_readonly" json:"mount_readonly,omitempty" doc:"this mount is read-only"`
	SuperReadOnly bool     `expr:"super_readonly" json:"super_readonly,omitempty" doc:"the file system is read-only"`
	ReadOnly      bool     `expr:"readonly" json:"readonly,omitempty" doc:"nothing can be written here: either of the two"`
	NoSuid        bool     `expr:"nosuid" json:"nosuid,omitempty" doc:"setuid bits do nothing here"`
	NoExec        bool     `expr:"noexec" json:"noexec,omitempty" doc:"nothing runs from here"`
	NoDev         bool     `expr:"nodev" json:"nodev,omitempty" doc:"device files do nothing here"`
	File          bool     `expr:"file" json:"file,omitempty" doc:"mounted over a single file"`
	PID           int      `expr:"pid" json:"pid,omitempty" doc:"mounted over /proc/PID: hides that process; 0 otherwise"`
	MeantReadOnly bool     `expr:"meant_readonly" json:"meant_readonly,omitempty" doc:"fstab says that it is read-only"`
	Declared      bool     `expr:"declared" json:"declared,omitempty" doc:"in fstab or a systemd mount unit"`
	Init          bool     `expr:"init_only" json:"init_only,omitempty" doc:"seen by process 1 and not by this scan"`
	Where         string   `expr:"where" json:"-" doc:"file and line"`
	scanner.Unread
}

// unitDirs hold systemd's mount units.
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
	"/lib/systemd/system", "/run/systemd/generator"}

// fileMountDirs are where a mount over a single file is worth knowing.
var fileMountDirs = []string{"/bin", "/boot", "/etc", "/home", "/lib", "/lib32", "/lib64", "/opt", "/root", "/sbin", "/srv", "/usr", "/var"}

func mountsCollector() scanner.Collector {
	var meta []string
	for _, d := range unitDirs {
		meta = append(meta, d+"/*.mount")
	}
	for _, d := range fileMountDirs {
		meta = append(meta, d+"/**")
	}
	return scanner.Collector{
		Table: "mounts", Doc: "file systems mounted on the running system", Row: Mount{},
		Reads: scanner.Reads{Globs: []string{"/proc/self/mountinfo", "/proc/1/mountinfo"}, Meta: meta},
		Needs: []string{"fstab"}, Collect: collectMounts,
	}
}

func collectMounts(_ context.Context, in *scanner.Input) scanner.Table {
	if !in.Device.Identity().Live {
		return scanner.Table{Absent: needsLive}
	}
	fsys := in.Device.FS()
	own, bad, err := readMounts(fsys, "/proc/self/mountinfo")
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	t := scanner.Table{Partial: damaged("/proc/self/mountinfo", bad)}
	seen := map[string]bool{}
	var rows []Mount
	m := mountReader{fsys: fsys, in: in, units: map[string]bool{}}
	for i := range own {
		seen[mountKey(&own[i])] = true
		rows = append(rows, m.row(&own[i], fmt.Sprintf("/proc/self/mountinfo:%d", own[i].Line)))
	}
	first, bad, err := readMounts(fsys, "/proc/1/mountinfo")
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		t.Notes = append(t.Notes, "mounts that only process 1 sees: "+scanner.Reason(err))
	default:
		t.Partial = append(t.Partial, damaged("/proc/1/mountinfo", bad)...)
	}
	for i := range first {
		if !seen[mountKey(&first[i])] {
			r := m.row(&first[i], fmt.Sprintf("/proc/1/mountinfo:%d", first[i].Line))
			r.Init, r.File = true, false
			rows = append(rows, r)
		}
	}
	t.Rows = rows
	return t
}

func readMounts(fsys scanner.FS, name string) ([]parse.Mount, []error, error) {
	b, err := scanner.ReadFile(fsys, name, maxMountInfo)
	if err != nil {
		return nil, nil, err
	}
	mounts, bad := parse.MountInfo(b)
	return mounts, bad, nil
}

func mountKey(m *parse.Mount) string {
	return m.Target + "\x00" + m.Dev + "\x00" + m.Root + "\x00" + m.FSType
}

type mountReader struct {
	fsys  scanner.FS
	in    *scanner.Input
	units map[string]bool // mount unit -> exists
}

func (r *mountReader) row(m *parse.Mount, where string) Mount {
	row := Mount{Target: m.Target, Source: m.Source, FSType: m.FSType, Root: m.Root, Options: m.Options, SuperOptions: m.SuperOptions,
		MountReadOnly: slices.Contains(m.Options, "ro"), SuperReadOnly: slices.Contains(m.SuperOptions, "ro"),
		NoSuid: slices.Contains(m.Options, "nosuid"), NoExec: slices.Contains(m.Options, "noexec"),
		NoDev: slices.Contains(m.Options, "nodev"), Where: where}
	row.ReadOnly = row.MountReadOnly || row.SuperReadOnly
	if rest, ok := strings.CutPrefix(m.Target, "/proc/"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		row.PID, _ = strconv.Atoi(rest)
	}
	if slices.ContainsFunc(fileMountDirs, func(d string) bool { return strings.HasPrefix(m.Target, d+"/") }) {
		info, err := r.fsys.Lstat(m.Target)
		row.File = err == nil && info.Mode.IsRegular()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			row.MarkUnread("file", scanner.Reason(err))
		}
	}
	row.Declared = r.declared(&row)
	return row
}

// declared looks for the mount in fstab and among systemd's units.
func (r *mountReader) declared(m *Mount) bool {
	entries, unknown := scanner.Rows[FstabEntry](r.in, "fstab")
	for i := range entries {
		if path.Clean(entries[i].Target) == m.Target {
			m.MeantReadOnly = slices.Contains(entries[i].Options, "ro")
			return true
		}
	}
	if unknown != "" {
		m.MarkUnread("declared", unknown)
		m.MarkUnread("meant_readonly", unknown)
	}
	unit := mountUnit(m.Target)
	if known, ok := r.units[unit]; ok {
		return known
	}
	for _, d := range unitDirs {
		if _, err := r.fsys.Lstat(d + "/" + unit); err == nil {
			r.units[unit] = true
			return true
		}
	}
	r.units[unit] = false
	return false
}

// mountUnit gives the name of the unit that mounts a directory (systemd.unit(5), string
// escaping for inclusion in unit names).
func mountUnit(target string) string {
	p := strings.Trim(path.Clean(target), "/")
	if p == "" {
		return "-.mount"
	}
	var out strings.Builder
	for i := 0; i < len(p); i++ {
		c := p[i]
		switch {
		case c == '/':
			out.WriteByte('-')
		case c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == ':', c == '_', c == '.' && i > 0:
			out.WriteByte(c)
		default:
			fmt.Fprintf(&out, `\x%02x`, c)
		}
	}
	return out.String() + ".mount"
}

// FstabEntry is one line of /etc/fstab.
type FstabEntry struct {
	Source  string   `expr:"source" json:"source" doc:"device, UUID= or LABEL="`
	Target  string   `expr:"target" json:"target" doc:"where it is to be mounted"`
	FSType  string   `expr:"fstype" json:"fstype" doc:"type"`
	Options []string `expr:"options" json:"options" doc:"mount options"`
	Where   string   `expr:"where" json:"-" doc:"file and line"`
}

func fstabCollector() scanner.Collector {
	return scanner.Collector{
		Table: "fstab", Doc: "mounts that /etc/fstab declares", Row: FstabEntry{},
		Reads: scanner.Reads{Globs: []string{"/etc/fstab"}}, Collect: collectFstab,
	}
}

func collectFstab(_ context.Context, in *scanner.Input) scanner.Table {
	b, err := scanner.ReadFile(in.Device.FS(), "/etc/fstab", maxSmallFile)
	if errors.Is(err, fs.ErrNotExist) {
		return scanner.Table{Rows: []FstabEntry{}} // systems that declare no mount have no such file
	}
	if err != nil {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	entries, bad := parse.Fstab(b)
	rows := make([]FstabEntry, 0, len(entries))
	for _, e := range entries {
		rows = append(rows, FstabEntry{Source: e.Source, Target: e.Target, FSType: e.FSType, Options: e.Options,
			Where: fmt.Sprintf("/etc/fstab:%d", e.Line)})
	}
	return scanner.Table{Rows: rows, Partial: damaged("/etc/fstab", bad)}
}
