package agent

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
	"picket/transport"
	"picket/transport/tuf"
)

// updated is what `picket update --json` writes.
type updated struct {
	Changed bool `json:"changed"`
	UpdateState
	Agent string `json:"agent"` // told, or why it was not
}

func updateCommand() *cobra.Command {
	var (
		ask  apiFlags
		as   jsonFlags
		from string
		root string
	)
	cmd := &cobra.Command{
		Use:   "update",
		Short: "Fetch rules, indicators and policy now, from the organisation's repository or a stick",
		Long: `Update looks for newer rules, indicators and policy and puts them into effect, all of them or
none: every rule is checked and the tests inside it are run first. The agent does the same by
itself, in intervals.

Only what is signed by the keys of a root that this device trusts is taken. An enrolment brings
that root; without one it is named once, with --root and --from. With --from alone the files come
from another place this time, such as a stick; whose they must be stays the same
(docs/updates.md).

Exit status: 0 done, 1 refused or error, 64 usage.`,
		Example: `  sudo picket update
  sudo picket update --root 1.root.json --from https://updates.example.org/picket
  sudo picket update --from /media/stick/picket`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			c, _, err := ask.config.load()
			if err != nil {
				return err
			}
			src, err := commandSource(c, root, from)
			if err != nil {
				return err
			}
			r, err := fetchUpdates(cmd.Context(), c, src, time.Now)
			if err != nil {
				return explainUpdate(err)
			}
			crit, lost, err := criteriaNow(c)
			if err = errors.Join(lost, err); err != nil {
				return err
			}
			u := updated{r.Changed, updatesState(crit, time.Now()), "told"}
			if err := ask.call(cmd.Context(), apiRequest{Op: "reload"}, nil, nil); errors.As(err, new(*notRunning)) {
				u.Agent = "not running"
			} else if err != nil {
				u.Agent = err.Error()
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), u)
			}
			return showUpdated(cmd.OutOrStdout(), u)
		},
	}
	ask.add(cmd)
	as.add(cmd)
	cmd.Flags().StringVar(&from, "from", "", "fetch from this `PLACE`: an https address, or a folder")
	cmd.Flags().StringVar(&root, "root", "", "trust the root in this `FILE` from now on, and fetch from --from; another root's files are forgotten")
	return cmd
}

// commandSource finds where updates come from, and pins a root if one was named.
func commandSource(c Config, root, from string) (tuf.Source, error) {
	pinned, err := updatesSource(c, time.Now)
	if err != nil {
		return nil, err
	}
	switch {
	case root != "" && from == "":
		return nil, usagef("--root goes with --from: whose files they are, and where")
	case root != "":
		if up, err := enrolledUpdates(c.StateDir); err != nil || up != nil {
			return nil, errors.Join(err, errors.New("the enrolment says whose updates this device trusts"))
		}
		b, err := readSmall(root)
		if err != nil {
			return nil, fmt.Errorf("reading the root: %w", err)
		}
		src, err := updatesAt(from, transport.Options{Now: time.Now})
		if err != nil {
			return nil, &usageError{err}
		}
		return src, tuf.Pin(updatesDir(c), b, src.String(), false, time.Now())
	case pinned == nil:
		return nil, &hinted{errors.New("this device trusts nobody's updates yet"), "enrol it, or name a root: 'picket update --root 1.root.json --from PLACE'"}
	case from != "":
		src, err := updatesAt(from, transport.Options{Now: time.Now})
		if err != nil {
			return nil, &usageError{err}
		}
		return src, nil
	}
	return pinned, nil
}

func explainUpdate(err error) error {
	var refused *tuf.Refused
	switch {
	case errors.As(err, &refused):
		return &hinted{err, "what was accepted last stays in effect; " + refusedFix(refused)}
	case errors.Is(err, tuf.ErrBusy):
		return &hinted{err, "the agent fetches right now: try again in a moment"}
	}
	return err
}

func showUpdated(w io.Writer, u updated) error {
	what := "nothing new"
	if u.Changed {
		what = "updated"
	}
	_, err := fmt.Fprintf(w, "%s: %s\nindicators: %d\nagent: %s\n", what, report.Clean(updatesText(u.UpdateState, time.Now())), u.Indicators, report.Clean(u.Agent))
	return err
}

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "policy", Short: "Show the organisation's policy that is in force, or check one", Args: noArgs,
		Example: "  picket policy show\n  picket policy check policy.yaml",
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(policyShowCommand(), policyCheckCommand())
	return cmd
}

// policyInForce is what `picket policy show --json` writes.
type policyInForce struct {
	Policy  *Policy     `json:"policy"` // null: there is none
	Updates UpdateState `json:"updates"`
	Idle    []string    `json:"idle"` // what of it says nothing on this device
	Error   string      `json:"error,omitempty"`
}

func policyShowCommand() *cobra.Command {
	var (
		which configFlags
		as    jsonFlags
	)
	cmd := &cobra.Command{
		Use: "show", Short: "Show what is in force, from where, and until when", Args: noArgs,
		Example: "  sudo picket policy show\n  sudo picket policy show --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			c, _, err := which.load()
			if err != nil {
				return err
			}
			crit, lost, err := criteriaNow(c)
			if err != nil {
				return err
			}
			p := policyInForce{crit.policy, updatesState(crit, time.Now()), append([]string{}, crit.idle...), ""}
			if lost != nil {
				p.Error = lost.Error()
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), p)
			}
			return showPolicy(cmd.OutOrStdout(), p)
		},
	}
	which.add(cmd)
	as.add(cmd)
	return cmd
}

func policyCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Check a policy before it is published", Args: oneArg("a policy"),
		Example: "  picket policy check policy.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readSmall(args[0])
			if err != nil {
				return err
			}
			if _, err := ParsePolicy(args[0], b); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is well formed\n", args[0])
			return err
		},
	}
}

// showPolicy writes a policy for people.
func showPolicy(w io.Writer, in policyInForce) error {
	p := in.Policy
	if p == nil {
		_, err := fmt.Fprintln(w, "no policy is in force")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, report.Clean(fmt.Sprintf(format, args...)))
	}
	row("updates", "%s", updatesText(in.Updates, time.Now()))
	if in.Error != "" {
		row("not used", "%s", in.Error)
	}
	for _, line := range policyRows(p) {
		row(line[0], "%s", line[1])
	}
	for _, why := range in.Idle {
		row("says nothing", "%s", why)
	}
	return tw.Flush()
}
