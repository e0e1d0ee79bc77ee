package facts

import (
	"fmt"
	"path"

	"picket/scanner"
	"picket/scanner/parse"
)

// rpmAccountFiles map the names of owners in headers to numbers. ostree keeps the accounts
// of packages under /usr/lib.
var rpmAccountFiles = []string{"/usr/lib/passwd", "/etc/passwd", "/usr/lib/group", "/etc/group"}

// rpmLists is rpm's share of the ownership index, in one unit: the headers are read again.
type rpmLists struct {
	db          rpmDatabase
	first, last int            // its rows
	rows        map[string]int // by id
	users       map[string]int32
	groups      map[string]int32
}

func (l *rpmLists) prepare(o *Owners) (units int, problems []string) {
	if l.rows != nil {
		return 1, nil
	}
	l.rows = make(map[string]int, l.last-l.first)
	for i := l.first; i < l.last; i++ {
		l.rows[o.rows[i].ID] = i
	}
	l.users, l.groups = map[string]int32{"root": 0}, map[string]int32{"root": 0}
	for _, name := range rpmAccountFiles {
		b, err := scanner.ReadFile(o.fs, name, maxAccountFile)
		if err != nil {
			continue // owners that cannot be mapped are unknown
		}
		if path.Base(name) == "passwd" {
			users, _ := parse.Passwd(b)
			for _, u := range users {
				l.users[u.Name] = int32(u.UID)
			}
			continue
		}
		groups, _ := parse.Group(b)
		for _, g := range groups {
			l.groups[g.Name] = int32(g.GID)
		}
	}
	return 1, nil
}

func (l *rpmLists) read(_ *listReader, _ int, emit emitFunc) []string {
	var bad []string
	more := true
	problems := l.db.headers(func(h parse.RPMHeader) bool {
		id := valid(h.Package().NVRA())
		row, ok := l.rows[id]
		if !ok {
			bad = append(bad, fmt.Sprintf("%s: package %s came after the list was read", l.db.name, id))
			return true
		}
		err := h.Files(func(f parse.RPMFile) bool {
			// Other states: not there (of another architecture, left out), or another
			// package's file by now.
			if f.State == parse.RPMFileNormal || f.State == parse.RPMFileNetShared {
				c := l.claim(row, &f)
				more = emit(f.Path, &c)
			}
			return more
		})
		if err != nil {
			bad = append(bad, fmt.Sprintf("%s: package %s: %v", l.db.name, id, err))
		}
		return more
	})
	return append(problems, bad...)
}

// claim is what a header says of a file, less what the package says not to compare.
func (l *rpmLists) claim(row int, f *parse.RPMFile) claim {
	const typeBits, regular, link = 0o170000, 0o100000, 0o120000
	c := claim{pkg: row, mode: -1, uid: -1, gid: -1,
		config: f.Flags&parse.RPMFileConfig != 0, link: f.Mode&typeBits == link}
	if f.Verify&parse.RPMVerifyMode != 0 && f.Mode != 0 && !c.link {
		c.mode = int32(f.Mode & 0o7777)
	}
	if id, ok := l.users[f.User]; ok && f.Verify&parse.RPMVerifyUser != 0 {
		c.uid = id
	}
	if id, ok := l.groups[f.Group]; ok && f.Verify&parse.RPMVerifyGroup != 0 {
		c.gid = id
	}
	if f.Verify&parse.RPMVerifyCaps != 0 {
		c.caps = f.Caps
	}
	if f.Mode&typeBits == regular && f.Flags&parse.RPMFileGhost == 0 && f.Verify&parse.RPMVerifyDigest != 0 {
		if c.algo = rpmAlgo(f); c.algo != 0 {
			c.digest = f.Digest
		}
	}
	return c
}

// rpmAlgo is the algorithm of a file's digest: 0 for one that Picket does not compute, or a
// digest of another length than the algorithm's.
func rpmAlgo(f *parse.RPMFile) scanner.Algo {
	switch n := len(f.Digest); {
	case f.DigestAlgo == parse.RPMDigestMD5 && n == 16:
		return scanner.MD5
	case f.DigestAlgo == parse.RPMDigestSHA1 && n == 20:
		return scanner.SHA1
	case f.DigestAlgo == parse.RPMDigestSHA256 && n == 32:
		return scanner.SHA256
	case f.DigestAlgo == parse.RPMDigestSHA512 && n == 64:
		return scanner.SHA512
	}
	return 0
}
