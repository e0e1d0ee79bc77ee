package device

import (
	"path/filepath"
	"strings"
	"testing"
)

// imageMakers are the ways to make an image of a tree. SRC and IMG stand for names; images
// of ext2, ext3 and ext4 need a file of their size first.
var imageMakers = []struct{ name, kind, cmd string }{
	{"squashfs gzip", "squashfs", "mksquashfs SRC IMG"},
	{"squashfs xz", "squashfs", "mksquashfs SRC IMG -comp xz"},
	{"squashfs xz with x86 filter", "squashfs", "mksquashfs SRC IMG -comp xz -Xbcj x86,arm -b 256k"},
	{"squashfs zstd", "squashfs", "mksquashfs SRC IMG -comp zstd -b 1M"},
	{"squashfs lzo", "squashfs", "mksquashfs SRC IMG -comp lzo"},
	{"squashfs lz4", "squashfs", "mksquashfs SRC IMG -comp lz4"},
	{"squashfs without compression", "squashfs", "mksquashfs SRC IMG -noI -noD -noF -noX"},
	{"squashfs without fragments", "squashfs", "mksquashfs SRC IMG -no-fragments -b 4096"},
	{"squashfs with all tails packed", "squashfs", "mksquashfs SRC IMG -always-use-fragments -no-duplicates"},
	{"ext4", "ext4", "mke2fs -t ext4 -d SRC IMG"},
	{"ext4 with 1 KiB blocks", "ext4", "mke2fs -t ext4 -b 1024 -d SRC IMG"},
	{"ext4 with inline data", "ext4", "mke2fs -t ext4 -O inline_data -I 512 -d SRC IMG"},
	{"ext4 with short inodes", "ext4", "mke2fs -t ext4 -I 128 -d SRC IMG"},
	{"ext4 with meta_bg", "ext4", "mke2fs -t ext4 -b 1024 -O meta_bg,^resize_inode -d SRC IMG"},
	{"ext4 with bigalloc", "ext4", "mke2fs -t ext4 -O bigalloc -C 16384 -d SRC IMG"},
	{"ext3", "ext3", "mke2fs -t ext3 -b 1024 -d SRC IMG"},
	{"ext2", "ext2", "mke2fs -t ext2 -d SRC IMG"},
	{"erofs", "erofs", "mkfs.erofs IMG SRC"},
	{"erofs with long inodes", "erofs", "mkfs.erofs -Eforce-inode-extended IMG SRC"},
	{"erofs with chunks", "erofs", "mkfs.erofs --chunksize=4096 IMG SRC"},
	{"erofs without inline tails", "erofs", "mkfs.erofs -Enoinline_data IMG SRC"},
	{"erofs with own attributes only", "erofs", "mkfs.erofs -x100 IMG SRC"},
	{"erofs lz4", "erofs", "mkfs.erofs -zlz4 IMG SRC"},
	{"erofs lz4hc in big clusters", "erofs", "mkfs.erofs -zlz4hc,9 -C65536 IMG SRC"},
	{"erofs lz4 with full index", "erofs", "mkfs.erofs -zlz4 -Elegacy-compress IMG SRC"},
	{"erofs lz4 with packed tails", "erofs", "mkfs.erofs -zlz4 -Eztailpacking IMG SRC"},
	{"erofs lz4 with fragments", "erofs", "mkfs.erofs -zlz4 -Efragments -C65536 IMG SRC"},
	{"erofs lz4 all fragments", "erofs", "mkfs.erofs -zlz4hc -Eall-fragments,dedupe -C16384 IMG SRC"},
}

// makeImage makes an image of a tree and gives its name.
func makeImage(t *testing.T, src, cmd string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), "image")
	args := strings.Fields(cmd)
	for i, a := range args {
		switch a {
		case "SRC":
			args[i] = src
		case "IMG":
			args[i] = img
		}
	}
	switch args[0] {
	case "mke2fs":
		blank(t, img, 64<<20)
		args = append([]string{args[0], "-q", "-F", "-N", "4000"}, args[1:]...)
	case "mksquashfs":
		args = append(args, "-noappend", "-quiet", "-no-progress")
	}
	run(t, args[0], args[1:]...)
	return img
}

func TestImageHoldsWhatItsSourceHolds(t *testing.T) {
	t.Parallel()
	src := sourceTree(t, 300)
	for _, m := range imageMakers {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			roots, err := openImg(t, makeImage(t, src, m.cmd))
			if err != nil {
				t.Fatal(err)
			}
			if len(roots) != 1 || roots[0].kind != m.kind || roots[0].label != "" {
				t.Fatalf("roots %+v, want one of %s", roots, m.kind)
			}
			want, err := openTree(src)
			if err != nil {
				t.Fatal(err)
			}
			defer want.close()
			sameTree(t, want, roots[0].t, "/")
		})
	}
}

func TestImageHeadTellsAnImage(t *testing.T) {
	t.Parallel()
	src := t.TempDir()
	for _, cmd := range []string{"mksquashfs SRC IMG", "mke2fs -t ext4 -d SRC IMG", "mkfs.erofs IMG SRC"} {
		t.Run(cmd, func(t *testing.T) {
			img := makeImage(t, src, cmd)
			if !isImage(firstBytes(t, img)) {
				t.Error("not told")
			}
		})
	}
	for what, head := range map[string]string{
		"nothing": "", "text": strings.Repeat("hello\n", 1000), "zeros": strings.Repeat("\x00", imageHead),
		"a boot signature alone": strings.Repeat("\x00", 510) + "\x55\xaa",
	} {
		if isImage([]byte(head)) {
			t.Errorf("%s: told as an image", what)
		}
	}
}

func TestImageOfAnotherKindIsNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at          int
		magic, want string
	}{
		{1024, "\x10\x20\xf5\xf2", "f2fs"}, {0x10040, "_BHRfS_M", "btrfs"}, {0, "XFSB", "XFS"}, {0, "UBI#", "UBI"},
		{0, "\x31\x18\x10\x06", "UBIFS"}, {0, "\x85\x19\x03\x20", "JFFS2"}, {0, "LUKS\xba\xbe", "LUKS"}, {0, "QFI\xfb", "qcow2"},
	} {
		b := make([]byte, imageHead)
		copy(b[c.at:], c.magic)
		if !isImage(b) {
			t.Errorf("%s: not told as an image", c.want)
		}
		_, err := openBytes(b)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "Picket cannot read") {
			t.Errorf("%s: error %v", c.want, err)
		}
	}
}
