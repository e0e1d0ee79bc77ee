package facts

import (
	"strings"
	"time"

	"picket/scanner"
)

// supportTable says until when releases get free security updates, and then, where it is
// offered, long-term or paid ones: os-release ID, version (a prefix by components), end, end
// of long-term support. The dates are those that each distribution publishes.
const supportTable = `
debian 4 2010-02-15
debian 5 2012-02-06
debian 6 2014-05-31 2016-02-29
debian 7 2016-04-25 2018-05-31
debian 8 2018-06-17 2020-06-30
debian 9 2020-07-18 2022-06-30
debian 10 2022-09-10 2024-06-30
debian 11 2024-08-14 2026-08-31
debian 12 2026-06-10 2028-06-30
debian 13 2028-08-09 2030-06-30
ubuntu 12.04 2017-04-28 2019-04-26
ubuntu 14.04 2019-04-02 2024-04-02
ubuntu 16.04 2021-04-02 2026-04-02
ubuntu 16.10 2017-07-20
ubuntu 17.04 2018-01-13
ubuntu 17.10 2018-07-19
ubuntu 18.04 2023-05-31 2028-04-01
ubuntu 18.10 2019-07-18
ubuntu 19.04 2020-01-23
ubuntu 19.10 2020-07-06
ubuntu 20.04 2025-05-31 2030-04-02
ubuntu 20.10 2021-07-22
ubuntu 21.04 2022-01-20
ubuntu 21.10 2022-07-14
ubuntu 22.04 2027-04-01 2032-04-09
ubuntu 22.10 2023-07-20
ubuntu 23.04 2024-01-20
ubuntu 23.10 2024-07-12
ubuntu 24.04 2029-05-31 2036-05-31
ubuntu 24.10 2025-07-10
ubuntu 25.04 2026-01-17
ubuntu 25.10 2026-07-01
ubuntu 26.04 2031-04-30 2036-04-30
alpine 2 2016-11-01
alpine 3.0 2016-05-01
alpine 3.1 2016-11-01
alpine 3.2 2017-05-01
alpine 3.3 2017-11-01
alpine 3.4 2018-05-01
alpine 3.5 2018-11-01
alpine 3.6 2019-05-01
alpine 3.7 2019-11-01
alpine 3.8 2020-05-01
alpine 3.9 2020-11-01
alpine 3.10 2021-05-01
alpine 3.11 2021-11-01
alpine 3.12 2022-05-01
alpine 3.13 2022-11-01
alpine 3.14 2023-05-01
alpine 3.15 2023-11-01
alpine 3.16 2024-05-23
alpine 3.17 2024-11-22
alpine 3.18 2025-05-09
alpine 3.19 2025-11-01
alpine 3.20 2026-04-01
alpine 3.21 2026-11-01
alpine 3.22 2027-05-01
alpine 3.23 2027-11-01
openwrt 15.05 2016-12-31
openwrt 17.01 2019-02-01
openwrt 18.06 2021-07-01
openwrt 19.07 2022-04-30
openwrt 21.02 2023-04-30
openwrt 22.03 2024-04-11
openwrt 23.05 2025-08-16
fedora 30 2020-05-26
fedora 31 2020-11-24
fedora 32 2021-05-25
fedora 33 2021-11-30
fedora 34 2022-06-07
fedora 35 2022-12-13
fedora 36 2023-05-16
fedora 37 2023-12-05
fedora 38 2024-05-21
fedora 39 2024-11-26
fedora 40 2025-05-13
fedora 41 2025-12-15
fedora 42 2026-05-13
fedora 43 2026-12-09
rhel 6 2020-11-30 2024-06-30
rhel 7 2024-06-30 2028-06-30
rhel 8 2029-05-31 2032-05-31
rhel 9 2032-05-31 2035-05-31
rhel 10 2035-05-31 2038-05-31
centos 6 2020-11-30
centos 7 2024-06-30
centos 8 2021-12-31
centos 9 2027-05-31
centos 10 2030-01-01
rocky 8 2029-05-31
rocky 9 2032-05-31
rocky 10 2035-05-31
almalinux 8 2029-03-01
almalinux 9 2032-05-31
almalinux 10 2035-05-31
ol 7 2024-12-31 2028-06-30
ol 8 2029-07-31 2032-07-31
ol 9 2032-06-30 2035-06-30
amzn 1 2020-12-31 2023-12-31
amzn 2 2026-06-30
amzn 2023 2029-06-30
sles 11 2019-03-31 2022-03-31
sles 12.3 2019-06-30 2022-06-30
sles 12.4 2020-06-30 2023-06-30
sles 12.5 2024-10-31 2027-10-31
sles 15.1 2021-01-31 2024-01-31
sles 15.2 2021-12-31 2024-12-31
sles 15.3 2022-12-31 2025-12-31
sles 15.4 2023-12-31 2026-12-31
sles 15.5 2024-12-31 2027-12-31
sles 15.6 2025-12-31 2028-12-31
sles 15.7 2031-07-31 2034-07-31
opensuse-leap 42 2019-07-01
opensuse-leap 15.0 2019-12-03
opensuse-leap 15.1 2021-02-02
opensuse-leap 15.2 2022-01-04
opensuse-leap 15.3 2022-12-31
opensuse-leap 15.4 2023-12-07
opensuse-leap 15.5 2024-12-31
opensuse-leap 15.6 2026-04-30
opensuse-leap 16.0 2027-10-31
postmarketos 20.05 2021-06-01
postmarketos 21.03 2021-08-01
postmarketos 21.06 2022-02-01
postmarketos 21.12 2022-07-12
postmarketos 22.06 2023-01-18
postmarketos 22.12 2023-07-07
postmarketos 23.06 2024-01-18
postmarketos 23.12 2024-07-16
postmarketos 24.06 2025-01-23
postmarketos 24.12 2025-07-22
postmarketos 25.06 2026-01-20
`

// sameReleases are distributions that follow the releases of another one.
var sameReleases = map[string]string{"raspbian": "debian", "sled": "sles", "sles_sap": "sles", "suse-microos": "sles", "lede": "openwrt"}

// rolling are distributions without releases.
var rolling = []string{"arch", "archarm", "manjaro", "manjaro-arm", "endeavouros", "opensuse-tumbleweed", "void", "gentoo", "kali", "solus", "steamos"}

// support gives the ends of support of a release, as YYYY-MM-DD; "" is unknown.
func support(id, version string) (end, lts string) {
	if same := sameReleases[id]; same != "" {
		id = same
	}
	longest := 0
	for line := range strings.Lines(supportTable) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != id || len(f[1]) <= longest || !sameRelease(version, f[1]) {
			continue
		}
		longest, end, lts = len(f[1]), f[2], ""
		if len(f) > 3 {
			lts = f[3]
		}
	}
	return end, lts
}

// sameRelease reports whether version is release or a part of it: 3.11.5 is of 3.11, 3.1 is not.
func sameRelease(version, release string) bool {
	rest, ok := strings.CutPrefix(version, release)
	return ok && (rest == "" || rest[0] < '0' || rest[0] > '9')
}

// setSupport fills in what is known of the support of a row's release.
func setSupport(row *scanner.OS, now time.Time) {
	end, lts := support(row.ID, row.Version)
	if row.SupportEnd == "" {
		row.SupportEnd = end
	}
	row.LTSEnd = lts
	row.DaysPast, row.LTSPast = daysPast(row.SupportEnd, now), daysPast(row.LTSEnd, now)
}

// daysPast gives the days from a date to now; 0 when the date is unknown.
func daysPast(date string, now time.Time) int {
	d, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return 0
	}
	return int(now.Sub(d).Hours()) / 24
}
