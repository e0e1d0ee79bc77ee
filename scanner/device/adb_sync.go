package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"time"

	"picket/scanner"
)

// The sync service of a phone describes, lists and sends files. All numbers are little-endian.
// (packages/modules/adb: SYNC.TXT and file_sync_protocol.h of AOSP.)

const (
	statSize1  = 12 // bytes after the word STAT: mode, size, mtime
	statSize2  = 68 // after LST2
	maxSyncMsg = 64 << 10
	maxEntry   = 1 << 10 // bytes of a name in a listing; Linux has up to 255
)

// syncRequest is a request about a path.
func syncRequest(word, path string) (string, error) {
	if len(path) > maxADBName {
		return "", pathErr("ask", path, errors.New("name too long for adb"))
	}
	return word + string(binary.LittleEndian.AppendUint32(nil, uint32(len(path)))) + path, nil
}

// readSyncWord reads the word that begins an answer. A FAIL is an error with its text.
func readSyncWord(r io.Reader, want ...string) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return "", fmt.Errorf("adb sync: %w", cutOff(err))
	}
	word := string(b[:])
	if word == "FAIL" {
		text, err := readSyncBytes(r, maxSyncMsg)
		if err != nil {
			return "", err
		}
		return "", &adbFail{shown(string(text), 300)}
	}
	if !slices.Contains(want, word) {
		return "", fmt.Errorf("adb sync: answer %q, want %s", word, strings.Join(want, " or "))
	}
	return word, nil
}

// readSyncBytes reads a length and so many bytes.
func readSyncBytes(r io.Reader, limit uint32) ([]byte, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return nil, fmt.Errorf("adb sync: reading a length: %w", cutOff(err))
	}
	n := binary.LittleEndian.Uint32(b[:])
	if n > limit {
		return nil, fmt.Errorf("adb sync: a part of %d bytes, over the limit of %d", n, limit)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, fmt.Errorf("adb sync: reading %d bytes that were promised: %w", n, cutOff(err))
	}
	return text, nil
}

// syncInfo is a file as the sync service describes it. A version 1 service gives no owner.
type syncInfo struct {
	scanner.Info
	err error // why the phone could not describe it
}

// readSyncStat reads the answer to STAT, or to LST2 when second.
func readSyncStat(r io.Reader, second bool) (syncInfo, error) {
	word, size := "STAT", statSize1
	if second {
		word, size = "LST2", statSize2
	}
	if _, err := readSyncWord(r, word); err != nil {
		return syncInfo{}, err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return syncInfo{}, fmt.Errorf("adb sync: reading a description: %w", cutOff(err))
	}
	return parseSyncStat(b, second), nil
}

// parseSyncStat reads a description's fields: mode, size and mtime, or those of version 2:
// error, dev, ino, mode, nlink, uid, gid, size, atime, mtime, ctime.
func parseSyncStat(b []byte, second bool) syncInfo {
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if !second {
		return syncInfo{Info: scanner.Info{Mode: scanner.ModeOf(u32(b)), Size: int64(u32(b[4:])), UID: -1, GID: -1,
			ModTime: syncTime(int64(u32(b[8:])))}, err: zeroMode(u32(b))}
	}
	if errno := u32(b); errno != 0 {
		return syncInfo{err: wireError(errno)}
	}
	uid, gid := u32(b[28:]), u32(b[32:])
	return syncInfo{Info: scanner.Info{
		Dev: u64(b[4:]), Ino: u64(b[12:]), Mode: scanner.ModeOf(u32(b[20:])), Nlink: uint64(u32(b[24:])),
		UID: int(packID(int64(uid))), GID: int(packID(int64(gid))), Size: max(int64(u64(b[36:])), 0),
		ModTime: syncTime(int64(u64(b[52:]))), ChangeTime: syncTime(int64(u64(b[60:]))),
	}, err: zeroMode(u32(b[20:]))}
}

// errNoMode is how version 1 says that it cannot describe a file, and not why.
var errNoMode = errors.New("the phone does not describe it")

func zeroMode(mode uint32) error {
	if mode == 0 {
		return errNoMode
	}
	return nil
}

// syncTime keeps a time within what the scanner writes.
func syncTime(sec int64) time.Time {
	const year9999 = 253402300799
	if sec < 0 || sec > year9999 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

// wireError is an error number as the phone sends it: Linux's, whatever this computer has.
func wireError(errno uint32) error {
	switch errno {
	case 1, 13:
		return fs.ErrPermission
	case 2, 20: // also a file where a directory is needed
		return fs.ErrNotExist
	case 40:
		return errLinkLoop
	}
	return fmt.Errorf("the phone's error %d (%w)", errno, syscall.Errno(errno))
}

// failKind makes a refusal of the sync service, which is text, an error of its kind.
func failKind(err error) error {
	var no *adbFail
	if !errors.As(err, &no) {
		return err
	}
	switch {
	case strings.HasSuffix(no.text, "No such file or directory"), strings.HasSuffix(no.text, "Not a directory"):
		return fs.ErrNotExist
	case refused(no.text):
		return fs.ErrPermission
	case strings.HasSuffix(no.text, "Is a directory"):
		return errNotRegular
	}
	return err
}

// readSyncList reads the answer to LIST, or to LIS2 when second. readable tells whether the
// phone could read the directory: a listing without "." and ".." is what it sends when not.
func readSyncList(r io.Reader, second bool) (list []syncInfo, readable bool, err error) {
	word, size := "DENT", statSize1
	if second {
		word, size = "DNT2", statSize2
	}
	b := make([]byte, size)
	for {
		got, err := readSyncWord(r, word, "DONE")
		if err != nil {
			return nil, false, err
		}
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, false, fmt.Errorf("adb sync: reading a listing: %w", cutOff(err))
		}
		name, err := readSyncBytes(r, maxEntry)
		if err != nil {
			return nil, false, err
		}
		if got == "DONE" {
			break
		}
		switch string(name) {
		case ".", "..":
			readable = true
			continue
		}
		if len(name) == 0 || strings.ContainsAny(string(name), "/\x00") {
			return nil, false, fmt.Errorf("adb sync: a listing has the name %.100q", name)
		}
		if len(list) >= maxDirEntries {
			return nil, false, &scanner.TooLargeError{Size: int64(len(list)), Limit: maxDirEntries}
		}
		in := parseSyncStat(b, second)
		in.Name = string(name)
		list = append(list, in)
	}
	slices.SortFunc(list, func(a, b syncInfo) int { return strings.Compare(a.Name, b.Name) })
	list = slices.CompactFunc(list, func(a, b syncInfo) bool { return a.Name == b.Name })
	return list, readable || len(list) > 0, nil
}

// readSyncData reads the next part of a file that is sent: io.EOF after the last.
func readSyncData(r io.Reader) ([]byte, error) {
	word, err := readSyncWord(r, "DATA", "DONE")
	if err != nil {
		return nil, err
	}
	if word == "DONE" {
		if _, err := readSyncBytes(r, 0); err != nil { // no length, but four bytes
			return nil, err
		}
		return nil, io.EOF
	}
	return readSyncBytes(r, maxSyncMsg)
}
