package parse

import "bytes"

// MtreeEntry is one file of a BSD mtree(5) specification, as pacman's packages carry it.
type MtreeEntry struct {
	Path     []byte // absolute, only good during the call
	Type     string // file, dir, link, ...; "" when not said
	Mode     int32  // permission bits as in stat(2); -1 when not said
	UID, GID int32  // -1 when not said
	// Digest is the best one given, with its algorithm: "sha256" or "md5". Only good during
	// the call; nil when there is none.
	Algo   string
	Digest []byte
}

// Mtree hands each entry to yield: lines of a path and keywords, with defaults from "/set".
// Paths escape odd bytes as backslash and three octal digits.
func Mtree(b []byte, c *Complaints, yield func(*MtreeEntry) bool) {
	defaults := MtreeEntry{Mode: -1, UID: -1, GID: -1}
	var path []byte
	var sum [32]byte
	eachLine(b, func(text []byte, line int) bool {
		name, rest := word(text)
		switch {
		case len(name) == 0 || name[0] == '#' || string(name) == "..":
			return true
		case string(name) == "/set":
			defaults.keywords(rest, nil, line, c)
			return true
		case string(name) == "/unset":
			defaults = MtreeEntry{Mode: -1, UID: -1, GID: -1}
			return true
		case !bytes.HasPrefix(name, []byte("./")):
			c.Add(line, "not an entry")
			return true
		}
		var ok bool
		if path, ok = unescape(append(path[:0], '/'), name[2:]); !ok || len(path) < 2 {
			c.Add(line, "not a path")
			return true
		}
		e := defaults
		e.Path = path
		e.keywords(rest, sum[:], line, c)
		return yield(&e)
	})
}

// keywords reads "key=value" words into e. A digest goes into sum, when there is room for it.
func (e *MtreeEntry) keywords(text, sum []byte, line int, c *Complaints) {
	for {
		var pair []byte
		if pair, text = word(text); len(pair) == 0 {
			return
		}
		key, value, _ := bytes.Cut(pair, []byte{'='})
		ok := true
		switch string(key) {
		case "type":
			e.Type = mtreeType(value)
		case "mode":
			e.Mode, ok = mtreeNumber(value, 8, 0o7777)
		case "uid":
			e.UID, ok = mtreeNumber(value, 10, 1<<31-1)
		case "gid":
			e.GID, ok = mtreeNumber(value, 10, 1<<31-1)
		case "sha256digest", "sha256":
			if ok = len(sum) >= 32 && unhex(sum[:32], value); ok {
				e.Algo, e.Digest = "sha256", sum[:32]
			}
		case "md5digest", "md5":
			if e.Algo == "sha256" {
				continue
			}
			if ok = len(sum) >= 16 && unhex(sum[:16], value); ok {
				e.Algo, e.Digest = "md5", sum[:16]
			}
		}
		if !ok {
			c.Add(line, "keyword "+string(key[:min(len(key), 20)])+" has no valid value")
		}
	}
}

// mtreeType gives the known types without making a string for each line.
func mtreeType(value []byte) string {
	switch string(value) {
	case "file":
		return "file"
	case "dir":
		return "dir"
	case "link":
		return "link"
	}
	return "other"
}

func mtreeNumber(value []byte, base, limit int64) (int32, bool) {
	n, ok := number(value, base)
	if !ok || n > limit {
		return -1, false
	}
	return int32(n), true
}

// unescape appends text to dst with its \ooo escapes resolved.
func unescape(dst, text []byte) ([]byte, bool) {
	for len(text) > 0 {
		if text[0] != '\\' {
			dst, text = append(dst, text[0]), text[1:]
			continue
		}
		if len(text) < 4 {
			return dst, false
		}
		n, ok := number(text[1:4], 8)
		if !ok || n == 0 || n > 255 {
			return dst, false
		}
		dst, text = append(dst, byte(n)), text[4:]
	}
	return dst, true
}
