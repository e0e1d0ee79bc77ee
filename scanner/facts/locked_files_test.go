package facts

import (
	"fmt"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

func TestLockedFiles(t *testing.T) {
	t.Parallel()
	tree := packaged + `-- bin link=usr/bin --
-- usr/bin/dash elf mode=0755 xattr.linux.flags=69 --
-- usr/bin/python3.12 elf mode=0755 --
-- etc/cron.d/ xattr.linux.flags=69 --
-- etc/cron.d/job xattr.linux.flags=6961 --
* * * * * root /x
-- etc/resolv.conf xattr.linux.flags=69 --
-- root/.ssh/authorized_keys mode=0600 xattr.linux.flags=61 --
-- root/.bashrc xattr.linux.flags=69 --
-- root/notes xattr.linux.flags=69 --
-- var/log/syslog xattr.linux.flags=61 --
`
	tab := collectLive(t, "locked_files", tree)
	got := map[string]string{}
	for name, l := range rowsBy(t, tab, func(l *LockedFile) string { return l.Path }) {
		got[name] = strings.TrimSpace(fmt.Sprint(l.Kind, " ", strings.Join(l.Flags, ","), " x=", l.Executable, " ", l.Package))
	}
	want := map[string]string{
		"/usr/bin/dash": "immutable x=true base", "/etc/cron.d": "immutable x=false", "/etc/cron.d/job": "job immutable,append-only x=false",
		"/etc/resolv.conf": "resolver immutable x=false", "/root/.ssh/authorized_keys": "keys append-only x=false", "/root/.bashrc": "startup immutable x=false",
		"/root/notes": "immutable x=false",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v", got)
	}
	gap(t, tab, "flags of") // the archive does not tell those of other files
	if tab := collectLive(t, "locked_files", packaged); tab.Absent == "" {
		t.Errorf("an archive that keeps no flags: %+v", tab)
	}
}

// flagless is a device that can tell flags, and of which no file has any.
type flagless struct{ scanner.Device }

func (d flagless) FS() scanner.FS { return flaglessFS{d.Device.FS()} }

type flaglessFS struct{ scanner.FS }

func (f flaglessFS) Xattr(name, attr string) ([]byte, error) {
	b, err := f.FS.Xattr(name, "user."+attr) // which has the answer of a file without it
	return b, err
}

func TestNoLockedFiles(t *testing.T) {
	t.Parallel()
	dev, err := device.Txtar([]byte(packaged))
	if err != nil {
		t.Fatal(err)
	}
	tab := collectLockedFiles(t.Context(), &scanner.Input{Device: flagless{dev}, Tables: map[string]*scanner.Table{}, Options: &scanner.Options{}})
	if rows, ok := tab.Rows.([]LockedFile); !ok || len(rows) > 0 || tab.Absent != "" || len(tab.Partial) > 0 {
		t.Errorf("%+v", tab)
	}
}
