package scanner

// NextDigest names the next file to digest and takes the answer; an empty name ends.
type NextDigest func() (name string, done func(sum []byte, err error))

// DigestMany works out the digests of the files that next names, as FS.Digest would. Some
// devices do many at once in far less time than one after the other, so that answers come in
// an order of their own. next and done are called in the caller's goroutine.
func DigestMany(fsys FS, algo Algo, next NextDigest) {
	if m, ok := fsys.(interface{ DigestMany(Algo, NextDigest) }); ok {
		m.DigestMany(algo, next)
		return
	}
	for name, done := next(); name != ""; name, done = next() {
		done(fsys.Digest(name, algo))
	}
}
