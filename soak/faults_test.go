package soak

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// What the agent's disks hold: small enough to be filled in no time, large enough for an hour.
const (
	stateSize = "size=48m,mode=0700"
	sinkSize  = "size=256m,mode=0700"
)

// disks are the agent's two file systems, and the faults that they can have.
type disks struct {
	root  string
	moved int // files of events that were taken away, as log rotation does
}

func (d *disks) state() string            { return filepath.Join(d.root, "var/lib/picket") }
func (d *disks) sink() string             { return filepath.Join(d.root, "srv/sink") }
func (d *disks) events() string           { return filepath.Join(d.sink(), "events") }
func (d *disks) file() string             { return filepath.Join(d.events(), "e.ndjson") }
func (d *disks) away(n int) string        { return d.file() + ".away-" + strconv.Itoa(n) }
func (d *disks) balloon(at string) string { return filepath.Join(at, "balloon") }

func (d *disks) mount() error {
	err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", filepath.Join(d.root, "proc"), "proc", 0, ""),
		unix.Mount("tmpfs", d.state(), "tmpfs", 0, stateSize),
		unix.Mount("tmpfs", d.sink(), "tmpfs", 0, sinkSize))
	if err != nil {
		return fmt.Errorf("mounting: %w", err)
	}
	return os.Mkdir(d.events(), 0o700)
}

// fault is something that befalls a disk, and how it ends.
type fault struct {
	name       string
	down       bool // it can only begin while the agent does not run, which has files open
	begin, end func() error
}

func (d *disks) faults() []fault {
	plug := filepath.Join(d.sink(), "plug")
	return []fault{
		{"state disk full", false, func() error { return inflate(d.balloon(d.state())) }, func() error { return os.Remove(d.balloon(d.state())) }},
		{"sink full", false, func() error { return inflate(d.balloon(d.sink())) }, func() error { return os.Remove(d.balloon(d.sink())) }},
		{"sink's folder is a file", false, func() error { return errors.Join(os.WriteFile(plug, nil, 0o600), swap(plug, d.events())) }, func() error { return errors.Join(swap(plug, d.events()), os.Remove(plug)) }},
		{"sink's file is a folder", false, func() error { return d.putFolder(plug) }, func() error { return os.Remove(d.file()) }},
		{"sink's file taken away", false, d.rotate, func() error { return nil }},
		{"state disk read-only", true, func() error { return d.readOnly(d.state(), stateSize, true) }, func() error { return d.readOnly(d.state(), stateSize, false) }},
		{"sink read-only", true, func() error { return d.readOnly(d.sink(), sinkSize, true) }, func() error { return d.readOnly(d.sink(), sinkSize, false) }},
	}
}

func (d *disks) readOnly(at, options string, on bool) error {
	flags := uintptr(unix.MS_REMOUNT)
	if on {
		flags |= unix.MS_RDONLY
	}
	return unix.Mount("", at, "", flags, options)
}

// rotate moves the file of events away; what the agent is just writing goes with it.
func (d *disks) rotate() error {
	err := os.Rename(d.file(), d.away(d.moved))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		d.moved++
	}
	return err
}

// putFolder puts a folder in the place of the file of events, and takes that away.
func (d *disks) putFolder(plug string) error {
	if err := os.Mkdir(plug, 0o700); err != nil {
		return err
	}
	if err := swap(plug, d.file()); err != nil {
		return errors.Join(err, os.Remove(plug))
	}
	err := os.Rename(plug, d.away(d.moved))
	if err == nil {
		d.moved++
	}
	return err
}

// swap gives two names each other's file, at once: the agent would make anew what is not there.
func swap(a, b string) error {
	return unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
}

// inflate fills the file system that the file is on, to the last page.
func inflate(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	at := int64(0)
	for step := int64(64 << 20); step >= 4096; {
		switch err := unix.Fallocate(int(f.Fd()), 0, at, step); {
		case err == nil:
			at += step
		case errors.Is(err, unix.ENOSPC):
			step /= 2
		case !errors.Is(err, unix.EINTR):
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// lines gives all that reached the sink, in its order. The last line of a file that was taken
// away may be cut: what was not delivered whole is delivered again.
func (d *disks) lines() ([][]byte, error) {
	var out [][]byte
	for i := 0; i <= d.moved; i++ {
		name := d.away(i)
		if i == d.moved {
			name = d.file()
		}
		b, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		whole := bytes.LastIndexByte(b, '\n') + 1
		if rest := b[whole:]; len(rest) > 0 && i == d.moved {
			return nil, fmt.Errorf("the file of events ends with %.80q", rest)
		}
		for line := range bytes.Lines(b[:whole]) {
			out = append(out, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	return out, nil
}
