package agent

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// serviceFlags are the flags of all service commands.
type serviceFlags struct{ init string }

func (f *serviceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.init, "init", "", "init system, where the one that runs here is not meant: `NAME` of systemd, openrc, procd, sysv, busybox")
}

// find gives the init system; change says that the command changes the device.
func (f *serviceFlags) find(change bool) (initSystem, error) {
	env := HostEnv(nil)
	if env.Android {
		return initSystem{}, &hinted{errors.New("on Android Picket is no service of this kind"),
			"install the module for Magisk, KernelSU or APatch, or start 'picket run' from an init .rc: see docs/install.md"}
	}
	if change && env.UID != 0 {
		return initSystem{}, &hinted{errors.New("only root may do this"),
			"run it with sudo; 'picket run' needs no rights, stays in the foreground and sees less"}
	}
	return findInit(f.init)
}

func serviceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "Install and control the agent as a service of this device",
		Long: `Service makes 'picket run' a service of systemd, OpenRC, procd (OpenWrt), System V init or
BusyBox init: it starts with the device. When it ends, systemd, OpenRC and procd start it
again after 10 seconds; System V and BusyBox init do not. On Android there is a module for
Magisk, KernelSU and APatch instead.`,
		Example: "  sudo picket service install\n  sudo picket service start\n  picket service status",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(serviceInstallCommand(),
		serviceControlCommand("start", "Start the service now", "started"),
		serviceControlCommand("stop", "Stop the service until it is started or the device starts", "stopped"),
		serviceControlCommand("restart", "Stop and start the service, as after an upgrade", "started again"),
		serviceStatusCommand(), serviceUninstallCommand())
	return cmd
}

func serviceInstallCommand() *cobra.Command {
	var (
		which serviceFlags
		file  string
	)
	cmd := &cobra.Command{
		Use: "install", Short: "Have the device run the agent from its next start on", Args: noArgs,
		Long: `Install writes the definition of the service for this binary where it is, and says what it
wrote. Installing again renews the definition, as after an upgrade or when the configuration
names other folders; what the agent remembers stays, and so does the configuration that the
service has, unless another is named.`,
		Example: "  sudo picket service install\n  sudo picket service install --config /etc/picket/kiosk.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := which.find(true)
			if err != nil {
				return err
			}
			kept := ""
			if _, named := configPath(file, HostEnv(nil)); !named {
				have, _, err := s.installed()
				if err != nil {
					return err
				}
				kept = definedConfig(have)
			}
			p, err := placeOf(cmp.Or(file, kept))
			switch {
			case err != nil && kept != "":
				return &hinted{fmt.Errorf("the service keeps its configuration, which cannot be used: %w", err), "put it right, or name another with --config"}
			case err != nil:
				return err
			case kept != "":
				fmt.Fprintf(cmd.OutOrStdout(), "the service keeps its configuration, %s; --config names another\n", kept)
			}
			return installService(cmd.OutOrStdout(), s, p)
		},
	}
	which.add(cmd)
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE` of the service, in place of $PICKET_CONFIG, the one that it has, and "+systemConfig)
	return cmd
}

// placeOf gives the place of this binary with a configuration, both checked: a service that
// cannot start is not installed.
func placeOf(file string) (servicePlace, error) {
	binary, err := ownBinary()
	if err != nil {
		return servicePlace{}, err
	}
	if err := checkBinary(binary); err != nil {
		return servicePlace{}, err
	}
	if file != "" {
		if file, err = filepath.Abs(file); err != nil {
			return servicePlace{}, err
		}
	}
	flags := configFlags{file: file}
	c, from, err := flags.read(HostEnv(nil))
	if err != nil {
		return servicePlace{}, err
	}
	p := servicePlace{binary: binary}
	if from.File != systemConfig {
		p.config = from.File
	}
	p.writable, err = writtenFolders(c)
	if dir := filepath.Dir(c.Socket); dir != c.StateDir {
		p.shared = dir
	}
	return p, err
}

// ownBinary is where this program is, with no link on the way.
func ownBinary() (string, error) {
	binary, err := os.Executable()
	if err == nil {
		binary, err = filepath.EvalSymlinks(binary)
	}
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	return binary, nil
}

// serviceControlCommand is start, stop or restart.
func serviceControlCommand(action, short, done string) *cobra.Command {
	var which serviceFlags
	cmd := &cobra.Command{
		Use: action, Short: short, Args: noArgs, Example: "  sudo picket service " + action,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := which.find(true)
			if err != nil {
				return err
			}
			if _, found, err := s.installed(); err != nil {
				return err
			} else if !found {
				return errNotInstalled()
			}
			if err := s.do(action); err != nil {
				return &hinted{fmt.Errorf("the service could not be %s: %w", done, err), "see what it said with '" + s.logs + "'"}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "picket is %s\n", done)
			return err
		},
	}
	which.add(cmd)
	return cmd
}

func errNotInstalled() error {
	return &hinted{errors.New("picket is not installed as a service"), "install it with 'picket service install'"}
}

// serviceState is what service status says in JSON.
type serviceState struct {
	Init       string `json:"init"`       // systemd, openrc, procd, sysv, busybox
	Definition string `json:"definition"` // path of the unit or script
	Installed  bool   `json:"installed"`
	Current    bool   `json:"current"` // the definition is what this binary would write
	State      string `json:"state"`   // running, stopped, failed or what is between these; none when not installed
}

func serviceStatusCommand() *cobra.Command {
	var (
		which serviceFlags
		as    jsonFlags
	)
	cmd := &cobra.Command{
		Use: "status", Short: "Say whether the service is installed and runs", Args: noArgs,
		Long:    "Status says whether the service is installed and runs. Exit status: 0 it runs, 1 it does not, 64 usage.",
		Example: "  picket service status --json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			s, err := which.find(false)
			if err != nil {
				return err
			}
			state, err := stateOf(s)
			if err != nil {
				return err
			}
			if asJSON {
				return errors.Join(writeJSON(cmd.OutOrStdout(), state), state.problem(s))
			}
			if state.Installed {
				fmt.Fprintf(cmd.OutOrStdout(), "picket is %s (%s, %s)\n", state.State, state.Init, state.Definition)
				if !state.Current {
					fmt.Fprintln(cmd.OutOrStdout(), "this binary would install another definition; 'picket service install' renews it")
				}
			}
			return state.problem(s)
		},
	}
	which.add(cmd)
	as.add(cmd)
	return cmd
}

func stateOf(s initSystem) (serviceState, error) {
	out := serviceState{Init: s.name, Definition: s.path, State: "none"}
	have, found, err := s.installed()
	if err != nil || !found {
		return out, err
	}
	out.Installed = true
	if p, err := placeOf(definedConfig(have)); err == nil {
		want, err := s.definition(p)
		out.Current = err == nil && want == have
	}
	out.State, err = s.running()
	return out, err
}

// problem is what keeps the service from running, with the step that helps.
func (st serviceState) problem(s initSystem) error {
	switch {
	case !st.Installed:
		return errNotInstalled()
	case st.State == "running":
		return nil
	case st.State == "stopped":
		return &hinted{errors.New("the service does not run"), "start it with 'picket service start'"}
	}
	return &hinted{fmt.Errorf("the service is %s", st.State), "see what it said with '" + s.logs + "'"}
}

func serviceUninstallCommand() *cobra.Command {
	var (
		which serviceFlags
		file  string
		purge bool
	)
	cmd := &cobra.Command{
		Use: "uninstall", Short: "Stop the service and take it off this device", Args: noArgs,
		Long: `Uninstall stops the service and removes its definition. What the agent remembers stays, so
that it can be installed again, unless --purge is given; the binary and the configuration
stay in any case. 'picket uninstall' removes all of Picket, and ends the enrolment.

Where the organisation's policy forbids removing Picket nothing is touched, and --purge does
nothing on a device that is enrolled: 'picket unenrol' comes first.

Exit status: 0 removed, 1 error, 4 the policy forbids it, 64 usage.`,
		Example: "  sudo picket service uninstall\n  sudo picket service uninstall --purge",
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := which.find(true)
			if err != nil {
				return err
			}
			return uninstallService(cmd.OutOrStdout(), s, file, purge)
		},
	}
	which.add(cmd)
	cmd.Flags().StringVar(&file, "config", "", "configuration `FILE` that says where the state is, in place of the one that the service had")
	cmd.Flags().BoolVar(&purge, "purge", false, "remove what the agent remembers too: open findings, inventory, events, updates that were accepted")
	return cmd
}
