package facts

import (
	"testing"
	"time"
)

// A web engine that was current when the device was seen is not called old, and one half a year
// behind is.
func TestChromiumMajorIsALittleBehindTheRealOne(t *testing.T) {
	t.Parallel()
	for day, real := range map[string]int{
		"2017-06-20": 59, "2019-06-18": 75, "2021-05-20": 90, "2021-09-30": 94, "2022-04-10": 100, "2023-01-20": 109, "2023-12-10": 120, "2024-05-16": 125, "2025-04-05": 135, "2025-10-20": 141,
	} {
		now, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if got := chromiumMajor(now); got > real+1 || got < real-4 {
			t.Errorf("%s: %d, the real one was %d", day, got, real)
		}
	}
}

func TestVersionsOfChromium(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]bool{
		"113.0.5672.77": true, "37 (1448693-arm64)": true, "124.0.6367.82": true, "44.0.2403.119": true, "14.0.0.331": false, "11.0.7.303": false, "": false, "4.4.2": false, "x": false,
	} {
		if got := chromiumVersion(version); got != want {
			t.Errorf("%q: %v", version, got)
		}
	}
}
