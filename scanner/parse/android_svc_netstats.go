package parse

import (
	"slices"
	"strconv"
	"strings"
)

// AppTraffic is what one uid sent and received, as far as the output goes back.
type AppTraffic struct {
	UID      int
	Received int64 // bytes
	Sent     int64
}

// AppTraffics reads the uid statistics in dumpsys netstats detail of Android 4.4 to 16. Without
// "detail" Android leaves them out: then the result is nil without an error.
func AppTraffics(b []byte) ([]AppTraffic, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	sums := map[int]*AppTraffic{}
	known, part := false, false
	var at *AppTraffic
	serviceText(b, func(_ int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case indent(line) == 0 && strings.HasSuffix(text, ":"):
			known = known || strings.HasPrefix(text, "Active interfaces") || strings.HasPrefix(text, "Dev stats")
			part, at = text == "UID stats:", nil
		case !part:
		case strings.Contains(text, " uid=") && strings.Contains(text, " tag="):
			at = nil
			tail := text[strings.LastIndex(text, " uid="):] // a network's name comes before it
			uid, err := strconv.Atoi(valueOf(tail, "uid"))
			if err != nil || valueOf(tail, "tag") != "0x0" || len(sums) >= 20000 {
				return
			}
			if at = sums[uid]; at == nil {
				at = &AppTraffic{UID: uid}
				sums[uid] = at
			}
		case at != nil:
			at.Received = saturate(at.Received, valueOf(text, "rb"), valueOf(text, "rxBytes"))
			at.Sent = saturate(at.Sent, valueOf(text, "tb"), valueOf(text, "txBytes"))
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	var all []AppTraffic
	for _, t := range sums {
		all = append(all, *t)
	}
	slices.SortFunc(all, func(a, b AppTraffic) int { return a.UID - b.UID })
	return all, nil
}

// saturate adds the numbers that are there, up to the largest.
func saturate(sum int64, values ...string) int64 {
	for _, v := range values {
		if n, ok := Decimal([]byte(v)); ok {
			if sum+n < sum {
				return 1<<63 - 1
			}
			sum += n
		}
	}
	return sum
}
