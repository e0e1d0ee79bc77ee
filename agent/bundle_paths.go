package agent

import (
	"bytes"
	"path"
	"regexp"
)

// personalPattern begins a path to a person's own files: a home with whose it is, or a folder that has the files of whoever
// holds the device. After the latter nothing of the path is told, so that a disk's name is not either.
var personalPattern = regexp.MustCompile(`((?:/var)?/home|/Users)/[^/\s"'<>&\\]+` +
	`|(/root|/sdcard|/storage/emulated/[0-9]+|/data/media/[0-9]+|/data/media)/` +
	`|(/storage|/mnt/media_rw|/run/media|/media)/`)

// hidePaths takes out what people named: the person of a home, and all below it and below their disks and storage. A name
// may have spaces, quotes and signs in it, so it goes as far as what it stands in: to the quote that closes it, in HTML to
// the next tag, else to the end of the line.
func hidePaths(part string, b []byte) []byte {
	var out bytes.Buffer
	done := 0
	for _, m := range personalPattern.FindAllSubmatchIndex(b, -1) {
		start, end := m[0], m[1]
		if start < done || m[6] >= 0 && start > 0 && isNameByte(b[start-1]) { // of a system's folder that is called media
			continue
		}
		out.Write(b[done:start])
		stop := pathEnd(part, b, start, end)
		done = stop
		switch {
		case m[2] < 0 && stop == end:
			out.Write(b[start:end])
		case m[2] < 0: // its stroke is part of the match
			out.Write(b[start:end])
			out.WriteString("(file)")
		case end < len(b) && b[end] == '/' || opened(b, start) >= 0 && bytes.IndexByte(b[end:stop], '/') >= 0:
			out.Write(b[m[2]:m[3]])
			out.WriteString("/(person)/(file)")
		default:
			out.Write(b[m[2]:m[3]])
			out.WriteString("/(person)")
			if opened(b, start) < 0 { // what follows is of the text
				done = end
			}
		}
	}
	out.Write(b[done:])
	return out.Bytes()
}

func isNameByte(c byte) bool {
	return c == '_' || c == '-' || c == '.' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// opened gives how many backslashes stand before the quote that is right before a path: 0 in JSON, 1 in JSON that is a text
// of JSON, then 3, 7. It is -1 for a path without one.
func opened(b []byte, start int) int {
	if start == 0 || b[start-1] != '"' {
		return -1
	}
	return backslashes(b[:start-1])
}

// backslashes counts those at the end.
func backslashes(b []byte) int { return len(b) - len(bytes.TrimRight(b, `\`)) }

// attributeAfter is what follows a value without quotes in a line of the log, which has no spaces.
var attributeAfter = regexp.MustCompile(` [a-z_.]+=`)

// pathEnd gives where a path that begins at start ends, at or after from.
func pathEnd(part string, b []byte, start, from int) int {
	if path.Ext(part) == ".html" {
		if i := bytes.IndexAny(b[from:], "<\"\n"); i >= 0 {
			return from + i
		}
		return len(b)
	}
	stop := quoteEnd(b, from, opened(b, start))
	if path.Ext(part) == ".txt" && !inQuotes(b[:start]) {
		stop = len(b)
		if i := bytes.IndexByte(b[from:], '\n'); i >= 0 {
			stop = from + i
		}
		if at := attributeAfter.FindIndex(b[from:stop]); at != nil && start > 0 && b[start-1] == '=' {
			stop = from + at[0]
		}
	}
	// Why a file could not be used helps.
	for _, why := range []string{"no such file or directory", "permission denied", "operation not permitted", "not a directory", "is a directory", "input/output error",
		"too many levels of symbolic links", "file name too long", "file already exists", "read-only file system", "no space left on device"} {
		if bytes.HasSuffix(b[from:stop], []byte(": "+why)) {
			return stop - len(why) - 2
		}
	}
	return stop
}

// inQuotes tells whether the last line of a text has a quote open.
func inQuotes(b []byte) bool {
	line := b[bytes.LastIndexByte(b, '\n')+1:]
	return (bytes.Count(line, []byte(`"`))-bytes.Count(line, []byte(`\"`)))%2 == 1
}

// quoteEnd gives where the quote or the line ends in which a path stands. A quote that is part of a name has one backslash
// more before it, at each depth, than the one that closes it.
func quoteEnd(b []byte, from, depth int) int {
	mask := 1
	if depth >= 0 {
		mask = 2*depth + 1
	}
	for i := from; i < len(b); i++ {
		switch b[i] {
		case '\n':
			return i
		case '"':
			if n := backslashes(b[from:i]); n&mask != mask {
				return i - n&mask
			}
		case 'n': // the end of a line, in a text of several
			if n := backslashes(b[from:i]); depth < 0 && n&1 == 1 {
				return i - 1
			}
		}
	}
	return len(b)
}
