package parse

import "testing"

func TestShortVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ manager, full, want string }{
		{"dpkg", "1:2.4.47-2+b1", "2.4.47"},
		{"dpkg", "5.2.15", "5.2.15"},
		{"dpkg", "2.36.1-8+deb12u1", "2.36.1"},
		{"dpkg", "1.2.13.dfsg-1", "1.2.13.dfsg"},
		{"dpkg", "4.17.12+dfsg-0+deb12u4", "4.17.12+dfsg"},
		{"dpkg", "3.0~rc1-1", "3.0~rc1"},
		{"dpkg", "2024-01-02-1", "2024-01-02"},
		{"dpkg", "1.0:2-1", "1.0:2"}, // no epoch: not a number
		{"dpkg", "-1", "-1"},
		{"dpkg", "", ""},
		{"apk", "1.1.24-r2", "1.1.24"},
		{"apk", "2.0_git20200101-r10", "2.0_git20200101"},
		{"apk", "1.0-rc1", "1.0-rc1"},
		{"apk", "20240101.120000", "20240101.120000"},
		{"rpm", "2:1.34-9.el8", "1.34"},
		{"pacman", "1:0.47.4-4", "0.47.4"},
		{"opkg", "1.36.1-r2", "1.36.1"},
		{"flatpak", "128.0-1", "128.0-1"},
		{"snap", "2.63+22.04", "2.63+22.04"},
	} {
		if got := ShortVersion(c.manager, c.full); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.manager, c.full, got, c.want)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0}, {"1.0", "1.0-0", 0}, {"0:1.0", "1.0", 0}, {"1.01", "1.1", 0}, {"", "", 0},
		{"1.0", "1.1", -1}, {"1.9", "1.10", -1}, {"2.0", "1:1.0", -1}, {"1.0~rc1", "1.0", -1}, {"1.0~~", "1.0~", -1}, {"1.0", "1.0a", -1},
		{"1.0a", "1.0+b", -1}, {"1.0-1", "1.0-1+deb12u1", -1}, {"5.2.15-2+b7", "5.2.15-2+b10", -1}, {"3.0.11-1~deb12u2", "3.0.11-1", -1},
		{"1.2-3-4", "1.2-4-1", -1}, {"", "0.1", -1}, {"1.36.1-r2", "1.36.1-r10", -1}, {"1.0", "1.0.", -1},
		{"99999999999999999999", "100000000000000000000", -1}, {"2024.01.01~abc", "2024.01.02", -1}, {"x:1", "1:1", -1},
	} {
		if got := CompareVersions(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
		if got := CompareVersions(c.b, c.a); got != -c.want {
			t.Errorf("%q and %q: %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1:2.4.47-2+b1", "1:2.4.47-2", "3.0~rc1")
	f.Add("1.0", "1.0.", "~")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc := CompareVersions(a, b), CompareVersions(b, c)
		if ab != -CompareVersions(b, a) || CompareVersions(a, a) != 0 {
			t.Errorf("%q and %q have no order", a, b)
		}
		if ab <= 0 && bc <= 0 && CompareVersions(a, c) > 0 {
			t.Errorf("%q <= %q <= %q, but not the first and the last", a, b, c)
		}
	})
}
