package parse

import (
	"strconv"
	"strings"
)

// CompatOverride is a behaviour that was switched for one package by hand, over adb or by a
// developer's app.
type CompatOverride struct {
	Change  int64
	Name    string // DOWNSCALED, ...; empty when the change has none
	Package string
	Enabled bool
	Line    int // 1-based
}

// CompatOverrides reads dumpsys platform_compat of Android 11 to 16: one "ChangeId(1; name=N;
// packageOverrides={a.b=true}; rawOverrides={...})" a line.
func CompatOverrides(b []byte) ([]CompatOverride, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []CompatOverride
	known := false
	serviceText(b, func(n int, line string) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "ChangeId(")
		if !ok {
			return
		}
		known = true
		number, rest, _ := strings.Cut(rest, ";")
		id, err := strconv.ParseInt(strings.TrimRight(number, ")"), 10, 64)
		if err != nil {
			return
		}
		name, _ := between(rest, "name=", ";")
		seen := map[string]bool{}
		for _, list := range []string{"packageOverrides={", "rawOverrides={"} {
			in, ok := between(rest, list, "}")
			if !ok {
				continue
			}
			for _, pair := range strings.Split(in, ",") {
				pkg, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
				if ok && isPackage(pkg) && !seen[pkg] && (value == "true" || value == "false") && len(all) < 20000 {
					seen[pkg] = true
					all = append(all, CompatOverride{Change: id, Name: clip(strings.TrimSuffix(strings.TrimSpace(name), ")"), 120), Package: pkg, Enabled: value == "true", Line: n})
				}
			}
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
