package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// privacyParts are the parts of the statement that --only takes.
const privacyParts = "read, kept, sent"

func privacyCommand() *cobra.Command {
	var (
		ask  apiFlags
		as   jsonFlags
		only []string
	)
	cmd := &cobra.Command{
		Use:   "privacy",
		Short: "Show what is read, kept and sent here, field by field",
		Long: `Privacy shows, from the program's own declarations, every path and live source that is read and what
is taken from it, what stays on the device and for how long, and every field of every event that
leaves it, in the mode that is in force, and who gets it. 'picket events --json' shows the events
themselves, byte for byte; 'picket privacy export' all that is kept.

Exit status: 0 done, 1 error, 64 usage.`,
		Example: `  picket privacy
  picket privacy --only sent
  picket privacy --json | jq '.read[] | select(.table == "users")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			for _, part := range only {
				if !slices.Contains(strings.Split(privacyParts, ", "), part) {
					return usagef("--only %q is none of %s", part, privacyParts)
				}
			}
			now, err := ask.privacyInputs(cmd.Context())
			if err != nil {
				return err
			}
			p := privacyNow(now)
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), p)
			}
			return showPrivacy(cmd.OutOrStdout(), p, func(part string) bool { return len(only) == 0 || slices.Contains(only, part) })
		},
	}
	ask.add(cmd)
	as.add(cmd)
	cmd.Flags().StringSliceVar(&only, "only", nil, "these parts only: `LIST` of "+privacyParts)
	cmd.AddCommand(privacyExportCommand(), privacyEraseCommand())
	return cmd
}

// privacyInputs asks the agent what is in force; where none runs, it is what one would start with.
func (f *apiFlags) privacyInputs(ctx context.Context) (privacyInputs, error) {
	c, _, err := f.config.load()
	if err != nil {
		return privacyInputs{}, err
	}
	var s Status
	err = f.call(ctx, apiRequest{Op: "status"}, nil, &s)
	if err == nil {
		return privacyInputs{config: c, mode: s.Send, policy: s.Updates.PolicyVersion, enrolment: s.Enrolment}, nil
	}
	if ctx.Err() != nil {
		return privacyInputs{}, err
	}
	out, failed := sendsOf(c)
	if failed != nil {
		return privacyInputs{}, failed
	}
	if !errors.As(err, new(*notRunning)) {
		out.unsure = "the agent could not be asked: " + err.Error()
	}
	return out, nil
}

// sendsOf reads what an agent would start with.
func sendsOf(c Config) (privacyInputs, error) {
	crit, lost, err := criteriaNow(c)
	if err != nil {
		return privacyInputs{}, err
	}
	out := privacyInputs{config: crit.policy.bound(c), mode: crit.policy.send()}
	if crit.policy != nil {
		out.policy = crit.policy.Version
	}
	id, err := loadIdentity(c.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		lost = errors.Join(lost, err)
	}
	if lost != nil {
		out.unsure = "what decides it could not be read: " + lost.Error()
	}
	out.enrolment = id.state(time.Now())
	return out, nil
}

// showPrivacy writes the statement for people.
func showPrivacy(w io.Writer, p privacyStatement, wanted func(part string) bool) error {
	out := &sheet{w: w}
	if wanted("read") {
		out.head("READ: what a scan looks at, and what is taken from it")
		for _, t := range p.Read {
			out.item(t.Table, t.Doc)
			out.list("asked", t.Probes)
			out.list("content of", t.Content)
			out.list("type, owner, size, first bytes, digest of", t.Described)
			out.list("made of the tables", t.Needs)
			var names []string
			for _, c := range t.Columns {
				names = append(names, c.Name)
			}
			out.list("taken", names)
		}
	}
	if wanted("kept") {
		out.head("KEPT: what stays on this device")
		for _, k := range p.Kept {
			out.item(k.Name, k.What)
			out.list("where", []string{k.Where})
			out.list("until", []string{k.Until})
			out.list("fields", k.Fields)
			out.list("erased by", []string{k.Erase})
		}
	}
	if wanted("sent") {
		out.head("SENT: what leaves this device, as events (OCSF " + report.OCSFVersion + ")")
		common := commonFields(p.Sent)
		own := func(fields []string) []string {
			return slices.DeleteFunc(slices.Clone(fields), func(f string) bool { return slices.Contains(common, f) })
		}
		out.item("all", "what every event that is sent may have")
		out.list("fields", common)
		for _, c := range p.Sent {
			out.item(fmt.Sprintf("%d %s", c.Class, c.Name), c.When)
			out.list("sent", []string{c.Sent})
			out.list("fields", own(c.Fields))
			out.list("held back", own(c.Withheld))
		}
	}
	out.head("IN FORCE: " + p.Mode.Name + ": " + p.Mode.Means)
	out.list("decided by", []string{p.Mode.By})
	if p.Mode.Unsure != "" {
		out.list("not certain", []string{p.Mode.Unsure})
	}
	if len(p.Goes) == 0 {
		out.list("goes to", []string{"nobody: this device is not enrolled; events stay in sink_file"})
	}
	for _, r := range p.Goes {
		out.list("goes to", []string{r.Who + " (" + r.At + "): " + r.Gets})
	}
	return out.err
}

// commonFields are those that all classes have.
func commonFields(all []sentClass) []string {
	var out []string
	for i, c := range all {
		fields := slices.Concat(c.Fields, c.Withheld)
		if i == 0 {
			out = fields
			continue
		}
		out = slices.DeleteFunc(out, func(f string) bool { return !slices.Contains(fields, f) })
	}
	return out
}

// sheetWidth is how long a line of a sheet may be; a longer word has its own.
const sheetWidth = 110

// sheet writes headed lists, and keeps the first error.
type sheet struct {
	w   io.Writer
	err error
}

func (s *sheet) line(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.w, format+"\n", args...)
	}
}

func (s *sheet) head(text string) { s.line("\n%s\n", report.Clean(text)) }

func (s *sheet) item(name, doc string) { s.line("%s: %s", report.Clean(name), report.Clean(doc)) }

// list writes values in lines that are not too long.
func (s *sheet) list(name string, values []string) {
	if len(values) == 0 {
		return
	}
	text, room := "    "+name+":", sheetWidth
	for i, word := range strings.Fields(report.Clean(strings.Join(values, ", "))) {
		if i > 0 && len(text)+1+len(word) > room {
			s.line("%s", text)
			text = "       "
		}
		text += " " + word
	}
	s.line("%s", text)
}
