package parse

import "bytes"

// OpkgFile is one entry of an opkg info/*.list file.
type OpkgFile struct {
	Path []byte // absolute
	Mode int32  // permission bits as in stat(2); -1 when the list has none
	Link bool   // a symbolic link
}

// OpkgList hands each entry of an info/*.list file to yield: "PATH", or "PATH TAB MODE [TAB
// TARGET]" as newer opkg writes it, the mode octal and with the file's type.
func OpkgList(b []byte, c *Complaints, yield func(OpkgFile) bool) {
	eachLine(b, func(text []byte, line int) bool {
		path, rest, tabbed := bytes.Cut(text, []byte{'\t'})
		path = bytes.TrimRight(path, "/")
		if len(path) == 0 || string(path) == "/." {
			return true
		}
		if path[0] != '/' || bytes.IndexByte(path, 0) >= 0 {
			c.Add(line, "not an absolute path")
			return true
		}
		f := OpkgFile{Path: path, Mode: -1}
		if tabbed {
			octal, _, _ := bytes.Cut(rest, []byte{'\t'})
			mode, ok := number(octal, 8)
			if !ok {
				c.Add(line, "not a mode")
				return yield(f)
			}
			if mode != 0 {
				f.Mode, f.Link = int32(mode&0o7777), mode&0o170000 == 0o120000
			}
		}
		return yield(f)
	})
}
