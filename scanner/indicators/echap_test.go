package indicators

import (
	"strings"
	"testing"

	"picket/scanner"
)

const echapList = `# SPDX-License-Identifier: CC-BY-4.0
- name: SpyOne
  names:
  - SpyOne
  - OneSpy
  type: stalkerware
  packages:
  - com.spyone.app
  certificates:
  - 31A6ECECD97CF39BC4126B8745CD94A7C30BF81C
  certificate_organizations:
  - Spy Ltd
  websites:
  - spyone.example
  distribution:
  - https://code.example/spy/one
  c2:
    domains:
    - api.spyone.example
    - spyone.example
    ips:
    - 198.51.100.7
    ip:
    - 198.51.100.8
- name: WatchTwo
  type: watchware
  packages:
  - com.watchtwo.kids
  ios_bundles:
  - com.watchtwo.ios
  websites:
`

func TestEchap(t *testing.T) {
	t.Parallel()
	x, list := mustLoad(t, "echap", echapList)
	for _, c := range []struct {
		kind        scanner.IndicatorKind
		value       string
		name, class string
		weak        bool
	}{
		{"package", "com.spyone.app", "SpyOne", "stalkerware", false},
		{"certificate", "31a6ececd97cf39bc4126b8745cd94a7c30bf81c", "SpyOne", "stalkerware", false},
		{"domain", "spyone.example", "SpyOne", "stalkerware", false}, // a server too, so not weak
		{"url", "https://code.example/spy/one/releases", "SpyOne", "stalkerware", true},
		{"ip", "198.51.100.8", "SpyOne", "stalkerware", false},
		{"package", "com.watchtwo.kids", "WatchTwo", "watchware", false},
	} {
		got := x.Match(c.kind, c.value)
		if len(got) != 1 || got[0].Name != c.name || got[0].Class != c.class || got[0].Weak != c.weak || got[0].Licence != "CC-BY-4.0" {
			t.Errorf("%s: %+v", c.value, got)
		}
	}
	if list.Troubles[NotSupported] != 1 || list.Troubles[NotApplicable] != 1 || list.Indicators != 11 || list.Duplicates != 1 || len(list.Notes) != 2 || list.Notes[0].Line != 12 {
		t.Errorf("%+v", list)
	}
}

func TestEchapTroubles(t *testing.T) {
	t.Parallel()
	_, list := mustLoad(t, "echap", `- name: A
  type: toaster
  colour: red
  packages: com.a
  certificates:
  - 12
  - [nested]
  websites:
  - co.uk
  c2: none
- name: B
  c2:
    ports: [80]
    domains: &d [b.example]
- name: C
  websites: *d
`)
	var have []string
	for _, n := range list.Notes {
		have = append(have, n.ID+" "+n.Why)
	}
	want := []string{"A unknown type", "A unknown key", "A no sequence", "A certificate: no digest", "A no plain value", "A domain: a registry's suffix", "A c2 is no mapping", "B unknown key of c2", "C no sequence"}
	for i, w := range want {
		if i >= len(have) || !strings.HasPrefix(have[i], w) {
			t.Fatalf("notes are %q\nwant %q", have, want)
		}
	}
	for name, text := range map[string]string{"empty": "", "mapping": "a: b", "scalars": "- a\n- b\n", "nameless": "- type: stalkerware\n"} {
		if _, err := loadText("echap", text); err == nil || !strings.Contains(err.Error(), "no list of indicators") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := loadText("echap", "- name: [\n"); err == nil || !strings.Contains(err.Error(), "line ") {
		t.Errorf("broken YAML: %v", err)
	}
}

func TestPlainLists(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("0a", 32)
	x, list := mustLoad(t, "csv", "SHA256,Package Name,Certificate,Version,App\n"+sha+",com.borrowed,AA,1,SpyOne\nshort\nxyz,,,,SpyOne\n")
	if got := x.Match(scanner.IndicatorFileHash, strings.ToUpper(sha)); len(got) != 1 || got[0].Name != "SpyOne" || got[0].Class != scanner.ClassStalkerware {
		t.Errorf("%+v", got)
	}
	if len(x.Match(scanner.IndicatorPackage, "com.borrowed")) > 0 || list.Troubles[NotUnderstood] != 2 || list.Notes[0].Line != 3 {
		t.Errorf("%+v", list)
	}

	x, list = mustLoad(t, "csv", "# class: watchware\nType,Indicator,App\ndomain,c2.example,SpyOne\nipv4,198.51.100.7,SpyOne\nphone,123,SpyOne\n")
	if got := x.Match(scanner.IndicatorIP, "198.51.100.7"); len(got) != 1 || got[0].Class != scanner.ClassWatchware || list.Troubles[NotUnderstood] != 1 {
		t.Errorf("%+v %+v", got, list)
	}

	x, list = mustLoad(t, "hosts", "# SPDX-License-Identifier: MIT\n\n0.0.0.0 a.example b.example # both\nc.example\r\n198.51.100.9\nco.uk\n??\n")
	if x.Len() != 4 || list.Troubles[Rejected] != 1 || list.Troubles[NotUnderstood] != 1 || list.Licence != "MIT" || len(x.Match(scanner.IndicatorIP, "198.51.100.9")) != 1 {
		t.Errorf("%d entries, %+v", x.Len(), list)
	}

	for name, c := range map[string][2]string{"csv": {"csv", "name,age\na,1\n"}, "empty csv": {"csv", ""}, "no app": {"csv", "sha256\n00\n"}, "prose": {"hosts", "This is a file.\n"}, "word": {"hosts", "requirements\n"}, "version": {"hosts", "requests==2.31\n"}, "empty": {"hosts", "\n# x\n"}} {
		if _, err := loadText(c[0], c[1]); err == nil || !strings.Contains(err.Error(), "no list of indicators") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := loadText("hosts", "# class: toaster\na.example\n"); err == nil || !strings.Contains(err.Error(), "class") {
		t.Errorf("class: %v", err)
	}
}

func FuzzEchap(f *testing.F) {
	f.Add(echapList)
	f.Add("- name: A\n  c2: {ips: [1.2.3.4, 0.0.0.0/0]}\n  packages: [*a, &a x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 64<<10 {
			return
		}
		if x, err := loadText("echap", text); err == nil {
			checkList(t, x)
		}
	})
}

func FuzzPlain(f *testing.F) {
	f.Add(true, "SHA256,Package Name,Certificate,Version,App\n"+strings.Repeat("0a", 32)+",p,c,1,A\n")
	f.Add(true, "# class: spyware\ntype,indicator,app\ndomain,\"a.example\",A\nipv6,2001:db8::1,A\n")
	f.Add(false, "0.0.0.0 a.example b.example\n::1 c.example\n")
	f.Fuzz(func(t *testing.T, csv bool, text string) {
		format := "hosts"
		if csv {
			format = "csv"
		}
		if x, err := loadText(format, text); err == nil {
			checkList(t, x)
		}
	})
}
