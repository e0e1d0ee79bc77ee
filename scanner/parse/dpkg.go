package parse

import "bytes"

// DpkgStatus is the three words of a Status field.
type DpkgStatus struct {
	Want  string // install, hold, deinstall, purge, unknown
	Flag  string // ok or reinstreq (opkg has more)
	State string // installed, config-files, half-installed, unpacked, ...
}

// ParseDpkgStatus reads a Status field; ok is false when it has not three words.
func ParseDpkgStatus(field []byte) (s DpkgStatus, ok bool) {
	if string(field) == "install ok installed" { // nearly all
		return DpkgStatus{"install", "ok", "installed"}, true
	}
	want, rest := word(field)
	flag, rest := word(rest)
	state, rest := word(rest)
	if len(state) == 0 || len(bytes.TrimSpace(rest)) > 0 {
		return s, false
	}
	return DpkgStatus{string(want), string(flag), string(state)}, true
}

// IsPackageName says whether name is one that dpkg and opkg accept. What is not could not be
// the name of a file in their info folder either.
func IsPackageName(name []byte) bool {
	for i, c := range name {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', 'A' <= c && c <= 'Z':
		case i > 0 && (c == '-' || c == '+' || c == '.' || c == '_'):
		default:
			return false
		}
	}
	return len(name) > 0 && len(name) < 200
}

// DpkgList hands each path of an info/*.list file to yield: absolute, without a trailing
// slash. The root itself ("/.") is left out. Directories are not told from files there.
func DpkgList(b []byte, c *Complaints, yield func(path []byte) bool) {
	eachLine(b, func(text []byte, line int) bool {
		if string(text) == "/." || string(text) == "/" {
			return true
		}
		if len(text) < 2 || text[0] != '/' || bytes.IndexByte(text, 0) >= 0 {
			c.Add(line, "not an absolute path")
			return true
		}
		if text[len(text)-1] == '/' {
			text = text[:len(text)-1]
		}
		return yield(text)
	})
}

// DpkgMD5Sums hands each entry of an info/*.md5sums file to yield. Paths come as the file has
// them: relative, without a leading slash.
func DpkgMD5Sums(b []byte, c *Complaints, yield func(path []byte, sum [16]byte) bool) {
	eachLine(b, func(text []byte, line int) bool {
		var sum [16]byte
		// 32 digits, a blank, a blank or an asterisk, the path.
		if len(text) < 35 || text[32] != ' ' || !unhex(sum[:], text[:32]) {
			if len(text) > 0 {
				c.Add(line, "not a digest and a path")
			}
			return true
		}
		path := bytes.TrimPrefix(text[34:], []byte("./"))
		return yield(bytes.TrimPrefix(path, []byte("/")), sum)
	})
}

// Conffile is one entry of a Conffiles field.
type Conffile struct {
	Path []byte // absolute
	// Digest is the content's digest as installed: 16 bytes for MD5, 32 for SHA-256 (newer
	// opkg); empty while dpkg has not recorded one.
	Digest []byte
	// Obsolete is set when newer versions of the package no longer ship the file.
	Obsolete bool
}

// Conffiles hands each entry of a status file's Conffiles field to yield: lines of
// " PATH DIGEST", then perhaps "obsolete" or "remove-on-upgrade". A package that is not yet
// configured has "newconffile" for a digest. Conffile.Digest is only good during the call.
func Conffiles(field []byte, c *Complaints, yield func(Conffile) bool) {
	eachLine(field, func(text []byte, line int) bool {
		path, last := lastWord(text)
		var f Conffile
		for string(last) == "obsolete" || string(last) == "remove-on-upgrade" {
			f.Obsolete = f.Obsolete || string(last) == "obsolete"
			path, last = lastWord(path)
		}
		if len(path) == 0 && len(last) == 0 {
			return true
		}
		var sum [32]byte
		n := len(last) / 2
		switch {
		case len(path) < 2 || path[0] != '/':
			c.Add(line, "Conffiles: not a path and a digest")
			return true
		case string(last) == "newconffile":
		case (n == 16 || n == 32) && unhex(sum[:n], last):
			f.Digest = sum[:n]
		default:
			c.Add(line, "Conffiles: not a digest")
			return true
		}
		f.Path = path
		return yield(f)
	})
}

// lastWord cuts the last blank-separated word off text, and the blanks around the rest.
func lastWord(text []byte) (rest, last []byte) {
	text = bytes.TrimSpace(text)
	i := len(text)
	for i > 0 && !blank(text[i-1]) {
		i--
	}
	return bytes.TrimSpace(text[:i]), text[i:]
}

// Diversion moves what packages other than By install at From to To.
type Diversion struct {
	From, To string
	By       string // package name; ":" for the administrator (moves it for all packages)
}

// DpkgDiversions reads /var/lib/dpkg/diversions: three lines each.
func DpkgDiversions(b []byte, c *Complaints) []Diversion {
	var out []Diversion
	var d Diversion
	eachLine(b, func(text []byte, line int) bool {
		switch line % 3 {
		case 1:
			d.From = string(text)
		case 2:
			d.To = string(text)
		case 0:
			d.By = string(text)
			if d.From == "" || d.From[0] != '/' || d.To == "" || d.To[0] != '/' || d.By == "" {
				c.Add(line-2, "not a diversion")
			} else {
				out = append(out, d)
			}
			d = Diversion{}
		}
		return true
	})
	if d.From != "" {
		c.Add(0, "the last diversion is cut short")
	}
	return out
}

// StatOverride is the owner and mode that the administrator or a package set for a path.
type StatOverride struct {
	User, Group string // name, or "#" and a number
	Mode        int32  // permission bits as in stat(2)
	Path        string
}

// DpkgStatOverrides reads /var/lib/dpkg/statoverride: "USER GROUP MODE PATH" lines.
func DpkgStatOverrides(b []byte, c *Complaints) []StatOverride {
	var out []StatOverride
	eachLine(b, func(text []byte, line int) bool {
		user, rest := word(text)
		group, rest := word(rest)
		octal, rest := word(rest)
		path := bytes.TrimSpace(rest)
		if len(user) == 0 {
			return true
		}
		mode, ok := number(octal, 8)
		if !ok || mode > 0o7777 || len(path) == 0 || path[0] != '/' {
			c.Add(line, "not a user, group, mode and path")
			return true
		}
		out = append(out, StatOverride{string(user), string(group), int32(mode), string(path)})
		return true
	})
	return out
}
