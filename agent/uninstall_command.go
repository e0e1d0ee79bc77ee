package agent

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// motdFile is what a person reads when they log in.
const motdFile = "/run/motd.d/picket"

// uninstallEnd is what `picket uninstall --json` writes.
type uninstallEnd struct {
	*farewell
	Done    bool     `json:"done"` // false: nothing was touched
	Notices []string `json:"notices,omitempty"`
}

func uninstallCommand() *cobra.Command {
	var (
		config      configFlags
		which       serviceFlags
		as          jsonFlags
		purge, all  bool
		onlyShowing bool
	)
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Remove Picket from this device, or say what the policy forbids", Args: noArgs,
		Long: `Uninstall stops the service, has the device's certificate revoked where the CA can be reached, and
removes all that Picket made here: the service, what the agent remembers, private keys, notices, and the
program itself last. The configuration stays unless --purge is given. It lists everything first and asks.

Where the organisation's policy forbids it, nothing is touched and the policy's contact is named. No program
can keep root from removing files by hand; the organisation then sees a device that no longer reports.

Exit status: 0 removed (or listed by --dry-run), 1 error, 4 the policy forbids it, 64 usage.`,
		Example: "  sudo picket uninstall --dry-run\n  sudo picket uninstall --purge --yes",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			plan, err := farewellHere(&config, &which, purge)
			if err != nil {
				return err
			}
			if err := forbidden(plan.bound...); err != nil {
				return err
			}
			words, err := wordsIn(language(os.Getenv))
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if asJSON {
				out = io.Discard
			}
			a := asker{in: cmd.InOrStdin(), out: out, words: words, quiet: all}
			end := uninstallEnd{farewell: plan}
			a.say("%s", words.Say("goodbye.title"))
			plan.show(out)
			if !onlyShowing {
				if !all && (asJSON || !onTerminal(a.in)) {
					return usagef("%s asks before it removes anything: give --yes where nobody is there to answer", cmd.CommandPath())
				}
				yes, err := a.yes(cmd.Context(), words.Say("goodbye.ask"), nil, all)
				if err != nil {
					return err
				}
				if !yes {
					a.say("%s", words.Say("goodbye.kept"))
					return nil
				}
				end.Notices, err = plan.carryOut(cmd.Context(), a.say)
				for _, n := range end.Notices {
					a.say("notice: %s", report.Clean(n))
				}
				if err != nil {
					return err
				}
				end.Done = true
				a.say("%s", words.Say("goodbye.done"))
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), end)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.BoolVar(&purge, "purge", false, "remove the configuration too")
	fl.BoolVarP(&all, "yes", "y", false, "do not ask")
	fl.BoolVar(&onlyShowing, "dry-run", false, "list what would be removed, and remove nothing")
	which.add(cmd)
	config.add(cmd)
	as.add(cmd)
	return cmd
}

// farewellHere plans for this device and user. What another user's agent made is root's to remove.
func farewellHere(config *configFlags, which *serviceFlags, purge bool) (*farewell, error) {
	c, err := enrolPlace(config)
	if err != nil {
		return nil, err
	}
	env := HostEnv(config.set)
	if env.Android && env.UID == 0 {
		return nil, &hinted{errors.New("on Android Picket is a module"), "remove it in the app of Magisk, KernelSU or APatch: nothing stays (docs/install.md)"}
	}
	_, from, err := config.load()
	if err != nil {
		return nil, err
	}
	var system *initSystem
	if env.UID == 0 {
		s, err := which.find(true)
		switch {
		case err == nil:
			system = &s
		case which.init != "":
			return nil, err
		}
	}
	return planFarewell(c, from, system, purge)
}

// show lists what goes and what stays.
func (f *farewell) show(w io.Writer) {
	if f.Enrolled != "" {
		fmt.Fprintf(w, "  enrolment  %s, revoked where the CA can be reached\n", report.Clean(f.Enrolled))
	}
	for _, r := range f.Removes {
		fmt.Fprintf(w, "  %-9s  %s\n", r.What, report.Clean(r.Path))
	}
	for _, r := range f.Leaves {
		fmt.Fprintf(w, "  stays      %s (--purge removes it)\n", report.Clean(r.Path))
	}
	if f.Program != "" {
		fmt.Fprintf(w, "  %s\n", report.Clean(f.Program))
	}
}
