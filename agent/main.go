// Package agent is the composition root: commands, configuration, and what runs them.
package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitError  = 1
	exitFailOn = 2  // done, and the level is at or above --fail-on
	exitUsage  = 64 // EX_USAGE of sysexits(3)
)

// Main runs the command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	var done *levelReached
	if errors.As(err, &done) {
		return exitFailOn
	}
	fmt.Fprintf(stderr, "picket: error: %v\n", err)
	var hint *hinted
	if errors.As(err, &hint) {
		fmt.Fprintf(stderr, "picket: hint: %s\n", hint.hint)
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return exitUsage
	}
	return exitError
}

// levelReached ends a scan whose level is at or above --fail-on.
type levelReached struct{ level string }

func (e *levelReached) Error() string { return "threat level " + e.level }

// usageError is a mistake in the command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// hinted is an error with the step that helps.
type hinted struct {
	err  error
	hint string
}

func (e *hinted) Error() string { return e.err.Error() }
func (e *hinted) Unwrap() error { return e.err }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "picket",
		Short:         "Open mobile threat defense for Android and other Linux-based devices",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(scanCommand())
	return root
}
