package device

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

// sampleKind is one kind of device made of the sample tree, and what its container loses.
type sampleKind struct {
	path        string
	opt         OpenOptions
	kind        string
	noFIFO      bool
	noXattrs    bool
	noLinkCount bool
	noOwners    bool
	extra       []string // names at the top that the container adds
}

func sampleKinds(t *testing.T) map[string]sampleKind {
	list := samples()
	plain := tarOf(t, list)
	// Two layers that together are the sample: the lower one has things taken away and
	// replaced by the upper one.
	lower, upper := slices.Clone(list[:12]), slices.Clone(list[12:])
	lower[9].content = "an older one"
	lower = append(lower, sample{name: "etc/gone", mode: typeReg | 0o644, content: "gone"},
		sample{name: "usr", mode: typeReg | 0o644, content: "a file"},
		sample{name: "tmp", mode: typeDir | 0o700}, sample{name: "tmp/old", mode: typeReg | 0o644, content: "old"})
	upper = append(upper, sample{name: "etc/.wh.gone", mode: typeReg}, sample{name: "tmp/.wh..wh..opq", mode: typeReg}, list[9])
	one, two := tarOf(t, lower), tarOf(t, upper)
	kinds := map[string]sampleKind{
		"directory":         {path: writeTree(t, list), kind: "directory", noOwners: !rootOnly(), noXattrs: !rootOnly()},
		"tar":               {path: inFile(t, plain), kind: "tar"},
		"tar.gz":            {path: inFile(t, gzOf(plain)), kind: "tar"},
		"tar.xz":            {path: inFile(t, xzOf(plain)), kind: "tar"},
		"tar.zst":           {path: inFile(t, zstOf(plain)), kind: "tar"},
		"tar backwards":     {path: inFile(t, tarOf(t, backwards(list))), kind: "tar"},
		"zip":               {path: inFile(t, zipOf(t, list)), kind: "zip", noFIFO: true, noXattrs: true, noLinkCount: true},
		"txtar":             {path: inFile(t, txtarOf(list)), kind: "txtar"},
		"oci directory":     {path: ociOf(one, gzOf(two)).dir(t), kind: "oci"},
		"oci tar":           {path: inFile(t, ociOf(zstOf(one), two).tar(t)), kind: "oci"},
		"oci tar.gz":        {path: inFile(t, gzOf(ociOf(one, gzOf(two)).tar(t))), kind: "oci"},
		"docker save":       {path: inFile(t, dockerOf(one, two).tar(t)), kind: "docker-archive"},
		"docker save | zst": {path: inFile(t, zstOf(dockerOf(one, two).tar(t))), kind: "docker-archive"},
	}
	for name, k := range maps.Clone(kinds) {
		// What links lead to is not in the list of what to keep.
		k.opt.Keep = func(name string) bool { return !strings.HasPrefix(name, "/usr/bin/") && name != "/usr/lib/os-release" }
		kinds[name+", not all kept"] = k
	}
	return kinds
}

// backwards puts children before their parents; hard links come before what they name.
func backwards(list []sample) []sample {
	list = slices.Clone(list)
	slices.Reverse(list)
	return list
}

func TestEveryKindOfDeviceAnswersAlike(t *testing.T) {
	t.Parallel()
	for name, k := range sampleKinds(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := openFor(t, k.path, k.opt)
			if err != nil {
				t.Fatal(err)
			}
			if id := d.Identity(); id.Kind != k.kind || id.Platform != "linux" || id.ModesUntrusted != "" && rootOnly() {
				t.Errorf("identity %+v", id)
			}
			conform(t, d.FS(), k)
			checkTree(t, d.FS())
		})
	}
}

// An image is made by the tools of its filesystem, from the sample on disk.
func TestEveryKindOfImageAnswersAlike(t *testing.T) {
	t.Parallel()
	if !rootOnly() {
		t.Skip("needs root to make files of other users")
	}
	src := writeTree(t, samples())
	for kind, cmd := range map[string]string{"squashfs": "mksquashfs SRC IMG", "ext4": "mke2fs -t ext4 -d SRC IMG", "erofs": "mkfs.erofs -zlz4 IMG SRC"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			img := makeImage(t, src, cmd)
			d, err := openFor(t, img, OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			k := sampleKind{kind: kind}
			if list, err := d.FS().ReadDir("/lost+found"); err == nil && len(list) == 0 {
				k.extra = []string{"lost+found"}
			}
			conform(t, d.FS(), k)
			checkTree(t, d.FS())
			conform(t, replay(t, recordingOf(t, d, RecordOptions{}, func(d scanner.Device) { conform(t, d.FS(), k) })).FS(), k)
		})
	}
}

// A tree that is mounted in another answers as if both were one.
func TestMountedTreesAnswerAlike(t *testing.T) {
	t.Parallel()
	dir := writeTree(t, samples())
	usr := filepath.Join(t.TempDir(), "usr")
	if err := os.Rename(filepath.Join(dir, "usr"), usr); err != nil {
		t.Fatal(err)
	}
	var trees []tree
	for _, path := range []string{dir, usr} {
		one, err := openTree(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(one.close)
		trees = append(trees, one)
	}
	m := newMountTree(trees[0])
	m.mount("/usr", trees[1])
	conform(t, newFS(m), sampleKind{noOwners: !rootOnly(), noXattrs: !rootOnly()})
	checkTree(t, newFS(m))
}

// conform compares a device's answers with the sample tree.
func conform(t *testing.T, fsys scanner.FS, k sampleKind) {
	list := samples()
	if k.noFIFO {
		list = slices.DeleteFunc(list, func(s sample) bool { return s.mode&typeMask == typeFIFO })
	}
	byName := map[string]sample{}
	children := map[string][]string{}
	for _, s := range list {
		if s.same != "" {
			same := s.same
			name := s.name
			s = byName["/"+same]
			s.name = name
		}
		byName["/"+s.name] = s
		dir := path.Dir("/" + s.name)
		children[dir] = append(children[dir], path.Base(s.name))
	}
	for name, s := range byName {
		conformInfo(t, fsys, k, name, s)
		switch s.mode & typeMask {
		case typeDir:
			conformDir(t, fsys, name, children[name])
		case typeLink:
			if to, err := fsys.Readlink(name); err != nil || to != s.link {
				t.Errorf("readlink %s: %q, %v", name, to, err)
			}
		case typeReg:
			conformContent(t, fsys, k, name, s.content)
		default:
			if _, err := fsys.Open(name); err == nil {
				t.Errorf("%s was opened", name)
			}
		}
	}
	conformDir(t, fsys, "/", append(children["/"], k.extra...))
	for name, want := range map[string]string{
		"/bin/su": "/usr/bin/su", "/lib/../../etc/os-release": "/usr/lib/os-release", "//etc/./passwd": "/etc/passwd",
		"/../../bin": "/usr/bin", "/": "/",
	} {
		if got, err := fsys.Resolve(name); err != nil || got != want {
			t.Errorf("resolve %s: %q, %v", name, got, err)
		}
	}
	for _, name := range []string{"/etc/gone", "/etc/mtab", "/etc/passwd/x", "/nothing", "/tmp/old", "/etc/.wh.gone"} {
		if got, err := fsys.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat %s: %+v, %v", name, got, err)
		}
	}
	if _, err := fsys.Stat("/etc/loop"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat of a loop: %v", err)
	}
}

func conformInfo(t *testing.T, fsys scanner.FS, k sampleKind, name string, s sample) {
	got, err := fsys.Lstat(name)
	if err != nil {
		t.Error(err)
		return
	}
	want := scanner.Info{Name: path.Base(name), Mode: scanner.ModeOf(uint32(s.mode)), UID: s.uid, GID: s.gid, Nlink: 1}
	switch s.mode & typeMask {
	case typeReg:
		want.Size = int64(len(s.content))
		if strings.HasPrefix(name, "/usr/bin/su") && !k.noLinkCount {
			want.Nlink = 2
		}
	case typeLink:
		want.Size = int64(len(s.link))
	case typeDir:
		got.Size, got.Nlink = 0, 1
	}
	if k.noOwners {
		got.UID, got.GID = s.uid, s.gid
	}
	if !got.ModTime.Equal(sampleTime) {
		t.Errorf("%s: modified %v", name, got.ModTime)
	}
	got.ModTime, got.ChangeTime, got.Dev, got.Ino = want.ModTime, want.ChangeTime, 0, 0
	if got != want {
		t.Errorf("lstat %s:\n got %+v\nwant %+v", name, got, want)
	}
	v, err := fsys.Xattr(name, "security.capability")
	if cap := s.xattrs["security.capability"]; cap != "" && !k.noXattrs {
		if err != nil || string(v) != cap {
			t.Errorf("xattr of %s: %x, %v", name, v, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, scanner.ErrUnavailable) {
		t.Errorf("xattr of %s: %x, %v", name, v, err)
	}
}

func conformDir(t *testing.T, fsys scanner.FS, name string, want []string) {
	list, err := fsys.ReadDir(name)
	if err != nil {
		t.Error(err)
	}
	var got []string
	for _, in := range list {
		got = append(got, in.Name)
	}
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("readdir %s:\n got %q\nwant %q", name, got, want)
	}
}

func conformContent(t *testing.T, fsys scanner.FS, k sampleKind, name, want string) {
	head, err := fsys.Head(name)
	if err != nil || string(head) != want[:min(64, len(want))] {
		t.Errorf("head of %s: %q, %v", name, head, err)
	}
	sums := map[scanner.Algo]func([]byte) []byte{
		scanner.MD5:    func(b []byte) []byte { s := md5.Sum(b); return s[:] },
		scanner.SHA1:   func(b []byte) []byte { s := sha1.Sum(b); return s[:] },
		scanner.SHA256: func(b []byte) []byte { s := sha256.Sum256(b); return s[:] },
	}
	for algo, sum := range sums {
		if got, err := fsys.Digest(name, algo); err != nil || !bytes.Equal(got, sum([]byte(want))) {
			t.Errorf("%v of %s: %x, %v", algo, name, got, err)
		}
	}
	f, err := fsys.Open(name)
	if errors.Is(err, scanner.ErrUnavailable) && strings.HasPrefix(name, "/usr/bin/") && k.opt.Keep != nil {
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if f.Size() != int64(len(want)) {
		t.Errorf("%s: %d bytes, want %d", name, f.Size(), len(want))
	}
	if b, err := io.ReadAll(f); err != nil || string(b) != want {
		t.Errorf("%s: %.80q, %v", name, b, err)
	}
	if len(want) > 3 {
		b := make([]byte, 2)
		if n, err := f.ReadAt(b, 1); n != 2 || err != nil || string(b) != want[1:3] {
			t.Errorf("%s: bytes 1 and 2 are %q, %v", name, b, err)
		}
	}
	if got, err := fsys.Digest(name, scanner.SHA512); err != nil || !bytes.Equal(got, sha512Of(want)) {
		t.Errorf("sha512 of %s: %x, %v", name, got, err)
	}
}

func sha512Of(s string) []byte { b := sha512.Sum512([]byte(s)); return b[:] }

// checkTree walks a tree and checks what holds for every device: names listed can be
// described as listed, links resolve inside, and files can be opened or say why not.
func checkTree(t testing.TB, fsys scanner.FS) {
	t.Helper()
	todo, seen := []string{"/"}, 0
	for len(todo) > 0 && seen < 2000 {
		dir := todo[0]
		todo = todo[1:]
		list, err := fsys.ReadDir(dir)
		if err != nil && !expected(err) {
			t.Errorf("readdir %q: %v", dir, err)
		}
		for _, in := range list {
			seen++
			name := path.Join(dir, in.Name)
			if len(name) > maxName || path.Base(name) != in.Name {
				continue
			}
			if got, err := fsys.Lstat(name); err != nil && !expected(err) || err == nil && got != in {
				t.Errorf("lstat %q: %+v, %v; listed as %+v", name, got, err, in)
			}
			if real, err := fsys.Resolve(name); err == nil {
				if again, err := fsys.Resolve(real); err != nil || again != real {
					t.Errorf("%q resolves to %q, and that to %q, %v", name, real, again, err)
				}
			}
			switch {
			case in.Mode.IsDir():
				todo = append(todo, name)
			case in.Mode.IsRegular():
				if f, err := fsys.Open(name); err == nil {
					if f.Size() != in.Size {
						t.Errorf("%q: open says %d bytes, lstat %d", name, f.Size(), in.Size)
					}
					f.Close()
				} else if !expected(err) {
					t.Errorf("open %q: %v", name, err)
				}
			}
		}
	}
}

// expected tells whether an error is one of those the FS interface promises.
func expected(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, scanner.ErrUnavailable) || errors.Is(err, scanner.ErrNotRecorded))
}
