package parse

import "strings"

// SSHDLine is one keyword of sshd_config(5).
type SSHDLine struct {
	Keyword string // lower case
	Value   string // arguments, parted by one blank
	Line    int    // 1-based
}

// SSHDConfig reads an sshd_config file into its keywords, in order. Match and Include are
// keywords like others.
func SSHDConfig(b []byte) []SSHDLine {
	var out []SSHDLine
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || len(out) >= maxSettings {
			return
		}
		end := strings.IndexAny(line, " \t=\"")
		if end < 0 {
			end = len(line)
		}
		rest := strings.TrimLeft(line[end:], " \t")
		rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
		out = append(out, SSHDLine{strings.ToLower(line[:end]), strings.Join(words(rest), " "), n})
	})
	return out
}
