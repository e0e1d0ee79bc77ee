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

	"picket/scanner/rules"
)

// Exit codes.
const (
	exitDone       = 0
	exitError      = 1
	exitFailOn     = 2  // done, and the level is at or above --fail-on
	exitNotRunning = 3  // no agent answers on the socket
	exitRefused    = 4  // an enrolment was refused, or a removal: trying again with the same changes nothing
	exitBlocked    = 5  // the posture does not meet the organisation's requirements
	exitUsage      = 64 // EX_USAGE of sysexits(3)
)

// Main runs the command line and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	tuneMemory()
	root := newRoot()
	root.SetArgs(args[1:])
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

func exitCode(err error, stderr io.Writer) int {
	var reached *levelReached
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &reached):
		return exitFailOn
	case errors.As(err, new(*notLetIn)):
		return exitBlocked
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(stderr, "picket: stopped")
		return exitError
	}
	fmt.Fprintf(stderr, "picket: error: %v\n", err)
	var hint *hinted
	if errors.As(err, &hint) {
		fmt.Fprintf(stderr, "picket: hint: %s\n", hint.hint)
	}
	if errors.As(err, new(*notRunning)) {
		return exitNotRunning
	}
	if errors.As(err, new(*enrolRefused)) {
		return exitRefused
	}
	if errors.As(err, new(*usageError)) {
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
		Use:   "picket",
		Short: "Open mobile threat defense for Android and other Linux-based devices",
		Long: `Picket finds suspicious apps, networks and operating-system issues on this device or in
anything that was taken from one earlier, says what each means and how to fix it, and says
which checks it could not make.`,
		Example: `  picket scan                          judge this device
  picket scan --image phone.tar.zst    judge a recorded one
  picket inventory --format json       list the installed packages
  picket explain OS-030                what a rule looks for, and why`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageHint(err, "see '"+cmd.CommandPath()+" --help'")
	})
	root.AddCommand(scanCommand(), inventoryCommand(), recordCommand(), rulesCommand(), explainCommand(), indicatorsCommand(),
		configCommand(), runCommand(), replayCommand(), serviceCommand(), enrolCommand(), unenrolCommand(),
		statusCommand(), postureCommand(), uiCommand(), threatsCommand(), rescanCommand(), historyCommand(), ignoreCommand(), unignoreCommand(), ignoresCommand(),
		setupCommand(), uninstallCommand(), notifyCommand(), wipeCommand(),
		eventsCommand(), reloadCommand(), doctorCommand(), updateCommand(), policyCommand(), publishCommand(),
		privacyCommand(), bundleCommand(),
		versionCommand(), completionCommand(), manCommand())
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.Args = knownCommand
	}
	return root
}

// noArgs refuses arguments as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		var names []string
		for _, c := range cmd.Commands() {
			names = append(names, c.Name())
		}
		return usageHint(fmt.Errorf("unknown command %q for %q%s", args[0], cmd.CommandPath(), rules.DidYouMean(args[0], names)), "see '"+cmd.CommandPath()+" --help'")
	}
	return usagef("%s takes no arguments, got %q", cmd.CommandPath(), args[0])
}

// knownCommand refuses help about what is no command, where cobra shows that of the whole.
func knownCommand(help *cobra.Command, args []string) error {
	cmd, rest, err := help.Root().Find(args)
	if err != nil || !cmd.HasSubCommands() {
		return err
	}
	return noArgs(cmd, rest)
}

// oneArg wants exactly one argument, named what.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usagef("%s needs one argument: %s", cmd.CommandPath(), what)
		}
		return nil
	}
}
