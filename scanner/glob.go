package scanner

import (
	"errors"
	"io/fs"
	"sort"
	"strings"
)

// MatchName matches one path component with a pattern in which * stands for any run of bytes
// and ? for one.
func MatchName(pattern, name string) bool {
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// MatchPath matches the components of a path with those of a pattern, each as MatchName does;
// the component ** stands for any number of them.
func MatchPath(pattern, parts []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for i := range len(parts) + 1 {
				if MatchPath(pattern[1:], parts[i:]) {
					return true
				}
			}
			return false
		}
		if len(parts) == 0 || !MatchName(pattern[0], parts[0]) {
			return false
		}
		pattern, parts = pattern[1:], parts[1:]
	}
	return len(parts) == 0
}

// Glob lists the paths that match an absolute pattern of * and ? within components, sorted.
// A directory that does not exist matches nothing; one that may not be read is an error,
// returned together with what could be listed.
func Glob(fsys FS, pattern string) ([]string, error) {
	found := []string{""}
	var errs []error
	for _, part := range strings.Split(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			names, err := globDir(fsys, dir, part)
			if err != nil {
				errs = append(errs, err)
			}
			next = append(next, names...)
		}
		found = next
	}
	sort.Strings(found)
	return found, errors.Join(errs...)
}

func globDir(fsys FS, dir, part string) ([]string, error) {
	if !strings.ContainsAny(part, "*?") {
		if _, err := fsys.Lstat(dir + "/" + part); err != nil {
			return nil, absent(err)
		}
		return []string{dir + "/" + part}, nil
	}
	entries, err := fsys.ReadDir(dir + "/")
	if err != nil && len(entries) == 0 {
		if i, statErr := fsys.Stat(dir + "/"); statErr == nil && !i.Mode.IsDir() {
			return nil, nil // a file matches no pattern below it
		}
		return nil, absent(err)
	}
	var out []string
	for _, e := range entries {
		if MatchName(part, e.Name) {
			out = append(out, dir+"/"+e.Name)
		}
	}
	return out, absent(err)
}

// absent drops the error of what is not there: it matches nothing.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
