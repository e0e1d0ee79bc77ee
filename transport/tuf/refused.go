package tuf

import (
	"errors"
	"fmt"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Reason is why something was refused.
type Reason string

// The reasons.
const (
	Rollback  Reason = "rollback"  // older than what is known
	Expired   Reason = "expired"   // its time is over: a freeze, or a publisher who forgot
	Unsigned  Reason = "unsigned"  // not signed by enough of the keys that may
	Tampered  Reason = "tampered"  // not what the signed metadata describe
	TooLarge  Reason = "too-large" // more bytes than may be
	Malformed Reason = "malformed" // not of the form that it must have
	Rejected  Reason = "rejected"  // well signed, but cannot take effect here
)

// Refused is what a repository offered and the device does not take.
type Refused struct {
	Why  Reason
	File string
	Err  error
}

func (e *Refused) Error() string { return fmt.Sprintf("%s refused (%s): %v", e.File, e.Why, e.Err) }
func (e *Refused) Unwrap() error { return e.Err }

// refuse gives the reason of an error of the TUF library.
func refuse(file string, err error) error {
	why := Malformed
	for _, k := range []struct {
		as  error
		why Reason
	}{
		{&metadata.ErrExpiredMetadata{}, Expired},
		{&metadata.ErrBadVersionNumber{}, Rollback},
		{&metadata.ErrUnsignedMetadata{}, Unsigned},
		{&metadata.ErrLengthOrHashMismatch{}, Tampered},
	} {
		if errors.Is(err, k.as) {
			why = k.why
			break
		}
	}
	return &Refused{why, file, err}
}
