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
