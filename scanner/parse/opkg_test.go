package parse

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func TestOpkgList(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	OpkgList([]byte("/.\n/bin/busybox\n/usr/lib/\n/bin/sh\t0120777\tbusybox\n/bin/su\t0104755\n/etc/x\t0\n/etc/y\tbad\nrelative\n"), &c,
		func(f OpkgFile) bool {
			got = append(got, fmt.Sprintf("%s %o %v", f.Path, f.Mode, f.Link))
			return true
		})
	want := []string{"/bin/busybox -1 false", "/usr/lib -1 false", "/bin/sh 777 true", "/bin/su 4755 false", "/etc/x -1 false", "/etc/y -1 false"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c.List) != 2 || c.List[0].Line != 7 || c.List[1].Line != 8 {
		t.Errorf("complaints %v, want lines 7 and 8", c.List)
	}
}

func FuzzOpkgList(f *testing.F) {
	f.Add([]byte("/bin/sh\t0120777\tbusybox\n"))
	f.Add([]byte("/.\n/x\t\n\t\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		OpkgList(b, &Complaints{}, func(f OpkgFile) bool {
			if f.Path[0] != '/' || bytes.ContainsAny(f.Path, "\n\t\x00") || f.Mode < -1 || f.Mode > 0o7777 {
				t.Fatalf("%+v", f)
			}
			return true
		})
	})
}
