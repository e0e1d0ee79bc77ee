package parse

import (
	"net/url"
	"strings"
	"testing"
)

func TestPURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		purl PURL
		want string
	}{
		{PURL{Type: "deb", Namespace: "debian", Name: "attr", Version: "1:2.4.47-2+b1",
			Qualifiers: [][2]string{{"arch", "amd64"}, {"distro", "debian-12"}}},
			"pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=amd64&distro=debian-12"},
		{PURL{Type: "deb", Name: "g++", Version: "4:12.2~rc1", Qualifiers: [][2]string{{"arch", ""}, {"distro", "x y"}}},
			"pkg:deb/g%2B%2B@4:12.2~rc1?distro=x%20y"},
		{PURL{Type: "golang", Namespace: "github.com/a b", Name: "c"}, "pkg:golang/github.com/a%20b/c"},
		{PURL{Type: "generic", Name: "a/b@c?d#e%f", Version: "1@2"}, "pkg:generic/a%2Fb%40c%3Fd%23e%25f@1%402"},
		{PURL{Type: "generic", Name: "ü"}, "pkg:generic/%C3%BC"},
	} {
		if got := c.purl.String(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func FuzzPURL(f *testing.F) {
	f.Add("debian", "g++", "1:2~3+b1", "amd64")
	f.Add("a/b", "c@d", "?&=#%", "")
	f.Fuzz(func(t *testing.T, namespace, name, version, arch string) {
		s := PURL{Type: "deb", Namespace: namespace, Name: name, Version: version, Qualifiers: [][2]string{{"arch", arch}}}.String()
		rest, query, _ := strings.Cut(s, "?")
		_, last, _ := strings.Cut(rest[strings.LastIndexByte(rest, '/'):], "/")
		gotName, gotVersion, _ := strings.Cut(last, "@")
		for _, part := range [][2]string{{gotName, name}, {gotVersion, version}, {strings.TrimPrefix(query, "arch="), arch}} {
			if back, err := url.PathUnescape(part[0]); err != nil || back != part[1] {
				t.Errorf("%s: %q does not decode to %q: %q, %v", s, part[0], part[1], back, err)
			}
		}
	})
}
