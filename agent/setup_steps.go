package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"time"

	"picket/scanner"
)

// What setup writes beside the service's definition; `picket uninstall` takes it away.
const (
	autostartFile = "/etc/xdg/autostart/picket.desktop"
	kernelDropIn  = "/etc/systemd/system/picket.service.d/picket-setup.conf"
	// kernelRights is what docs/install.md says for rule OS-040.
	kernelRights = "# Written by picket setup: the kernel's BPF programs may be listed (rule OS-040).\n[Service]\nCapabilityBoundingSet=CAP_SYS_ADMIN\nSystemCallFilter=bpf\n"
)

// initHere gives the init system, or why Picket cannot be a service.
func (s *setup) initHere() (initSystem, error) {
	return (&serviceFlags{init: s.init}).find(true)
}

// service installs and starts the service.
func (s *setup) service() setupTask {
	return setupTask{name: "service", wanted: s.wish.Service, standard: true,
		look: func() string {
			system, err := s.initHere()
			if err != nil {
				return ""
			}
			state, err := stateOf(system)
			if err != nil || !state.Current || state.State != "running" || s.restart {
				return ""
			}
			return s.words.Say("service.is", system.name)
		},
		bar: func() string {
			system, err := s.initHere()
			if err == nil {
				var p servicePlace
				if p, err = placeOf(s.config.file); err == nil {
					_, err = system.definition(p)
				}
			}
			return whyNot(err)
		},
		question: func() string {
			system, _ := s.initHere() // bar has looked
			return s.words.Say("service.ask", system.name, system.path)
		},
		do: func(ctx context.Context) (string, error) {
			system, err := s.initHere()
			if err != nil {
				return "", err
			}
			place, err := placeOf(s.config.file)
			if err != nil {
				return "", err
			}
			if err := installService(io.Discard, system, place); err != nil {
				return "", err
			}
			return s.words.Say("service.is", system.name), s.startService(ctx, system)
		}}
}

// whyNot is an error in one line with what helps, "" for none.
func whyNot(err error) string {
	if err == nil {
		return ""
	}
	if fix := fixOf(err, ""); fix != "" {
		return err.Error() + "; " + fix
	}
	return err.Error()
}

// startService starts the service, anew where it runs, and waits until it answers.
func (s *setup) startService(ctx context.Context, system initSystem) error {
	action := "start"
	if state, err := system.running(); err == nil && state == "running" {
		action = "restart"
	}
	if err := system.do(action); err != nil {
		return &hinted{fmt.Errorf("the service could not be started: %w", err), "see what it said with '" + system.logs + "'"}
	}
	s.restart = false
	const patience = time.Minute
	for began := time.Now(); ; pause(ctx, time.Second/4, nil) {
		err := callAPI(ctx, s.cfg.Socket, apiRequest{Op: "status"}, nil, new(Status))
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Since(began) > patience:
			return &hinted{fmt.Errorf("the service was started and does not answer: %w", err), "see what it said with '" + system.logs + "'"}
		}
	}
}

// person lets the one who uses the device see the result without being root.
func (s *setup) person() setupTask {
	t := setupTask{name: "person", standard: true}
	who := s.wish.Person
	if who != "" {
		wanted := who != "no"
		t.wanted = &wanted
	} else {
		for _, name := range []string{"SUDO_USER", "DOAS_USER"} {
			if v := s.env.Getenv(name); v != "" && v != "root" {
				who = v
			}
		}
	}
	t.look = func() string {
		if s.cfg.SocketGroup != "" {
			return s.words.Say("person.set", s.cfg.SocketGroup)
		}
		return ""
	}
	t.bar = func() string {
		switch {
		case s.env.UID != 0:
			return s.words.Say("person.own")
		case who == "":
			return s.words.Say("person.nobody")
		}
		group, err := ownGroup(who)
		if errors.Is(err, errShared) {
			return s.words.Say("person.shared", who, group)
		}
		return whyNot(err)
	}
	t.question = func() string { return s.words.Say("person.ask", who, s.from.File, autostartFile) }
	t.do = func(context.Context) (string, error) {
		group, err := ownGroup(who)
		if err != nil {
			return "", err
		}
		if err := s.addSetting("socket_group", group, "picket setup: "+who+" may see the result"); err != nil {
			return "", err
		}
		s.restart = true
		return s.words.Say("person.is", who), s.autostart()
	}
	return t
}

// errShared is a group of several people.
var errShared = errors.New("the group has other members")

// ownGroup gives a person's first group, if it is theirs alone, as it is where every login gets one.
func ownGroup(login string) (string, error) {
	u, err := user.Lookup(login)
	if err != nil {
		return "", fmt.Errorf("who may see the result: %w", err)
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return "", fmt.Errorf("the group of %s: %w", login, err)
	}
	for name, column := range map[string]int{"/etc/passwd": 3, "/etc/group": 2} {
		b, err := readSmall(name)
		if err != nil {
			return "", fmt.Errorf("the members of group %s: %w", g.Name, err)
		}
		for line := range bytes.Lines(b) {
			f := strings.Split(strings.TrimSpace(string(line)), ":")
			if len(f) <= 3 || f[column] != u.Gid {
				continue
			}
			others := f[0] != login // who has it as the first group
			if column == 2 {
				others = f[3] != "" && f[3] != login
			}
			if others {
				return g.Name, errShared
			}
		}
	}
	return g.Name, nil
}

// addSetting adds a key to the configuration's file, which is then as right as before.
func (s *setup) addSetting(key, value, why string) error {
	name := s.from.File
	text := []byte("# The configuration of Picket; 'picket config example' has every key.\n")
	mode := os.FileMode(0o644)
	if s.from.Read {
		old, err := readConfig(name, s.env.UID)
		if err != nil {
			return fmt.Errorf("adding %s to the configuration: %w", key, err)
		}
		st, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("adding %s to the configuration: %w", key, err)
		}
		mode, text = st.Mode().Perm(), old
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text, '\n')
		}
	}
	text = fmt.Appendf(bytes.Clone(text), "%s: %q  # %s\n", key, value, why)
	c, from, err := parseConfig(name, text, true, s.env)
	if err != nil {
		return &hinted{fmt.Errorf("adding %s to %s would make it wrong: %w", key, name, err), "set it there yourself"}
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("making the configuration's folder: %w", err)
	}
	if err := writeFileMode(name, string(text), mode); err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	s.cfg, s.from = c, from
	return nil
}

// autostart has desktops start what shows notices. Where none is installed it is of no use.
func (s *setup) autostart() error {
	if _, err := os.Stat(filepath.Dir(filepath.Dir(autostartFile))); err != nil {
		return nil
	}
	binary, err := ownBinary()
	if err != nil {
		return err
	}
	if !plainPath.MatchString(binary) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(autostartFile), 0o755); err != nil {
		return fmt.Errorf("making the folder of autostarts: %w", err)
	}
	err = writeFileMode(autostartFile, "[Desktop Entry]\nType=Application\nName=Picket notices\nName[nl]=Meldingen van Picket\nExec="+binary+" notify\nNoDisplay=true\n", 0o644)
	if err != nil {
		return fmt.Errorf("writing %s: %w", autostartFile, err)
	}
	return nil
}

// kernel gives the service the right to list BPF programs.
func (s *setup) kernel() setupTask {
	return setupTask{name: "kernel", wanted: s.wish.Kernel,
		look: func() string {
			if b, err := readSmall(kernelDropIn); err == nil && string(b) == kernelRights {
				return s.words.Say("kernel.is")
			}
			return ""
		},
		bar: func() string {
			system, err := s.initHere()
			if err != nil || system.name != "systemd" {
				return s.words.Say("kernel.none")
			}
			if _, found, err := system.installed(); err != nil || !found {
				return s.words.Say("kernel.none")
			}
			return ""
		},
		question: func() string { return s.words.Say("kernel.ask") },
		do: func(ctx context.Context) (string, error) {
			system, err := s.initHere()
			if err != nil {
				return "", err
			}
			if err := os.MkdirAll(filepath.Dir(kernelDropIn), 0o755); err != nil {
				return "", fmt.Errorf("making the folder of the service's changes: %w", err)
			}
			if err := writeFileMode(kernelDropIn, kernelRights, 0o644); err != nil {
				return "", fmt.Errorf("writing %s: %w", kernelDropIn, err)
			}
			for _, cmd := range system.renew {
				if err := runTool(cmd[0], cmd[1:]...); err != nil {
					return "", err
				}
			}
			return s.words.Say("kernel.is"), s.startService(ctx, system)
		}}
}

// scan looks at the device, by the agent that runs or by itself. It is done every time: the result
// is what a person sets Picket up for.
func (s *setup) scan() setupTask {
	return setupTask{name: "scan", wanted: s.wish.Scan, standard: true, look: func() string { return "" }, bar: func() string { return "" },
		question: func() string { return s.words.Say("scan.ask") },
		do: func(ctx context.Context) (string, error) {
			s.say("%s", s.words.Say("scan.running"))
			err := callAPI(ctx, s.cfg.Socket, apiRequest{Op: "rescan", Wait: true}, nil, nil)
			if errors.As(err, new(*notRunning)) {
				return s.scanHere(ctx)
			}
			if err != nil {
				return "", err
			}
			var (
				items  []threat
				end    threatsEnd
				status Status
			)
			if err := callAPI(ctx, s.cfg.Socket, apiRequest{Op: "threats"}, collect(&items), &end); err != nil {
				return "", err
			}
			if err := callAPI(ctx, s.cfg.Socket, apiRequest{Op: "status"}, nil, &status); err != nil {
				return "", err
			}
			found := make([]scanner.Finding, len(items))
			for i := range items {
				found[i] = items[i].Finding
			}
			platform := "linux"
			if status.Device != nil {
				platform = status.Device.Platform
			}
			return s.show(found, end.Level, end.NotChecked, platform), nil
		}}
}

// scanHere is `picket run --once`: what is found is remembered, and delivered where to is known.
func (s *setup) scanHere(ctx context.Context) (string, error) {
	d, err := newDaemon(hostMachine(s.config, io.Discard))
	if err != nil {
		return "", err
	}
	failed := d.once(ctx)
	r := d.judging.report()
	if r == nil {
		return "", failed
	}
	text := s.show(r.Findings, r.Level, notChecked(r), r.Device.Platform)
	if failed != nil {
		fmt.Fprintf(s.log, "picket: notice: %v\n", failed) // the result is there all the same
	}
	return text, nil
}
