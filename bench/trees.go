package main

import (
	"archive/tar"
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const osRelease = "ID=debian\nVERSION_ID=12\nPRETTY_NAME=\"A generated tree\"\n"

// filesPerPackage is how many files each generated package claims.
const filesPerPackage = 10

// makeTree makes a root filesystem that is nothing but a dpkg database of n packages, with
// paragraphs and lists about as long as Debian's.
func makeTree(dir string, n int) error {
	info := filepath.Join(dir, "var/lib/dpkg/info")
	for _, d := range []string{info, filepath.Join(dir, "etc")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "etc/os-release"), []byte(osRelease), 0o644); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "var/lib/dpkg/status"))
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range n {
		writeStanza(w, i)
		list, sums := []byte("/.\n/usr\n/usr/share\n"), []byte(nil)
		for j := range filesPerPackage {
			list = fmt.Appendf(list, "/usr/share/package-%06d/file-%d\n", i, j)
			sums = fmt.Appendf(sums, "%032x  usr/share/package-%06d/file-%d\n", i*filesPerPackage+j, i, j)
		}
		base := filepath.Join(info, fmt.Sprintf("package-%06d", i))
		if err := os.WriteFile(base+".list", list, 0o644); err != nil {
			return err
		}
		if err := os.WriteFile(base+".md5sums", sums, 0o644); err != nil {
			return err
		}
	}
	return w.Flush()
}

func writeStanza(w io.Writer, i int) {
	fmt.Fprintf(w, `Package: package-%06d
Status: install ok installed
Priority: optional
Section: utils
Installed-Size: %d
Maintainer: Maintainers of the benchmark <bench@example.org>
Architecture: amd64
Version: 1:%d.%d-2
Depends: libc6 (>= 2.34), package-%06d (>= 1:0.1), package-%06d
Description: package number %d of a generated database
 The text of a paragraph is mostly description: a few lines of words that nobody reads,
 which a reader of the file has to go past all the same. This package does nothing, and
 does it as slowly as the others.
Homepage: https://example.org/package-%06d

`, i, 100+i%5000, i%30, i%7, i/2, i/3, i, i)
}

// makeTar makes an archive of a root filesystem with a small package database and n entries
// in all, a tenth of which have content.
func makeTar(name string, n int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := tar.NewWriter(buffered)
	var status stanzas
	for i := range 1000 {
		writeStanza(&status, i)
	}
	left := n
	add := func(name string, content []byte) error {
		left--
		h := tar.Header{Name: name, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if name[len(name)-1] == '/' {
			h.Mode, h.Typeflag = 0o755, tar.TypeDir
		}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	if err := add("etc/os-release", []byte(osRelease)); err != nil {
		return err
	}
	if err := add("var/lib/dpkg/status", status); err != nil {
		return err
	}
	content := []byte("the content of a small file\n")
	for i := 0; left > 0; i++ {
		entry, body := fmt.Sprintf("usr/share/folder-%05d/file-%03d.txt", i/100, i%100), content[:0]
		switch {
		case i%100 == 0:
			entry = fmt.Sprintf("usr/share/folder-%05d/", i/100)
		case i%10 == 0:
			body = content
		}
		if err := add(entry, body); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// stanzas collects what is written to it.
type stanzas []byte

func (s *stanzas) Write(b []byte) (int, error) {
	*s = append(*s, b...)
	return len(b), nil
}
