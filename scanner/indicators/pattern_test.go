package indicators

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	sha1, sha256 := strings.Repeat("a1", 20), strings.Repeat("b2", 32)
	for _, c := range []struct {
		pattern string
		want    string // kind=value, in order
		trouble Trouble
	}{
		{"[domain-name:value='evil.example']", "domain=evil.example", ""},
		{"[ domain-name:value = 'a.example' OR url:value == 'http://b.example/x' ]", "domain=a.example url=http://b.example/x", ""},
		{"[domain-name:value='a.example'] OR [ipv4-addr:value='192.0.2.1']", "domain=a.example ip=192.0.2.1", ""},
		{"([domain-name:value='a.example'])", "domain=a.example", ""},
		{"[(app:id='com.a' OR (app:id='com.b'))]", "package=com.a package=com.b", ""},
		{"[ipv4-addr:value IN ('192.0.2.1', '192.0.2.2')]", "ip=192.0.2.1 ip=192.0.2.2", ""},
		{"[ipv6-addr:value ISSUBSET '2001:db8::/32']", "ip=2001:db8::/32", ""},
		{`[file:name='it\'s\\here']`, `file-name=it's\here`, ""},
		{"[file:hashes.md5='0'] /* why */ // and more", "file-hash=0", ""},
		{"[file:hashes.'SHA-256'='1' OR file:hashes.SHA1='2' OR file:hashes.\"x\"='3']", "", NotUnderstood}, // double quotes are no string
		{"[file:hashes.'SHA-256'='1' OR file:hashes.'sha-1'='2' OR file:hashes.SHA_512='3']", "file-hash=1 file-hash=2 file-hash=3", ""},
		{"[app:cert.sha1='1' OR x509-certificate:hashes.'SHA-1'='2']", "certificate=1 certificate=2", ""},
		{"[android-property:name='sys.x']", "property=sys.x", ""},
		{"[network-traffic:dst_ref.value='192.0.2.7']", "domain=192.0.2.7", ""},
		{"[domain-name:value='a.example' AND domain-name:value='a.example']", "domain=a.example", ""},

		// Several properties of one object: only where one of them stands for all.
		{"[file:hashes.'SHA-1'='" + sha1 + "' AND file:hashes.'SHA-256'='" + sha256 + "']", "file-hash=" + sha256, ""},
		{"[file:parent_directory_ref.path='/data/x' AND file:name='y']", "file-path=/data/x/y", ""},
		{"[file:name='y' AND file:parent_directory_ref.path='/data/x/' AND file:path='/data/x/y']", "file-path=/data/x/y", ""},
		{"[file:name='y' AND file:path='/data/x/y']", "file-path=/data/x/y", ""},
		{"[file:name='z' AND file:path='/data/x/y']", "", NotSupported},
		{"[file:name='y' AND file:hashes.md5='0']", "", NotSupported},
		{"[file:name='a' AND file:name='b']", "", NotSupported},
		{"[directory:path='/x' AND file:name='b']", "", NotSupported},
		{"[app:id='com.a' AND app:cert.sha1='0']", "", NotSupported},
		{"[app:id='com.a' AND (app:cert.sha1='0' OR app:id='com.a')]", "package=com.a", NotSupported},
		{"[app:id='com.a' OR file:size=3]", "package=com.a", NotUnderstood},
		{"[app:id='com.a'] AND [app:id='com.b']", "", NotSupported},
		{"[app:id='com.a'] OR [app:id='com.b'] FOLLOWEDBY [app:id='com.c']", "", NotSupported},
		{"[app:id='com.a'] OR [app:id='com.b'] WITHIN 5 SECONDS", "package=com.a", NotSupported},
		{"[app:id='com.a'] REPEATS 2 TIMES START t'2020-01-01T00:00:00Z' STOP t'2021-01-01T00:00:00Z'", "", NotSupported},
		{"[app:id!='com.a']", "", NotSupported},
		{"[app:id NOT = 'com.a']", "", NotSupported},
		{"[NOT app:id = 'com.a']", "", NotSupported},
		{"[app:id LIKE 'com.%']", "", NotSupported},
		{"[app:id MATCHES '^com']", "", NotSupported},
		{"[EXISTS app:id]", "", NotSupported},
		{"[file:hashes.ssdeep='x']", "", NotSupported},
		{"[process:command_line='x']", "", NotSupported},
		{"[configuration-profile:id='x']", "", NotApplicable},
		{"[windows-registry-key:key='x']", "", NotApplicable},
		{"[file:size = 12]", "", NotUnderstood},
		{"[app:id = 12]", "", NotUnderstood},
		{"[x-own:deep[*].'a b'[0].c = h'00']", "", NotUnderstood},

		// What does not parse.
		{"", "", NotUnderstood}, {"[", "", NotUnderstood}, {"[app:id]", "", NotUnderstood}, {"[app:id='a'", "", NotUnderstood},
		{"[app:id='a]", "", NotUnderstood}, {"app:id='a'", "", NotUnderstood}, {"[app:id='a']]", "", NotUnderstood}, {"[app id='a']", "", NotUnderstood},
		{"[app:id='a' OR]", "", NotUnderstood}, {"[app:id IN ()]", "", NotUnderstood}, {"[app:id IN ('a']", "", NotUnderstood}, {"[app:='a']", "", NotUnderstood},
		{"[app:id='a'] WITHIN", "", NotUnderstood}, {"[app:id='a'] /* open", "", NotUnderstood}, {"[app:id='a'] or [app:id='b']", "", NotUnderstood}, {"[\x00]", "", NotUnderstood},
	} {
		var have []string
		var trouble Trouble
		n, err := parsePattern(c.pattern)
		if err != nil {
			trouble = NotUnderstood
		} else {
			terms, problems := compile(&n)
			for _, x := range terms {
				have = append(have, string(x.kind)+"="+x.value)
			}
			if len(problems) > 0 {
				trouble = problems[0].what
			}
		}
		if got := strings.Join(have, " "); got != c.want || trouble != c.trouble {
			t.Errorf("%s\n gives %q, %q\n want  %q, %q (error %v)", c.pattern, got, trouble, c.want, c.trouble, err)
		}
	}
}

// TestHostilePatterns holds the parser to its bounds.
func TestHostilePatterns(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("app:id='a' OR ", maxTerms)
	var wide []string
	for range 12 {
		wide = append(wide, "(app:id='a' OR app:id='b' OR app:id='c')")
	}
	for name, c := range map[string]struct{ pattern, want string }{
		"long":     {"[app:id='" + strings.Repeat("a", maxPattern) + "']", "longer than"},
		"terms":    {"[" + many + "app:id='b']", "more than 4096 comparisons"},
		"set":      {"[app:id IN ('a'" + strings.Repeat(",'a'", maxTerms) + ")]", "more than 4096 comparisons"},
		"deep":     {strings.Repeat("(", 5000) + "[app:id='a']" + strings.Repeat(")", 5000), "parentheses"},
		"deeper":   {"[" + strings.Repeat("(", 5000) + "app:id='a'" + strings.Repeat(")", 5000) + "]", "parentheses"},
		"path":     {"[app" + ":a" + strings.Repeat(".a", 200) + "='a']", "too many parts"},
		"brackets": {strings.Repeat("[", 100_000), "object type"},
		"together": {"[app:id='a'" + strings.Repeat(" AND app:id='a'", 4000) + "]", "comparisons together"},
		"product":  {"[" + strings.Join(wide, " AND ") + "]", "ways to meet it"},
	} {
		n, err := parsePattern(c.pattern)
		var have string
		if err != nil {
			have = err.Error()
		} else if _, problems := compile(&n); len(problems) > 0 {
			have = problems[0].why
		}
		if !strings.Contains(have, c.want) {
			t.Errorf("%s: %q does not say %q", name, have, c.want)
		}
	}
	var unknown []string
	for i := range 4000 {
		unknown = append(unknown, fmt.Sprintf("app:x%d='a'", i))
	}
	if n, err := parsePattern("[" + strings.Join(unknown, " OR ") + "]"); err != nil {
		t.Error(err)
	} else if _, problems := compile(&n); len(problems) != maxProblems {
		t.Errorf("%d problems are told", len(problems))
	}
	// As many comparisons as are allowed are taken.
	n, err := parsePattern("[" + strings.Repeat("app:id='a' OR ", maxTerms-1) + "app:id='b']")
	if err != nil {
		t.Fatal(err)
	}
	if terms, _ := compile(&n); len(terms) != maxTerms {
		t.Errorf("%d terms of %d", len(terms), maxTerms)
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{
		"[domain-name:value='evil.example']", "[file:hashes.'SHA-256'='00'] OR [ipv4-addr:value ISSUBSET '192.0.2.0/24']",
		"([a:b NOT IN ('x', 1, t'2020')] FOLLOWEDBY [EXISTS a:b[*].'c d']) WITHIN 5 SECONDS", `[file:name='\'' AND file:parent_directory_ref.path='/x']`, "[(a:b=-1.5 OR a:b>=h'00')] // x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		start := time.Now()
		n, err := parsePattern(s)
		if err != nil {
			return
		}
		terms, problems := compile(&n)
		if len(terms) == 0 && len(problems) == 0 {
			t.Errorf("%q gives nothing and says nothing", s)
		}
		b := newBuilder()
		for _, x := range terms {
			if err := b.add(x.kind, x.value, entry{}); err != nil {
				continue
			}
			if !slices.Contains(kinds[:], kinds[b.x.entries[0].kind]) {
				t.Errorf("%v", b.x.entries[0])
			}
		}
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%d bytes took %s", len(s), d)
		}
	})
}
