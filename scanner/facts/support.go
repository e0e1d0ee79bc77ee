package facts

import (
	_ "embed"
	"strings"
	"time"

	"picket/scanner"
)

// supportTable is support.txt: until when releases get updates.
//
//go:embed support.txt
var supportTable string

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
