package agent

import (
	"io"
	"testing"

	"picket/scanner/device"
)

// TestPhoneRecordingGivesTheSameReport records every planted phone, without its secrets, and
// holds the recording's report against the phone's own.
func TestPhoneRecordingGivesTheSameReport(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, s := range phoneScenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			dev := s.on(t, s.planted)
			replay, err := device.Open(t.Context(), recordDevice(t, dev), device.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := replay.(io.Closer); ok {
				defer c.Close()
			}
			if want, got := scanJSON(t, dev, set), scanJSON(t, replay, set); want != got {
				t.Errorf("reports differ:\n%s", firstDifference(want, got))
			}
		})
	}
}
