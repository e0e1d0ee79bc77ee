package agent

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// What a device calls itself is inert in the log, as its message, in an error and as a value.
func TestLogsHoldNoEscapes(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	m := hostMachine(&configFlags{}, &log)
	m.log.Warn("changed: "+hostile, "package", hostile, "error", errors.New(hostile), hostile, 1)
	newWarnings(m.log, m.clock.wall).set("code", "dependency", hostile, hostile)
	if strings.ContainsAny(log.String(), "\x1b\a\r\u202e") || strings.Count(log.String(), "\n") != 2 {
		t.Errorf("the log holds %q", log.String())
	}
	if strings.Count(log.String(), `\x1b[2J`) != 6 {
		t.Errorf("the log leaves out what it was to say: %s", log.String())
	}
}
