package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

// LockedFile is a file or directory that even root cannot change without taking a flag off.
type LockedFile struct {
	Path       string   `expr:"path" json:"path" doc:"absolute path"`
	Flags      []string `expr:"flags" json:"flags" doc:"immutable, append-only"`
	Kind       string   `expr:"kind" json:"kind,omitempty" doc:"what it holds: loader, keys, job, account, startup, resolver; empty for others"`
	Executable bool     `expr:"executable" json:"executable,omitempty" doc:"a regular file with an x bit"`
	Owned      bool     `expr:"owned" json:"owned" doc:"a package owns it"`
	Package    string   `expr:"package" json:"package,omitempty" doc:"package that owns it, or empty"`
	UID        int      `expr:"uid" json:"uid" doc:"owner"`
	ModTime    int64    `expr:"mtime" json:"mtime" doc:"content changed last, Unix seconds"`
	Where      string   `expr:"where" json:"-" doc:"its path"`
	scanner.Unread
}

// lockable are the places where a flag keeps an intruder's change in place, by kind. The
// first pattern that a file is found by counts.
var lockable = []struct {
	kind     string
	patterns []string
}{
	{"loader", []string{"/etc/ld.so.preload", "/etc/ld.so.conf", "/etc/ld.so.conf.d/*"}},
	{"keys", []string{"/etc/ssh/*", "~/.ssh/*"}},
	{"job", []string{"/etc/crontab", "/etc/cron.d/*", "/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*", "/etc/crontabs/*",
		"/var/spool/cron/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/tabs/*"}},
	{"account", []string{"/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d/*", "/etc/pam.d/*"}},
	{"startup", []string{"/etc/systemd/system/*", "/etc/init.d/*", "/etc/rc.local", "/etc/inittab", "/etc/profile", "/etc/profile.d/*", "/etc/udev/rules.d/*",
		"~/.profile", "~/.bashrc", "~/.bash_profile", "~/.zshrc", "~/.config/autostart/*", "~/.config/systemd/user/*"}},
	{"resolver", []string{"/etc/resolv.conf"}},
	{"", []string{"/etc/*", "/usr/bin/*", "/usr/sbin/*", "/bin/*", "/sbin/*", "/usr/lib/systemd/system/*", "/usr/local/bin/*", "/usr/local/sbin/*",
		"/usr/local/lib/*", "/opt/*", "/boot/*", "/tmp/*", "/var/tmp/*", "/dev/shm/*", "/var/www/*", "~/*", "~/.*", "~/bin/*", "~/.local/bin/*"}},
}

func lockedFilesCollector() scanner.Collector {
	var meta []string
	for _, l := range lockable {
		meta = append(meta, l.patterns...)
	}
	return scanner.Collector{
		Table: "locked_files", Doc: "files that a flag keeps from being changed", Row: LockedFile{},
		Reads: scanner.Reads{Meta: meta}, Needs: []string{"packages", "users"}, Collect: collectLockedFiles,
	}
}

func collectLockedFiles(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	l := &lockReader{treeReader: newReader(in, &t), own: ownershipOf(in), seen: map[string]bool{}, rows: []LockedFile{}}
	users, _ := scanner.Rows[User](in, "users")
	for _, place := range lockable {
		for _, pattern := range place.patterns {
			if ctx.Err() != nil {
				return scanner.Table{Absent: ctx.Err().Error()}
			}
			rest, atHome := strings.CutPrefix(pattern, "~")
			if !atHome {
				l.look(place.kind, l.glob(pattern))
				continue
			}
			for _, h := range homes(users) {
				l.look(place.kind, l.glob(h+rest))
			}
		}
	}
	switch {
	case l.told == 0 && l.silent > 0:
		return scanner.Table{Absent: l.why}
	case l.silent > 0:
		t.Partial = append(t.Partial, fmt.Sprintf("%d of %d files: %s", l.silent, l.told+l.silent, l.why))
	}
	slices.SortFunc(l.rows, func(a, b LockedFile) int { return strings.Compare(a.Path, b.Path) })
	t.Rows = l.rows
	return t
}

type lockReader struct {
	*treeReader
	own          ownership
	seen         map[string]bool
	rows         []LockedFile
	told, silent int    // files whose flags could be asked for, and could not
	why          string // of the first that could not
}

func (l *lockReader) look(kind string, names []string) {
	for _, name := range names {
		if dir, err := l.fs.Resolve(path.Dir(name)); err == nil { // /bin is /usr/bin on many systems
			name = path.Join(dir, path.Base(name))
		}
		if l.seen[name] {
			continue
		}
		l.seen[name] = true
		i, err := l.fs.Lstat(name)
		if err != nil || !i.Mode.IsRegular() && !i.Mode.IsDir() {
			continue // nothing else can have flags
		}
		flags, err := l.fs.Xattr(name, scanner.FlagsAttr)
		switch {
		case err == nil:
			l.told++
			l.add(kind, name, &i, string(flags))
		case errors.Is(err, fs.ErrNotExist):
			l.told++
		default:
			if l.silent++; l.why == "" {
				l.why = scanner.Reason(err)
			}
		}
	}
}

func (l *lockReader) add(kind, name string, i *scanner.Info, flags string) {
	row := LockedFile{Path: name, Kind: kind, Executable: i.Mode.IsRegular() && i.Mode&anyX != 0, UID: i.UID, ModTime: i.ModTime.Unix(), Where: name}
	if strings.Contains(flags, "i") {
		row.Flags = append(row.Flags, "immutable")
	}
	if strings.Contains(flags, "a") {
		row.Flags = append(row.Flags, "append-only")
	}
	var unknown string
	if row.Package, row.Owned, unknown = l.own.of(name); unknown != "" {
		row.MarkUnread("owned", unknown)
		row.MarkUnread("package", unknown)
	}
	l.rows = append(l.rows, row)
}
