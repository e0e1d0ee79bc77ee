package soak

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// strike has a fault begin, as chance will have it.
func (r *run) strike(down bool) error {
	if down && r.rng.IntN(5) > 0 {
		return nil
	}
	var may []fault
	for _, f := range r.disks.faults() {
		if f.down == down {
			may = append(may, f)
		}
	}
	f := may[r.rng.IntN(len(may))]
	switch err := f.begin(); {
	case errors.Is(err, os.ErrNotExist): // the agent has not written a file of events yet
		return nil
	case err != nil && len(r.on) == 0:
		return fmt.Errorf("%s: %w", f.name, err)
	case err != nil:
		return nil // another fault is in its way
	}
	r.count[f.name]++
	r.on = append(r.on, f)
	return nil
}

// heal ends all faults, the last first.
func (r *run) heal() error {
	for ; len(r.on) > 0; r.on = r.on[:len(r.on)-1] {
		f := r.on[len(r.on)-1]
		if err := f.end(); err != nil {
			return fmt.Errorf("end of %s: %w", f.name, err)
		}
	}
	return nil
}

// reload has the configuration read again, right or wrong.
func (r *run) reload() error {
	right := fmt.Sprintf("snapshot_interval: %dh\n", 1+r.rng.IntN(20))
	if !r.rescanned {
		return nil // it may not run yet, and a signal would end it
	}
	switch r.rng.IntN(3) {
	case 0:
		r.count["SIGHUP"]++
		return errors.Join(r.configure(right), r.daemon.cmd.Process.Signal(syscall.SIGHUP))
	case 1:
		r.count["reload"]++
		if err := r.configure(right); err != nil {
			return err
		}
		_, _, err := r.daemon.ask(`{"v":1,"op":"reload"}`)
		return unlessBusy(err)
	}
	r.count["reload refused"]++
	if err := r.configure("watsch: 1s\n"); err != nil {
		return err
	}
	_, _, err := r.daemon.ask(`{"v":1,"op":"reload"}`)
	if err == nil || unlessBusy(err) != nil && !strings.Contains(err.Error(), `did you mean "watch"`) {
		return fmt.Errorf("a wrong configuration: %w", errors.Join(err, errors.New("not refused as it should be")))
	}
	if err := r.configure(""); err != nil {
		return err
	}
	_, _, err = r.daemon.ask(`{"v":1,"op":"reload"}`)
	return unlessBusy(err)
}

// unlessBusy passes over what the hammered API may answer: that it is busy, nothing yet, or no
// more because that took too long.
func unlessBusy(err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EAGAIN) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || strings.Contains(err.Error(), ": busy: ") {
		return nil
	}
	return err
}
