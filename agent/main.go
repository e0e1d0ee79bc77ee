// Package agent is the composition root: commands, configuration, and what runs them.
package agent

import "io"

// Main runs the command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return 0
}
