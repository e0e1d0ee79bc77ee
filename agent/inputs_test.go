package agent

import (
	"context"
	"errors"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

func TestInputsAnswerForTheDevice(t *testing.T) {
	t.Parallel()
	own, err := device.Txtar([]byte("-- probe/routes --\n[]\n"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no store")
	dev := informed{own, inputs{
		scanner.SourceNetworkHistory: func(context.Context) ([]byte, error) { return []byte("{}"), nil },
		"failing":                    func(context.Context) ([]byte, error) { return nil, broken },
		"endless":                    func(context.Context) ([]byte, error) { return make([]byte, maxInput+1), nil },
	}}
	for _, c := range []struct {
		source scanner.Source
		want   string
		err    error
	}{
		{scanner.SourceNetworkHistory, "{}", nil},
		{scanner.SourceRoutes, "[]\n", nil},
		{"failing", "", broken},
		{scanner.SourceSockets, "", scanner.ErrUnavailable},
	} {
		b, err := dev.Probe(t.Context(), c.source)
		if string(b) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v", c.source, b, err)
		}
	}
	if _, err := dev.Probe(t.Context(), "endless"); err == nil || !strings.Contains(err.Error(), "endless") {
		t.Errorf("an input without bounds: %v", err)
	}
}
