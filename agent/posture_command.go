package agent

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// notLetIn ends a command that found the requirements for access not met; what there is to say of it
// has been said.
type notLetIn struct{ state string }

func (e *notLetIn) Error() string { return "access is " + e.state }

func postureCommand() *cobra.Command {
	var (
		ask             apiFlags
		as              jsonFlags
		quiet, token    bool
		audience, nonce string
	)
	cmd := &cobra.Command{
		Use: "posture", Short: "Say whether this device meets its organisation's requirements", Args: noArgs,
		Long: `Posture says whether the device meets the requirements of its organisation's policy (open),
does not and has time left (warned), or does not and has none (blocked), why, and what comes
next. Without a policy there is no state, only a level. With --token it prints a JSON web token
that says so, signed with the device's key, for 'picket posture verify' or any other verifier.

Exit status: 0 open, warned or no policy, 1 error, 3 no agent is running, 5 blocked, 64 usage.`,
		Example: `  picket posture
  picket posture --quiet && echo in        # what the recipe for PAM does
  sudo picket posture --token --audience https://vpn.example.org --nonce 4f2a60b1`,
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asJSON, err := as.wantJSON()
		if err != nil {
			return err
		}
		if !token && (audience != "" || nonce != "") {
			return usagef("--audience and --nonce go with --token")
		}
		if token {
			var end tokenEnd
			if quiet || asJSON {
				return usagef("--token goes with neither --quiet nor --json")
			}
			if audience == "" || nonce == "" {
				return usagef("--token needs --audience and --nonce: a token is for one verifier, once")
			}
			if err := ask.call(cmd.Context(), apiRequest{Op: "token", Audience: audience, Nonce: nonce}, nil, &end); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), end.Token)
			return err
		}
		var p Posture
		if err := ask.call(cmd.Context(), apiRequest{Op: "posture"}, nil, &p); err != nil {
			return err
		}
		switch {
		case asJSON:
			err = writeJSON(cmd.OutOrStdout(), p)
		case quiet:
			err = warnOfPosture(cmd.OutOrStdout(), p)
		default:
			err = showPosture(cmd.OutOrStdout(), p, time.Now())
		}
		if err == nil && p.State == accessBlocked {
			return &notLetIn{p.State}
		}
		return err
	}
	ask.add(cmd)
	as.add(cmd)
	cmd.Flags().BoolVar(&quiet, "quiet", false, "say nothing unless the requirements are not met, and then what to do, in words for whoever logs in")
	cmd.Flags().BoolVar(&token, "token", false, "print the posture as a signed token, good for 5 minutes; the device must be enrolled")
	cmd.Flags().StringVar(&audience, "audience", "", "whom the token is for: the `URL` or name that the verifier goes by")
	cmd.Flags().StringVar(&nonce, "nonce", "", "the `TEXT` that the verifier gave for this one token")
	cmd.AddCommand(postureVerifyCommand(), postureServeCommand())
	return cmd
}

// showPosture writes a posture for people.
func showPosture(w io.Writer, p Posture, now time.Time) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, report.Clean(fmt.Sprintf(format, args...)))
	}
	state := p.State
	if state == "" {
		state = "no policy asks for anything"
	}
	row("access", "%s", state)
	level := p.Level.String()
	if p.MaxLevel != "" {
		level += ", and at most " + p.MaxLevel + " is allowed"
	}
	row("level", "%s", level)
	for _, r := range p.Reasons {
		row("reason", "%s", r.Text)
	}
	for _, f := range p.Findings {
		text := fmt.Sprintf("%s %s (%s, %s)", f.Rule, f.Title, f.Severity, shortKey(f.Key))
		if f.Unchecked {
			text += ", found earlier and not looked at since"
		}
		row("finding", "%s", text)
	}
	if p.NotChecked > 0 {
		row("not checked", "%d rules: 'picket scan' says why", p.NotChecked)
	}
	switch {
	case p.Scanned == nil:
		row("scanned", "not yet")
	case p.Expires != nil:
		row("scanned", "%s, %s ago; good until %s", timeText(*p.Scanned), agoText(now.Sub(*p.Scanned)), timeText(*p.Expires))
	default:
		row("scanned", "%s, %s ago", timeText(*p.Scanned), agoText(now.Sub(*p.Scanned)))
	}
	if p.Since != nil {
		row("not met", "since %s", timeText(*p.Since))
	}
	switch p.Next {
	case "":
	case accessWiped: // it is announced then, and may be called off
		row("next", "work data can be removed from %s on", timeText(*p.At))
	default:
		row("next", "%s at %s", p.Next, timeText(*p.At))
	}
	if p.WipeDue && p.Next == "" {
		row("next", "work data is to be removed, where this device declares any")
	}
	if p.Organisation != "" || p.Support != "" {
		row("policy of", "%s %s", p.Organisation, p.Support)
	}
	return tw.Flush()
}

// warnOfPosture tells somebody who logs in that access is or will be blocked, and nothing that others who
// look on should not read.
func warnOfPosture(w io.Writer, p Posture) error {
	var err error
	switch p.State {
	case accessWarned:
		_, err = fmt.Fprintf(w, "This device does not meet the requirements for access to work. Access is blocked at %s.\n'picket posture' says why, 'picket threats' how to put it right.\n", timeText(*p.At))
	case accessBlocked:
		_, err = fmt.Fprintln(w, "This device does not meet the requirements for access to work, and access is blocked.\n'picket posture' says why, 'picket threats' how to put it right, 'picket rescan' checks again.")
	}
	return err
}
