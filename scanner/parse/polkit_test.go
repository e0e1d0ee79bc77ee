package parse

import (
	"reflect"
	"testing"
)

func TestPolkitJS(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]PolkitRule{
		"polkit.addRule(function(action, subject) {\n  return polkit.Result.YES;\n});\n": {Yes: true, Line: 2},
		"polkit.addRule(function(a, subject) {\n if (a.id == \"org.a.b.c\" && subject.isInGroup('lp')) {\n return polkit.Result.YES;\n}});": {
			Yes: true, Tested: true, Actions: []string{"org.a.b.c"}, Line: 3},
		"// return polkit.Result.YES;\n/* polkit.Result.YES\n polkit.Result.YES */ polkit.Result.NO": {Line: 1},
		"var u = \"http://x\"; return \"yes\"; // subject.user":                                      {Yes: true, Line: 1},
	} {
		if got := PolkitJS([]byte(in)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, want %+v", in, got, want)
		}
	}
}

func TestPkla(t *testing.T) {
	t.Parallel()
	got := Pkla([]byte("# c\nAction=lost\n[All]\nIdentity=unix-user:*\nAction=*\nResultAny=yes\n\n[One]\nIdentity=unix-group:netdev;unix-user:ann\nAction=org.x.*\nResultActive=auth_admin\n"))
	want := []PklaSection{{Everybody: true, Action: "*", Yes: true, Line: 3}, {Action: "org.x.*", Line: 8}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func FuzzPolkit(f *testing.F) {
	f.Add([]byte("polkit.addRule(function(a, s) { /* c */ return polkit.Result.YES; });"))
	f.Add([]byte("[x]\nIdentity=unix-user:*\nResultAny=yes\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := PolkitJS(b); r.Line < 1 || len(r.Actions) > 10 {
			t.Errorf("%+v", r)
		}
		for _, s := range Pkla(b) {
			if s.Line < 1 {
				t.Errorf("%+v", s)
			}
		}
	})
}
