package parse

import (
	"bytes"
	"reflect"
	"testing"
)

const mountInfoText = `22 28 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw,hidepid=invisible
98 28 253:0 /srv/my\040files /mnt/a\134b ro,nosuid - ext4 /dev/mapper/root rw,errors=remount-ro
99 28 0:45 / / rw,relatime shared:1 master:2 - overlay overlay rw,lowerdir=/rom,upperdir=/overlay/upper
`

func TestMountInfo(t *testing.T) {
	t.Parallel()
	got, bad := MountInfo([]byte(mountInfoText + "x y\n1 2 0:1 / /p rw - proc\n"))
	if len(got) != 3 || len(bad) != 2 {
		t.Fatalf("%+v, %v", got, bad)
	}
	want := Mount{ID: 98, Parent: 28, Dev: "253:0", Root: "/srv/my files", Target: `/mnt/a\b`, Options: []string{"ro", "nosuid"},
		FSType: "ext4", Source: "/dev/mapper/root", SuperOptions: []string{"rw", "errors=remount-ro"}, Line: 2}
	if !reflect.DeepEqual(got[1], want) {
		t.Errorf("%+v", got[1])
	}
	if got[0].SuperOptions[1] != "hidepid=invisible" || got[2].FSType != "overlay" {
		t.Errorf("%+v", got)
	}
}

func FuzzMountInfo(f *testing.F) {
	f.Add([]byte(mountInfoText))
	f.Add([]byte("1 1 0:1 / / rw - a b c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, bad := MountInfo(b)
		if len(got)+len(bad) > bytes.Count(b, []byte("\n"))+1 {
			t.Errorf("%d mounts and %d damaged lines", len(got), len(bad))
		}
	})
}

func TestFstab(t *testing.T) {
	t.Parallel()
	got, bad := Fstab([]byte("# comment\n\nUUID=1-2 / ext4 errors=remount-ro,noatime 0 1\n/dev/sdb1 /mnt/my\\040disk vfat\nshort line\n"))
	want := []FstabEntry{
		{Source: "UUID=1-2", Target: "/", FSType: "ext4", Options: []string{"errors=remount-ro", "noatime"}, Line: 3},
		{Source: "/dev/sdb1", Target: "/mnt/my disk", FSType: "vfat", Line: 4},
	}
	if !reflect.DeepEqual(got, want) || len(bad) != 1 {
		t.Errorf("%+v, %v", got, bad)
	}
}

func FuzzFstab(f *testing.F) {
	f.Add([]byte("UUID=1 / ext4 defaults 0 1\n# x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _ := Fstab(b)
		for _, e := range got {
			if e.Source == "" || e.FSType == "" || e.Line < 1 {
				t.Errorf("%+v", e)
			}
		}
	})
}
