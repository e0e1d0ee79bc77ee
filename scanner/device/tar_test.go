package device

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

// rawTar writes headers as they are, each followed by its content.
func rawTar(t testing.TB, list ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range list {
		if h.ModTime.IsZero() && h.Typeflag != tar.TypeXGlobalHeader {
			h.ModTime = sampleTime
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(w, strings.NewReader(strings.Repeat("x", int(h.Size))), h.Size); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return b.Bytes()
}

func reg(name string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
}
func dir(name string) tar.Header {
	return tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o700}
}
func link(name, to string) tar.Header {
	return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeSymlink, Mode: 0o777}
}
func hard(name, to string) tar.Header {
	return tar.Header{Name: name, Linkname: to, Typeflag: tar.TypeLink, Mode: 0o644}
}

func TestAnArchiveIsBentIntoATree(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", 256)
	for name, c := range map[string]struct {
		list  []tar.Header
		want  string // names that there are, with types
		notes string
	}{
		"names that leave the tree": {
			[]tar.Header{reg("../../etc/passwd"), reg("/etc/group"), reg("etc/../../x"), reg("./a/./b//c")},
			"a/ a/b/ a/b/c etc/ etc/group etc/passwd x", noteOutside,
		},
		"the later of two": {
			[]tar.Header{reg("etc/passwd"), link("etc/passwd", "shadow"), reg("etc/shadow"), dir("etc/shadow2"), reg("etc/shadow2")},
			"etc/ etc/passwd@ etc/shadow etc/shadow2", "",
		},
		"a directory told twice keeps its files": {
			[]tar.Header{dir("etc"), reg("etc/passwd"), dir("etc")}, "etc/ etc/passwd", "",
		},
		"a file for a full directory": {
			[]tar.Header{reg("etc/passwd"), reg("etc")}, "etc/ etc/passwd", noteKeptDir,
		},
		"a directory where a file is": {
			[]tar.Header{reg("etc"), reg("etc/passwd")}, "etc/ etc/passwd", noteNotDir,
		},
		"files put through a link": {
			[]tar.Header{link("lib", "usr/lib"), reg("lib/x"), link("abs", "/usr/bin"), reg("abs/y"), reg("etc/passwd")},
			"abs@ etc/ etc/passwd lib@ usr/ usr/bin/ usr/bin/y usr/lib/ usr/lib/x", "",
		},
		"files put through a link out of the tree": {
			[]tar.Header{link("out", "../../../tmp"), reg("out/x"), reg("etc/passwd")},
			"etc/ etc/passwd out@ tmp/ tmp/x", "",
		},
		"files put through a loop": {
			[]tar.Header{link("a", "b"), link("b", "a"), reg("a/x"), reg("etc/passwd")},
			"a/ a/x b@ etc/ etc/passwd", noteLinkLoop,
		},
		"hard links before, to nothing, to themselves and to directories": {
			[]tar.Header{hard("early", "etc/passwd"), reg("etc/passwd"), hard("none", "nothing"), hard("self", "self"), hard("d", "etc")},
			"d early etc/ etc/passwd none self", noteNoTarget,
		},
		"names too long": {
			[]tar.Header{reg("etc/passwd"), reg("etc/" + long), reg(strings.Repeat("d/", 2100) + "x"), link("l", strings.Repeat("t", 5000))},
			"etc/ etc/passwd", noteBadName,
		},
		"the top as a file": {
			[]tar.Header{{Name: ".", Typeflag: tar.TypeReg, Mode: 0o644}, reg("etc/passwd")}, "etc/ etc/passwd", noteKeptDir,
		},
		"devices": {
			[]tar.Header{{Name: "dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, {Name: "dev/sda", Typeflag: tar.TypeBlock}, {Name: "dev/p", Typeflag: tar.TypeFifo}, reg("etc/passwd")},
			"dev/ dev/null% dev/p% dev/sda% etc/ etc/passwd", "",
		},
		"volume labels": {
			[]tar.Header{reg("etc/passwd"), {Name: "label", Typeflag: 'V', Format: tar.FormatGNU}}, "etc/ etc/passwd", noteKind,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := rawTar(t, c.list...)
			for _, packed := range [][]byte{b, zstOf(b)} {
				d, err := openArchive(packed, OpenOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if got := strings.Join(listAll(d.FS()), " "); got != c.want {
					t.Errorf("tree\n %s\nwant\n %s", got, c.want)
				}
				notes := strings.Join(d.Identity().Notes, "\n")
				if c.notes == "" && notes != "" || !strings.Contains(notes, c.notes) {
					t.Errorf("notes %q, want %q", notes, c.notes)
				}
				checkTree(t, d.FS())
			}
		})
	}
}

// listAll lists every name in a tree, sorted, with a mark for its type.
func listAll(fsys scanner.FS) []string {
	var names []string
	for todo := []string{""}; len(todo) > 0; todo = todo[1:] {
		list, _ := fsys.ReadDir("/" + todo[0])
		for _, in := range list {
			name := strings.TrimPrefix(todo[0]+"/"+in.Name, "/")
			switch {
			case in.Mode.IsDir():
				todo = append(todo, name)
				name += "/"
			case in.Mode&fs.ModeSymlink != 0:
				name += "@"
			case !in.Mode.IsRegular():
				name += "%"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func TestImpliedDirectoriesHaveNoKnownOwner(t *testing.T) {
	t.Parallel()
	d, err := openArchive(rawTar(t, reg("etc/passwd")), OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if in, err := d.FS().Lstat("/etc"); err != nil || in.UID != -1 || in.GID != -1 || !in.ModTime.IsZero() || in.Mode != fs.ModeDir|0o755 {
		t.Errorf("%+v, %v", in, err)
	}
}

func TestOldAndForeignHeaders(t *testing.T) {
	t.Parallel()
	v7 := make([]byte, 512)
	copy(v7, "etc/")
	copy(v7[100:], "000755 \x00000000 \x00000000 \x00")
	copy(v7[124:], "00000000000 00000000000 ")
	fixChecksum(v7)
	libarchive := rawTar(t, tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, PAXRecords: map[string]string{
		"LIBARCHIVE.xattr.user.a%3Db":      "dmFsdWU=",
		"LIBARCHIVE.xattr.security.twice":  "b25l",
		"SCHILY.xattr.security.twice":      "one",
		"RHT.security.selinux":             "system_u:object_r:etc_t:s0",
		"LIBARCHIVE.xattr.security.nopads": "b25lCg",
	}})
	big := rawTar(t, tar.Header{Name: "etc/big", Typeflag: tar.TypeReg, Uid: 2_000_000_000, Format: tar.FormatGNU, Mode: 0o600})
	copy(big[116:], "\x80\x00\x01\x00\x00\x00\x00\x00") // a group beyond all ids
	fixChecksum(big)
	global := rawTar(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "a commit", "path": "evil", "mtime": "1.5"}}, reg("etc/global"))
	var b []byte
	b = append(b, v7...)
	for _, part := range [][]byte{libarchive, big, global} {
		b = append(b, part[:len(part)-1024]...)
	}
	b = append(b, make([]byte, 1024)...)
	d, err := openArchive(b, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(listAll(d.FS()), " "); got != "etc/ etc/big etc/global etc/passwd" {
		t.Error(got)
	}
	for attr, want := range map[string]string{"user.a=b": "value", "security.twice": "one", "security.selinux": "system_u:object_r:etc_t:s0", "security.nopads": "one\n"} {
		if v, err := d.FS().Xattr("/etc/passwd", attr); err != nil || string(v) != want {
			t.Errorf("%s: %q, %v", attr, v, err)
		}
	}
	if in, _ := d.FS().Lstat("/etc/big"); in.UID != 2_000_000_000 || in.GID != -1 {
		t.Errorf("owner %d:%d", in.UID, in.GID)
	}
	if in, _ := d.FS().Lstat("/etc/global"); in.ModTime.UnixNano() != 1.5e9 {
		t.Errorf("time %v", in.ModTime)
	}
}

// oldSparse is GNU tar's old form of a file with holes: 10 GB, of which a little is there.
func oldSparse(name string, logical int64) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00", 512, sampleTime.Unix()))
	b[156] = 'S'
	copy(b[257:], "ustar  \x00")
	copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", 1024, 512))         // one piece of data
	copy(b[386+24:], fmt.Sprintf("%011o\x00%011o\x00", logical-100, 0)) // and a hole to the end
	b[482] = 1                                                          // more pieces follow
	copy(b[483:], fmt.Sprintf("%011o\x00", logical))
	if logical >= 1<<33 {
		for i, off := range []int{386 + 24, 483} {
			copy(b[off:], "\x80\x00\x00\x00\x00\x00\x00")
			for k := range 8 {
				b[off+4+k] = byte((logical - int64(1-i)*100) >> (56 - 8*k))
			}
		}
	}
	fixChecksum(b)
	more := make([]byte, 512)
	copy(more, fmt.Sprintf("%011o\x00%011o\x00", logical, 0))
	if logical >= 1<<33 {
		copy(more, b[483:495])
	}
	return append(append(b, more...), bytes.Repeat([]byte("d"), 512)...)
}

func TestFilesWithHoles(t *testing.T) {
	t.Parallel()
	b := rawTar(t, tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}})
	b = append(b[:len(b)-1024], oldSparse("etc/small", 8192)...)
	b = append(b, oldSparse("etc/huge", 10_000_000_000)...)
	b = append(b, rawTar(t, reg("etc/after"), reg("etc/passwd"))...)
	for name, b := range map[string][]byte{"plain": b, "packed": gzOf(b)} {
		d, err := openArchive(b, OpenOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		want := strings.Repeat("\x00", 1024) + strings.Repeat("d", 512) + strings.Repeat("\x00", 8192-1536)
		if got, err := scanner.ReadFile(d.FS(), "/etc/small", 1<<20); err != nil || string(got) != want {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if in, err := d.FS().Lstat("/etc/huge"); err != nil || in.Size != 10_000_000_000 {
			t.Errorf("%s: %+v, %v", name, in, err)
		}
		if _, err := d.FS().Open("/etc/huge"); !errors.Is(err, scanner.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := d.FS().Lstat("/etc/after"); err != nil {
			t.Errorf("%s: what follows is lost: %v", name, err)
		}
	}
}

func TestAFileThatClaimsTenGigabytes(t *testing.T) {
	t.Parallel()
	b := rawTar(t, reg("etc/passwd"))
	h := tar.Header{Name: "var/huge", Typeflag: tar.TypeReg, Size: 10_000_000_000, ModTime: sampleTime}
	var head bytes.Buffer
	tar.NewWriter(&head).WriteHeader(&h)
	b = append(head.Bytes(), b...)
	for name, b := range map[string][]byte{"plain": b, "packed": zstOf(b)} {
		if _, err := openArchive(b, OpenOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "var/huge") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLeadingFoldersAndRoots(t *testing.T) {
	t.Parallel()
	one := rawTar(t, dir("image"), dir("image/rootfs"), reg("image/rootfs/etc/passwd"), link("image/rootfs/etc/os-release", "/usr/lib/os-release"), reg("image/rootfs/usr/lib/os-release"))
	two := rawTar(t, reg("a/etc/passwd"), reg("b/etc/passwd"), reg("b/only-b"))
	d, err := openArchive(one, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if real, err := d.FS().Resolve("/etc/os-release"); err != nil || real != "/usr/lib/os-release" {
		t.Errorf("%q, %v", real, err)
	}
	if real, err := d.FS().Resolve("/../../../etc"); err != nil || real != "/etc" {
		t.Errorf("%q, %v", real, err)
	}
	if n := d.Identity().Notes; len(n) != 1 || n[0] != "the tree starts at image/rootfs" {
		t.Errorf("notes %q", n)
	}
	if _, err := openArchive(two, OpenOptions{}); !errors.Is(err, ErrNothingRecognised) {
		t.Errorf("two roots: %v", err)
	}
	d, err = openArchive(two, OpenOptions{Root: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.FS().Lstat("/only-b"); err != nil {
		t.Error(err)
	}
	if _, err := openArchive(two, OpenOptions{Root: "c"}); err == nil || !strings.Contains(err.Error(), `no folder "c"`) {
		t.Errorf("%v", err)
	}
}
