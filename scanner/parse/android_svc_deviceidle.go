package parse

import "strings"

// PowerExemption is a package that battery saving leaves alone.
type PowerExemption struct {
	Package string
	By      string // system, system-excidle (not in deep idle), user
	Line    int    // 1-based
}

// PowerExemptions reads dumpsys deviceidle of Android 6 to 16 and what cmd deviceidle whitelist
// prints.
func PowerExemptions(b []byte) ([]PowerExemption, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []PowerExemption
	known, by := false, ""
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		low := strings.ToLower(text)
		if f := strings.Split(text, ","); len(f) == 3 && (f[0] == "system" || f[0] == "system-excidle" || f[0] == "user") && isPackage(f[1]) {
			known = true
			if len(all) < 20000 {
				all = append(all, PowerExemption{Package: f[1], By: f[0], Line: n})
			}
			return
		}
		if strings.HasPrefix(text, "mLightEnabled=") || strings.HasPrefix(text, "mEnabled=") || text == "Settings:" && indent(line) == 2 {
			known = true
		}
		if strings.HasSuffix(text, ":") {
			by = ""
			if strings.HasPrefix(low, "whitelist ") || strings.HasPrefix(low, "allowlist ") {
				known = true
				by = map[string]string{"(except idle) system apps:": "system-excidle", "system apps:": "system", "user apps:": "user"}[low[len("whitelist "):]]
			}
			return
		}
		if indent(line) < 4 {
			by = ""
		}
		if by != "" && isPackage(text) && len(all) < 20000 {
			all = append(all, PowerExemption{Package: text, By: by, Line: n})
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
