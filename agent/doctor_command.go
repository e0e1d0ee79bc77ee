package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// examination is what doctor says in JSON.
type examination struct {
	OK     bool    `json:"ok"` // nothing failed
	Checks []check `json:"checks"`
}

func doctorCommand() *cobra.Command {
	var (
		ask apiFlags
		as  jsonFlags
	)
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what keeps the agent from its work, and say what to do", Args: noArgs,
		Long: `Doctor checks the configuration and what it names, the state folder and the store, the socket,
the space on the disk, the kernel's bounds, the clock and the rights, whether or not an agent
runs, and asks the agent, if one does, for what it warns of. It changes nothing. Run it as the user that
the agent runs as, or as root.

Exit status: 0 nothing failed, 1 something did, 3 no agent runs, and nothing else failed, 64 usage.`,
		Example: "  sudo picket doctor\n  picket doctor --config new.yaml --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			all := ask.examine(cmd)
			failed := verdict(all)
			if asJSON {
				return cmp.Or(writeJSON(cmd.OutOrStdout(), examination{failed == nil, all}), failed)
			}
			return cmp.Or(showChecks(cmd.OutOrStdout(), all), failed)
		},
	}
	ask.add(cmd)
	as.add(cmd)
	return cmd
}

// examine makes all checks.
func (f *apiFlags) examine(cmd *cobra.Command) []check {
	c, from, err := f.config.load()
	if err != nil {
		var all []check
		for _, text := range strings.Split(err.Error(), "\n") {
			all = append(all, check{"config", "config", checkFailed, text, "'picket config example' has every key and what it may be"})
		}
		if f.socket != "" {
			asked, _ := agentChecks(cmd.Context(), f.socket, 0)
			all = append(all, asked...)
		}
		return all
	}
	config := check{"config", "config", checkOK, from.File, ""}
	if !from.Read {
		config.Text = "there is no " + from.File + ": every key has its default"
	}
	if f.socket != "" {
		c.Socket = f.socket
	} else {
		_, set := from.Keys["socket"]
		c.Socket = socketOf(c.Socket, set, HostEnv(nil))
	}
	x := newExaminer(c, from, HostEnv(nil))
	asked, status := agentChecks(cmd.Context(), c.Socket, x.storeHolder())
	if status != nil {
		x.uid = status.Privileges.UID
	}
	all := append([]check{config}, x.hostChecks()...)
	if looked := full(from.File); status != nil && status.Config.File != looked {
		all[0] = check{"config", "config", checkWarning, fmt.Sprintf("the agent uses %s, and this looked at %s", status.Config.File, looked), "name the agent's with --config"}
	}
	return append(all, asked...)
}

// verdict is the error that doctor ends with.
func verdict(all []check) error {
	failed, down := 0, false
	for _, c := range all {
		switch {
		case c.Code == "not-running":
			down = true
		case c.Outcome == checkFailed:
			failed++
		}
	}
	switch {
	case failed == 1:
		return errors.New("one check failed")
	case failed > 1:
		return fmt.Errorf("%d checks failed", failed)
	case down:
		return &doctorDown{}
	}
	return nil
}

// doctorDown is notRunning, where the checks have told of it already.
type doctorDown struct{}

func (*doctorDown) Error() string { return "no agent is running; nothing else failed" }
func (*doctorDown) Unwrap() error { return &notRunning{} }

func showChecks(w io.Writer, all []check) error {
	for _, c := range all {
		if _, err := fmt.Fprintf(w, "%-8s %-11s %s\n", c.Outcome, report.Clean(c.Code), report.Clean(c.Text)); err != nil {
			return err
		}
		if c.Fix == "" || c.Outcome == checkOK {
			continue
		}
		if _, err := fmt.Fprintf(w, "%20s %s\n", "", report.Clean(c.Fix)); err != nil {
			return err
		}
	}
	return nil
}

// warningsOf makes health warnings of what is not well, each from when since says.
func warningsOf(all []check, since func(code string) time.Time) []Warning {
	out := []Warning{}
	for _, c := range all {
		if w, bad := c.warning(since(c.Code)); bad {
			out = append(out, w)
		}
	}
	return out
}
