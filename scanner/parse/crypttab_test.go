package parse

import (
	"reflect"
	"testing"
)

func TestCrypttab(t *testing.T) {
	t.Parallel()
	got := Crypttab([]byte("# <target> <source>\nroot UUID=1-2 none luks,discard\n\ndata /dev/sdb1 /etc/keys/data.key luks\nshort\nswap /dev/sda3\n"))
	want := []CrypttabLine{{"root", "UUID=1-2", "none", 2}, {"data", "/dev/sdb1", "/etc/keys/data.key", 4}, {"swap", "/dev/sda3", "none", 6}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func FuzzCrypttab(f *testing.F) {
	f.Add([]byte("root UUID=1-2 none luks\n# c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, c := range Crypttab(b) {
			if c.Name == "" || c.Source == "" || c.Line < 1 {
				t.Errorf("%+v", c)
			}
		}
	})
}
