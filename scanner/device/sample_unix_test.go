package device

import (
	"time"

	"golang.org/x/sys/unix"
)

func mkfifo(name string) error             { return unix.Mkfifo(name, 0o600) }
func chmod(name string, mode uint32) error { return unix.Chmod(name, mode) }

func setxattr(name, key, value string) error { return unix.Lsetxattr(name, key, []byte(value), 0) }

func lutimes(name string, at time.Time) error {
	ts := unix.NsecToTimespec(at.UnixNano())
	return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
