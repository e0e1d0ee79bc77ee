package device

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"picket/scanner"
)

// linkTree is a tree of "/NAME" -> "" for a directory, "f" for a file, ">TARGET" for a link.
type linkTree map[string]string

func (l linkTree) lstat(name string) (scanner.Info, error) {
	v, ok := l[name]
	if name == "/" {
		v, ok = "", true
	}
	in := scanner.Info{Name: base(name), Mode: 0o644}
	switch {
	case !ok:
		return in, pathErr("lstat", name, fs.ErrNotExist)
	case v == "":
		in.Mode = fs.ModeDir | 0o755
	case v[0] == '>':
		in.Mode = fs.ModeSymlink | 0o777
	}
	return in, nil
}

func (l linkTree) readlink(name string) (string, error) { return l[name][1:], nil }
func (l linkTree) readDir(name string) ([]scanner.Info, error) {
	return nil, pathErr("readdir", name, fs.ErrInvalid)
}
func (l linkTree) open(name string) (scanner.File, error) {
	return nil, pathErr("open", name, fs.ErrInvalid)
}
func (l linkTree) xattr(name, attr string) ([]byte, error) {
	return nil, pathErr("xattr", name, fs.ErrNotExist)
}

// follow resolves a name the plain way: one component at a time, a link's target put before
// the rest, and no memory of what was found before.
func (l linkTree) follow(name string, links int) (string, bool) {
	if links > maxLinks || len(name) > maxName {
		return "", false
	}
	cur := "/"
	parts := strings.Split(name, "/")
	for i, p := range parts {
		switch p {
		case "", ".":
			continue
		case "..":
			cur = path.Dir(cur)
			continue
		}
		next := path.Join(cur, p)
		v, ok := l[next]
		if !ok {
			return "", false
		}
		rest := strings.Join(parts[i+1:], "/")
		if v != "" && v[0] == '>' {
			to := v[1:]
			if !strings.HasPrefix(to, "/") {
				to = cur + "/" + to
			}
			return l.follow(to+"/"+rest, links+1)
		}
		if v == "f" && strings.Trim(rest, "/.") != "" {
			return "", false
		}
		if v == "f" && strings.Contains(rest, "..") {
			return "", false
		}
		cur = next
	}
	return cur, true
}

// parseLinkTree makes a tree of lines "NAME" for a file, "NAME/" for a directory and
// "NAME>TARGET" for a link. Parents are made.
func parseLinkTree(text string) linkTree {
	l := linkTree{}
	for line := range strings.SplitSeq(text, "\n") {
		name, target, isLink := strings.Cut(line, ">")
		clean, _ := cleanName(name)
		if clean == "" || strings.Contains(line, "\x00") || len(clean) > 200 || len(target) > 200 {
			continue
		}
		value := "f"
		if isLink {
			value = ">" + target
		} else if strings.HasSuffix(name, "/") {
			value = ""
		}
		full := "/" + clean
		usable := true
		for dir := parent(full); dir != "/"; dir = parent(dir) {
			if v, ok := l[dir]; ok && v != "" {
				usable = false
			}
		}
		if _, ok := l[full]; ok || !usable {
			continue
		}
		for dir := parent(full); dir != "/"; dir = parent(dir) {
			l[dir] = ""
		}
		l[full] = value
	}
	return l
}

func FuzzResolve(f *testing.F) {
	f.Add("bin>usr/bin\nusr/bin/sh>../../bin/dash\nusr/bin/dash\n", "/bin/sh\n/bin/../bin/./sh\n/bin/sh/..")
	f.Add("a>b\nb>a\nc>c/c\n", "/a\n/a/x\n/c")
	f.Add("out>../../../../etc/passwd\netc/passwd\nup>..\n", "/out\n/up/up/etc/passwd\n/etc/passwd/")
	f.Add("d1>/d2/x\nd2>/d3\nd3/x/\nd3/x/y>/\n", "/d1/y/d1/y/d3\n/d1/..\n/d3/x/y/..")
	f.Fuzz(func(t *testing.T, tree, names string) {
		if len(tree) > 4000 || len(names) > 2000 {
			return
		}
		l := parseLinkTree(tree)
		fsys := newFS(l)
		for range 2 { // what the first round remembers must not change the second
			for name := range strings.SplitSeq(names, "\n") {
				if strings.Contains(name, "\x00") {
					continue
				}
				fsys.Lstat(name)
				got, err := fsys.Resolve(name)
				want, ok := l.follow(name, 0)
				if (err == nil) != ok {
					t.Fatalf("%q: %q, %v; want %q, %v in %q", name, got, err, want, ok, l)
				}
				if err == nil && got != want {
					t.Fatalf("%q: %q, want %q in %q", name, got, want, l)
				}
				if err != nil {
					continue
				}
				if _, there := l[got]; got != "/" && !there || !strings.HasPrefix(got, "/") || path.Clean(got) != got {
					t.Fatalf("%q leaves the tree: %q", name, got)
				}
			}
		}
	})
}
