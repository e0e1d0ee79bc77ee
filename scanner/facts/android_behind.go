package facts

import "time"

// exploitedHole is a vulnerability of Android that its security bulletins or CISA's list of known
// exploited vulnerabilities say is used by attackers, with the patch level that mends it. Holes of
// single chips are left out: the patch level does not tell which one a device has.
type exploitedHole struct{ cve, level string }

// exploitedHoles are in the order of their patch levels. Where a bulletin has two or three levels,
// the first has the holes of the framework and the system, the later ones those of the kernel.
var exploitedHoles = []exploitedHole{
	{"CVE-2019-2215", "2019-10-06"}, {"CVE-2021-0920", "2021-11-05"}, {"CVE-2021-1048", "2021-11-06"}, {"CVE-2023-20963", "2023-03-01"}, {"CVE-2023-0266", "2023-05-05"},
	{"CVE-2023-35674", "2023-09-01"}, {"CVE-2024-36971", "2024-08-05"}, {"CVE-2024-32896", "2024-09-01"}, {"CVE-2024-43093", "2024-11-01"}, {"CVE-2024-53104", "2025-02-05"},
	{"CVE-2024-50302", "2025-03-05"}, {"CVE-2024-53150", "2025-04-05"}, {"CVE-2024-53197", "2025-04-05"}, {"CVE-2025-27363", "2025-05-01"}, {"CVE-2025-48543", "2025-09-01"},
	{"CVE-2025-38352", "2025-09-05"}, {"CVE-2025-48572", "2025-12-01"}, {"CVE-2025-48633", "2025-12-01"}, {"CVE-2025-48595", "2026-06-01"},
}

// openHoles gives the vulnerabilities that a patch level (YYYY-MM-DD) leaves open, of those whose
// patch was out when the device was seen.
func openHoles(level string, now time.Time) []string {
	var out []string
	for _, h := range exploitedHoles {
		if days, ok := daysSince(h.level, now); ok && days >= 0 && level < h.level {
			out = append(out, h.cve)
		}
	}
	return out
}

// majorReleases are the first API levels of yearly releases, with the day on which each came out.
var majorReleases = []struct {
	sdk int
	out string
}{
	{14, "2011-10-18"}, {21, "2014-11-12"}, {23, "2015-10-05"}, {24, "2016-08-22"}, {26, "2017-08-21"}, {28, "2018-08-06"}, {29, "2019-09-03"},
	{30, "2020-09-08"}, {31, "2021-10-04"}, {33, "2022-08-15"}, {34, "2023-10-04"}, {35, "2024-09-03"}, {36, "2025-06-10"}, {37, "2026-06-16"},
}

// releasesBehind counts the yearly releases newer than an API level that were out at a time.
func releasesBehind(sdk int, now time.Time) int {
	n := 0
	for _, r := range majorReleases {
		if days, ok := daysSince(r.out, now); ok && days >= 0 && r.sdk > sdk {
			n++
		}
	}
	return n
}
