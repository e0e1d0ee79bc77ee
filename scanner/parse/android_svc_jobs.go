package parse

import (
	"slices"
	"strings"
)

// AppJobs is how many jobs an app has registered.
type AppJobs struct {
	UID  int
	Jobs int
}

// JobCounts reads the registered jobs in dumpsys jobscheduler of Android 5 to 16, by uid.
func JobCounts(b []byte) ([]AppJobs, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	counts := map[int]int{}
	known, registered := false, false
	serviceText(b, func(_ int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "Registered ") && strings.HasSuffix(text, ":"), text == "Registered jobs:":
			known, registered = true, true
		case indent(line) == 0 && text != "":
			registered = false
		case registered && strings.HasPrefix(text, "JOB #"):
			uid, _, _ := strings.Cut(strings.TrimPrefix(text, "JOB #"), "/")
			if id, ok := AndroidUID(uid); ok && (len(counts) < 20000 || counts[id] > 0) {
				counts[id]++
			}
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	all := make([]AppJobs, 0, len(counts))
	for uid, n := range counts {
		all = append(all, AppJobs{UID: uid, Jobs: n})
	}
	slices.SortFunc(all, func(a, b AppJobs) int { return a.UID - b.UID })
	return all, nil
}
