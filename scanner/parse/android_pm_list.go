package parse

import "bytes"

// ListedPackage is a line of "pm list packages". What it was not asked to print is empty or -1.
type ListedPackage struct {
	Name        string
	Path        string // -f
	Installer   string // -i; "null" is given as the empty string
	UIDs        []int  // -U; one for each user
	VersionCode int64  // --show-versioncode; -1 not said
}

// PmListPackages reads what "pm list packages" prints with any of -f, -i, -U and
// --show-versioncode (AOSP PackageManagerShellCommand.runListPackages):
//
//	package:/data/app/x==/base.apk=NAME versionCode:12  installer=NAME uid:10123,1010123
//
// The path itself can hold "=".
func PmListPackages(b []byte, c *Complaints) []ListedPackage {
	var out []ListedPackage
	eachLine(b, func(text []byte, line int) bool {
		rest, ok := bytes.CutPrefix(bytes.TrimSpace(text), []byte("package:"))
		if !ok {
			if len(bytes.TrimSpace(text)) > 0 {
				c.Add(line, "not a package")
			}
			return true
		}
		if len(out) >= maxDumpPackages {
			c.Add(line, "too many packages")
			return false
		}
		first, rest := word(rest)
		p := ListedPackage{VersionCode: -1}
		at := bytes.LastIndexByte(first, '=')
		if p.Name = string(first[at+1:]); p.Name == "" || len(text) > maxDumpLine {
			c.Add(line, "no name of a package")
			return true
		}
		p.Path = string(first[:max(at, 0)])
		for len(rest) > 0 {
			var one []byte
			one, rest = word(rest)
			p.field(one)
		}
		out = append(out, p)
		return true
	})
	return out
}

func (p *ListedPackage) field(text []byte) {
	if name, ok := bytes.CutPrefix(text, []byte("installer=")); ok && string(name) != "null" {
		p.Installer = string(name)
	}
	if code, ok := bytes.CutPrefix(text, []byte("versionCode:")); ok {
		if n, ok := number(code, 10); ok {
			p.VersionCode = n
		}
	}
	uids, ok := bytes.CutPrefix(text, []byte("uid:"))
	for ok && len(uids) > 0 && len(p.UIDs) < 1024 {
		var one []byte
		one, uids, _ = bytes.Cut(uids, []byte{','})
		if id, ok := smallNumber(one); ok {
			p.UIDs = append(p.UIDs, id)
		}
	}
}
