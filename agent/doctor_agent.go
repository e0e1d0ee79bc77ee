package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// agentChecks asks the agent itself, and gives its status if it answers.
func agentChecks(ctx context.Context, socket string, holder int) (checks []check, status *Status) {
	const code, dep = "agent", "agent"
	var s Status
	err := callAPI(ctx, socket, apiRequest{Op: "status"}, nil, &s)
	if err != nil {
		c := check{code, dep, checkFailed, err.Error(), ""}
		if h := (*hinted)(nil); errors.As(err, &h) {
			c.Fix = h.hint
		}
		switch {
		case errors.As(err, new(*notRunning)):
			c.Code, c.Fix = "not-running", "start it with 'picket run' or 'picket service start'"
			if holder != 0 {
				c.Code, c.Text = code, fmt.Sprintf("process %d has the store open, but nobody answers on %s", holder, socket)
				c.Fix = "name its configuration with --config or its socket with --socket; if it has none that answers, restart it"
			}
		case errors.Is(err, fs.ErrPermission):
			c.Outcome = checkUnknown
		}
		if e := (*apiError)(nil); errors.As(err, &e) && (e.Code == codeDenied || e.Code == codeBusy) {
			c.Outcome = checkUnknown
		}
		return []check{c}, nil
	}
	checks = append(checks, check{code, dep, checkOK, fmt.Sprintf("picket %s runs as process %d, user %d", s.Version, s.PID, s.Privileges.UID), ""})
	if s.Version != version() {
		checks[0] = check{code, dep, checkWarning, fmt.Sprintf("the agent that runs is picket %s, and this is %s", s.Version, version()), "restart the agent"}
	}
	for _, w := range s.Warnings {
		checks = append(checks, check{w.Code, w.Dependency, checkWarning, w.Text + " (since " + timeText(w.Since) + ")", w.Fix})
	}
	return checks, &s
}

// storeHolder tells which process has the store open, by the lock beside it, without touching
// that: the kernel's list names locks by device and inode (proc_locks(5)). 0 is none, or not known.
func (x *examiner) storeHolder() int {
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(x.cfg.StateDir, storeName+".lock"), &st); err != nil {
		return 0
	}
	b, err := os.ReadFile(filepath.Join(x.proc, "locks"))
	if err != nil {
		return 0
	}
	dev := uint64(st.Dev)
	file := fmt.Sprintf("%02x:%02x:%d", unix.Major(dev), unix.Minor(dev), st.Ino)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == file {
			pid, _ := strconv.Atoi(f[4])
			return max(0, pid)
		}
	}
	return 0
}
