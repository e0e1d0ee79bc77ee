package agent

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// release is the version of this source; a build from version control adds its revision.
const release = "0.1.0"

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return release + "+" + s.Value[:12]
		}
	}
	return release
}

func versionCommand() *cobra.Command {
	var as jsonFlags
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		Example: "  picket version\n  picket version --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"version": version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "picket %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	as.add(cmd)
	return cmd
}

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man", Short: "Print the manual page", Args: noArgs,
		Example: "  picket man > picket.1 && man ./picket.1",
		RunE: func(cmd *cobra.Command, _ []string) error {
			m := &manPage{w: cmd.OutOrStdout()}
			m.page(cmd.Root())
			return m.err
		},
	}
}

// manPage writes a page in man(7) macros from the commands themselves.
type manPage struct {
	w   io.Writer
	err error
}

func (m *manPage) printf(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format, args...)
	}
}

// roff makes text safe for roff: backslashes, hyphens, and dots that begin a line.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}

func (m *manPage) page(root *cobra.Command) {
	m.printf(".TH PICKET 1 \"\" \"picket %s\" \"User Commands\"\n", roff(release))
	m.printf(".SH NAME\npicket \\- %s\n", roff(root.Short))
	m.printf(".SH SYNOPSIS\n.B picket\n.I command\n[\\fIoptions\\fR]\n")
	m.printf(".SH DESCRIPTION\n%s\n", roff(root.Long))
	m.printf(".SH COMMANDS\n")
	for _, c := range root.Commands() {
		m.command(c)
	}
	m.printf(".SH EXIT STATUS\n.TP\n0\ndone\n.TP\n1\nerror\n.TP\n2\ndone, and the threat level is at or above \\-\\-fail\\-on\n.TP\n3\nno agent is running\n.TP\n4\nthe organisation or its policy refuses it\n.TP\n5\nthe device does not meet the requirements\n.TP\n64\nwrong usage\n")
	m.printf(".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(root.Example))
}

func (m *manPage) command(c *cobra.Command) {
	if c.Hidden || c.Name() == "help" {
		return
	}
	m.printf(".SS %s\n", roff(c.UseLine()))
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	m.printf("%s\n", roff(text))
	c.LocalFlags().VisitAll(func(f *pflag.Flag) {
		arg, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		m.printf(".TP\n\\fB%s\\fR %s\n%s\n", roff(name), roff(arg), roff(usage))
	})
	if c.Example != "" {
		m.printf(".PP\n.nf\n%s\n.fi\n", roff(c.Example))
	}
	for _, sub := range c.Commands() {
		m.command(sub)
	}
}
