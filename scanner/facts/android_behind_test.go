package facts

import (
	"slices"
	"testing"
	"time"
)

func TestOpenHolesAreThoseWhosePatchWasOut(t *testing.T) {
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, c := range []struct {
		level, seen   string
		open, notOpen []string
	}{
		{"2018-08-05", "2019-08-15", nil, []string{"CVE-2019-2215", "CVE-2025-38352"}}, // recorded before any was known
		{"2018-08-05", "2019-10-06", []string{"CVE-2019-2215"}, []string{"CVE-2021-0920"}},
		{"2025-09-01", "2025-10-01", []string{"CVE-2025-38352"}, []string{"CVE-2025-48543", "CVE-2024-53104"}},
		{"2025-09-05", "2025-10-01", nil, []string{"CVE-2025-38352"}},
		{"2026-05-05", "2026-06-01", []string{"CVE-2025-48595"}, []string{"CVE-2025-48633"}},
	} {
		got := openHoles(c.level, day(c.seen))
		for _, cve := range c.open {
			if !slices.Contains(got, cve) {
				t.Errorf("patch level %s, seen %s: %s is missing in %v", c.level, c.seen, cve, got)
			}
		}
		for _, cve := range c.notOpen {
			if slices.Contains(got, cve) {
				t.Errorf("patch level %s, seen %s: %s is no open hole", c.level, c.seen, cve)
			}
		}
	}
}

// The lists are written by hand: their dates must be dates, and in order.
func TestListsOfReleasesAndHolesAreInOrder(t *testing.T) {
	last := ""
	for _, h := range exploitedHoles {
		if _, err := time.Parse(time.DateOnly, h.level); err != nil || h.level < last {
			t.Errorf("%s: patch level %q is no date or stands behind a later one", h.cve, h.level)
		}
		last = h.level
	}
	sdk, last := 0, ""
	for _, r := range majorReleases {
		if _, err := time.Parse(time.DateOnly, r.out); err != nil || r.out <= last || r.sdk <= sdk {
			t.Errorf("API level %d of %q is no date or not in order", r.sdk, r.out)
		}
		sdk, last = r.sdk, r.out
	}
}

func TestReleasesBehindCountsThoseThatWereOut(t *testing.T) {
	seen := time.Date(2019, 8, 15, 0, 0, 0, 0, time.UTC)
	for sdk, want := range map[int]int{28: 0, 27: 1, 25: 2, 18: 5, 35: 0} {
		if got := releasesBehind(sdk, seen); got != want {
			t.Errorf("API level %d in August 2019: %d behind, want %d", sdk, got, want)
		}
	}
	if got := releasesBehind(28, seen.AddDate(5, 0, 0)); got != 5 {
		t.Errorf("API level 28 in August 2024: %d behind, want 5", got)
	}
}
