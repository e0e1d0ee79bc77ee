// Package parse turns bytes that a device produced into values, one file per format.
// It knows nothing of devices, facts or rules. All input is hostile: every parser is bounded
// in memory and time, never panics, and is fuzzed.
package parse

import "fmt"

// Error says where in its input a parser stopped, and why. The caller adds the file.
type Error struct {
	Offset int64 // bytes from the start of the input; -1 when only the line is known
	Line   int   // 1-based; 0 when the format has no lines
	Msg    string
}

func (e *Error) Error() string {
	switch {
	case e.Line > 0 && e.Offset >= 0:
		return fmt.Sprintf("line %d (offset %d): %s", e.Line, e.Offset, e.Msg)
	case e.Line > 0:
		return fmt.Sprintf("line %d: %s", e.Line, e.Msg)
	}
	return fmt.Sprintf("offset %d: %s", e.Offset, e.Msg)
}
