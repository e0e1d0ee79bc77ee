package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	berrors "go.etcd.io/bbolt/errors"
)

// makeFolder makes the store's folder, closed to others, and refuses one that others may
// write into: they could swap the file.
func makeFolder(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := checkOwner(info); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%w: others may write into %s (mode %04o)", ErrForeign, dir, info.Mode().Perm())
	}
	return nil
}

func checkOwner(info os.FileInfo) error {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: its owner cannot be told", ErrForeign)
	}
	if int64(st.Uid) != int64(os.Geteuid()) {
		return fmt.Errorf("%w: it belongs to user %d, and this process runs as %d", ErrForeign, st.Uid, os.Geteuid())
	}
	return nil
}

// openOurs opens a regular file of our own, never through a link, never blocking, and
// closes it to others.
func openOurs(path string) (*os.File, error) {
	return openChecked(path, os.O_RDWR)
}

func openChecked(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%w: %s is a link", ErrForeign, path)
	}
	if errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("%w: %s is no regular file", ErrForeign, path)
	}
	if err != nil {
		return nil, err
	}
	if err := checkFile(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func checkFile(f *os.File, path string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is no regular file", ErrForeign, path)
	}
	if err := checkOwner(info); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if info.Mode().Perm() != 0o600 {
		return f.Chmod(0o600)
	}
	return nil
}

// keptMark follows the holder's name in the lock file once a store was open under it.
const keptMark = "kept"

// takeLock locks the file beside the store and writes who holds it. The lock is not on the
// store itself, because compaction replaces that file. before tells that a store was open
// under this lock at some time.
func takeLock(path string, wait time.Duration) (f *os.File, before bool, err error) {
	f, err = openChecked(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, false, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
			f = nil
		}
	}()
	deadline := time.Now().Add(wait)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return f, false, fmt.Errorf("lock %s: %w", path, err)
		}
		if time.Now().After(deadline) {
			return f, false, fmt.Errorf("%w by %s", ErrLocked, holder(f))
		}
		time.Sleep(20 * time.Millisecond)
	}
	note := readNote(f)
	before = len(note) > 2 && string(note[2]) == keptMark
	// On a full disk the note cannot be written. The lock holds all the same.
	_ = writeNote(f, before)
	return f, before, nil
}

// unlock gives up the lock. Closing alone does not while a child that was just forked has the file too,
// until it runs its program.
func unlock(f *os.File) error {
	return errors.Join(syscall.Flock(int(f.Fd()), syscall.LOCK_UN), f.Close())
}

func readNote(f *os.File) [][]byte {
	buf, err := io.ReadAll(io.NewSectionReader(f, 0, 200))
	if err != nil {
		return nil
	}
	return bytes.Split(buf, []byte("\n"))
}

func writeNote(f *os.File, kept bool) error {
	note := fmt.Sprintf("%d\n%s\n", os.Getpid(), filepath.Base(os.Args[0]))
	if kept {
		note += keptMark + "\n"
	}
	if _, err := f.WriteAt([]byte(note), 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(note)))
}

func markKept(f *os.File) error {
	if note := readNote(f); len(note) > 2 && string(note[2]) == keptMark {
		return nil
	}
	_ = writeNote(f, true) // a full disk again
	return nil
}

// holder names the process that holds the lock, from the note that it wrote.
func holder(f *os.File) string {
	note := readNote(f)
	if len(note) < 2 {
		return "another process"
	}
	pid, err := strconv.Atoi(string(note[0]))
	if err != nil || pid <= 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d (%q)", pid, note[1])
}

// syncDir makes renames in a folder last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// explain wraps err with what was being done and with the sentinel that it amounts to.
func explain(op string, err error) error {
	is := func(targets ...error) bool {
		for _, t := range targets {
			// bbolt formats some of its errors without wrapping them.
			if _, sys := t.(syscall.Errno); errors.Is(err, t) || sys && bytes.HasSuffix([]byte(err.Error()), []byte(t.Error())) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return nil
	case is(ErrFull, ErrReadOnly, ErrLocked, ErrForeign, ErrNewer, ErrDamaged, ErrClosed):
		return fmt.Errorf("%s: %w", op, err)
	case is(berrors.ErrMaxSizeReached, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return fmt.Errorf("%s: %w: %w", op, ErrFull, err)
	case is(berrors.ErrDatabaseReadOnly, syscall.EROFS, syscall.EACCES, syscall.EPERM):
		return fmt.Errorf("%s: %w: %w", op, ErrReadOnly, err)
	case is(berrors.ErrTimeout):
		return fmt.Errorf("%s: %w by another process", op, ErrLocked)
	case is(berrors.ErrDatabaseNotOpen, berrors.ErrTxClosed):
		return fmt.Errorf("%s: %w", op, ErrClosed)
	case is(berrors.ErrInvalidMapping, berrors.ErrInvalid, berrors.ErrChecksum):
		return fmt.Errorf("%s: %w: %w", op, ErrDamaged, err)
	}
	return fmt.Errorf("%s: %w", op, err)
}
