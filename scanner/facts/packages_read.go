package facts

import (
	"bytes"
	"errors"
	"io"

	"picket/scanner"
)

const (
	pieceSize    = 128 << 10 // bytes read at a time
	maxParagraph = 32 << 20  // bytes of one paragraph: a firmware package's file list has 1 MB
	maxListFile  = 64 << 20  // bytes of one package's file list
)

// paragraphs reads a file of paragraphs in pieces that end with an empty line, whatever the
// file's size, and hands each piece with the number of its first line to do.
func paragraphs(fsys scanner.FS, name string, do func(piece []byte, line int)) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return paragraphsOf(f, do)
}

// paragraphsOf is paragraphs of an open file.
func paragraphsOf(f io.Reader, do func(piece []byte, line int)) error {
	buf := make([]byte, 0, pieceSize)
	line := 1
	for {
		n, err := io.ReadFull(f, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			if len(buf) > 0 {
				do(buf, line)
			}
			return nil
		}
		if err != nil {
			do(buf, line)
			return err
		}
		end := bytes.LastIndex(buf, []byte("\n\n")) + 2
		if end < 2 {
			if cap(buf) >= maxParagraph {
				return &scanner.TooLargeError{Size: int64(len(buf)), Limit: maxParagraph}
			}
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			continue
		}
		do(buf[:end], line)
		line += bytes.Count(buf[:end], []byte{'\n'})
		buf = append(buf[:0], buf[end:]...)
	}
}

// fileBuffer reads whole files one after the other into the same memory.
type fileBuffer struct{ b []byte }

// read gives a file's content, good until the next read.
func (r *fileBuffer) read(fsys scanner.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if r.b == nil {
		r.b = make([]byte, 64<<10)
	}
	n := 0
	for {
		m, err := f.Read(r.b[n:])
		n += m
		if err == io.EOF || err == nil && n > 0 && int64(n) == f.Size() { // as it was when it was opened
			return r.b[:n], nil
		}
		if err != nil {
			return nil, err
		}
		if n == len(r.b) {
			if n >= maxListFile {
				return nil, &scanner.TooLargeError{Size: int64(n), Limit: maxListFile}
			}
			r.b = append(r.b, make([]byte, len(r.b))...)
		}
	}
}
