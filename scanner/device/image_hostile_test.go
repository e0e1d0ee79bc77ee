package device

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
)

// inodeAt gives the place of a file's inode in an ext image.
func inodeAt(t *testing.T, image []byte, name string) int64 {
	t.Helper()
	e, err := openExt4(&window{image: "test.img", r: bytes.NewReader(image), size: int64(len(image))})
	if err != nil {
		t.Fatal(err)
	}
	top, err := newImageTree(e, "test.img", 1)
	if err != nil {
		t.Fatal(err)
	}
	info, err := top.lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	n, err := e.rawInode(int64(info.Ino))
	if err != nil {
		t.Fatal(err)
	}
	return n.at
}

// entryAt gives the place of a directory's entry in an ext image.
func entryAt(t *testing.T, image []byte, name string) int {
	t.Helper()
	i := bytes.Index(image, append([]byte{byte(len(name)), 2}, name...))
	if i < 6 {
		t.Fatalf("no entry %s", name)
	}
	return i - 6
}

func TestDirectoryLoopInAnImageIsAnError(t *testing.T) {
	t.Parallel()
	le := binary.LittleEndian
	image := fixtures(t)["ext2"]
	empty, many := entryAt(t, image, "empty"), entryAt(t, image, "many")
	for what, inode := range map[string]uint32{"its own root": 2, "another directory": le.Uint32(image[many:])} {
		b := bytes.Clone(image)
		le.PutUint32(b[empty:], inode)
		roots, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		fsys := newFS(roots[0].t)
		_, err1 := fsys.ReadDir("/many")
		_, err2 := fsys.ReadDir("/empty")
		err = errors.Join(err1, err2)
		if err == nil || !strings.Contains(err.Error(), "hangs in two places") || !strings.Contains(err.Error(), "test.img") {
			t.Errorf("%s in a directory: %v", what, err)
		}
		files, _ := walkHostile(t, roots[0].t)
		if files > 300 {
			t.Errorf("%s in a directory: a walk sees %d files", what, files)
		}
	}
}

func TestFileThatClaims10GB(t *testing.T) {
	t.Parallel()
	b := fixtures(t)["ext2"]
	at := inodeAt(t, b, "/noise")
	le := binary.LittleEndian
	le.PutUint32(b[at+4:], 10<<30&0xffffffff)
	le.PutUint32(b[at+0x6c:], 10<<30>>32)
	roots, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	fsys := newFS(roots[0].t)
	var large *scanner.TooLargeError
	if _, err := scanner.ReadFile(fsys, "/noise", 1<<20); !errors.As(err, &large) || large.Size != 10<<30 {
		t.Errorf("error %v", err)
	}
	f, err := fsys.Open("/noise")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last := []byte{1}
	if _, err := f.ReadAt(last, 10<<30-1); err != nil || last[0] != 0 {
		t.Errorf("the last byte, in a hole: %d, %v", last[0], err)
	}
}

func TestBlockOutsideTheImageIsAnErrorThatSaysWhere(t *testing.T) {
	t.Parallel()
	for name, field := range map[string]int64{"ext2": 40, "ext4": 60} { // first block; first extent's block
		b := fixtures(t)[name]
		at := inodeAt(t, b, "/text")
		binary.LittleEndian.PutUint32(b[at+field:], 0xfffffff0)
		roots, err := openBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = scanner.ReadFile(newFS(roots[0].t), "/text", 1<<20); err == nil || !strings.Contains(err.Error(), "image test.img at byte ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedInodeIsListedByName(t *testing.T) {
	t.Parallel()
	b := fixtures(t)["ext2"]
	binary.LittleEndian.PutUint16(b[inodeAt(t, b, "/bin/su"):], 0)
	roots, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	fsys := newFS(roots[0].t)
	list, err := fsys.ReadDir("/bin")
	if err != nil || len(list) != 2 || list[1].Name != "su" || list[1].Mode != fs.ModeIrregular {
		t.Errorf("/bin: %+v, %v", list, err)
	}
	if _, err := fsys.Lstat("/bin/su"); err == nil || !strings.Contains(err.Error(), "in use by no file") {
		t.Errorf("/bin/su: %v", err)
	}
}

func TestOpenTakesTheRootAskedFor(t *testing.T) {
	t.Parallel()
	images := fixtures(t)
	b := disk(4000, map[int][]byte{100: images["ext4"], 2000: images["erofs"]})
	gptDisk(b, []gptPart{{"slot_a", 100, 1999}, {"slot_b", 2000, 2999}})
	name := filepath.Join(t.TempDir(), "disk.bin")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for root, want := range map[string]string{"": "ext4 slot_a of disk.bin", "slot_b": "erofs slot_b of disk.bin"} {
		d, err := Open(context.Background(), name, OpenOptions{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		id := d.Identity()
		if id.Origin != want || !id.Root || id.ModesUntrusted != "" || !strings.Contains(strings.Join(id.Notes, "\n"), "the image also holds slot_") {
			t.Errorf("root %q: %+v", root, id)
		}
		fixtureTree(t, d.FS())
	}
	if _, err := Open(context.Background(), name, OpenOptions{Root: "slot_c"}); err == nil || !strings.Contains(err.Error(), "slot_a (ext4), slot_b (erofs)") {
		t.Errorf("a root that is not there: %v", err)
	}
}
