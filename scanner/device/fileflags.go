package device

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

// flags gives a file's flags by statx(2), which opens nothing. File systems that keep none,
// and kernels before 4.11, do not tell.
func (t *dirTree) flags(name string) ([]byte, error) {
	var value []byte
	err := t.at("read flags of", name, func(dir int, last string) error {
		var st unix.Statx_t
		err := unix.Statx(dir, last, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
		const both = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
		switch {
		case errors.Is(err, unix.ENOSYS):
			return fmt.Errorf("the kernel does not tell: %w", scanner.ErrUnavailable)
		case err != nil:
			return err
		case st.Attributes_mask&both != both:
			return fmt.Errorf("the file system does not tell: %w", scanner.ErrUnavailable)
		}
		if value = fileFlags(st.Attributes&unix.STATX_ATTR_IMMUTABLE != 0, st.Attributes&unix.STATX_ATTR_APPEND != 0); value == nil {
			return fs.ErrNotExist
		}
		return nil
	})
	return value, err
}

// fileFlags writes flags as scanner.FlagsAttr has them; nil for none.
func fileFlags(immutable, appendOnly bool) []byte {
	var b []byte
	if immutable {
		b = append(b, 'i')
	}
	if appendOnly {
		b = append(b, 'a')
	}
	return b
}
