package parse

import (
	"strconv"
	"strings"
)

// AppProcess is a process that the activity manager runs.
type AppProcess struct {
	PID        int // 0 for one that is being started
	UID        int
	Process    string   // com.example:service
	Packages   []string // that share it
	Persistent bool     // part of the system, kept alive
	State      int      // android.app.ActivityManager.PROCESS_STATE_*: lower is nearer to the user; -1 not printed
	Foreground bool     // has a service that the user sees as a notification
	Line       int      // 1-based
}

// RunningService is a service that runs, or that others hold on to.
type RunningService struct {
	User       int
	Component  string
	PID        int  // 0 when it has no process
	Foreground bool // shown to the user as a notification
	Started    bool // asked to run on by itself
	Line       int  // 1-based
}

const (
	maxProcesses = 20000
	maxServices  = 20000
)

// ActivityProcesses reads the running processes in dumpsys activity, or in dumpsys activity
// processes, of Android 4.4 to 16.
func ActivityProcesses(b []byte) ([]AppProcess, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []AppProcess
	known, part, open := false, false, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "ACTIVITY MANAGER "):
			part = strings.HasPrefix(text, "ACTIVITY MANAGER RUNNING PROCESSES")
			known, open = known || part, false
		case !part:
		case strings.HasPrefix(text, "*APP* UID "), strings.HasPrefix(text, "*PERS* UID "):
			var p AppProcess
			if p, open = appProcess(text); open && len(all) < maxProcesses {
				p.Line = n
				all = append(all, p)
			}
		case indent(line) <= 2:
			open = false
		case open && len(all) > 0:
			all[len(all)-1].detail(text)
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}

// appProcess reads "*APP* UID 10034 ProcessRecord{42ac59a 2203:com.example/u0a34}".
func appProcess(text string) (p AppProcess, ok bool) {
	f := strings.Fields(text)
	if len(f) < 5 {
		return p, false
	}
	p.State, p.Persistent = -1, f[0] == "*PERS*"
	var err error
	if p.UID, err = strconv.Atoi(f[2]); err != nil {
		return p, false
	}
	pid, name, ok := strings.Cut(strings.TrimSuffix(f[4], "}"), ":")
	if !ok {
		return p, false
	}
	p.PID, _ = strconv.Atoi(pid)
	if at := strings.LastIndexByte(name, '/'); at >= 0 {
		name = name[:at]
	}
	p.Process = clip(name, 255)
	return p, p.Process != ""
}

func (p *AppProcess) detail(text string) {
	if in, ok := between(text, "packageList={", "}"); ok && len(p.Packages) == 0 {
		for _, pkg := range strings.Split(in, ", ") {
			if isPackage(pkg) && len(p.Packages) < 64 {
				p.Packages = append(p.Packages, pkg)
			}
		}
	}
	for _, key := range []string{"curProcState", "mCurProcState"} {
		if n, err := strconv.Atoi(valueOf(text, key)); err == nil && p.State < 0 {
			p.State = n
		}
	}
	for _, key := range []string{"foregroundServices", "hasForegroundServices", "mHasForegroundServices"} {
		p.Foreground = p.Foreground || valueOf(text, key) == "true"
	}
}

// ActivityServices reads the services in dumpsys activity, or in dumpsys activity services, of
// Android 4.4 to 16.
func ActivityServices(b []byte) ([]RunningService, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []RunningService
	known, part, open := false, false, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "ACTIVITY MANAGER "):
			part = strings.HasPrefix(text, "ACTIVITY MANAGER SERVICES")
			known, open = known || part, false
		case !part:
		case strings.HasPrefix(text, "* ServiceRecord{"):
			f := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(text, "* ServiceRecord{"), "}"))
			open = false
			if len(f) < 3 || len(all) >= maxServices {
				return
			}
			s := RunningService{Line: n}
			s.Component, open = flatComponent(strings.TrimRight(f[2], "}"))
			s.User, _ = strconv.Atoi(strings.TrimPrefix(f[1], "u"))
			if open {
				all = append(all, s)
			}
		case indent(line) <= 2:
			open = false
		case open:
			all[len(all)-1].detail(text)
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}

func (s *RunningService) detail(text string) {
	if in, ok := strings.CutPrefix(text, "app=ProcessRecord{"); ok {
		f := strings.Fields(in)
		if len(f) > 1 {
			pid, _, _ := strings.Cut(f[1], ":")
			s.PID, _ = strconv.Atoi(pid)
		}
	}
	s.Foreground = s.Foreground || valueOf(text, "isForeground") == "true"
	s.Started = s.Started || valueOf(text, "startRequested") == "true"
}
