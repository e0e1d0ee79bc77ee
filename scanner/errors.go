package scanner

import (
	"errors"
	"fmt"
	"io/fs"
)

// TooLargeError says that something on the device is larger than the scanner will read.
type TooLargeError struct {
	Size, Limit int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%d bytes or more, over the limit of %d", e.Size, e.Limit)
}

// Reason puts an error of a Device in the few words that a report shows for what could not
// be looked at.
func Reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		switch {
		case errors.Is(err, fs.ErrPermission):
			return "may not read " + pe.Path + " (run as root)"
		case errors.Is(err, ErrNotRecorded):
			return pe.Path + " is not in the recording"
		case errors.Is(err, fs.ErrNotExist):
			return pe.Path + " does not exist"
		}
	}
	return err.Error()
}
