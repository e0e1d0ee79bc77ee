package parse

import (
	"reflect"
	"strings"
	"testing"
)

const getpropText = "[persist.sys.timezone]: [Europe/Berlin]\n" +
	"[ro.boot.list]: [[a], [b]]\n" +
	"[ro.two.lines]: [first\nsecond]\n" +
	"[ro.empty]: []\n" +
	"[ro.fake]: [x\n[not a key]: [y]\n]\n"

func TestGetprop(t *testing.T) {
	t.Parallel()
	want := []Property{
		{"persist.sys.timezone", "Europe/Berlin", 1},
		{"ro.boot.list", "[a], [b]", 2},
		{"ro.two.lines", "first\nsecond", 3},
		{"ro.empty", "", 5},
		{"ro.fake", "x\n[not a key]: [y]\n", 6},
	}
	for name, text := range map[string]string{"lf": getpropText, "crlf": strings.ReplaceAll(getpropText, "\n", "\r\n"), "crcrlf": strings.ReplaceAll(getpropText, "\n", "\r\r\n")} {
		var c Complaints
		if got := Getprop([]byte(text), &c); !reflect.DeepEqual(got, want) || len(c.List) > 0 {
			t.Errorf("%s: %+v, %v", name, got, c.List)
		}
	}
}

func TestGetpropDamage(t *testing.T) {
	t.Parallel()
	var c Complaints
	got := Getprop([]byte("error: closed\n[ro.debuggable]: [1]\n[ro.x]: [a\n[ro.debuggable]: [0]\n]\n[ro.cut]: [val"), &c)
	want := []Property{{"ro.debuggable", "1", 2}, {"ro.x", "a", 3}, {"ro.cut", "val", 6}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if len(c.List) != 4 { // no property, x open, debuggable twice, cut open
		t.Errorf("%v", c.List)
	}
}

func TestBuildProp(t *testing.T) {
	t.Parallel()
	var c Complaints
	props, imports := BuildProp([]byte("# begin\n  ro.build.tags = test-keys \r\nimport /vendor/default.prop ro.vendor.*\nro.a=b=c#d\n\nro.none=\nnonsense\nbad key=1\n"), &c)
	if want := []Property{{"ro.build.tags", "test-keys", 2}, {"ro.a", "b=c#d", 4}, {"ro.none", "", 6}}; !reflect.DeepEqual(props, want) {
		t.Errorf("%+v", props)
	}
	if want := []PropImport{{"/vendor/default.prop", "ro.vendor.*", 3}}; !reflect.DeepEqual(imports, want) {
		t.Errorf("%+v", imports)
	}
	if len(c.List) != 2 || c.List[0].Line != 7 || c.List[1].Line != 8 {
		t.Errorf("%v", c.List)
	}
}

func FuzzAndroidProperties(f *testing.F) {
	f.Add([]byte(getpropText))
	f.Add([]byte("[a]: [b]\r\n[a]: [c"))
	f.Add([]byte("#x\nimport /a b\nk=v\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		seen := map[string]bool{}
		last := 0
		for _, p := range Getprop(b, nil) {
			if seen[p.Key] || p.Line <= last || !isPropertyName([]byte(p.Key)) {
				t.Errorf("%+v", p)
			}
			seen[p.Key], last = true, p.Line
		}
		props, imports := BuildProp(b, nil)
		if len(props)+len(imports) > len(b) {
			t.Errorf("%d of %d bytes", len(props)+len(imports), len(b))
		}
	})
}
