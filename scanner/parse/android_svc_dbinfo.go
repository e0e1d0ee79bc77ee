package parse

import (
	"strconv"
	"strings"
)

// OpenDatabase is a database that an app's process had open. What was asked of it is dropped.
type OpenDatabase struct {
	PID     int    // 0 when not printed
	Process string // com.example:service
	Package string // that owns the file, from its path; empty for an unusual place
	User    int    // from the path
	Path    string // an element of it that names a person is hidden
	Line    int    // 1-based
}

// maxDatabases bounds the rows.
const maxDatabases = 20000

// Databases reads dumpsys dbinfo of Android 4.4 to 16.
func Databases(b []byte) ([]OpenDatabase, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []OpenDatabase
	pid, process, known := 0, "", false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "Applications Database Info") {
			known = true
		}
		if rest, ok := strings.CutPrefix(text, "** Database info for pid "); ok {
			known = true
			pid, _ = leadingInt(rest)
			process, _ = between(rest, "[", "]")
			process = clip(process, 255)
			return
		}
		rest, ok := strings.CutPrefix(text, "Connection pool for ")
		if !ok || !strings.HasSuffix(rest, ":") || len(all) >= maxDatabases {
			return
		}
		known = true
		path := clip(strings.TrimSuffix(rest, ":"), 1024)
		d := OpenDatabase{PID: pid, Process: process, Path: impersonal(path), Line: n}
		d.Package, d.User = dataOwner(path)
		all = append(all, d)
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}

// dataOwner reads the package and the user from a path below an app's data.
func dataOwner(path string) (pkg string, user int) {
	f := strings.Split(path, "/")
	switch {
	case len(f) > 4 && f[1] == "data" && (f[2] == "user" || f[2] == "user_de"):
		user, _ = strconv.Atoi(f[3])
		pkg = f[4]
	case len(f) > 3 && f[1] == "data" && f[2] == "data":
		pkg = f[3]
	case len(f) > 6 && f[1] == "mnt" && f[2] == "expand" && (f[4] == "user" || f[4] == "user_de"):
		user, _ = strconv.Atoi(f[5])
		pkg = f[6]
	}
	if !isPackage(pkg) || user < 0 {
		return "", 0
	}
	return pkg, user
}

// impersonal hides the elements of a path that hold an address or a long number.
func impersonal(path string) string {
	f := strings.Split(path, "/")
	for i, e := range f {
		digits := 0
		for j := 0; j < len(e); j++ {
			if e[j] >= '0' && e[j] <= '9' {
				digits++
			}
		}
		if strings.ContainsRune(e, '@') || strings.Contains(e, "%40") || digits >= 7 {
			f[i] = "*"
		}
	}
	return strings.Join(f, "/")
}
