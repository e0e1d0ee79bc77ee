package indicators

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"picket/scanner"
)

// indexOf makes an index of kind=value lines.
func indexOf(tb testing.TB, lines ...string) *Index {
	tb.Helper()
	b := newBuilder()
	b.x.lists = []List{{Name: "test", Entries: map[scanner.IndicatorKind]int{}}}
	for _, l := range lines {
		kind, value, _ := strings.Cut(l, "=")
		if err := b.add(scanner.IndicatorKind(kind), value, entry{label: b.label("Name", scanner.ClassSpyware)}); err != nil {
			tb.Fatalf("%s: %v", l, err)
		}
	}
	return b.finish()
}

func TestMatch(t *testing.T) {
	t.Parallel()
	sha := strings.Repeat("ab", 32)
	x := indexOf(t,
		"package=com.evil.app", "certificate="+strings.ToUpper(sha), "file-hash="+sha[:40], "domain=evil.example", "domain=*.Star.Example.",
		"domain=198.51.100.7", "domain=other.example/drop", "url=https://User@Files.Example:443/a/b/#top", "url=http://files.example:8080/c?id=1", "url=hxxp://whole.example/",
		"url=http://[2001:db8::5]/x", "ip=192.0.2.0/24", "ip=192.0.2.9", "ip=2001:db8:1::/48", "process=shortd", "process=bh", "process=com.evil.longprocess", "process=verylongdaemonname",
		"file-name=evil.so", "file-name=/data/local/tmp/x/evil.bin", "file-path=/data/local/tmp/wd/", "property=sys.evil", "email=Bad@Mail.example")
	for _, c := range []struct {
		kind  scanner.IndicatorKind
		value string
		want  string // values, "~" before the weak
	}{
		{"package", "com.evil.app", "com.evil.app"},
		{"package", "com.evil.app2", ""}, {"package", "com.evil", ""}, {"package", "Com.evil.app", ""}, {"package", "", ""},
		{"certificate", sha, sha}, {"certificate", strings.ToUpper(strings.Repeat("ab:", 31) + "ab"), sha},
		{"certificate", sha[:40], ""}, {"certificate", sha[:39], ""}, {"certificate", "zz", ""}, {"file-hash", sha, ""}, {"file-hash", strings.ToUpper(sha[:40]), sha[:40]},
		{"domain", "evil.example", "evil.example"}, {"domain", "A.B.EVIL.example.", "evil.example"}, {"domain", "notevil.example", ""}, {"domain", "example", ""},
		{"domain", "evil.example.org", ""}, {"domain", "x.star.example", "star.example"}, {"domain", "198.51.100.7", "198.51.100.7"}, {"domain", "192.0.2.200", "192.0.2.0/24"}, {"domain", "a b", ""}, {"domain", "..", ""},
		{"url", "http://files.example/a/b", "files.example/a/b"}, {"url", "https://FILES.example/a/b/c?d", "files.example/a/b"}, {"url", "files.example/a/b?x", "files.example/a/b"}, {"url", "https://files.example/a/b#x", "files.example/a/b"},
		{"url", "https://files.example/a/bc", ""}, {"url", "https://files.example/a&b", ""}, {"url", "https://files.example/A/b", ""}, {"url", "https://www.files.example/a/b", ""}, {"url", "https://files.example:8443/a/b", "files.example/a/b"},
		{"url", "https://files.example:8080/c?id=1&x=2", "files.example:8080/c?id=1"}, {"url", "https://files.example:8080/c?id=12", ""}, {"url", "https://files.example/c?id=1", ""},
		{"url", "https://whole.example/any/thing", "whole.example"}, {"url", "https://sub.evil.example/x", "evil.example"}, {"url", "http://192.0.2.9/", "192.0.2.0/24 192.0.2.9"},
		{"url", "http://[2001:DB8::5]:80/x/y", "2001:db8::5/x"}, {"url", "https://evil.example@good.example/", ""}, {"url", "https://other.example/drop", "other.example/drop"}, {"domain", "other.example", ""}, {"url", "://", ""}, {"url", "http://[::1", ""},
		{"ip", "192.0.2.9", "192.0.2.0/24 192.0.2.9"}, {"ip", "::ffff:192.0.2.9", "192.0.2.0/24 192.0.2.9"}, {"ip", "192.0.3.9", ""}, {"ip", "2001:db8:1:2::3", "2001:db8:1::/48"}, {"ip", "2001:db8:2::1", ""}, {"ip", "192.0.2.0/24", ""}, {"ip", "x", ""},
		{"process", "shortd", "shortd"}, {"process", "bh", "~bh"}, {"process", "shortdx", ""}, {"process", "com.evil.longprocess", "com.evil.longprocess"}, {"process", "com.evil.longpr", "~com.evil.longprocess"}, {"process", "vil.longprocess", "~com.evil.longprocess"},
		{"process", "verylongdaemonn", "~verylongdaemonname"}, {"process", "longdaemonname", ""}, {"process", "verylongdaemon", ""},
		{"file-name", "evil.so", "evil.so"}, {"file-name", "/vendor/lib/evil.so", "evil.so"}, {"file-name", "evil.so.1", ""}, {"file-name", "evil.bin", ""}, {"file-path", "/data/local/tmp/x/evil.bin", "/data/local/tmp/x/evil.bin"},
		{"file-path", "/data/local/tmp/wd", "/data/local/tmp/wd"}, {"file-path", "/data/local/tmp/wd/fs.db", "/data/local/tmp/wd"}, {"file-path", "/data/local/tmp/wdx", ""}, {"file-path", "/data/local/tmp", ""}, {"file-path", "data/local/tmp/wd", ""}, {"file-path", "/", ""},
		{"property", "sys.evil", "sys.evil"}, {"property", "sys.evil.x", ""}, {"email", "BAD@mail.EXAMPLE", "Bad@Mail.example"}, {"email", "x", ""}, {"unknown", "evil.so", ""},
	} {
		var have []string
		for _, m := range x.Match(c.kind, c.value) {
			if m.Weak {
				m.Value = "~" + m.Value
			}
			have = append(have, m.Value)
		}
		if got := strings.Join(have, " "); !strings.EqualFold(got, c.want) {
			t.Errorf("%s %q meets %q, want %q", c.kind, c.value, got, c.want)
		}
	}
}

// TestTooBroad holds the index to refusing what would match on every device, and to nothing more.
func TestTooBroad(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, value string
		broad       bool
	}{
		{"domain", "com", true}, {"domain", "co.uk", true}, {"domain", "*.com.br", true}, {"domain", "go.jp", true}, {"domain", "github.io", true}, {"domain", "firebaseio.com", true},
		{"domain", "s3.eu-central-1.amazonaws.com", true}, {"domain", "amazonaws.com", true}, {"domain", "localhost", true}, {"url", "https://github.io/", true}, {"url", "localhost/x", true},
		{"domain", "evil.co.uk", false}, {"domain", "x.github.io", false}, {"domain", "bucket.s3.eu-central-1.amazonaws.com", false}, {"domain", "go.example", false}, {"url", "https://github.com/who/what", false},
		{"ip", "127.0.0.1", true}, {"ip", "192.168.1.1", true}, {"ip", "10.0.0.0/8", true}, {"ip", "0.0.0.0/0", true}, {"ip", "8.0.0.0/7", true}, {"ip", "::1", true}, {"ip", "::ffff:127.0.0.1", true}, {"ip", "2000::/3", true}, {"url", "http://192.168.0.1/x", true},
		{"ip", "203.0.113.0/24", false}, {"ip", "8.8.8.8", false}, {"ip", "2001:db8::/32", false},
		{"process", "gatekeeperd", true}, {"process", "zygote64", true}, {"process", "roleaccountd", false}, {"package", "com.google.android.gms", true}, {"package", "com.google.android.gms.x", false},
		{"file-path", "/", true}, {"file-path", "/data/", true}, {"file-path", "/data/local/../local/tmp", true}, {"file-path", "/evil", false},
		{"file-hash", "d41d8cd98f00b204e9800998ecf8427e", true}, {"file-hash", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", true}, {"file-hash", strings.Repeat("0", 32), false},
	} {
		err := newBuilder().add(scanner.IndicatorKind(c.kind), c.value, entry{})
		if errors.Is(err, errBroad) != c.broad || err != nil && !c.broad {
			t.Errorf("%s %s: %v", c.kind, c.value, err)
		}
	}
	for _, l := range []string{"package=", "package=a b", "certificate=12", "certificate=xyz", "file-hash=" + strings.Repeat("a", 66), "domain=", "domain=a..b", "domain=b\u00fccher.example", "domain=evil[.]example",
		"domain=" + strings.Repeat("a", 64) + ".example", "url=http://", "url=http://a.example:x/", "ip=1.2.3", "ip=1.2.3.4/33", "file-name=a/b", "file-name=", "file-path=x", "email=a", "process=", "domain=" + strings.Repeat("a.", 200) + "b"} {
		kind, value, _ := strings.Cut(l, "=")
		if err := newBuilder().add(scanner.IndicatorKind(kind), value, entry{}); err == nil || errors.Is(err, errBroad) {
			t.Errorf("%s: %v", l, err)
		}
	}
}

func TestPublicKeysAreWeak(t *testing.T) {
	t.Parallel()
	x := indexOf(t, "certificate=61:ED:37:7E:85:D3:86:A8:DF:EE:6B:86:4B:D8:5B:0B:FA:A5:AF:81")
	if got := x.Match(scanner.IndicatorCertificate, "61ed377e85d386a8dfee6b864bd85b0bfaa5af81"); len(got) != 1 || !got[0].Weak {
		t.Errorf("%+v", got)
	}
}

// TestLookupsDoNotAllocate holds Match to no allocation for what meets nothing: it is asked for
// every package, file and address of a device.
func TestLookupsDoNotAllocate(t *testing.T) { // not parallel: it counts the process's allocations
	x := manyEntries(t)
	for _, kind := range Kinds() {
		value := cleanValue(kind)
		if len(x.Match(kind, value)) > 0 {
			t.Fatalf("%s %s is met", kind, value)
		}
		if n := testing.AllocsPerRun(100, func() { x.Match(kind, value) }); n > 0 {
			t.Errorf("%s: %.0f allocations", kind, n)
		}
	}
}

func cleanValue(kind scanner.IndicatorKind) string {
	switch kind {
	case scanner.IndicatorCertificate, scanner.IndicatorFileHash:
		return strings.Repeat("CD", 32)
	case scanner.IndicatorDomain:
		return "Deep.Name.Of.A.Host.Example"
	case scanner.IndicatorURL:
		return "https://host.example:8080/a/path/of/parts?and=a&query"
	case scanner.IndicatorIP:
		return "2001:db8:ffff::1"
	case scanner.IndicatorFilePath:
		return "/data/app/~~random==/com.good.app-1/lib/arm64/libgood.so"
	case scanner.IndicatorEmail:
		return "Good@Mail.example"
	}
	return "com.good.longer.name"
}

func manyEntries(tb testing.TB) *Index {
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("package=com.evil.n%d", i), fmt.Sprintf("domain=n%d.evil.example", i), fmt.Sprintf("url=http://n%d.evil.example/x", i), fmt.Sprintf("file-path=/data/evil/%d", i),
			fmt.Sprintf("file-hash=%064d", i), fmt.Sprintf("certificate=%040d", i), fmt.Sprintf("ip=203.%d.%d.0/24", i/256, i%256), fmt.Sprintf("process=evilprocess%08d", i), fmt.Sprintf("file-name=evil%d", i), fmt.Sprintf("property=evil.%d", i), fmt.Sprintf("email=n%d@evil.example", i))
	}
	return indexOf(tb, lines...)
}

func BenchmarkMatch(b *testing.B) {
	x := manyEntries(b)
	for _, kind := range Kinds() {
		value := cleanValue(kind)
		b.Run(string(kind), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Match(kind, value)
			}
		})
	}
}

func FuzzMatch(f *testing.F) {
	f.Add(byte(3), "a.b.example")
	f.Add(byte(4), "https://u@h.example:8080/a/b?c=d&e#f")
	f.Add(byte(5), "192.0.2.0/24")
	f.Add(byte(8), "/data//x/../y/")
	f.Fuzz(func(t *testing.T, k byte, value string) {
		kind := kinds[int(k)%len(kinds)]
		b := newBuilder()
		b.x.lists = []List{{Entries: map[scanner.IndicatorKind]int{}}}
		err := b.add(kind, value, entry{label: b.label("", "")})
		x := b.finish()
		x.Match(kind, value)
		if err != nil {
			return
		}
		for m := range x.All() {
			found := false
			for _, got := range x.Match(m.Kind, m.Value) {
				found = found || got == m
			}
			if !found && !strings.Contains(m.Value, "/") {
				t.Errorf("%s %q is not found by its own value %q", kind, value, m.Value)
			}
		}
	})
}
