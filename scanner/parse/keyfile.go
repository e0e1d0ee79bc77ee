package parse

import "bytes"

// Keyfile hands each "key=value" of a GLib key file (desktop entries, Flatpak metadata, OSTree
// configuration) to yield, with the name of the group it stands in. Blanks around the parts
// are off; escapes in values stay.
func Keyfile(b []byte, c *Complaints, yield func(group, key, value []byte)) {
	var group []byte
	eachLine(b, func(text []byte, line int) bool {
		text = bytes.TrimSpace(text)
		switch n := len(text); {
		case n == 0 || text[0] == '#':
		case text[0] == '[':
			if text[n-1] != ']' {
				c.Add(line, "a group without an end")
				return true
			}
			group = text[1 : n-1]
		default:
			key, value, ok := bytes.Cut(text, []byte{'='})
			if !ok || group == nil {
				c.Add(line, "not a key in a group")
				return true
			}
			yield(group, bytes.TrimSpace(key), bytes.TrimSpace(value))
		}
		return true
	})
}
