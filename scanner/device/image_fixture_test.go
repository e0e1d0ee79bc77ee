package device

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// fixtures gives the images in testdata by name.
func fixtures(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/images/*.gz")
	if err != nil || len(names) == 0 {
		t.Fatalf("no images: %v", err)
	}
	images := map[string][]byte{}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		images[strings.TrimSuffix(filepath.Base(name), ".gz")] = b
	}
	return images
}

func TestFixtureImagesHoldOneTree(t *testing.T) {
	t.Parallel()
	for name, b := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			roots, err := openBytes(b)
			if err != nil {
				t.Fatal(err)
			}
			kind, _, _ := strings.Cut(name, "-")
			if roots[0].kind != kind {
				t.Errorf("kind %s", roots[0].kind)
			}
			fixtureTree(t, newFS(roots[0].t))
		})
	}
}

// fixtureTree checks a tree against what make.sh makes.
func fixtureTree(t *testing.T, fsys scanner.FS) {
	t.Helper()
	text := func() string {
		var b strings.Builder
		for i := range 700 {
			fmt.Fprintf(&b, "line %d of a file that packs well\n", i)
		}
		return b.String()
	}()
	noise := fmt.Sprintf("%x  -\n", sha256.Sum256([]byte(text[:6000])))
	for name, want := range map[string]string{
		"/text": text, "/noise": noise, "/bin/su": "su", "/hard": "root:x:0:0::/root:/bin/sh\n",
		"/absolute": "ID=fixture\nVERSION_ID=1\n", "/many/a-name-of-some-length-59": "59\n",
		"/sparse": strings.Repeat("\x00", 100_000) + "tail",
	} {
		if b, err := scanner.ReadFile(fsys, name, 1<<20); err != nil || string(b) != want {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(b), err, len(want))
		}
	}
	if list, err := fsys.ReadDir("/many"); err != nil || len(list) != 60 {
		t.Errorf("/many: %d entries, %v", len(list), err)
	}
	if list, err := fsys.ReadDir("/empty"); err != nil || len(list) != 0 {
		t.Errorf("/empty: %d entries, %v", len(list), err)
	}
	if info, err := fsys.Lstat("/bin/su"); err != nil || info.Perm() != 0o4755 || !info.Mode.IsRegular() {
		t.Errorf("/bin/su: %+v, %v", info, err)
	}
	if info, err := fsys.Lstat("/noise"); err != nil || info.UID != 100_000 || info.GID != 70_000 || !info.ModTime.Equal(time.Unix(1_700_000_000, 0)) {
		t.Errorf("/noise: %+v, %v", info, err)
	}
	if info, err := fsys.Lstat("/hard"); err != nil || info.Nlink != 2 {
		t.Errorf("/hard: %+v, %v", info, err)
	}
	if info, err := fsys.Lstat("/char"); err != nil || info.Mode != fs.ModeDevice|fs.ModeCharDevice|0o640 {
		t.Errorf("/char: %+v, %v", info, err)
	}
	if _, err := fsys.Open("/fifo"); err == nil {
		t.Error("/fifo was opened")
	}
	if _, err := fsys.Stat("/loop"); !errors.Is(err, errLinkLoop) {
		t.Errorf("/loop: %v", err)
	}
	if _, err := fsys.Lstat("/text/no"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("/text/no: %v", err)
	}
	if to, err := fsys.Readlink("/long-link"); err != nil || len(to) != 3*81 {
		t.Errorf("/long-link: %q, %v", to, err)
	}
	label, err := fsys.Xattr("/bin/ping", "security.selinux")
	if string(label) != "u:object_r:system_file:s0" {
		t.Errorf("label: %q, %v", label, err)
	}
	if v, err := fsys.Xattr("/bin/ping", "security.capability"); len(v) != 20 || v[5] != 0x20 {
		t.Errorf("capability: %x, %v", v, err)
	}
	if v, err := fsys.Xattr("/text", "user.long"); len(v) < 290 {
		t.Errorf("long attribute: %q, %v", v, err)
	}
	if _, err := fsys.Xattr("/noise", "security.selinux"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no label: %v", err)
	}
	checkTree(t, fsys)
}

// walkHostile looks at everything in a tree, up to some limits, and checks what holds of a
// damaged image too.
func walkHostile(t *testing.T, top tree) (files, failed int) {
	t.Helper()
	const maxFiles, maxBytes = 2000, 4 << 20
	total := 0
	for todo := []string{"/"}; len(todo) > 0 && files < maxFiles && total < maxBytes; {
		dir := todo[0]
		todo = todo[1:]
		list, err := top.readDir(dir)
		if err != nil {
			failed++
			namesImage(t, err)
		}
		for i, info := range list {
			files++
			if i > 0 && list[i-1].Name >= info.Name {
				t.Fatalf("%s: %q after %q", dir, info.Name, list[i-1].Name)
			}
			name := join(dir, info.Name)
			if len(name) > maxName {
				continue
			}
			if _, err := top.xattr(name, "user.long"); err != nil && !errors.Is(err, fs.ErrNotExist) {
				failed++
				namesImage(t, err)
			}
			switch {
			case info.Mode.IsDir():
				todo = append(todo, name)
			case info.Mode&fs.ModeSymlink != 0:
				if _, err := top.readlink(name); err != nil {
					failed++
					namesImage(t, err)
				}
			case info.Mode.IsRegular():
				n, err := readSome(top, name)
				total += n
				if err != nil {
					failed++
					namesImage(t, err)
				}
				if int64(n) > info.Size {
					t.Fatalf("%s: %d bytes of %d", name, n, info.Size)
				}
			}
		}
	}
	return files, failed
}

// namesImage checks that an error says in which image it is.
func namesImage(t *testing.T, err error) {
	t.Helper()
	var large *scanner.TooLargeError
	if !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &large) && !strings.Contains(err.Error(), "test.img") {
		t.Fatalf("the error names no image: %v", err)
	}
}

func readSome(top tree, name string) (int, error) {
	f, err := top.open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n, err := io.Copy(io.Discard, io.NewSectionReader(f, 0, min(f.Size(), 300_000)))
	if err != nil {
		return int(n), err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], f.Size()-1); f.Size() > 0 && err != nil {
		return int(n), err
	}
	return int(n), nil
}

func TestTruncatedImageIsAnErrorThatSaysWhere(t *testing.T) {
	t.Parallel()
	for name, b := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range 40 {
				cut := len(b) * i / 40
				roots, err := openBytes(b[:cut])
				if err != nil {
					if !strings.Contains(err.Error(), "test.img at byte ") {
						t.Errorf("cut at %d: %v", cut, err)
					}
					continue
				}
				if _, failed := walkHostile(t, roots[0].t); failed == 0 && bytes.ContainsFunc(b[cut:], func(r rune) bool { return r != 0 }) {
					t.Errorf("cut at %d of %d: nothing amiss", cut, len(b))
				}
			}
		})
	}
}

// That it ends is the point: the test's own time limit is the bound.
func TestDamagedImageEnds(t *testing.T) {
	t.Parallel()
	for name, b := range fixtures(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for at := 0; at < len(b); at += max(1, len(b)/60) | 1 {
				for _, v := range []byte{0xff, b[at] ^ 1} {
					damaged := bytes.Clone(b)
					damaged[at] = v
					if roots, err := openBytes(damaged); err == nil {
						walkHostile(t, roots[0].t)
					} else {
						namesImage(t, err)
					}
				}
			}
		})
	}
}

// changed gives a copy of an image with some bytes changed: each change is four bytes of place
// and one of value. Fuzzers are slow with inputs as long as images.
func changed(image, changes []byte) []byte {
	b := bytes.Clone(image)
	for ; len(changes) >= 5; changes = changes[5:] {
		b[int(binary.LittleEndian.Uint32(changes)%uint32(len(b)))] = changes[4]
	}
	return b
}

func FuzzImage(f *testing.F) {
	var names []string
	images := fixtures(f)
	for name := range images {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range names {
		f.Add(uint8(i), []byte{})
		f.Add(uint8(i), []byte{0, 4, 0, 0, 0xff}) // in the superblock
		f.Add(uint8(i), []byte{0x10, 5, 0, 0, 0x80, 0, 20, 0, 0, 1})
	}
	f.Fuzz(func(t *testing.T, which uint8, changes []byte) {
		roots, err := openBytes(changed(images[names[int(which)%len(names)]], changes))
		if err != nil {
			namesImage(t, err)
			return
		}
		for _, r := range roots {
			walkHostile(t, r.t)
		}
	})
}

func FuzzUnpackLZ4(f *testing.F) {
	f.Add([]byte("\x1fa\x01\x00\x50bcdef"), 30)
	f.Add([]byte("\xf0\x00123456789012345"), 15)
	f.Fuzz(func(t *testing.T, src []byte, size int) {
		dst := make([]byte, min(max(size, 0), 1<<16)+8)
		copy(dst[len(dst)-8:], "untouched"[:8])
		n, err := unpackLZ4(dst[:len(dst)-8], src)
		if n < 0 || n > len(dst)-8 || string(dst[len(dst)-8:]) != "untouche" {
			t.Fatalf("%d bytes, %v", n, err)
		}
	})
}
