package agent

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"picket/scanner/report"
)

func privacyExportCommand() *cobra.Command {
	var (
		ask  apiFlags
		file string
	)
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write everything that the agent keeps about this device into a file",
		Long: `Export writes one JSON object with a list for each kind of what is kept: open findings, packages, the
events that wait to be delivered and those that were, byte for byte as they are sent, the history, what
was set aside, networks of earlier times, the agent's own notes, and the enrolment without its key. It
asks the agent, or opens the store itself where none runs. Run it as root or as the agent's user.

Exit status: 0 done, 1 error, 64 usage.`,
		Example: "  sudo picket privacy export --output picket-data.json\n  sudo picket privacy export | jq 'keys'",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write := func(w io.Writer) error {
				out := &exportWriter{w: bufio.NewWriter(w)}
				return errors.Join(ask.export(cmd.Context(), out.item), out.end())
			}
			if file == "" {
				return write(cmd.OutOrStdout())
			}
			if err := writeFile(file, write); err != nil {
				return fmt.Errorf("writing the export: %w", err)
			}
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), "written to %s, for its owner alone to read\n", report.Clean(file))
			return err
		},
	}
	ask.add(cmd)
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE` (mode 0600) instead of standard output")
	return cmd
}

// export asks the agent for all that is kept, or reads it itself where none runs.
func (f *apiFlags) export(ctx context.Context, item func(section string, value json.RawMessage) error) error {
	err := f.call(ctx, apiRequest{Op: "export"}, func(b json.RawMessage) error {
		var x struct {
			Section string          `json:"section"`
			Value   json.RawMessage `json:"value"`
		}
		if err := json.Unmarshal(b, &x); err != nil {
			return fmt.Errorf("the agent's answer: %w", err)
		}
		return item(x.Section, x.Value)
	}, nil)
	if !errors.As(err, new(*notRunning)) {
		return err
	}
	return f.alone(func(d *daemon) error {
		return d.export(func(x exported) error {
			b, err := encodeJSON(x.Value)
			if err != nil {
				return err
			}
			return item(x.Section, b)
		})
	})
}

// alone does something with the store while no agent runs. It makes no store where there is none.
func (f *apiFlags) alone(do func(*daemon) error) error {
	c, _, err := f.config.load()
	if err != nil {
		return err
	}
	name := filepath.Join(c.StateDir, storeName)
	if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
		return &hinted{fmt.Errorf("nothing is kept: there is no %s", name), "name the agent's configuration with --config"}
	} else if err != nil {
		return fmt.Errorf("no agent runs, and the store cannot be looked at: %w", err)
	}
	d, err := newDaemon(hostMachine(&f.config, io.Discard))
	if err != nil {
		return err
	}
	return errors.Join(do(d), d.vault.close())
}

// exportWriter writes one JSON object with a list for each section, a value a line.
type exportWriter struct {
	w       *bufio.Writer
	section string
}

func (x *exportWriter) item(section string, value json.RawMessage) error {
	before := ","
	switch {
	case x.section == "":
		before = "{\n" + quotedName(section) + ": ["
	case x.section != section:
		before = "\n],\n" + quotedName(section) + ": ["
	}
	x.section = section
	_, err := fmt.Fprintf(x.w, "%s\n%s", before, bytes.TrimSpace(value))
	return err
}

func (x *exportWriter) end() error {
	end := "\n]\n}\n"
	if x.section == "" {
		end = "{}\n"
	}
	_, err := x.w.WriteString(end)
	return errors.Join(err, x.w.Flush())
}

func quotedName(s string) string {
	b, _ := json.Marshal(s) // of a string it never fails
	return string(b)
}

func privacyEraseCommand() *cobra.Command {
	var (
		ask apiFlags
		as  jsonFlags
		yes bool
	)
	cmd := &cobra.Command{
		Use:   "erase [PART...]",
		Short: "Erase what the person may have erased of what the agent keeps",
		Long: `Erase takes parts of what is kept off this device, all that may be where none is named: ` + strings.Join(erasureNames(), ", ") + `.
'picket privacy --only kept' says what each holds. The store's file is written anew, so that nothing of
it is left there; a flash disk may keep old blocks for a time, as with every file.

Open findings and the inventory are not among them: the next scan would make them again. What was
delivered stays where it went. Events that wait for an organisation stay until the device has left it.

Exit status: 0 done, 1 error, or something that was named may not be erased, 64 usage.`,
		Example: "  sudo picket privacy erase\n  sudo picket privacy erase networks history --yes",
		RunE: func(cmd *cobra.Command, parts []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			for _, p := range parts {
				if !slices.Contains(erasureNames(), p) {
					return usagef("%q is none of %s", p, strings.Join(erasureNames(), ", "))
				}
			}
			if !yes {
				if err := confirm(cmd, "Erase "+cmp.Or(strings.Join(parts, ", "), "all that may be erased")+"? It cannot be brought back."); err != nil {
					return err
				}
			}
			done, err := ask.erase(cmd.Context(), parts)
			if err != nil {
				return err
			}
			if asJSON {
				err = writeJSON(cmd.OutOrStdout(), done)
			} else {
				err = showErased(cmd.OutOrStdout(), done)
			}
			return errors.Join(err, notErased(done, len(parts) > 0))
		},
	}
	ask.add(cmd)
	as.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// confirm asks on a terminal. Where there is none, nobody can say yes.
func confirm(cmd *cobra.Command, question string) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usagef("%s needs --yes where nobody can be asked", cmd.CommandPath())
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	line, err := bufio.NewReader(io.LimitReader(in, 64)).ReadString('\n')
	if err != nil || !slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line))) {
		return errors.New("nothing was done")
	}
	return nil
}

// erase asks the agent to erase, or does it itself where none runs.
func (f *apiFlags) erase(ctx context.Context, parts []string) (done []erased, err error) {
	err = f.call(ctx, apiRequest{Op: "erase", Parts: parts}, collect(&done), nil)
	if errors.As(err, new(*notRunning)) {
		err = f.alone(func(d *daemon) (err error) {
			done, err = d.erase(parts)
			return err
		})
	}
	return done, err
}

func showErased(w io.Writer, done []erased) error {
	for _, e := range done {
		text := fmt.Sprintf("%d erased", e.Gone)
		switch {
		case e.Held != "":
			text = "stays: " + e.Held
		case e.Failed != "":
			text = "could not be erased: " + e.Failed
		case e.Gone == 0:
			text = "there was nothing"
		}
		if _, err := fmt.Fprintf(w, "%-10s %s (%s)\n", report.Clean(e.Name), report.Clean(text), report.Clean(e.What)); err != nil {
			return err
		}
	}
	return nil
}

// notErased is an error where something failed, or was asked for by name and stays.
func notErased(done []erased, named bool) error {
	var stay []string
	for _, e := range done {
		if e.Failed != "" || named && e.Held != "" {
			stay = append(stay, e.Name)
		}
	}
	if len(stay) > 0 {
		return fmt.Errorf("not erased: %s", strings.Join(stay, ", "))
	}
	return nil
}
