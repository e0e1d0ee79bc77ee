package agent

import (
	"fmt"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Else each process that a test starts under the race detector sleeps for a second at its end.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	debug.SetGCPercent(400) // as tuneMemory does
	code := m.Run()
	err := programs.remove()
	if err == nil && code == 0 {
		err = noLeaks()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// noLeaks tells of goroutines that do not end, however busy the machine is.
func noLeaks(but ...goleak.Option) (err error) {
	for end := time.Now().Add(patience); ; { // Find itself waits for a second or so
		if err = goleak.Find(but...); err == nil || time.Now().After(end) {
			return err
		}
	}
}

func verifyNone(t *testing.T, but ...goleak.Option) {
	t.Helper()
	if err := noLeaks(but...); err != nil {
		t.Error(err)
	}
}
