package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/scanner/rules"
)

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "List, show, check and test rules; list the tables they range over",
		Example: `  picket rules list
  picket rules show OS-030
  picket rules test my-rule.yaml`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(rulesListCommand(), rulesShowCommand(), rulesCheckCommand(), rulesTestCommand(), rulesTablesCommand())
	return cmd
}

// ruleInfo is a rule in JSON.
type ruleInfo struct {
	ID             string            `json:"id"`
	Title          string            `json:"title"`
	Category       string            `json:"category"`
	Severity       scanner.Severity  `json:"severity"`
	FPRisk         string            `json:"false_positive_risk"`
	Maturity       string            `json:"maturity"`
	Platforms      []string          `json:"platforms"`
	Profiles       map[string]string `json:"profiles,omitempty"`
	Table          string            `json:"table"`
	Where          string            `json:"where,omitempty"`
	When           string            `json:"when"`
	Attack         []string          `json:"attack,omitempty"`
	Absorbs        []string          `json:"absorbs,omitempty"`
	Discreet       bool              `json:"discreet,omitempty"`
	Means          string            `json:"means"`
	Fix            string            `json:"fix"`
	FalsePositives string            `json:"false_positives"`
}

func describeRule(r *rules.Rule) ruleInfo {
	return ruleInfo{r.ID, r.Title, r.Category, r.Severity, r.FPRisk, r.Maturity, r.Platforms, r.Profiles, r.Table,
		strings.TrimSpace(r.Where), strings.TrimSpace(r.When), r.Attack, r.Absorbs, r.Discreet,
		strings.TrimSpace(r.Means), strings.TrimSpace(r.Fix), strings.TrimSpace(r.FalsePositives)}
}

// jsonFlags is the choice between text and JSON of commands that show rules.
type jsonFlags struct {
	format string
	json   bool
}

func (f *jsonFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.format, "format", "f", "table", "`FORMAT`: table, json")
	cmd.Flags().BoolVar(&f.json, "json", false, "the same as --format json")
}

func (f *jsonFlags) wantJSON() (bool, error) {
	if f.json {
		return true, nil
	}
	if f.format != "table" && f.format != "json" {
		return false, usagef("--format %q is none of table, json", f.format)
	}
	return f.format == "json", nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

func rulesListCommand() *cobra.Command {
	var (
		which ruleFlags
		as    jsonFlags
	)
	cmd := &cobra.Command{
		Use: "list", Short: "List the rules", Args: noArgs,
		Example: "  picket rules list\n  picket rules list --only network --format json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			set, err := which.load()
			if err != nil {
				return err
			}
			if asJSON {
				list := []ruleInfo{}
				for _, r := range set.Rules() {
					list = append(list, describeRule(r))
				}
				return writeJSON(cmd.OutOrStdout(), list)
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "ID\tSEVERITY\tCATEGORY\tTITLE")
			for _, r := range set.Rules() {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", r.ID, r.Severity, r.Category, r.Title)
			}
			return tw.Flush()
		},
	}
	which.add(cmd)
	as.add(cmd)
	return cmd
}

func rulesShowCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "show ID", Short: "Show a rule's file", Args: oneArg("a rule's id"),
		Example: "  picket rules show OS-030",
		RunE: func(cmd *cobra.Command, args []string) error {
			set, err := loadRules(dir)
			if err != nil {
				return err
			}
			rs, err := findRule(set, args[0])
			if err != nil {
				return err
			}
			for i, r := range rs {
				src, err := ruleSource(dir, r)
				if err != nil {
					return err
				}
				if i > 0 {
					src = append([]byte("---\n"), src...)
				}
				if _, err := cmd.OutOrStdout().Write(src); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "rules", "", "rules from this `DIR` in place of the built-in ones")
	return cmd
}

func ruleSource(dir string, r *rules.Rule) ([]byte, error) {
	if dir != "" {
		return readSmall(filepath.Join(dir, r.File))
	}
	return rules.Source(r)
}

// findRule gives the rule of an id: several where platforms differ in how it is told.
func findRule(set *rules.Set, id string) ([]*rules.Rule, error) {
	rs := set.Rule(strings.ToUpper(id))
	if len(rs) == 0 {
		return nil, usageHint(fmt.Errorf("no rule %q%s", id, rules.DidYouMean(strings.ToUpper(id), set.IDs())), "see 'picket rules list'")
	}
	return rs, nil
}

func usageHint(err error, hint string) error { return &usageError{&hinted{err, hint}} }

func rulesCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Check a rule file: form, conditions, columns", Args: oneArg("a rule file"),
		Example: "  picket rules check my-rule.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := parseRule(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s is well formed\n", args[0], r.ID)
			return nil
		},
	}
}

func rulesTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test FILE", Short: "Run the tests inside a rule file", Args: oneArg("a rule file"),
		Example: "  picket rules test my-rule.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := parseRule(args[0])
			if err != nil {
				return err
			}
			if err := r.SelfTest(); err != nil {
				return err
			}
			fires, quiet := 0, 0
			for _, t := range r.Tests {
				fires, quiet = fires+len(t.Fires), quiet+len(t.Quiet)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %s passes: %d rows fire, %d stay quiet\n", args[0], r.ID, fires, quiet)
			return nil
		},
	}
}

func parseRule(name string) (*rules.Rule, error) {
	src, err := readSmall(name)
	if err != nil {
		return nil, fmt.Errorf("reading the rule: %w", err)
	}
	return rules.NewLoader(facts.Collectors()).Parse(name, src)
}

func rulesTablesCommand() *cobra.Command {
	var as jsonFlags
	cmd := &cobra.Command{
		Use: "tables", Short: "List the tables and columns that conditions can use", Args: noArgs,
		Example: "  picket rules tables\n  picket rules tables --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), describeTables())
			}
			for _, t := range describeTables() {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", t.Table, t.Doc)
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, c := range t.Columns {
					fmt.Fprintf(tw, "  %s\t%s\t%s\n", c.Name, c.Type, c.Doc)
				}
				if err := tw.Flush(); err != nil {
					return err
				}
			}
			return nil
		},
	}
	as.add(cmd)
	return cmd
}

// tableInfo describes a table in JSON.
type tableInfo struct {
	Table   string         `json:"table"`
	Doc     string         `json:"doc"`
	Columns []rules.Column `json:"columns"`
}

func describeTables() []tableInfo {
	var out []tableInfo
	for _, c := range facts.Collectors() {
		out = append(out, tableInfo{c.Table, c.Doc, rules.Columns(c)})
	}
	return out
}

func explainCommand() *cobra.Command {
	var (
		dir string
		as  jsonFlags
	)
	cmd := &cobra.Command{
		Use: "explain ID", Short: "Explain a rule: what it looks for, what it means, how to fix it", Args: oneArg("a rule's id"),
		Example: "  picket explain OS-030",
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			set, err := loadRules(dir)
			if err != nil {
				return err
			}
			rs, err := findRule(set, args[0])
			if err != nil {
				return err
			}
			if asJSON && len(rs) == 1 {
				return writeJSON(cmd.OutOrStdout(), describeRule(rs[0]))
			}
			var (
				all []ruleInfo
				out outputFlags
			)
			for i, r := range rs {
				if asJSON {
					all = append(all, describeRule(r))
					continue
				}
				if i > 0 {
					fmt.Fprintln(cmd.OutOrStdout())
				}
				if err := report.Explain(cmd.OutOrStdout(), r, reads(r.Table), out.style(cmd.OutOrStdout())); err != nil {
					return err
				}
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), all)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "rules", "", "rules from this `DIR` in place of the built-in ones")
	as.add(cmd)
	return cmd
}

// reads gives what the collector of a table looks at.
func reads(table string) []string {
	var out []string
	for _, c := range facts.Collectors() {
		if c.Table == table {
			for _, p := range c.Reads.Probes {
				out = append(out, "probe "+string(p))
			}
			out = append(append(out, c.Reads.Globs...), c.Reads.Meta...)
		}
	}
	return out
}

func completionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "completion bash|zsh|fish", Short: "Print a shell completion script", Args: oneArg("bash, zsh or fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		Example:   "  picket completion bash > /etc/bash_completion.d/picket",
		RunE: func(cmd *cobra.Command, args []string) error {
			w := cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return cmd.Root().GenBashCompletionV2(w, true)
			case "zsh":
				return cmd.Root().GenZshCompletion(w)
			case "fish":
				return cmd.Root().GenFishCompletion(w, true)
			}
			return usagef("no completion for %q: bash, zsh or fish", args[0])
		},
	}
}
