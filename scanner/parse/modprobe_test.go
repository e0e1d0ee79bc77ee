package parse

import (
	"reflect"
	"testing"
)

func TestModprobe(t *testing.T) {
	t.Parallel()
	got := Modprobe([]byte("# comment\ninstall usb-storage /bin/false\nblacklist firewire-core\n" +
		"install nf_tables \\\n  /usr/local/bin/hook; \\\n  /sbin/modprobe --ignore-install nf_tables\nalias\noptions kvm nested=1\nremove x /bin/echo \\"))
	want := []ModuleLine{
		{Verb: "install", Module: "usb-storage", Command: "/bin/false", Line: 2},
		{Verb: "blacklist", Module: "firewire-core", Line: 3},
		{Verb: "install", Module: "nf_tables", Command: "/usr/local/bin/hook; /sbin/modprobe --ignore-install nf_tables", Line: 4},
		{Verb: "options", Module: "kvm", Line: 8},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestModulesLoad(t *testing.T) {
	t.Parallel()
	got := ModulesLoad([]byte("# at boot\nloop\n\n; no\nkvm nested=1\n"))
	want := []ModuleLine{{Verb: "load", Module: "loop", Line: 2}, {Verb: "load", Module: "kvm", Line: 5}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func FuzzModprobe(f *testing.F) {
	f.Add([]byte("install a /bin/false\nblacklist b\n"))
	f.Add([]byte("a \\\n\\\n b"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range append(Modprobe(b), ModulesLoad(b)...) {
			if m.Line < 1 || m.Verb == "" || m.Module == "" {
				t.Errorf("%+v", m)
			}
		}
	})
}
