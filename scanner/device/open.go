package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"picket/scanner"
)

// OpenOptions say how a device is opened. The zero value is usable.
type OpenOptions struct {
	// Root picks one of several roots that an image holds, by its label as Identity.Notes
	// name them. Empty takes the first that looks like a device.
	Root string
	// Keep tells which files of a compressed archive will be read. Of the others only the
	// description is kept, and of programs their first bytes and digests. Nil keeps all that
	// fit in memory.
	Keep func(name string) bool
}

// ErrNothingRecognised is wrapped by Open's error for something that is no device.
var ErrNothingRecognised = errors.New("nothing recognised")

func nothingRecognised(name, why string) error {
	return fmt.Errorf("%w in %s: %s", ErrNothingRecognised, name, why)
}

// sniffSize is how much of a file is looked at to tell its kind.
const sniffSize = 8 << 10

// maxTxtar is the longest text fixture, in bytes.
const maxTxtar = 64 << 20

// Open opens a recorded device, whatever its kind: the content tells, never the name.
func Open(ctx context.Context, name string, opt OpenOptions) (scanner.Device, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return Directory(name)
	}
	if !info.Mode().IsRegular() {
		return nil, nothingRecognised(name, "neither a file nor a directory")
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	head := make([]byte, sniffSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	var d scanner.Device
	switch {
	case n == 0:
		err = nothingRecognised(name, "it is empty")
	case isTxtar(head):
		d, err = openTxtar(f, name)
	default:
		err = nothingRecognised(name, "it is no text fixture")
	}
	return d, err
}

// isTxtar tells whether a file starts as text with a txtar file marker.
func isTxtar(head []byte) bool {
	s := string(head)
	if len(s) == sniffSize {
		s = s[:strings.LastIndexByte(s, '\n')+1] // whole lines
	}
	return utf8.ValidString(s) && (strings.HasPrefix(s, "-- ") || strings.Contains(s, "\n-- ")) &&
		!strings.Contains(s, "\x00")
}

func openTxtar(f *os.File, name string) (scanner.Device, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTxtar+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxTxtar {
		return nil, fmt.Errorf("%s: txtar: %w", name, &scanner.TooLargeError{Size: int64(len(text)), Limit: maxTxtar})
	}
	d, err := Txtar(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d.(*recorded).identity.Origin = "txtar " + filepath.Base(name)
	return d, nil
}
