package parse

import (
	"bytes"
)

// PacmanPackage is what a pacman local database says of one package in its file "desc".
type PacmanPackage struct {
	Name, Version, Base, Arch, Description, Packager string
	Size                                             int64 // bytes installed; 0 when the file has none, as pacman takes it
	InstallDate                                      int64 // seconds since 1970; 0 unknown
}

// PacmanDesc reads a file "desc": sections of "%KEY%", a line for each value, an empty line.
func PacmanDesc(b []byte, c *Complaints) PacmanPackage {
	var p PacmanPackage
	pacmanSections(b, c, func(key, value []byte, line int) bool {
		text := string(bytes.ToValidUTF8(value, []byte("\uFFFD")))
		switch string(key) {
		case "NAME":
			p.Name = text
		case "VERSION":
			p.Version = text
		case "BASE":
			p.Base = text
		case "ARCH":
			p.Arch = text
		case "DESC":
			p.Description = text
		case "PACKAGER":
			p.Packager = text
		case "SIZE":
			p.Size = pacmanNumber(value, line, c)
		case "INSTALLDATE":
			p.InstallDate = pacmanNumber(value, line, c)
		}
		return true
	})
	return p
}

func pacmanNumber(value []byte, line int, c *Complaints) int64 {
	n, ok := number(value, 10)
	if !ok {
		c.Add(line, "not a number")
	}
	return n
}

// PacmanFile is one entry of a file "files".
type PacmanFile struct {
	Path []byte // relative, without a trailing slash
	// Backup marks a configuration file that pacman keeps; MD5 is then its content as
	// packaged. Such a path comes a second time, without Backup.
	Backup bool
	MD5    []byte // only good during the call; nil when there is none
}

// PacmanFiles hands each entry of a file "files" to yield.
func PacmanFiles(b []byte, c *Complaints, yield func(PacmanFile) bool) {
	pacmanSections(b, c, func(key, value []byte, line int) bool {
		switch string(key) {
		case "FILES":
			if path := bytes.TrimRight(value, "/"); len(path) > 0 {
				return yield(PacmanFile{Path: path})
			}
		case "BACKUP":
			path, hex, _ := bytes.Cut(value, []byte{'\t'})
			var sum [16]byte
			f := PacmanFile{Path: path, Backup: true}
			if unhex(sum[:], hex) {
				f.MD5 = sum[:]
			} else if string(hex) != "(null)" {
				c.Add(line, "not a path and a digest")
			}
			if len(path) > 0 {
				return yield(f)
			}
		}
		return true
	})
}

// pacmanSections hands each value with its key to yield.
func pacmanSections(b []byte, c *Complaints, yield func(key, value []byte, line int) bool) {
	var key []byte
	eachLine(b, func(text []byte, line int) bool {
		switch n := len(text); {
		case n == 0:
			key = nil
		case bytes.IndexByte(text, 0) >= 0:
			c.Add(line, "holds a zero byte")
		case key == nil && n > 2 && text[0] == '%' && text[n-1] == '%':
			key = text[1 : n-1]
		case key == nil:
			c.Add(line, "a value outside a section")
		default:
			return yield(key, text, line)
		}
		return true
	})
}
