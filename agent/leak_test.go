package agent

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
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
	packing.Lock()          // for each of hundreds of daemons, it would collect the garbage of all
	parallel()
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

// parallel lets more tests run at once, where nobody says how many: most wait for another program, for
// a disk or for time to pass, and processors would idle.
func parallel() {
	flag.Parse()
	said := false
	flag.Visit(func(f *flag.Flag) { said = said || f.Name == "test.parallel" })
	if !said {
		_ = flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0)))
	}
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
