//go:build linux

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// shallow is a device that lists only the upper folders of its tree, so that a test does not
// walk a whole machine. What the kernel shows as files, /etc and the package databases are
// listed whole, and a file that is asked for by name is there wherever it is.
type shallow struct{ scanner.Device }

func (s shallow) FS() scanner.FS { return shallowFS{s.Device.FS()} }

type shallowFS struct{ scanner.FS }

func (s shallowFS) ReadDir(name string) ([]scanner.Info, error) {
	clean := filepath.Clean("/"+name) + "/"
	whole := slices.ContainsFunc([]string{"/proc/", "/sys/", "/etc/", "/var/lib/", "/lib/apk/"}, func(top string) bool {
		return strings.HasPrefix(clean, top)
	})
	if !whole && strings.Count(clean, "/") > 3 {
		return nil, nil
	}
	return s.FS.ReadDir(name)
}

// liveMachine is the machine that the test runs on: its upper folders or, when
// PICKET_WHOLE_MACHINE is set, all of it.
func liveMachine(t *testing.T) scanner.Device {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to read all that a scan reads")
	}
	dev, err := device.Live(t.Context(), device.LiveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := dev.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	if os.Getenv("PICKET_WHOLE_MACHINE") != "" {
		return dev
	}
	return shallow{dev}
}

// scanAll fills every table and applies every rule.
func scanAll(t *testing.T, dev scanner.Device) *scanner.Report {
	t.Helper()
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Judge: set, Tables: facts.Everything(facts.Collectors()),
		Now: time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC), Digests: scanner.DigestsAll})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestLiveRecordingGivesTheSameReport scans this machine through a recorder, as `picket record`
// does, and then the recording. Two scans of a moving machine differ; the one that recorded
// and its replay must not, in the report as in the rows of every table.
func TestLiveRecordingGivesTheSameReport(t *testing.T) {
	t.Parallel()
	rec := device.NewRecorder(liveMachine(t), device.RecordOptions{Redact: facts.Redact, Version: "test"})
	want := scanAll(t, rec)
	name := filepath.Join(t.TempDir(), "machine.tar.zst")
	if err := writeFile(name, func(w io.Writer) error { return rec.Write(context.Background(), w) }); err != nil {
		t.Fatal(err)
	}
	replay, err := device.Open(t.Context(), name, device.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := replay.(io.Closer); ok {
		defer c.Close()
	}
	got := scanAll(t, replay)
	if want.Device.Origin == got.Device.Origin || !want.Device.Live || len(want.Tables) != len(facts.Collectors()) {
		t.Fatalf("origins %q and %q, live %v, %d tables", want.Device.Origin, got.Device.Origin, want.Device.Live, len(want.Tables))
	}
	if w, g := reportJSON(t, want), reportJSON(t, got); w != g {
		t.Errorf("reports differ:\n%s", firstDifference(w, g))
	}
	for name, table := range want.Facts.Tables {
		if w, g := rowsOf(table), rowsOf(got.Facts.Tables[name]); w != g {
			t.Errorf("rows of %s differ:\n%s", name, firstDifference(w, g))
		}
	}
	for _, probed := range []string{"processes", "sockets", "interfaces"} {
		if table := want.Facts.Tables[probed]; table.Absent != "" || reflect.ValueOf(table.Rows).Len() == 0 {
			t.Errorf("nothing live was compared: table %s has no row, %q", probed, table.Absent)
		}
	}
}

// rowsOf prints a table's rows, one a line, columns that no report shows included.
func rowsOf(t *scanner.Table) string {
	if t == nil || t.Rows == nil {
		return ""
	}
	var b strings.Builder
	rows := reflect.ValueOf(t.Rows)
	for i := range rows.Len() {
		row := rows.Index(i)
		for f := range row.NumField() {
			if tag := row.Type().Field(f).Tag.Get("expr"); tag != "" {
				fmt.Fprintf(&b, " %s=%v", tag, row.Field(f))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestLiveScanChangesNothing compares, around a scan as root, what the machine's lasting files
// are and which kernel modules are loaded. Access times may move; nothing else may.
func TestLiveScanChangesNothing(t *testing.T) {
	t.Parallel()
	dev := liveMachine(t)
	tops := []string{"/etc", "/boot", "/usr/bin", "/usr/sbin", "/usr/lib/systemd", "/lib/modules", "/var/lib/dpkg", "/var/lib/rpm", "/lib/apk", "/var/spool/cron"}
	state := func() string {
		return listing(t, tops...) + loadedModules()
	}
	before := state()
	scanAll(t, dev)
	if after := state(); after != before {
		t.Errorf("the scan changed the machine:\n%s", firstDifference(before, after))
	}
}

func loadedModules() string {
	b, _ := os.ReadFile("/proc/modules")
	var names []string
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(line, " ")
		names = append(names, name)
	}
	return strings.Join(names, "\n")
}

// listing describes every file below some folders: mode, owner, size, and the times of its
// content and of its description.
func listing(t *testing.T, tops ...string) string {
	t.Helper()
	var b strings.Builder
	for _, top := range tops {
		err := filepath.WalkDir(top, func(name string, _ fs.DirEntry, err error) error {
			var st syscall.Stat_t
			if err == nil {
				err = syscall.Lstat(name, &st)
			}
			if os.IsNotExist(err) {
				return nil
			}
			fmt.Fprintf(&b, "%s %o %d:%d %d %v %v %v\n", name, st.Mode, st.Uid, st.Gid, st.Size, st.Mtim, st.Ctim, err)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestScanAsPlainUserSaysWhatItCannotRead scans one tree as root and as a user who may read
// only part of it. What that user can read gives the same findings; what not, Unknown with a
// reason, never a pass. Neither scan changes the tree.
func TestScanAsPlainUserSaysWhatItCannotRead(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root to become somebody else")
	}
	tree, out := plantedTree(t), openToAll(t)
	before := listing(t, tree)
	asRoot := scanTree(t, tree, filepath.Join(out, "root.json"), nil)
	const nobody = 65534
	asUser := scanTree(t, tree, filepath.Join(out, "user.json"), &syscall.Credential{Uid: nobody, Gid: nobody})
	if after := listing(t, tree); after != before {
		t.Errorf("a scan changed the tree:\n%s", firstDifference(before, after))
	}
	known := map[string]scanner.Coverage{}
	for _, c := range asRoot.Coverage {
		known[c.Rule] = c
	}
	unknown, failed := 0, 0
	for _, user := range asUser.Coverage {
		root := known[user.Rule]
		switch {
		case user.Outcome == scanner.Unknown && user.Why == "":
			t.Errorf("%s: unknown to the user without a reason", user.Rule)
		case user.Outcome == scanner.Unknown && root.Outcome != scanner.Unknown:
			unknown++
		case user.Outcome == scanner.Failed && root.Outcome == scanner.Failed:
			failed++
		case user.Outcome != root.Outcome:
			t.Errorf("%s: %s as root (%s), %s as a user (%s)", user.Rule, root.Outcome, root.Why, user.Outcome, user.Why)
		}
	}
	keys := map[string]bool{}
	for _, f := range asRoot.Findings {
		keys[f.Key] = true
	}
	for _, f := range asUser.Findings {
		if !keys[f.Key] {
			t.Errorf("only the user is told of %s on %s", f.Rule, f.Subject.Name)
		}
	}
	if unknown < 5 || failed < 5 {
		t.Errorf("%d rules are unknown to the user and %d fail for both: the tree tests nothing", unknown, failed)
	}
}

// scanTree runs the scan command, as somebody else when who is not nil, and reads its report.
func scanTree(t *testing.T, tree, report string, who *syscall.Credential) *scanner.Report {
	t.Helper()
	args := []string{"picket", "scan", "--image", tree, "--at", "2026-01-15", "--format", "json", "--output", report}
	if who == nil {
		var stderr strings.Builder
		if code := Main(args, nil, io.Discard, &stderr); code != exitDone {
			t.Fatalf("exit %d: %s", code, stderr.String())
		}
	} else {
		cmd := exec.Command(copyOfSelf(t), "-test.run=^TestPlayCommand$")
		cmd.Env = append(os.Environ(), "PICKET_PLAY="+strings.Join(args, "\n"))
		cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: who}
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, b)
		}
	}
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatal(err)
	}
	var r scanner.Report
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// TestPlayCommand is what a copy of the test binary runs for another user.
func TestPlayCommand(t *testing.T) {
	args := os.Getenv("PICKET_PLAY")
	if args == "" {
		t.Skip("is run by other tests")
	}
	var stderr strings.Builder
	if code := Main(strings.Split(args, "\n"), nil, io.Discard, &stderr); code != exitDone {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
}

// copyOfSelf puts the test binary where every user can run it.
func copyOfSelf(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(openToAll(t), "picket.test")
	copyProgram(t, exe, name)
	return name
}

// openToAll makes a folder that every user can enter and write to.
func openToAll(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "picket-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// plantedTree writes the clean device, with all that the scenarios of images plant on it, to
// disk, with its modes and owners.
func plantedTree(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("testdata/planted/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	parts := cleanDevice(t, false)
	for _, file := range files {
		if s := readScenario(t, file); !s.live {
			parts = overlay(parts, s.planted)
		}
	}
	top := filepath.Join(openToAll(t), "tree")
	writeTree(t, fixture(t, parts).FS(), "/", top)
	return top
}

func writeTree(t *testing.T, fsys scanner.FS, name, to string) {
	t.Helper()
	i, err := fsys.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case i.Mode.IsDir():
		err = os.Mkdir(to, 0o755)
	case i.Mode.IsRegular():
		var b []byte
		if b, err = scanner.ReadFile(fsys, name, 1<<20); err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
	case i.Mode&fs.ModeSymlink != 0:
		var target string
		if target, err = fsys.Readlink(name); err == nil {
			err = os.Symlink(target, to)
		}
	default:
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if i.Mode.IsDir() {
		entries, err := fsys.ReadDir(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			writeTree(t, fsys, filepath.Join(name, e.Name), filepath.Join(to, e.Name))
		}
	}
	if err := os.Lchown(to, max(i.UID, 0), max(i.GID, 0)); err != nil {
		t.Fatal(err)
	}
	if i.Mode&fs.ModeSymlink == 0 {
		if err := os.Chmod(to, i.Mode); err != nil {
			t.Fatal(err)
		}
	}
}
