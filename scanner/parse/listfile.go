package parse

import "strings"

// ListItem is one item of a file that lists things.
type ListItem struct {
	Text string
	Line int // 1-based
}

// ListFile reads files of plain lines with # comments. separators, when not empty, are bytes
// that separate several items of one line.
func ListFile(b []byte, separators string) (items []ListItem) {
	lines(b, func(n int, line string) {
		if i := strings.IndexByte(line, '#'); i >= 0 {
			line = line[:i]
		}
		for _, f := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(separators, r) }) {
			if f = strings.TrimSpace(f); f != "" {
				items = append(items, ListItem{f, n})
			}
		}
	})
	return items
}
