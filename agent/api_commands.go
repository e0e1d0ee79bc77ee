package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
)

// apiCommand makes a command that asks the agent. run does the asking; show writes what came of it
// for people, and JSON is what run gave.
func apiCommand[T any](cmd *cobra.Command, run func(cmd *cobra.Command, ask *apiFlags, args []string) (T, error), show func(io.Writer, T) error) *cobra.Command {
	var (
		ask apiFlags
		as  jsonFlags
	)
	cmd.Long = cmd.Short + ".\n\nExit status: 0 done, 1 error, 3 no agent is running, 64 usage." + cmd.Long
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		asJSON, err := as.wantJSON()
		if err != nil {
			return err
		}
		v, err := run(cmd, &ask, args)
		if err != nil {
			return err
		}
		if asJSON {
			return writeJSON(cmd.OutOrStdout(), v)
		}
		return show(cmd.OutOrStdout(), v)
	}
	ask.add(cmd)
	as.add(cmd)
	return cmd
}

func rescanCommand() *cobra.Command {
	var wait bool
	cmd := &cobra.Command{
		Use: "rescan", Short: "Have the agent scan the device now", Args: noArgs,
		Example: "  sudo picket rescan\n  sudo picket rescan --wait --json",
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the scan to end, 15 minutes at most, and say what came of it")
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (end json.RawMessage, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "rescan", Wait: wait}, nil, &end)
		return end, err
	}, showScan)
}

func showScan(w io.Writer, end json.RawMessage) error {
	var s struct {
		queuedEnd
		scanSummary
	}
	if err := json.Unmarshal(end, &s); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	if s.Queued {
		_, err := fmt.Fprintln(w, "asked for a scan; 'picket status' tells when it is done")
		return err
	}
	_, err := fmt.Fprintf(w, "scanned in %s: level %s\nfindings: %d opened, %d updated, %d resolved\npackages: %d added, %d changed, %d removed\n%d rules could not be judged\n",
		s.Finished.Sub(s.Started).Round(10*time.Millisecond), s.Level, s.Opened, s.Updated, s.Resolved, s.Added, s.Changed, s.Removed, s.NotChecked)
	return err
}

func historyCommand() *cobra.Command {
	var (
		limit int
		since string
		key   string
	)
	cmd := &cobra.Command{
		Use: "history", Short: "List what the agent found and what was resolved, newest first", Args: noArgs,
		Example: "  picket history\n  picket history --since 7d --limit 1000 --json",
	}
	cmd.Flags().IntVarP(&limit, "limit", "n", 100, "`COUNT` of entries at most, up to "+strconv.Itoa(apiHistoryMax))
	cmd.Flags().StringVar(&since, "since", "", "nothing before this `TIME`: 2026-01-31, 2026-01-31T12:00:00Z, or as long ago as 12h or 7d")
	cmd.Flags().StringVar(&key, "key", "", "of the finding with this `KEY` only, or the start of one, or of a rule")
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (out []historyItem, err error) {
		if limit < 1 || limit > apiHistoryMax {
			return nil, usagef("--limit %d is out of range: 1 to %d", limit, apiHistoryMax)
		}
		from, err := parseSince(since, time.Now())
		if err != nil {
			return nil, err
		}
		err = ask.call(cmd.Context(), apiRequest{Op: "history", Limit: limit, Since: from, Key: key}, collect(&out), nil)
		return out, err
	}, func(w io.Writer, all []historyItem) error {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "TIME\tWHAT\tSEVERITY\tRULE\tTITLE\tKEY")
		for _, h := range all {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", timeText(h.At), report.Clean(h.Kind), h.Severity, report.Clean(h.Rule), report.Clean(h.Title), shortKey(h.Key))
		}
		return tw.Flush()
	})
}

// parseSince gives a time in RFC 3339, "" for "".
func parseSince(text string, now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	if d, err := parseDuration(text); err == nil {
		return now.Add(-d).UTC().Format(time.RFC3339), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t.UTC().Format(time.RFC3339), nil
		}
	}
	return "", usagef("--since %q is no time such as 2026-01-31, 2026-01-31T12:00:00Z or 7d", text)
}

func ignoreCommand() *cobra.Command {
	var duration, why string
	cmd := &cobra.Command{
		Use: "ignore ID --for DURATION --why TEXT", Short: "Set a finding aside for a time", Args: oneArg("a finding's key, the start of it, or the rule of a single finding"),
		Long:    "\n\nThe finding stays open and is reported as accepted, with the reason and who gave it, until the\ntime is over. Then it counts again.",
		Example: "  sudo picket ignore 3f9ac01b --for 7d --why 'the test bench needs it'",
	}
	cmd.Flags().StringVar(&duration, "for", "", "how long: a `DURATION` from 1m to "+formatDuration(apiIgnoreMax))
	cmd.Flags().StringVar(&why, "why", "", "the reason: a `TEXT` of up to "+strconv.Itoa(apiWhyMax)+" bytes")
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, args []string) (out ignoreItem, err error) {
		if duration == "" || why == "" {
			return out, usagef("%s needs --for and --why: nothing is ignored for ever, or without a reason", cmd.CommandPath())
		}
		if _, err := ignoreTime(duration); err != nil {
			return out, usagef("--for: %v", err)
		}
		err = ask.call(cmd.Context(), apiRequest{Op: "ignore", Key: args[0], For: duration, Why: why}, nil, &out)
		return out, err
	}, func(w io.Writer, i ignoreItem) error {
		_, err := fmt.Fprintf(w, "%s is ignored until %s\n", report.Clean(i.Key), timeText(i.Until))
		return err
	})
}

func unignoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unignore ID", Short: "Let an ignored finding count again", Args: oneArg("the key of an ignored finding, or the start of it"),
		Example: "  sudo picket unignore 3f9ac01b",
	}
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, args []string) (out findingName, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "unignore", Key: args[0]}, nil, &out)
		return out, err
	}, func(w io.Writer, n findingName) error {
		_, err := fmt.Fprintf(w, "%s counts again\n", report.Clean(n.Key))
		return err
	})
}

func ignoresCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ignores", Short: "List the findings that are set aside", Args: noArgs,
		Example: "  picket ignores",
	}
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (out []ignoreItem, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "ignores"}, collect(&out), nil)
		return out, err
	}, func(w io.Writer, all []ignoreItem) error {
		tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "KEY\tUNTIL\tBY\tWHY")
		for _, i := range all {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", shortKey(i.Key), timeText(i.Until), report.Clean(i.By), report.Clean(i.Why))
		}
		return tw.Flush()
	})
}

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reload", Short: "Have the agent read its configuration again", Args: noArgs,
		Long:    "\n\nA configuration that is wrong is refused, and the old one stays.",
		Example: "  picket config check && sudo picket reload",
	}
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (out reloadEnd, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "reload"}, nil, &out)
		return out, err
	}, func(w io.Writer, r reloadEnd) error {
		if len(r.Changes) == 0 {
			_, err := fmt.Fprintln(w, "read again; nothing changed")
			return err
		}
		for _, c := range r.Changes {
			fmt.Fprintln(w, report.Clean(c))
		}
		return nil
	})
}

func eventsCommand() *cobra.Command {
	var (
		ask    apiFlags
		as     jsonFlags
		follow bool
	)
	cmd := &cobra.Command{
		Use: "events", Short: "Show the events that wait to be delivered, or those that come", Args: noArgs,
		Long: `Events shows what goes upstream (docs/events.md): without --follow what waits to be
delivered, with it what comes from now on, until interrupted. With --json each is one line, byte for
byte as it is sent.

Exit status: 0 done, 1 error, 3 no agent is running, 64 usage.`,
		Example: "  picket events\n  picket events --follow --json | jq .finding_info.title",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			show := showEvent
			if asJSON {
				show = func(w io.Writer, b json.RawMessage) error {
					_, err := w.Write(append(bytes.Clone(b), '\n'))
					return err
				}
			}
			err = ask.call(cmd.Context(), apiRequest{Op: "events", Follow: follow}, func(b json.RawMessage) error {
				return show(cmd.OutOrStdout(), b)
			}, nil)
			if follow && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&follow, "follow", false, "show events as they come, until interrupted")
	ask.add(cmd)
	as.add(cmd)
	return cmd
}

// eventLine is what is shown of an OCSF event in one line.
type eventLine struct {
	Time     int64  `json:"time"`
	Severity string `json:"severity"`
	Class    string `json:"class_name"`
	Activity string `json:"activity_name"`
	Message  string `json:"message"`
	Finding  struct {
		Title string `json:"title"`
	} `json:"finding_info"`
	Unread string `json:"unread"`
}

func (e *eventLine) String() string {
	text := e.Message
	if text == "" {
		text = e.Finding.Title
	}
	return fmt.Sprintf("%-13s  %s: %s  %s", report.Clean(e.Severity), report.Clean(e.Class), report.Clean(e.Activity), report.Clean(text))
}

// showEvent writes an OCSF event in one line.
func showEvent(w io.Writer, b json.RawMessage) error {
	var e eventLine
	if err := json.Unmarshal(b, &e); err != nil {
		return fmt.Errorf("the agent's answer: %w", err)
	}
	if e.Class == "" && e.Unread != "" {
		_, err := fmt.Fprintf(w, "event %s cannot be read\n", report.Clean(e.Unread))
		return err
	}
	_, err := fmt.Fprintf(w, "%s  %s\n", timeText(time.UnixMilli(e.Time)), &e)
	return err
}

// agentInventory asks the agent for its inventory, in the form of a report.
func agentInventory(ctx context.Context, ask *apiFlags) (*scanner.Report, error) {
	type item struct {
		facts.Package
		unreadItem
	}
	var (
		items []item
		end   inventoryEnd
	)
	if err := ask.call(ctx, apiRequest{Op: "inventory"}, collect(&items), &end); err != nil {
		return nil, err
	}
	ps := []facts.Package{}
	for _, i := range items {
		if i.Unread != "" {
			end.Partial = append(end.Partial, "the stored record of "+i.Unread)
			continue
		}
		ps = append(ps, i.Package)
	}
	if end.Absent != "" {
		return nil, fmt.Errorf("no inventory: %s", report.Clean(end.Absent))
	}
	if end.LastScan == nil && len(ps) == 0 {
		return nil, errors.New("no inventory: the agent has not scanned yet")
	}
	r := &scanner.Report{
		Schema: scanner.ReportSchema, Packages: ps, Findings: []scanner.Finding{}, Coverage: []scanner.Coverage{},
		Tables: []scanner.TableInfo{{Table: "packages", Rows: len(ps), Partial: end.Partial}},
	}
	if end.Device != nil {
		r.Device = *end.Device
	}
	return r, nil
}

// timeText shows a time on the clock of who reads it.
func timeText(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// shortKey is enough of a finding's key to name it.
func shortKey(key string) string {
	key = report.Clean(key)
	if len(key) > 12 && !strings.Contains(key, `\`) {
		return key[:12]
	}
	return key
}
