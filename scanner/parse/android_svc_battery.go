package parse

import (
	"strconv"
	"strings"
	"time"
)

// PackageUpdate is one line of the package changes that the battery service remembers per day.
// It outlives the package: an app that was installed and removed again still shows here.
type PackageUpdate struct {
	From, To time.Time // the day's span, device's wall clock as if it were UTC; zero when not printed (today's has no end)
	Package  string
	Version  int64 // version code; 0 for a removal
	Removed  bool
	Down     bool // lower than the one of the same package before it in time
	Line     int  // 1-based
}

// maxUpdates bounds the changes kept.
const maxUpdates = 100000

// BatteryUpdates reads the daily part of dumpsys batterystats, and of batterystats --daily
// (Android 6 to 16). Of the rest of that output nothing is kept.
func BatteryUpdates(b []byte) ([]PackageUpdate, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []PackageUpdate
	var from, to time.Time
	known, daily, changes := false, false, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		known = known || strings.HasPrefix(text, "Battery History") || strings.HasPrefix(text, "Statistics since") || strings.HasPrefix(text, "Daily stats:")
		switch {
		case text == "Daily stats:":
			daily, changes, from, to = true, false, time.Time{}, time.Time{}
		case indent(line) == 0 && text != "":
			daily = false
		case !daily:
		case strings.HasPrefix(text, "Current start time: "):
			from, _ = wallClock(strings.TrimPrefix(text, "Current start time: "))
			to, changes = time.Time{}, false
		case strings.HasPrefix(text, "Daily from "):
			a, z, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(text, "Daily from "), ":"), " to ")
			from, _ = wallClock(a)
			to, _ = wallClock(z)
			changes = false
		case text == "Package changes:":
			changes = true
		case strings.HasSuffix(text, ":"):
			changes = false
		case changes && len(all) < maxUpdates:
			if u, ok := packageUpdate(text); ok {
				u.From, u.To, u.Line = from, to, n
				all = append(all, u)
			}
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	markDowngrades(all)
	return all, nil
}

// packageUpdate reads "Update com.example vers=12" and "Uninstalled: com.example".
func packageUpdate(text string) (u PackageUpdate, ok bool) {
	f := strings.Fields(text)
	switch {
	case len(f) == 3 && f[0] == "Update" && strings.HasPrefix(f[2], "vers="):
		v, err := strconv.ParseInt(f[2][len("vers="):], 10, 64)
		u = PackageUpdate{Package: f[1], Version: v, Removed: v == 0}
		return u, err == nil && v >= 0 && isPackage(f[1])
	case len(f) == 2 && (f[0] == "Uninstall" || f[0] == "Uninstalled:" || f[0] == "Removed"):
		return PackageUpdate{Package: f[1], Removed: true}, isPackage(f[1])
	}
	return u, false
}

// markDowngrades goes through the days from the oldest on: the output has today first, then the
// days from the newest to the oldest, and within a day the changes in their order.
func markDowngrades(all []PackageUpdate) {
	last := map[string]int64{}
	for end := len(all); end > 0; {
		start := end - 1
		for start > 0 && all[start-1].From.Equal(all[end-1].From) && all[start-1].To.Equal(all[end-1].To) {
			start--
		}
		for i := start; i < end; i++ {
			u := &all[i]
			if u.Removed {
				continue // what comes after a removal is compared with what was there before it
			}
			if v, ok := last[u.Package]; ok && u.Version < v {
				u.Down = true
			}
			last[u.Package] = u.Version
		}
		end = start
	}
}
