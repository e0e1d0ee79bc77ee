package facts

import (
	"context"
	"encoding/json"
	"errors"

	"picket/scanner"
)

// needsLive is why a table of the running system is absent on a tree or an image.
const needsLive = "needs a live device"

// probed decodes what a live source gave. absent says why there is nothing.
func probed[T any](ctx context.Context, in *scanner.Input, s scanner.Source) (v T, absent string) {
	if !in.Device.Identity().Live {
		return v, needsLive
	}
	b, err := in.Device.Probe(ctx, s)
	if err != nil {
		return v, unavailable(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, string(s) + ": " + err.Error()
	}
	return v, ""
}

// unavailable puts a probe's error in a few words.
func unavailable(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "took too long"
	}
	return scanner.Reason(err)
}

const maxMountInfo = 16 << 20 // bytes of /proc/PID/mountinfo
