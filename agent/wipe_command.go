package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"picket/agent/respond"
	"picket/scanner/report"
)

// ResponseState is how responses stand, as the local API and `picket wipe` give it.
type ResponseState struct {
	Hook respond.Hook     `json:"hook"`
	Wipe *respond.Pending `json:"wipe,omitempty"`
	// Earliest is when a wipe that waits may begin.
	Earliest *time.Time `json:"earliest,omitempty"`
}

func (d *daemon) responseState() ResponseState {
	r := d.respond.at.Load()
	if r == nil {
		return ResponseState{}
	}
	s := r.State()
	out := ResponseState{Hook: s.Hook, Wipe: s.Wipe}
	if p := s.Wipe; p != nil && p.Begun.IsZero() {
		at := p.Earliest(d.now())
		out.Earliest = &at
	}
	return out
}

// decideWipe cancels or approves a wipe for somebody.
func (d *daemon) decideWipe(cancel bool, id, by, why string) error {
	r := d.respond.at.Load()
	if r == nil {
		return respond.ErrNoWipe
	}
	var err error
	if cancel {
		err = r.Cancel(d.now(), id, by, why)
	} else {
		err = r.Approve(d.now(), id, by)
	}
	if err != nil {
		return err
	}
	d.respond.rouse()
	return nil
}

func (c *apiCall) responses() (any, error) { return c.server.deps.Responses(), nil }

func (c *apiCall) decide() (any, error) {
	cancel := c.req.Op == "cancel"
	if cancel {
		if err := checkWhy(c.req.Why); err != nil {
			return nil, err
		}
	}
	err := c.server.deps.Decide(cancel, c.req.Key, c.peer.name(), c.req.Why)
	if errors.Is(err, respond.ErrNoWipe) {
		return nil, &apiError{codeInvalid, "no wipe " + quoted(c.req.Key) + " waits", "'picket wipe' shows the one that does"}
	}
	return c.server.deps.Responses(), err
}

// dryRun is what `picket wipe --dry-run --json` writes.
type dryRun struct {
	Declaration string         `json:"declaration"` // file
	Delay       string         `json:"delay"`
	Confirm     string         `json:"confirm"`
	Allowed     bool           `json:"allowed"` // by the policy in force
	Steps       []respond.Step `json:"steps"`
}

func wipeCommand() *cobra.Command {
	var (
		ask                        apiFlags
		as                         jsonFlags
		dry                        bool
		file, cancel, approve, why string
	)
	cmd := &cobra.Command{
		Use: "wipe", Short: "Show the removal of work data that waits, call it off, or try it without removing anything", Args: noArgs,
		Long: `Wipe shows whether work data is to be removed from this device, when and why. It removes nothing
itself: only a policy that allows it can have that done, and only of what responses.yaml on this
device declares (docs/responses.md).

With --dry-run it goes through what is declared as a wipe would, and says what would be removed.
--cancel calls off a wipe that has not begun; while the requirements are still not met another is
announced, with its whole delay. --approve confirms one in the organisation's place.

Exit status: 0 done, 1 error or a dry run that met one, 3 no agent is running, 64 usage.`,
		Example: `  picket wipe
  sudo picket wipe --dry-run
  sudo picket wipe --dry-run --declaration ./responses.yaml
  sudo picket wipe --cancel 3f9a0c51d2e47b86 --why "the device was found"`,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := as.wantJSON()
		if err != nil {
			return err
		}
		req := apiRequest{Op: "responses"}
		switch {
		case dry && (cancel != "" || approve != "" || why != ""), cancel != "" && approve != "":
			return usagef("--dry-run, --cancel and --approve exclude each other")
		case file != "" && !dry:
			return usagef("--declaration goes with --dry-run")
		case (cancel == "") != (why == ""):
			return usagef("--cancel and --why go together")
		case dry:
			return wipeDryRun(cmd, &ask.config, file, asJSON)
		case cancel != "":
			req = apiRequest{Op: "cancel", Key: cancel, Why: why}
		case approve != "":
			req = apiRequest{Op: "approve", Key: approve}
		}
		var s ResponseState
		if err := ask.call(cmd.Context(), req, nil, &s); err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), s)
		}
		return showResponses(cmd.OutOrStdout(), s)
	}
	ask.add(cmd)
	as.add(cmd)
	cmd.Flags().BoolVar(&dry, "dry-run", false, "say what a wipe would remove, and remove nothing")
	cmd.Flags().StringVar(&file, "declaration", "", "with --dry-run: read this `FILE` in place of responses.yaml beside the configuration")
	cmd.Flags().StringVar(&cancel, "cancel", "", "call off the wipe with this `ID`")
	cmd.Flags().StringVar(&why, "why", "", "with --cancel: the reason, a `TEXT` for the record and the organisation")
	cmd.Flags().StringVar(&approve, "approve", "", "confirm the wipe with this `ID`")
	return cmd
}

func showResponses(w io.Writer, s ResponseState) error {
	var b strings.Builder
	p := s.Wipe
	switch {
	case p == nil:
		b.WriteString("no removal of work data waits\n")
	case !p.Ended.IsZero():
		fmt.Fprintf(&b, "work data was removed at %s (wipe %s): %s\n", timeText(p.Ended), p.ID, p.Why)
	case !p.Begun.IsZero():
		fmt.Fprintf(&b, "work data is being removed since %s (wipe %s): %s\n", timeText(p.Begun), p.ID, p.Why)
	default:
		fmt.Fprintf(&b, "work data is to be removed (wipe %s): %s\n  not before   %s\n  confirmed by %s\n", p.ID, p.Why, timeText(*s.Earliest), confirmText(p))
		b.WriteString("  nothing is removed once the requirements are met: see 'picket threats'\n")
	}
	if p != nil {
		showSteps(&b, p.Steps)
	}
	if s.Hook.Applied != "" {
		fmt.Fprintf(&b, "the hook for access %s ran at %s\n", s.Hook.Applied, timeText(s.Hook.At))
	}
	if s.Hook.Error != "" {
		fmt.Fprintf(&b, "%s\n", s.Hook.Error)
	}
	return writeClean(w, b.String())
}

// wipeText says in one line how a wipe stands; "" for none.
func wipeText(s ResponseState) string {
	switch p := s.Wipe; {
	case p == nil:
		return ""
	case !p.Ended.IsZero():
		return "removed, as far as it was declared, at " + timeText(p.Ended)
	case !p.Begun.IsZero():
		return "being removed since " + timeText(p.Begun)
	case s.Earliest != nil:
		return "to be removed, not before " + timeText(*s.Earliest) + ", confirmed by " + confirmText(p) + ": see 'picket wipe'"
	}
	return ""
}

func confirmText(p *respond.Pending) string {
	switch {
	case p.Confirmed != "":
		return p.Confirmed
	case p.Confirm == respond.ByDevice:
		return "nobody yet: a second scan does that"
	}
	return "nobody yet: the organisation's policy does that"
}

func showSteps(b *strings.Builder, steps []respond.Step) {
	for _, s := range steps {
		fmt.Fprintf(b, "  %-8s %s", s.Kind, s.Name)
		if s.State != "" {
			fmt.Fprintf(b, ": %s", s.State)
		}
		if r := s.Removal; r != nil {
			fmt.Fprintf(b, ", %d files and %d folders, %s", r.Files, r.Folders, bytesText(r.Bytes))
			if r.Shared > 0 {
				fmt.Fprintf(b, "; %d files have another name, and stay if that is elsewhere", r.Shared)
			}
			if r.Left > 0 {
				fmt.Fprintf(b, "; %d stay", r.Left)
			}
		}
		if s.Output != "" {
			fmt.Fprintf(b, "; %s", s.Output)
		}
		if s.Error != "" {
			fmt.Fprintf(b, "; %s", s.Error)
		}
		b.WriteString("\n")
		if s.Removal != nil {
			for _, name := range slices.Sorted(maps.Keys(s.Removal.Why)) {
				fmt.Fprintf(b, "           stays: %s: %s\n", report.Clean(name), s.Removal.Why[name])
			}
		}
	}
}

// writeClean writes lines whose texts come from elsewhere.
func writeClean(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(w, report.Clean(strings.TrimSuffix(line, "\n"))); err != nil {
			return err
		}
	}
	return nil
}

func wipeDryRun(cmd *cobra.Command, which *configFlags, file string, asJSON bool) error {
	c, from, err := which.load()
	if err != nil {
		return err
	}
	if file == "" {
		file = declarationFile(from)
	}
	keep := keptPaths(c, from)
	d, err := respond.Load(full(file), keep...)
	if errors.Is(err, fs.ErrNotExist) {
		return &hinted{err, "without that file nothing is ever removed; docs/responses.md says what it is"}
	}
	if err != nil {
		return err
	}
	if d.Wipe == nil {
		return fmt.Errorf("%s declares no work data", file)
	}
	out := dryRun{Declaration: file, Delay: formatDuration(time.Duration(d.Wipe.Delay)), Confirm: d.Wipe.Confirm, Steps: d.Wipe.DryRun(cmd.Context(), keep...)}
	if crit, _, err := criteriaNow(c); err == nil && crit.policy != nil {
		out.Allowed = crit.policy.Responses.Wipe
	}
	if asJSON {
		err = writeJSON(cmd.OutOrStdout(), out)
	} else {
		err = showDryRun(cmd.OutOrStdout(), out)
	}
	if err == nil && slices.ContainsFunc(out.Steps, func(s respond.Step) bool { return s.Error != "" }) {
		err = errors.New("a wipe would not go through")
	}
	return err
}

func showDryRun(w io.Writer, d dryRun) error {
	var b strings.Builder
	fmt.Fprintf(&b, "a wipe would do this, %s after it is announced and once it is confirmed by %s; nothing was removed now\n", d.Delay, d.Confirm)
	showSteps(&b, d.Steps)
	if !d.Allowed {
		b.WriteString("the policy in force does not allow it\n")
	}
	return writeClean(w, b.String())
}
