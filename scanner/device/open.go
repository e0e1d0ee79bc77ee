package device

import (
	"bytes"
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
	// Sources tells which live sources will be asked, of a recording that is not kept whole. Nil
	// keeps all that fit in memory.
	Sources func(s scanner.Source) bool
	// Meta tells of which further files of a compressed archive to take first bytes and
	// digests, though they are no programs. Nil is none.
	Meta func(name string) bool
	// ADBServer is where the adb server listens, as ADBServer finds it; "" is its usual place.
	ADBServer string
}

// ErrNothingRecognised is wrapped by Open's error for something that is no device.
var ErrNothingRecognised = errors.New("nothing recognised")

func nothingRecognised(why string) error { return fmt.Errorf("%w: %s", ErrNothingRecognised, why) }

// sniffSize is how much of a file is looked at to tell its kind.
const sniffSize = 8 << 10

// maxTxtar is the longest text fixture, in bytes.
const maxTxtar = 64 << 20

// Open opens a recorded device, whatever its kind: the content tells, never the name. Only a
// phone on an adb server is told by its name, "adb:" and the serial number; it is read until
// ctx ends. The error may be a *HintError.
func Open(ctx context.Context, name string, opt OpenOptions) (scanner.Device, error) {
	if serial, ok := strings.CutPrefix(name, ADBPrefix); ok {
		return openADB(ctx, serial, opt)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(ctx, name, opt)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, nothingRecognised("it is neither a file nor a directory"))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	head := make([]byte, sniffSize)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		f.Close()
		return nil, err
	}
	d, err := openFile(ctx, f, name, info.Size(), head[:n], opt)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return d, nil
}

// openFile opens a device by its file's first bytes. The device keeps f if it needs it.
func openFile(ctx context.Context, f *os.File, name string, size int64, head []byte, opt OpenOptions) (scanner.Device, error) {
	packed := compression(head)
	switch {
	case len(head) == 0:
		return nil, nothingRecognised("it is empty")
	case packed != "" || isTar(head):
		d, err := openTar(ctx, &archiveFile{f: f, name: name, size: size, packed: packed}, opt)
		return d.reading(f, packed == ""), err
	case isZip(head):
		if d, err := openAndroidZip(ctx, f, name, size, opt); d != nil || err != nil {
			return d, err
		}
		d, err := openZip(f, name, size, opt)
		return d.reading(f, true), err
	case !hasMarker(head):
		if d, err := openAndroidFile(ctx, fileBundle(f, filepath.Base(name), size), f, opt); d != nil || err != nil {
			return d, err
		}
	}
	switch {
	case isTxtar(head):
		d, err := openTxtar(f, name)
		return d.reading(f, false), err
	}
	if start := make([]byte, min(imageHead, size)); readStart(f, start) && isImage(start) {
		d, err := openImageFile(f, name, size, opt)
		return d.reading(f, true), err
	}
	return nil, nothingRecognised("it is no archive (tar, gzip, xz, zstd, zip), no filesystem image and no text fixture")
}

// readStart fills b from a file's start.
func readStart(f *os.File, b []byte) bool {
	n, err := f.ReadAt(b, 0)
	return n == len(b) || err == nil
}

// openFolder opens a directory: an image layout or a root filesystem.
func openFolder(ctx context.Context, name string, opt OpenOptions) (scanner.Device, error) {
	t, err := openTree(name)
	if err != nil {
		return nil, err
	}
	if fsys := newFS(t); isImageArchive(fsys) {
		d, err := openContainer(ctx, fsys, filepath.Base(name), opt, nil)
		t.close() // the layers are open
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return d, nil
	}
	if fsys := newFS(t); !hasRootMark(fsys) {
		if d, err := openImageFolder(fsys, filepath.Base(name), opt); d != nil || err != nil {
			if err != nil {
				t.close()
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			d.files = append(d.files, treeCloser{t})
			return d, nil
		}
		d, err := openAndroidFolder(ctx, fsys, t, filepath.Base(name), opt)
		if d != nil {
			return d, nil // its files are open below t
		}
		if err != nil {
			t.close()
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	t.close()
	return Directory(name)
}

// openAndroidZip opens a zip archive that was taken from an Android device: nil when it is none.
func openAndroidZip(ctx context.Context, f *os.File, name string, size int64, opt OpenOptions) (scanner.Device, error) {
	b, err := zipBundle(f, filepath.Base(name), size)
	if err != nil {
		return nil, err
	}
	if b.get("AndroidManifest.xml") != nil {
		b = fileBundle(f, filepath.Base(name), size)
	}
	return openAndroidFile(ctx, b, f, opt)
}

func openAndroidFile(ctx context.Context, b *bundle, f io.Closer, opt OpenOptions) (scanner.Device, error) {
	d, err := openAndroid(ctx, b, opt, 0)
	if d == nil || err != nil {
		return nil, err
	}
	d.files = append(d.files, f)
	return d, nil
}

// openAndroidFolder is openAndroidFile for a folder.
func openAndroidFolder(ctx context.Context, fsys scanner.FS, t *dirTree, name string, opt OpenOptions) (scanner.Device, error) {
	b, err := folderBundle(fsys, name)
	if err != nil {
		return nil, err
	}
	d, err := openAndroid(ctx, b, opt, 0)
	if d == nil || err != nil {
		return nil, err
	}
	d.files = append(d.files, treeCloser{t})
	return d, nil
}

// treeCloser gives back the descriptors of a tree.
type treeCloser struct{ t *dirTree }

func (c treeCloser) Close() error {
	c.t.close()
	return nil
}

// hasMarker tells a text that has the file markers of txtar whole.
func hasMarker(head []byte) bool {
	for l := range bytes.Lines(head) {
		if _, ok := markerLine(l); ok {
			return true
		}
	}
	return false
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

func openTxtar(f io.ReaderAt, name string) (*recorded, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxTxtar+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxTxtar {
		return nil, fmt.Errorf("txtar: %w", &scanner.TooLargeError{Size: int64(len(text)), Limit: maxTxtar})
	}
	d, err := readTxtar(text)
	if err != nil {
		return nil, err
	}
	d.identity.Origin = "txtar " + filepath.Base(name)
	return d, nil
}
