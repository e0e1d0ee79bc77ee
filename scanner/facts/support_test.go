package facts

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestSupportTableIsWellFormed(t *testing.T) {
	t.Parallel()
	id, version := regexp.MustCompile(`^[a-z][a-z0-9_-]*$`), regexp.MustCompile(`^\d+(\.\d+)*$`)
	seen := map[string]bool{}
	n := 0
	for line := range strings.Lines(supportTable) {
		n++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 3 || len(f) > 4 || !id.MatchString(f[0]) || !version.MatchString(f[1]) || seen[f[0]+" "+f[1]] {
			t.Errorf("support.txt:%d: %q", n, line)
			continue
		}
		seen[f[0]+" "+f[1]] = true
		for i, d := range f[2:] {
			if _, err := time.Parse(time.DateOnly, d); err != nil || i > 0 && d <= f[2] {
				t.Errorf("support.txt:%d: date %s", n, d)
			}
		}
	}
	if len(seen) < 150 {
		t.Errorf("%d releases", len(seen))
	}
	for other, same := range sameReleases {
		if !strings.Contains(supportTable, "\n"+same+" ") {
			t.Errorf("%s follows %s, which is not in support.txt", other, same)
		}
	}
}

func TestSupportOfARelease(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{
		"debian 12.7": "2026-06-10 2028-06-30", "raspbian 11": "2024-08-14 2026-08-31", "alpine 3.11.5": "2021-11-01 ", "alpine 3.1.4": "2016-11-01 ",
		"openwrt 24.10.5": "2026-09-30 ", "lede 17.01.4": "2019-02-01 ", "rhel 9.4": "2032-05-31 2035-05-31", "sles 15.6": "2025-12-31 2028-12-31",
		"sles 15": " ", "sled 15.5": "2024-12-31 2027-12-31", "amzn 2018.03": "2020-12-31 2023-12-31", "amzn 2": "2026-06-30 ", "amzn 2023": "2029-06-30 ",
		"postmarketos 25.12": "2026-07-31 ", "acme 1": " ", "debian ": " ", "# 1": " ",
	} {
		id, version, _ := strings.Cut(release, " ")
		if end, lts := support(id, version); end+" "+lts != want {
			t.Errorf("%s: %s %s, want %s", release, end, lts, want)
		}
	}
}
