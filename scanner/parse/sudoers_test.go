package parse

import (
	"reflect"
	"testing"
)

func TestSudoers(t *testing.T) {
	t.Parallel()
	src := "# Defaults !authenticate\n" +
		"Defaults env_reset\n" +
		"Defaults:ann !authenticate, env_keep += \"LANG LD_PRELOAD\"\n" +
		"User_Alias ADMINS = ann, bob\n" +
		"root ALL=(ALL:ALL) ALL\n" +
		"%sudo\tALL=(ALL) NOPASSWD: ALL\n" +
		"ann ALL=(root) NOPASSWD: /usr/bin/systemctl restart cups.service, \\\n  /usr/bin/id, PASSWD: /usr/bin/passwd\n" +
		"#1000 ALL = NOPASSWD:SETENV: /bin/sh # why\n" +
		"@includedir /etc/sudoers.d\n#include /etc/sudoers.local\nbroken line\n"
	rules, inc := Sudoers([]byte(src))
	want := []SudoRule{
		{Who: "ann", NoPassword: true, KeepsEnv: "LD_PRELOAD", Default: true, Line: 3},
		{Who: "root", RunAs: "ALL:ALL", Commands: "ALL", Line: 5},
		{Who: "%sudo", RunAs: "ALL", Commands: "ALL", NoPassword: true, Line: 6},
		{Who: "ann", RunAs: "root", Commands: "/usr/bin/passwd", Line: 7},
		{Who: "ann", RunAs: "root", Commands: "/usr/bin/systemctl restart cups.service, /usr/bin/id", NoPassword: true, Line: 7},
		{Who: "#1000", Commands: "/bin/sh", NoPassword: true, KeepsEnv: "setenv", Line: 9},
	}
	if !reflect.DeepEqual(rules, want) {
		t.Errorf("got  %+v\nwant %+v", rules, want)
	}
	if !reflect.DeepEqual(inc, []SudoInclude{{"/etc/sudoers.d", true}, {"/etc/sudoers.local", false}}) {
		t.Errorf("includes %+v", inc)
	}
}

func TestDoas(t *testing.T) {
	t.Parallel()
	got := Doas([]byte("permit persist :wheel\npermit nopass keepenv ann as root cmd reboot\n# permit nopass all\ndeny bob\npermit nopass setenv { PATH=/bin } carl\n"))
	want := []SudoRule{
		{Who: ":wheel", Commands: "ALL", Line: 1},
		{Who: "ann", RunAs: "root", Commands: "reboot", NoPassword: true, KeepsEnv: "everything", Line: 2},
		{Who: "carl", Commands: "ALL", NoPassword: true, Line: 5},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func FuzzSudoers(f *testing.F) {
	f.Add([]byte("ann ALL=(ALL) NOPASSWD: ALL\n@includedir /etc/sudoers.d\nDefaults !authenticate\n"))
	f.Add([]byte("a \\\n\\\nb ALL=(x NOPASSWD:\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, inc := Sudoers(b)
		for _, r := range append(rules, Doas(b)...) {
			if r.Line < 1 || r.Who == "" {
				t.Errorf("%+v", r)
			}
		}
		for _, i := range inc {
			_ = i.Path
		}
	})
}
