package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// recordingOf records what look does with a device.
func recordingOf(t testing.TB, dev scanner.Device, opt RecordOptions, look func(scanner.Device)) []byte {
	t.Helper()
	r := NewRecorder(dev, opt)
	look(r)
	var b bytes.Buffer
	if err := r.Write(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func replay(t testing.TB, recording []byte) scanner.Device {
	t.Helper()
	d, err := openFor(t, inFile(t, recording), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestARecordingOfEveryKindAnswersAsTheDeviceDid(t *testing.T) {
	t.Parallel()
	for name, k := range sampleKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := openFor(t, k.path, k.opt)
			if err != nil {
				t.Fatal(err)
			}
			var first, again []byte
			first = recordingOf(t, d, RecordOptions{}, func(d scanner.Device) {
				conform(t, d.FS(), k)
				conform(t, d.FS(), k)
				checkTree(t, d.FS())
			})
			d = replay(t, first)
			conform(t, d.FS(), k)
			checkTree(t, d.FS())
			// A recording of a recording is the same but for its origin.
			again = recordingOf(t, d, RecordOptions{}, func(d scanner.Device) {
				conform(t, d.FS(), k)
				checkTree(t, d.FS())
			})
			conform(t, replay(t, again).FS(), k)
		})
	}
}

// transcript is all that a device answers to a list of questions, errors in full.
func transcript(d scanner.Device) string {
	var b strings.Builder
	fsys := d.FS()
	for _, name := range []string{"/", "/etc", "/etc/passwd", "/etc/shadow", "/root/secret", "/nothing/x", "/bin/tool", "/run/pipe", "/var/huge", "/etc/loop"} {
		i, err := fsys.Lstat(name)
		fmt.Fprintf(&b, "lstat %s %+v %v\n", name, i, err)
		i, err = fsys.Stat(name)
		fmt.Fprintf(&b, "stat %s %+v %v\n", name, i, err)
		l, err := fsys.ReadDir(name)
		fmt.Fprintf(&b, "readdir %s %+v %v\n", name, l, err)
		to, err := fsys.Readlink(name)
		fmt.Fprintf(&b, "readlink %s %q %v\n", name, to, err)
		to, err = fsys.Resolve(name)
		fmt.Fprintf(&b, "resolve %s %q %v\n", name, to, err)
		c, err := scanner.ReadFile(fsys, name, 1<<20)
		fmt.Fprintf(&b, "read %s %q %v\n", name, c, err)
		c, err = fsys.Head(name)
		fmt.Fprintf(&b, "head %s %q %v\n", name, c, err)
		for a := scanner.MD5; a <= scanner.SHA512; a++ {
			c, err = fsys.Digest(name, a)
			fmt.Fprintf(&b, "%v %s %x %v %v\n", a, name, c, err, scanner.Reason(orNil(err)))
		}
		for _, x := range []string{"security.capability", "security.selinux"} {
			c, err = fsys.Xattr(name, x)
			fmt.Fprintf(&b, "xattr %s %x %v %v\n", name, c, err, errors.Is(err, fs.ErrNotExist))
		}
	}
	for _, s := range sources() {
		c, err := d.Probe(context.Background(), s)
		fmt.Fprintf(&b, "probe %s %q %v %v\n", s, c, err, errors.Is(err, scanner.ErrUnavailable))
	}
	return b.String()
}

func orNil(err error) error {
	if err == nil {
		return errors.New("")
	}
	return err
}

func TestReplayGivesErrorsAndProbesAsTheyWere(t *testing.T) {
	t.Parallel()
	d, err := Txtar([]byte(sampleTxtar))
	if err != nil {
		t.Fatal(err)
	}
	want := transcript(d)
	var during string
	rec := recordingOf(t, d, RecordOptions{}, func(d scanner.Device) { during = transcript(d) })
	if during != want {
		t.Errorf("through the recorder:\n%s", lineDiff(want, during))
	}
	again := replay(t, rec)
	if got := transcript(again); got != want {
		t.Errorf("from the recording:\n%s", lineDiff(want, got))
	}
	a, b := d.Identity(), again.Identity()
	if !strings.HasPrefix(b.Origin, "recording ") {
		t.Errorf("origin %q", b.Origin)
	}
	a.Origin, b.Origin, a.Notes, b.Notes = "", "", nil, nil
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("identity %+v, was %+v", b, a)
	}
	if !bytes.Equal(rec, recordingOf(t, d, RecordOptions{}, func(d scanner.Device) { transcript(d) })) {
		t.Error("two recordings of the same differ")
	}
}

func lineDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			fmt.Fprintf(&b, " want %s\n  got %s\n", w[i], g[i])
		}
	}
	return b.String()
}

func TestWhatWasNotRecordedIsNotSaidToBeAbsent(t *testing.T) {
	t.Parallel()
	d, err := Txtar([]byte(sampleTxtar))
	if err != nil {
		t.Fatal(err)
	}
	d = replay(t, recordingOf(t, d, RecordOptions{}, func(d scanner.Device) {
		d.FS().ReadDir("/etc")
		d.FS().Lstat("/usr/bin/tool")
		d.Probe(context.Background(), scanner.SourceNftables)
	}))
	fsys := d.FS()
	for _, name := range []string{"/var", "/usr/bin/other", "/usr/lib", "/tmp/x"} {
		if _, err := fsys.Lstat(name); !errors.Is(err, scanner.ErrNotRecorded) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("lstat %s: %v", name, err)
		}
	}
	// A whole listing tells what is not there.
	if _, err := fsys.Lstat("/etc/group"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not in the listing: %v", err)
	}
	if i, err := fsys.Lstat("/etc/passwd"); err != nil || i.Size == 0 {
		t.Errorf("in the listing: %+v, %v", i, err)
	}
	for what, err := range map[string]error{
		"open":    second(fsys.Open("/etc/passwd")),
		"head":    second(fsys.Head("/usr/bin/tool")),
		"digest":  second(fsys.Digest("/usr/bin/tool", scanner.SHA256)),
		"xattr":   second(fsys.Xattr("/usr/bin/tool", "security.capability")),
		"readdir": second(fsys.ReadDir("/usr")),
		"probe":   second(d.Probe(context.Background(), scanner.SourceBPF)),
	} {
		if !errors.Is(err, scanner.ErrNotRecorded) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestARecordingHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	d, err := Txtar([]byte("-- etc/wifi --\npsk=hunter22\n-- etc/key --\nhunter22\n"))
	if err != nil {
		t.Fatal(err)
	}
	redact := func(name string, content []byte) []byte {
		return bytes.ReplaceAll(content, []byte("hunter22"), []byte("********"))
	}
	look := func(d scanner.Device) {
		if b, err := scanner.ReadFile(d.FS(), "/etc/wifi", 100); err != nil || string(b) != "psk=********\n" {
			t.Errorf("%q, %v", b, err)
		}
		// Of a text, no more is kept than that it is one.
		if b, err := d.FS().Head("/etc/key"); err != nil || string(b) != "xxxxxxxx" {
			t.Errorf("%q, %v", b, err)
		}
	}
	rec := recordingOf(t, d, RecordOptions{Redact: redact}, look)
	look(replay(t, rec))
	u, err := unpack(bytes.NewReader(rec), "zst")
	if err != nil {
		t.Fatal(err)
	}
	if all, err := io.ReadAll(u); err != nil || bytes.Contains(all, []byte("hunter22")) || bytes.Contains(all, []byte("68756e74657232")) {
		t.Errorf("the secret is in the recording, or %v", err)
	}
}

func TestItemsListWhatIsRecorded(t *testing.T) {
	t.Parallel()
	d, err := Txtar([]byte(sampleTxtar))
	if err != nil {
		t.Fatal(err)
	}
	r := NewRecorder(d, RecordOptions{})
	scanner.ReadFile(r.FS(), "/etc/passwd", 100)
	r.FS().Lstat("/etc/nothing")
	r.Probe(context.Background(), scanner.SourceNftables)
	got := slices.Collect(r.Items())
	want := []RecordedItem{{"probe/nftables", "probe", 3}, {"/etc", "description", 0}, {"/etc/passwd", "content", 26}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

// changing is a device on which everything is different each time one looks.
type changing struct {
	scanner.Device
	scanner.FS
	n int
}

func (c *changing) Open(string) (scanner.File, error) {
	c.n++
	return newBytesFile(fmt.Appendf(nil, "%d", c.n), 4096), nil
}

func (c *changing) Lstat(name string) (scanner.Info, error) {
	c.n++
	if c.n%2 == 0 && name == "/proc/x" {
		return scanner.Info{}, pathErr("lstat", name, fs.ErrNotExist)
	}
	return scanner.Info{Name: base(name), Mode: modeFor(name), ModTime: time.Unix(int64(c.n), 5).UTC(), UID: 1 << 30, Dev: uint64(c.n)}, nil
}

func modeFor(name string) fs.FileMode {
	if name == "/proc/x" {
		return 0o444
	}
	return fs.ModeDir | 0o555
}

type changingDevice struct{ fs *changing }

func (d changingDevice) Identity() scanner.Identity { return scanner.Identity{Origin: "changing"} }
func (d changingDevice) FS() scanner.FS             { return d.fs }
func (d changingDevice) Probe(context.Context, scanner.Source) ([]byte, error) {
	d.fs.n++
	return fmt.Appendf(nil, "%d", d.fs.n), nil
}

func TestARecorderGivesTheSameAnswerTwice(t *testing.T) {
	t.Parallel()
	ask := func(d scanner.Device) string {
		i, err := d.FS().Lstat("/proc/x")
		b, err2 := scanner.ReadFile(d.FS(), "/proc/x", 1<<20)
		p, err3 := d.Probe(context.Background(), scanner.SourceUname)
		return fmt.Sprintf("%+v %v %s %v %s %v", i, err, b, err2, p, err3)
	}
	var one, two string
	rec := recordingOf(t, changingDevice{&changing{}}, RecordOptions{}, func(d scanner.Device) { one, two = ask(d), ask(d) })
	if three := ask(replay(t, rec)); one != two || one != three {
		t.Errorf("\n%s\n%s\n%s", one, two, three)
	}
}

func FuzzRecording(f *testing.F) {
	for _, text := range []string{sampleTxtar, "-- a link=b --\n-- b link=a --\n-- name-hex=2fff09 --\nx\n"} {
		d, err := Txtar([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		rec := recordingOf(f, d, RecordOptions{}, func(d scanner.Device) { transcript(d); checkTree(f, d.FS()) })
		u, err := unpack(bytes.NewReader(rec), "zst")
		if err != nil {
			f.Fatal(err)
		}
		plain, err := io.ReadAll(u)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = repaired(b)
		if !isTar(b) || !isRecording(b[:blockSize]) {
			return
		}
		d, err := openArchive(b, OpenOptions{})
		if err != nil {
			return
		}
		first := transcript(d)
		checkTree(t, d.FS())
		if !strings.HasPrefix(d.Identity().Origin, "recording ") {
			t.Errorf("origin %q", d.Identity().Origin)
		}
		// Recording what it answers and asking again gives the same.
		again := replay(t, recordingOf(t, d, RecordOptions{}, func(d scanner.Device) { transcript(d) }))
		if got := transcript(again); got != first {
			t.Errorf("recorded again:\n%s", lineDiff(first, got))
		}
	})
}

// What tells a program for another system, or an app under another name, stands behind the mark of
// its format; the first bytes of other files may be somebody's own text.
func TestRecordedHeadsTellPrograms(t *testing.T) {
	t.Parallel()
	windows := append([]byte("MZ"), make([]byte, 62)...)
	windows[60] = 0x80
	zipped := func(name string) []byte {
		return append(append([]byte("PK\x03\x04"), append(make([]byte, 22), byte(len(name)), 0, 0, 0)...), (name + strings.Repeat("x", 64))[:34]...)
	}
	for what, c := range map[string]struct {
		head []byte
		kept bool
	}{
		"a program for Windows": {windows, true}, "an app": {zipped("AndroidManifest.xml"), true}, "an app with resources first": {zipped("res/layout/a.xml"), true},
		"an archive of somebody's": {zipped("holiday with anna.jpg"), false}, "a text that begins so": {[]byte(strings.Repeat("MZ dear diary, ", 8)[:64]), false},
		"a short one": {[]byte("MZ"), false}, "a short archive": {[]byte("PK\x03\x04"), false},
	} {
		if got := isForeignCode(c.head); got != c.kept {
			t.Errorf("%s: %v", what, got)
		}
	}
}
