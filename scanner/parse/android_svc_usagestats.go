package parse

import (
	"strconv"
	"strings"
	"time"
)

// AppUsage is when a package was last in use.
type AppUsage struct {
	User    int
	Package string
	Last    time.Time // device's wall clock, as if it were UTC
	Line    int       // 1-based, of the latest mention
}

// UsageEvent is one event of the last day. Which screen was open, shortcuts and locales are dropped.
type UsageEvent struct {
	User    int
	Package string
	Type    string // ACTIVITY_RESUMED, NOTIFICATION_INTERRUPTION, FOREGROUND_SERVICE_START, ...
	Time    time.Time
	Line    int
}

const (
	maxUsages      = 50000
	maxUsageEvents = 100000
)

// UsageStats reads dumpsys usagestats of Android 5 to 16.
func UsageStats(b []byte) (usage []AppUsage, events []UsageEvent, err error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, nil, err
	}
	type key struct {
		user int
		pkg  string
	}
	at := map[key]int{}
	user, known := 0, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(text, "user="); ok && indent(line) == 0 {
			known = true
			user, _ = strconv.Atoi(strings.TrimSpace(id))
			return
		}
		if strings.HasPrefix(text, "package=") {
			pkg := valueOf(text, "package")
			last := time.Time{}
			for _, name := range []string{"lastTime", "lastTimeUsed", "lastTimeVisible", "lastTimeComponentUsed"} {
				if t, ok := wallClock(valueOf(text, name)); ok && t.After(last) {
					last = t
				}
			}
			if last.Year() < 2008 || !isPackage(pkg) { // never used is printed as 1970
				return
			}
			k := key{user, pkg}
			i, seen := at[k]
			if !seen {
				if len(usage) >= maxUsages {
					return
				}
				i, at[k] = len(usage), len(usage)
				usage = append(usage, AppUsage{User: user, Package: pkg})
			}
			if last.After(usage[i].Last) {
				usage[i].Last, usage[i].Line = last, n
			}
			return
		}
		if strings.HasPrefix(text, "time=") && len(events) < maxUsageEvents {
			t, ok := wallClock(valueOf(text, "time"))
			e := UsageEvent{User: user, Package: valueOf(text, "package"), Type: valueOf(text, "type"), Time: t, Line: n}
			if ok && isPackage(e.Package) && e.Type != "" && len(e.Type) <= 60 {
				events = append(events, e)
			}
		}
	})
	if !known {
		return nil, nil, ErrOtherFormat
	}
	return usage, events, nil
}
