package parse

import (
	"slices"
	"testing"
)

func TestFileCapabilitiesOfEveryRevision(t *testing.T) {
	t.Parallel()
	const none4 = "\x00\x00\x00\x00"
	for _, c := range []struct {
		name, value string
		permitted   []string
		effective   bool
		root        uint32
	}{
		{"revision 1", "\x01\x00\x00\x01" + "\x00\x20\x00\x00" + none4, []string{"net_raw"}, true, 0},
		{"revision 2", "\x01\x00\x00\x02" + "\x00\x20\x00\x00" + none4 + none4 + none4, []string{"net_raw"}, true, 0},
		{"revision 2, high word", "\x00\x00\x00\x02" + none4 + none4 + "\xc0\x00\x00\x00" + none4, []string{"perfmon", "bpf"}, false, 0},
		{"revision 3", "\x01\x00\x00\x03" + "\x00\x00\x20\x00" + none4 + none4 + none4 + "\x64\x00\x00\x00", []string{"sys_admin"}, true, 100},
		{"a bit without a name", "\x00\x00\x00\x02" + none4 + none4 + "\x00\x00\x00\x80" + none4, []string{"63"}, false, 0},
	} {
		got, err := FileCapabilities([]byte(c.value))
		if err != nil || !slices.Equal(got.Permitted, c.permitted) || got.Effective != c.effective || got.RootID != c.root {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

func TestFileCapabilitiesRefusesWrongSizes(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"", "\x01\x00\x00\x02", "\x01\x00\x00\x02abcdefghijkl", "\x01\x00\x00\x09abcdefghijklmnop"} {
		if got, err := FileCapabilities([]byte(v)); err == nil {
			t.Errorf("%q: got %+v, want an error", v, got)
		}
	}
}

func FuzzFileCapabilities(f *testing.F) {
	for _, s := range []string{"", "\x00", "\x01\x00\x00\x01abcdefgh", "\x01\x00\x00\x02abcdefghijklmnop", "\x01\x00\x00\x03abcdefghijklmnopqrst"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := FileCapabilities(b)
		if err == nil && len(b) != 12 && len(b) != 20 && len(b) != 24 {
			t.Errorf("%d bytes accepted", len(b))
		}
		if len(c.Permitted) > 64 || len(c.Inheritable) > 64 {
			t.Errorf("more than 64 capabilities: %+v", c)
		}
	})
}
