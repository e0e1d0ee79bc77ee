package facts

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

func TestPendingUpdates(t *testing.T) {
	t.Parallel()
	const installed = `-- etc/os-release --
ID=debian
-- var/lib/dpkg/status --
Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.16-1~deb12u1

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: tzdata
Status: install ok installed
Architecture: all
Version: 2025b-0+deb12u1

Package: libc6
Status: install ok installed
Architecture: i386
Version: 2.36-9

`
	const list = "-- var/lib/apt/lists/deb.example_debian-security_dists_bookworm-security_main_binary-amd64_Packages --\n"
	const newer = list + `Package: openssl
Architecture: amd64
Version: 3.0.16-1~deb12u2
Description: x

Package: gone
Architecture: amd64
Version: 2

Package: libc6
Architecture: amd64
Version: 2.36-10

`
	opkg := "-- etc/openwrt_release --\nDISTRIB_ID='OpenWrt'\nDISTRIB_RELEASE='23.05.3'\n-- usr/lib/opkg/status --\nPackage: dropbear\nVersion: 2022.82-5\nStatus: install user installed\nArchitecture: mips_24kc\n\n"
	feed := base64.StdEncoding.EncodeToString(gzipped(t, "Package: dropbear\nVersion: 2022.82-6\nArchitecture: mips_24kc\n\n"))
	for name, tc := range map[string]struct{ tree, want string }{
		"no lists":         {installed, "-1 []"},
		"nothing newer":    {installed + list + "Package: openssl\nArchitecture: amd64\nVersion: 3.0.16-1~deb12u1\n\n", "0 []"},
		"one is newer":     {installed + newer, "1 [openssl]"},
		"other suites":     {installed + strings.ReplaceAll(newer, "security", "updates"), "-1 []"},
		"compressed":       {installed + strings.Replace(newer, "_Packages", "_Packages.lz4", 1), "-1 [] unread"},
		"unreadable":       {installed + strings.Replace(newer, "_Packages --", "_Packages denied --", 1), "0 [] unread"},
		"opkg, a gzip":     {opkg + "-- var/opkg-lists/base base64 --\n" + feed + "\n-- var/opkg-lists/base.sig --\nx\n", "1 [dropbear]"},
		"opkg, half of it": {opkg + "-- var/opkg-lists/base base64 --\n" + feed[:40] + "\n", "0 [] unread"},
	} {
		tab := collectLive(t, "updates", tc.tree)
		u := tab.Rows.([]UpdateState)[0]
		got := fmt.Sprint(u.Pending, " ", u.PendingNames)
		if u.Unread.Unread["pending"] != "" {
			got += " unread"
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s (%v)", name, got, tc.want, tab.Partial)
		}
	}
}
