package parse

import "strings"

// OSRelease reads os-release(5) and files like it (/etc/openwrt_release): KEY=VALUE lines in
// shell quoting. Lines of another form are passed over, as the format asks.
func OSRelease(b []byte) map[string]string {
	out := map[string]string{}
	lines(b, func(_ int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			return
		}
		if k, v, ok := strings.Cut(line, "="); ok && len(out) < 200 {
			out[strings.TrimSpace(k)] = unquote(strings.TrimSpace(v))
		}
	})
	return out
}

// unquote takes shell quotes and backslashes off a word.
func unquote(s string) string {
	if len(s) >= 2 && s[0] == '\'' && s[len(s)-1] == '\'' {
		return s[1 : len(s)-1]
	}
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
