package agent

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// configFlags are the flags of all commands that use the configuration.
type configFlags struct {
	asked bool // the service, which has said what it takes
	file  string
	set   []string
}

func (f *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "config", "", "configuration `FILE` in place of $PICKET_CONFIG, for root the service's, and the platform's own")
	cmd.Flags().StringArrayVar(&f.set, "set", nil, "use this value of a key, whatever the file says: `KEY=VALUE`; repeatable")
}

// load gives the configuration of this process. Root's commands mean the agent that is this
// device's service, with the configuration that it was installed with.
func (f *configFlags) load() (Config, Origins, error) {
	env := HostEnv(f.set)
	if _, named := configPath(f.file, env); !named && !f.asked && env.hasService() {
		f.file, _ = serviceHere()
	}
	f.asked = true // an agent that runs keeps to its file
	return f.read(env)
}

// read gives the configuration of this process, whatever the service has.
func (f *configFlags) read(env Env) (Config, Origins, error) {
	c, from, err := Load(f.file, env)
	if e := (*ConfigError)(nil); errors.As(err, &e) && e.aboutKeys() {
		err = &hinted{err, "see 'picket config example' for the keys and what they may be"}
		if !slices.ContainsFunc(e.Problems, func(p ConfigProblem) bool { return p.File != "--set" }) {
			err = &usageError{err}
		}
	}
	return c, from, err
}

// aboutKeys says that a list of the keys would help.
func (e *ConfigError) aboutKeys() bool {
	for _, p := range e.Problems {
		if p.Line > 0 || p.File == "--set" {
			return true
		}
	}
	return false
}

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check and show the agent's configuration, or print an example of it",
		Long: `The agent is configured by one YAML file, ` + systemConfig + ` (on Android
` + androidConfig + `), or the one that --config or PICKET_CONFIG names; without
these, root's commands take that of the service which is installed. Every key has a default, so
that no file is needed.`,
		Example: "  picket config example > " + systemConfig + "\n  picket config check\n  picket config show",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configCheckCommand(), configShowCommand(), configExampleCommand())
	return cmd
}

// configCheck is what config check says in JSON.
type configCheck struct {
	File     string          `json:"file"`
	Read     bool            `json:"read"` // false when there is no file
	OK       bool            `json:"ok"`
	Problems []ConfigProblem `json:"problems"`
}

func configCheckCommand() *cobra.Command {
	var (
		which configFlags
		as    jsonFlags
	)
	cmd := &cobra.Command{
		Use: "check [FILE]", Short: "Say what is wrong with a configuration",
		Long: `Check reads the configuration as the agent would, with the rules, allow lists and lists of
indicators that it names, and says everything that is wrong, with file and line.

Exit status: 0 right, 1 wrong, 64 usage.`,
		Example: "  picket config check\n  picket config check new.yaml && mv new.yaml " + systemConfig,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && which.file != "" {
				return usagef("%s takes one file", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				which.file = args[0]
			}
			c, from, failed := which.load()
			if failed == nil {
				failed = checkNamed(c, from)
			}
			if asJSON {
				out := configCheck{File: from.File, Read: from.Read, OK: failed == nil, Problems: []ConfigProblem{}}
				if e := (*ConfigError)(nil); errors.As(failed, &e) {
					out.Problems = e.Problems
				}
				return cmp.Or(writeJSON(cmd.OutOrStdout(), out), failed)
			}
			if failed != nil {
				return failed
			}
			if !from.Read {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "there is no %s: every key that --set does not name has its default\n", from.File)
			} else {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is right: %d of %d keys are set\n", from.File, len(from.Keys), len(settings()))
			}
			return err
		},
	}
	which.add(cmd)
	as.add(cmd)
	return cmd
}

// checkNamed loads what a configuration names: rules, allow lists, indicators.
func checkNamed(c Config, from Origins) error {
	var problems []ConfigProblem
	check := func(key string, err error) bool {
		if err != nil {
			problems = append(problems, from.Keys[key].problem(key, key+": "+err.Error()))
		}
		return err == nil
	}
	ruleSet := ruleFlags{dir: c.RulesDir}
	_, err := ruleSet.load()
	if check("rules_dir", err) && len(c.Allow) > 0 {
		ruleSet.allow = c.Allow
		_, err = ruleSet.load()
		check("allow", err)
	}
	if len(c.Indicators) > 0 {
		_, err = readIndicators(c.Indicators)
		check("indicators", err)
	}
	if len(problems) > 0 {
		return &ConfigError{problems}
	}
	return nil
}

// configValue is one key of config show in JSON.
type configValue struct {
	Key   string `json:"key"`
	Value any    `json:"value"` // a text as the file has it, or a list of them
	From  string `json:"from"`  // default, flag, or FILE:LINE
	Doc   string `json:"doc"`
}

func configShowCommand() *cobra.Command {
	var (
		which configFlags
		as    jsonFlags
	)
	cmd := &cobra.Command{
		Use: "show", Short: "Show every key, its value and where that came from", Args: noArgs,
		Example: "  picket config show\n  picket config show --set watch=off --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			c, from, err := which.load()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), describeConfig(c, from))
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "KEY\tVALUE\tFROM\tMEANING")
			for _, s := range settings() {
				fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", s.key, s.format(c), from.Keys[s.key], s.doc)
			}
			return tw.Flush()
		},
	}
	which.add(cmd)
	as.add(cmd)
	return cmd
}

func describeConfig(c Config, from Origins) []configValue {
	var out []configValue
	for _, s := range settings() {
		v := configValue{s.key, append([]string{}, s.texts(c)...), from.Keys[s.key].String(), s.doc}
		if !s.list() {
			v.Value = s.texts(c)[0]
		}
		out = append(out, v)
	}
	return out
}

func configExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use: "example", Short: "Print a configuration with every key, its meaning and its default", Args: noArgs,
		Example: "  picket config example > picket.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			env := HostEnv(nil)
			file, _ := configPath("", env)
			c, _, err := parseConfig(file, nil, false, env)
			if err != nil {
				return err
			}
			return writeExample(cmd.OutOrStdout(), c)
		},
	}
}

const exampleHead = `# Picket's configuration. Every key has a default, which is what stands here: take the # away
# and change the value where you want another. Check with: picket config check FILE
#
# Durations: 250ms, 30s, 90m, 6h, 7d, 1d12h. Sizes: 500kB, 64MB (1000s), 64KiB, 1GiB (1024s).
`

// writeExample writes a configuration in which every key is commented out.
func writeExample(w io.Writer, c Config) error {
	var b strings.Builder
	b.WriteString(exampleHead)
	for _, s := range settings() {
		b.WriteString("\n")
		for _, line := range wrap(sentence(s.doc)+" "+sentence(s.wants()), 95) {
			b.WriteString("# " + line + "\n")
		}
		fmt.Fprintf(&b, "#%s: %s\n", s.key, s.format(c))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// sentence writes a text with a capital and a full stop.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// wrap breaks a text between words into lines of at most width bytes.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
