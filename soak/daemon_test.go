package soak

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// daemon is a real `picket run`, in a root of its own.
type daemon struct {
	root string
	log  *os.File
	cmd  *exec.Cmd
	gone chan error // what Wait gave
	late int        // ends in which a part was not done after its four seconds, as on a machine that stands still
}

// patience bounds all waiting for the daemon: far beyond what it should ever take.
const patience = 3 * time.Minute

func (d *daemon) command(log io.Writer) *exec.Cmd {
	cmd := exec.Command("/usr/bin/picket", "run", "--config", "/etc/picket/config.yaml")
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/bin:/bin", "GORACE=exitcode=66"}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.root, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (d *daemon) start() error {
	d.cmd = d.command(d.log)
	if err := d.cmd.Start(); err != nil {
		return err
	}
	d.gone = make(chan error, 1)
	go func(cmd *exec.Cmd, gone chan<- error) { gone <- cmd.Wait() }(d.cmd, d.gone)
	return nil
}

// second starts another agent beside the one that runs. It must be refused with the first one's
// number, and SIGHUP, which comes while it waits for the store, must not end it.
func (d *daemon) second() error {
	other := daemon{root: d.root, log: d.log}
	var said bytes.Buffer
	cmd := other.command(&said)
	if err := cmd.Start(); err != nil {
		return err
	}
	hung := false
	for !hung {
		files, err := filepath.Glob(filepath.Join(d.root, "proc", strconv.Itoa(cmd.Process.Pid), "fd", "*"))
		if err != nil {
			return err
		}
		if status, err := os.ReadFile(filepath.Join(d.root, "proc", strconv.Itoa(cmd.Process.Pid), "status")); err != nil || strings.Contains(string(status), "State:\tZ") {
			break // it ended
		}
		hung = slices.ContainsFunc(files, func(name string) bool {
			to, err := os.Readlink(name)
			return err == nil && strings.HasSuffix(to, "/picket.db.lock")
		})
		if hung {
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				return err
			}
		}
		time.Sleep(time.Millisecond)
	}
	err := cmd.Wait()
	if !hung || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), fmt.Sprintf("in use by process %d", d.cmd.Process.Pid)) {
		return fmt.Errorf("a second agent: %w, SIGHUP sent %v: %s", errors.Join(err, errors.New("not refused as it should be")), hung, said.String())
	}
	return nil
}

// alive fails when the daemon ended by itself.
func (d *daemon) alive() error {
	select {
	case err := <-d.gone:
		return fmt.Errorf("the agent ended by itself: %w", errors.Join(err, errors.New(d.cmd.ProcessState.String())))
	default:
		return nil
	}
}

// end sends a signal and waits. After SIGTERM it must end well.
func (d *daemon) end(s syscall.Signal) error {
	if err := d.alive(); err != nil {
		return err
	}
	if err := d.cmd.Process.Signal(s); err != nil {
		return err
	}
	select {
	case err := <-d.gone:
		if s != syscall.SIGTERM || err == nil {
			return nil
		}
		if said := d.lastWords(); !strings.Contains(said, "not stopped after") && !strings.Contains(said, "could not be closed in time") {
			return fmt.Errorf("asked to end: %w: %s", err, said)
		}
		d.late++
		return nil
	case <-time.After(patience):
		return fmt.Errorf("the agent does not end by signal %v", s)
	}
}

// lastWords gives the end of what the agent logged.
func (d *daemon) lastWords() string {
	b, err := os.ReadFile(d.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-300):])
}

func (d *daemon) socket() string { return filepath.Join(d.root, "run/picket/picket.sock") }

// ask makes one request of the local API, and gives the items and the end of the answer.
func (d *daemon) ask(request string) (items []json.RawMessage, end json.RawMessage, err error) {
	c, err := net.Dial("unix", d.socket())
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, nil, err
	}
	if _, err := io.WriteString(c, request+"\n"); err != nil {
		return nil, nil, err
	}
	lines := bufio.NewReader(c)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil, nil, fmt.Errorf("%s: the answer ends early: %w", request, err)
		}
		var l struct {
			Item, End json.RawMessage
			Error     *struct{ Code, Text string }
		}
		switch err := json.Unmarshal(line, &l); {
		case err != nil:
			return nil, nil, err
		case l.Error != nil:
			return nil, nil, fmt.Errorf("%s: %s: %s", request, l.Error.Code, l.Error.Text)
		case l.End != nil:
			return items, l.End, nil
		}
		items = append(items, l.Item)
	}
}

// knows gives what the agent says that it knows of the soak's subjects.
func (d *daemon) knows() (map[string]string, error) {
	out := map[string]string{}
	packages, _, err := d.ask(`{"v":1,"op":"inventory"}`)
	if err != nil {
		return nil, err
	}
	for _, item := range packages {
		var p struct{ Name, Version string }
		if err := json.Unmarshal(item, &p); err != nil {
			return nil, err
		}
		if strings.HasPrefix(p.Name, "soak-") {
			out["package "+p.Name] = p.Version
		}
	}
	threats, _, err := d.ask(`{"v":1,"op":"threats"}`)
	if err != nil {
		return nil, err
	}
	for _, item := range threats {
		var f struct{ Subject struct{ Name string } }
		if err := json.Unmarshal(item, &f); err != nil {
			return nil, err
		}
		if plant := plantName.FindString(f.Subject.Name); plant != "" {
			out["plant "+plant] = "there"
		}
	}
	return out, nil
}

// status is what the soak reads of the agent's status.
type status struct {
	PID      int
	LastScan *struct{} `json:"last_scan"`
	Outbox   struct{ Events, Dropped, Quarantined uint64 }
	Warnings []struct{ Code string }
	Own      struct {
		Resident, Heap    int64
		Goroutines, Files int
	}
}

func (d *daemon) status() (s status, err error) {
	_, end, err := d.ask(`{"v":1,"op":"status"}`)
	if err == nil {
		err = json.Unmarshal(end, &s)
	}
	return s, err
}

// await asks until something holds.
func (d *daemon) await(what string, holds func() (bool, error)) error {
	var last error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := d.alive(); err != nil {
			return err
		}
		ok, err := holds()
		if ok {
			return nil
		}
		last = err
	}
	return fmt.Errorf("%s: not within %v: %w", what, patience, errors.Join(last, errors.New("it goes on without")))
}
