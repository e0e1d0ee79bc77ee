package device

import (
	"io"

	"picket/scanner"
	"picket/scanner/device/md5lanes"
)

// DigestMany works out many digests of files in a directory at once where the processor can.
func (r *rooted) DigestMany(algo scanner.Algo, next scanner.NextDigest) {
	t, ok := r.t.(*dirTree)
	if !ok || algo != scanner.MD5 || !md5lanes.Available() {
		for name, done := next(); name != ""; name, done = next() {
			done(r.Digest(name, algo))
		}
		return
	}
	md5lanes.Sum(func() (io.ReadCloser, func([]byte, error)) {
		for name, done := next(); name != ""; name, done = next() {
			p, err := r.resolve("open", name, true)
			if err == nil {
				var f scanner.File
				if f, err = t.open(p); err == nil {
					return f, withName(p, done)
				}
			}
			done(nil, err)
		}
		return nil, nil
	})
}

// withName puts the file's name into an error of reading it.
func withName(name string, done func([]byte, error)) func([]byte, error) {
	return func(sum []byte, err error) {
		if err != nil {
			err = pathErr("digest", name, err)
		}
		done(sum, err)
	}
}
