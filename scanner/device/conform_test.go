package device

import (
	"errors"
	"io/fs"
	"path"
	"testing"

	"picket/scanner"
)

// checkTree walks a tree and checks what holds for every device: names listed can be
// described as listed, links resolve inside, and files can be opened or say why not.
func checkTree(t *testing.T, fsys scanner.FS) {
	t.Helper()
	todo, seen := []string{"/"}, 0
	for len(todo) > 0 && seen < 2000 {
		dir := todo[0]
		todo = todo[1:]
		list, err := fsys.ReadDir(dir)
		if err != nil && !expected(err) {
			t.Errorf("readdir %q: %v", dir, err)
		}
		for _, in := range list {
			seen++
			name := path.Join(dir, in.Name)
			if len(name) > maxName || path.Base(name) != in.Name {
				continue
			}
			if got, err := fsys.Lstat(name); err != nil && !expected(err) || err == nil && got != in {
				t.Errorf("lstat %q: %+v, %v; listed as %+v", name, got, err, in)
			}
			if real, err := fsys.Resolve(name); err == nil {
				if again, err := fsys.Resolve(real); err != nil || again != real {
					t.Errorf("%q resolves to %q, and that to %q, %v", name, real, again, err)
				}
			}
			switch {
			case in.Mode.IsDir():
				todo = append(todo, name)
			case in.Mode.IsRegular():
				if f, err := fsys.Open(name); err == nil {
					if f.Size() != in.Size {
						t.Errorf("%q: open says %d bytes, lstat %d", name, f.Size(), in.Size)
					}
					f.Close()
				} else if !expected(err) {
					t.Errorf("open %q: %v", name, err)
				}
			}
		}
	}
}

// expected tells whether an error is one of those the FS interface promises.
func expected(err error) bool {
	var pe *fs.PathError
	return errors.As(err, &pe) && (errors.Is(err, fs.ErrPermission) || errors.Is(err, scanner.ErrUnavailable) || errors.Is(err, scanner.ErrNotRecorded))
}
