package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/indicators"
	"picket/scanner/report"
)

func indicatorsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "indicators",
		Short: "Check and list indicators of compromise before a scan uses them",
		Long: `Indicators are public lists of the packages, certificates, files, hosts and names that research
ties to spyware and stalkerware: STIX 2 bundles (.json, .stix2), Echap's YAML lists and its CSV
and hosts files. Picket brings none; name a file or a folder, as scan --indicators does.`,
		Example: "  picket indicators check lists/\n  picket indicators list lists/ --json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(indicatorsCheckCommand(), indicatorsListCommand())
	return cmd
}

// somePaths wants one or more lists or folders.
func somePaths(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return usagef("%s needs a list of indicators or a folder of them", cmd.CommandPath())
	}
	return nil
}

// indicatorCheck is what indicators check says in JSON.
type indicatorCheck struct {
	Entries int               `json:"entries"`
	Lists   []indicators.List `json:"lists"`
	Skipped []string          `json:"skipped"`
	Error   string            `json:"error,omitempty"`
}

func indicatorsCheckCommand() *cobra.Command {
	var (
		as   jsonFlags
		long bool
	)
	cmd := &cobra.Command{
		Use: "check PATH...", Short: "Say what lists hold, and what of them cannot be used", Args: somePaths,
		Long: `Check reads lists and says of each: entries by kind, what is not understood or not used,
duplicates, dates, licence.

Exit status: 0 done, 1 when a file cannot be read, 64 usage.`,
		Example: "  picket indicators check lists/\n  picket indicators check --verbose pegasus.stix2\n  picket indicators check --json lists/",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			set, failed := indicators.Load(args...)
			if asJSON {
				c := indicatorCheck{Entries: set.Len(), Lists: append([]indicators.List{}, set.Lists()...), Skipped: append([]string{}, set.Skipped()...)}
				if failed != nil {
					c.Error = failed.Error()
				}
				return cmp.Or(writeJSON(cmd.OutOrStdout(), c), failed)
			}
			return cmp.Or(writeLists(cmd.OutOrStdout(), set, long), failed)
		},
	}
	cmd.Flags().BoolVarP(&long, "verbose", "v", false, "name every indicator that is not used, and every file that is no list")
	as.add(cmd)
	return cmd
}

// writeLists describes every list in a few lines.
func writeLists(w io.Writer, set *indicators.Index, long bool) error {
	var b strings.Builder
	for _, l := range set.Lists() {
		fmt.Fprintf(&b, "%s (%s)\n", report.Clean(l.Name), l.Format)
		tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		row := func(what, value string) {
			if value != "" {
				fmt.Fprintf(tw, "  %s\t%s\n", what, report.Clean(value))
			}
		}
		row("entries", counted(l.Total(), indicators.Kinds(), l.Entries))
		for _, what := range []indicators.Trouble{indicators.NotUnderstood, indicators.NotSupported, indicators.NotApplicable, indicators.Rejected, indicators.Revoked} {
			if n := l.Troubles[what]; n > 0 {
				row(string(what), fmt.Sprint(n))
			}
		}
		if l.Duplicates > 0 {
			row("duplicates", fmt.Sprint(l.Duplicates))
		}
		if l.First != "" {
			row("dates", l.First+" to "+l.Last)
		}
		row("source", l.Source)
		row("licence", cmp.Or(l.Licence, "not said"))
		if err := tw.Flush(); err != nil {
			return err
		}
		if long {
			writeNotes(&b, &l)
		}
	}
	if long {
		for _, f := range set.Skipped() {
			fmt.Fprintf(&b, "%s: no list of indicators\n", report.Clean(f))
		}
	}
	fmt.Fprintf(&b, "%d entries of %d lists\n", set.Len(), len(set.Lists()))
	_, err := io.WriteString(w, b.String())
	return err
}

// counted gives a total and the counts by kind that are not 0.
func counted(total int, kinds []scanner.IndicatorKind, by map[scanner.IndicatorKind]int) string {
	var parts []string
	for _, k := range kinds {
		if by[k] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", k, by[k]))
		}
	}
	if len(parts) == 0 {
		return fmt.Sprint(total)
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}

func writeNotes(b *strings.Builder, l *indicators.List) {
	for _, n := range l.Notes {
		where := fmt.Sprintf("byte %d", n.At)
		if n.Line > 0 {
			where = fmt.Sprintf("line %d", n.Line)
		}
		fmt.Fprintf(b, "  %s, %s: %s: %s", report.Clean(l.Name), where, n.What, report.Clean(n.Why))
		if n.Value != "" {
			fmt.Fprintf(b, ": %s", report.Clean(n.Value))
		}
		if n.ID != "" {
			fmt.Fprintf(b, " (%s)", report.Clean(n.ID))
		}
		b.WriteByte('\n')
	}
	all := 0
	for _, n := range l.Troubles {
		all += n
	}
	if all > len(l.Notes) {
		fmt.Fprintf(b, "  and %d more\n", all-len(l.Notes))
	}
}

func indicatorsListCommand() *cobra.Command {
	var (
		as   jsonFlags
		only []string
	)
	cmd := &cobra.Command{
		Use: "list PATH...", Short: "List the entries of lists", Args: somePaths,
		Example: "  picket indicators list lists/ --kind package,certificate\n  picket indicators list --json pegasus.stix2",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			for _, k := range only {
				if !slices.Contains(indicators.Kinds(), scanner.IndicatorKind(k)) {
					return usagef("--kind %q is none of %s", k, kindNames())
				}
			}
			set, err := indicators.Load(args...)
			if err != nil {
				return err
			}
			entries := []scanner.IndicatorMatch{}
			for m := range set.All() {
				if len(only) == 0 || slices.Contains(only, string(m.Kind)) {
					entries = append(entries, m)
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), entries)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "KIND\tVALUE\tNAME\tCLASS\tDATE\tLIST")
			for _, m := range entries {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Kind, report.Clean(m.Value), report.Clean(m.Name), m.Class, m.Date, report.Clean(m.List))
			}
			return tw.Flush()
		},
	}
	cmd.Flags().StringSliceVar(&only, "kind", nil, "entries of these kinds only: `LIST` of "+kindNames())
	as.add(cmd)
	return cmd
}

func kindNames() string {
	var names []string
	for _, k := range indicators.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// indicatorLoad reads the lists that a scan compares with while the scan begins.
type indicatorLoad struct {
	done chan struct{}
	set  *indicators.Index
	err  error
}

// startIndicators begins to read lists; nil for none.
func startIndicators(paths []string) *indicatorLoad {
	if len(paths) == 0 {
		return nil
	}
	l := &indicatorLoad{done: make(chan struct{})}
	go func() {
		defer close(l.done)
		defer func() {
			if p := recover(); p != nil {
				l.err = fmt.Errorf("reading the indicators failed: %v", p)
			}
		}()
		l.set, l.err = readIndicators(paths)
	}()
	return l
}

// readIndicators reads lists. One that cannot be read fails the scan; without it "nothing found"
// would say too much.
func readIndicators(paths []string) (*indicators.Index, error) {
	return readIndicatorsWith(nil, "", paths)
}

// readIndicatorsWith reads the lists of a tree that has a name, too; nil is none.
func readIndicatorsWith(tree fs.FS, name string, paths []string) (*indicators.Index, error) {
	set, err := indicators.LoadWith(tree, name, paths...)
	if err != nil {
		return nil, &hinted{err, "see 'picket indicators check'"}
	}
	if set.Len() == 0 {
		return nil, &hinted{errors.New("the lists of indicators hold none that can be used"), "see 'picket indicators check --verbose'"}
	}
	return set, nil
}

// Match waits until the lists are read.
func (l *indicatorLoad) Match(kind scanner.IndicatorKind, value string) []scanner.IndicatorMatch {
	if l.wait() != nil {
		return nil // the scan fails
	}
	return l.set.Match(kind, value)
}

// wait gives the error of reading the lists.
func (l *indicatorLoad) wait() error {
	if l == nil {
		return nil
	}
	<-l.done
	return l.err
}
