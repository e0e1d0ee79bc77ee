package agent

import (
	"os"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("PICKET_TEST_COMMAND") != "" { // another program that a test started wants picket itself
		os.Exit(Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	debug.SetGCPercent(400) // as tuneMemory does
	goleak.VerifyTestMain(m)
}
