package agent

import (
	"context"
	"fmt"

	"picket/scanner"
)

// inputs answer sources that no device has and only the agent can: what it remembers of earlier
// times, what it heard since it started, what it tried by itself. A collector reads them like any
// other source, so that a recording may hold them too; in a scan without an agent they are
// unavailable, and what needs them is unknown.
type inputs map[scanner.Source]func(context.Context) ([]byte, error)

// maxInput bounds what one input may hand to a collector, in bytes.
const maxInput = 4 << 20

// informed is a device with the agent's own answers beside its own.
type informed struct {
	scanner.Device
	inputs inputs
}

func (i informed) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	answer, ours := i.inputs[s]
	if !ours {
		return i.Device.Probe(ctx, s)
	}
	b, err := answer(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if len(b) > maxInput {
		return nil, fmt.Errorf("%s: %w", s, &scanner.TooLargeError{Size: int64(len(b)), Limit: maxInput})
	}
	return b, nil
}
