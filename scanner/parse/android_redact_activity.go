package parse

import "strings"

// redactActivity leaves which processes and services run. A bug report's dump of the activity manager
// has what people do in their apps besides: the pages, numbers and files that are open.
func redactActivity() func(int, string) string {
	part := ""
	return func(_ int, line string) string {
		text, depth := strings.TrimSpace(line), indent(line)
		switch {
		case strings.HasPrefix(text, "ACTIVITY MANAGER "):
			part = ""
			for _, p := range []string{"ACTIVITY MANAGER RUNNING PROCESSES", "ACTIVITY MANAGER SERVICES"} {
				if strings.HasPrefix(text, p) {
					part = p
				}
			}
			if part == "" {
				return "ACTIVITY MANAGER x"
			}
			return line[:depth] + part
		case text == "":
			return line
		case part == "":
			return ""
		case strings.HasPrefix(text, "*APP* UID "), strings.HasPrefix(text, "*PERS* UID "), strings.HasPrefix(text, "* ServiceRecord{"):
			return line
		case depth <= 2:
			return "-"
		case strings.HasPrefix(text, "app=ProcessRecord{"):
			return line
		}
		out := line[:depth] + "x"
		if in, ok := between(text, "packageList={", "}"); ok {
			out += " packageList={" + in + "}"
		}
		for _, key := range []string{"curProcState", "mCurProcState", "foregroundServices", "hasForegroundServices", "mHasForegroundServices", "isForeground", "startRequested"} {
			if v := valueOf(text, key); v == "true" || v != "" && strings.Trim(v, "-0123456789") == "" {
				out += " " + key + "=" + v
			}
		}
		return out
	}
}
