package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"picket/scanner/report"
)

func replayCommand() *cobra.Command {
	var (
		asJSON, asText bool
		expected       string
	)
	cmd := &cobra.Command{
		Use:   "replay SCENARIO",
		Short: "Run the agent on a virtual clock through a scenario, and show its events",
		Long: `Replay runs the agent, whole, over recorded devices that change while days pass in
seconds and the upstream comes and goes, as a scenario says (docs/replay.md). It shows the events
that the upstream gets, in their order, one JSON object a line, byte for byte as they are delivered; on a
terminal, or with --text, what happens when, with the agent's log. The same scenario gives the
same bytes each time.

Nothing of this machine is looked at, and nothing is sent. The store is a real one in a temporary
folder.

Exit status: 0 done, 1 error or not what --expect says, 64 usage.`,
		Example: `  picket replay week.yaml
  picket replay week.yaml --json > week.ndjson
  picket replay week.yaml --expect week.ndjson`,
		Args: oneArg("a scenario's file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if asJSON && asText {
				return usagef("--json and --text exclude each other")
			}
			s, err := loadScenario(args[0])
			if err != nil {
				return err
			}
			if expected != "" {
				return playExpecting(cmd.Context(), s, expected, asText)
			}
			if f, ok := cmd.OutOrStdout().(*os.File); !asJSON && ok && term.IsTerminal(int(f.Fd())) {
				asText = true
			}
			return playTo(cmd.Context(), s, cmd.OutOrStdout(), asText)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "events alone, as they are delivered (the default but on a terminal)")
	cmd.Flags().BoolVar(&asText, "text", false, "what happens when, for people (the default on a terminal)")
	cmd.Flags().StringVar(&expected, "expect", "", "write nothing, and fail at the first line that differs from this `FILE`")
	return cmd
}

// playTo plays a scenario and writes what happens.
func playTo(ctx context.Context, s *scenarioFile, w io.Writer, asText bool) error {
	out := bufio.NewWriter(w)
	var show timeline = eventLines{out}
	if asText {
		show = &storyLines{w: out}
	}
	err := playScenario(ctx, s, show)
	return errors.Join(err, out.Flush())
}

// playExpecting plays a scenario and compares what it gives with a file.
func playExpecting(ctx context.Context, s *scenarioFile, file string, asText bool) error {
	want, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading what is expected: %w", err)
	}
	var got bytes.Buffer
	if err := playTo(ctx, s, &got, asText); err != nil {
		return err
	}
	if line, was, is := firstUnlike(string(want), got.String()); line > 0 {
		return fmt.Errorf("%s:%d: this is not what happens:\n- %s\n+ %s", file, line, was, is)
	}
	return nil
}

// firstUnlike gives the number of the first line that two texts do not share, and what each
// has there; 0 when they are the same.
func firstUnlike(want, got string) (line int, was, is string) {
	const none = "(the end)"
	for want != got {
		line++
		a, restA, moreA := strings.Cut(want, "\n")
		b, restB, moreB := strings.Cut(got, "\n")
		if a != b || moreA != moreB {
			if want == "" {
				a = none
			}
			if got == "" {
				b = none
			}
			return line, report.Clean(a), report.Clean(b)
		}
		want, got = restA, restB
	}
	return 0, "", ""
}

// eventLines writes events alone.
type eventLines struct{ w *bufio.Writer }

func (e eventLines) event(_ moment, body []byte) {
	e.w.Write(body) // errors stay until Flush
	e.w.WriteByte('\n')
}

func (eventLines) step(moment, string) {}
func (eventLines) log(moment, string)  {}
func (eventLines) end(moment, *Status) {}

// storyLines writes what happens for people: how long it has gone on, what the clock says, what
// it is.
type storyLines struct {
	w     *bufio.Writer
	count int // events
}

func (s *storyLines) line(at moment, what, text string) {
	passed := at.boot - onBefore
	days := passed / day
	passed -= days * day
	fmt.Fprintf(s.w, "%3dd %02d:%02d:%02d  %s  %-5s  %s\n", days, passed/time.Hour, passed/time.Minute%60, passed/time.Second%60, stamp(at.wall), what, text)
}

func (s *storyLines) step(at moment, what string) { s.line(at, "step", what) }
func (s *storyLines) log(at moment, text string)  { s.line(at, "log", report.Clean(text)) }

func (s *storyLines) event(at moment, body []byte) {
	s.count++
	var e eventLine
	if err := json.Unmarshal(body, &e); err != nil {
		s.line(at, "event", "cannot be read: "+report.Clean(err.Error()))
		return
	}
	s.line(at, "event", e.String())
}

func (s *storyLines) end(at moment, is *Status) {
	s.line(at, "end", fmt.Sprintf("%d events were delivered", s.count))
	if is == nil {
		s.line(at, "end", "the agent does not run")
		return
	}
	open := 0
	for _, n := range is.Findings {
		open += n
	}
	s.line(at, "end", fmt.Sprintf("level %s, %d findings open, %d ignored, %d packages", is.Level, open, is.Ignored, is.Packages.Count))
	s.line(at, "end", fmt.Sprintf("%d events wait to be delivered, in %d of %d bytes; %d were dropped and that is not told yet, %d were refused",
		is.Outbox.Events, is.Outbox.Bytes, is.Outbox.Limit, is.Outbox.Dropped, is.Outbox.Quarantined))
	for _, w := range is.Warnings {
		s.line(at, "end", "warning "+w.Code+": "+report.Clean(w.Text))
	}
}
