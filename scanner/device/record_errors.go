package device

import (
	"errors"
	"fmt"
	"io/fs"

	"picket/scanner"
)

// maxRecordedErrors bounds the distinct errors of one recording.
const maxRecordedErrors = 1 << 15

// recordedError is an error as a recording has it: its text, and which of the errors that
// matter to the scanner it is.
type recordedError struct {
	Op    string   `json:"op,omitempty"` // of the *fs.PathError that carried it, "" when there was none
	Text  string   `json:"text"`
	Kinds []string `json:"is,omitempty"`
}

func (e *recordedError) Error() string { return e.Text }

// Is makes a replayed error the one that was met.
func (e *recordedError) Is(target error) bool {
	for _, word := range e.Kinds {
		if target == errorNamed(word) {
			return true
		}
	}
	return false
}

// errorWords name the errors that matter to the scanner in a recording.
func errorWords() []string {
	return []string{"not-exist", "permission", "unavailable", "not-recorded", "invalid", "not-regular"}
}

func errorNamed(word string) error {
	switch word {
	case "not-exist":
		return fs.ErrNotExist
	case "permission":
		return fs.ErrPermission
	case "unavailable":
		return scanner.ErrUnavailable
	case "not-recorded":
		return scanner.ErrNotRecorded
	case "invalid":
		return fs.ErrInvalid
	case "not-regular":
		return errNotRegular
	}
	return nil
}

// errorList numbers distinct errors.
type errorList struct {
	list []*recordedError
	seen map[string]uint16
}

// number gives an error's number, counted from 1.
func (l *errorList) number(err error) uint16 {
	e := &recordedError{Text: err.Error()}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		e.Op, e.Text = pe.Op, pe.Err.Error()
	}
	for _, word := range errorWords() {
		if errors.Is(err, errorNamed(word)) {
			e.Kinds = append(e.Kinds, word)
		}
	}
	key := fmt.Sprintf("%q %q %q", e.Op, e.Text, e.Kinds)
	if n, ok := l.seen[key]; ok {
		return n
	}
	if len(l.list) >= maxRecordedErrors {
		return uint16(len(l.list)) // one of many; hardly any device has ten
	}
	if l.seen == nil {
		l.seen = map[string]uint16{}
	}
	l.list = append(l.list, e)
	l.seen[key] = uint16(len(l.list))
	return uint16(len(l.list))
}

// get gives the error with a number as met at name.
func (l *errorList) get(n uint16, name string) error {
	e := l.list[n-1]
	if e.Op == "" {
		return e
	}
	return pathErr(e.Op, name, e)
}
