package facts

import (
	"path"
	"slices"
	"strings"
)

// maxStateFiles bounds the walk over one package's state folders.
const maxStateFiles = 200_000

// people are the users whose home directories may hold packages and their state, one for
// each directory.
func (inv *inventory) people() []User {
	var out []User
	for _, u := range inv.users {
		u.Home = path.Clean(u.Home)
		known := slices.ContainsFunc(out, func(o User) bool { return o.Home == u.Home })
		if strings.HasPrefix(u.Home, "/") && u.Home != "/" && u.Home != "/nonexistent" && !known {
			out = append(out, u)
		}
	}
	return out
}

// stateSize sums the bytes of the files below folders, or -1 when a folder may not be read
// or holds too much to count. Folders that are not there count as empty.
func (inv *inventory) stateSize(dirs []string) int64 {
	var sum int64
	left := maxStateFiles
	todo := slices.Clone(dirs)
	for len(todo) > 0 {
		dir := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		infos, err := inv.fs.ReadDir(dir)
		if missing(err) {
			continue
		}
		if left -= len(infos); err != nil || left < 0 || inv.ctx.Err() != nil {
			return -1
		}
		for _, i := range infos {
			switch {
			case i.Mode.IsDir():
				todo = append(todo, dir+"/"+i.Name)
			case i.Mode.IsRegular():
				sum += i.Size
			}
		}
	}
	return sum
}
