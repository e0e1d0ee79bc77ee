package parse

import (
	"strings"
	"time"
)

// AppOp is what the app-ops service knows of one operation of one package, or of a uid when
// Package is empty.
type AppOp struct {
	UID     int
	Package string // empty for what holds for the whole uid
	Op      string // COARSE_LOCATION, SYSTEM_ALERT_WINDOW, ...
	Mode    string // allow, ignore, deny, default, foreground; a number when it has no name
	UIDMode bool   // the mode is set for the uid, and goes before that of the package

	LastAccess time.Time     // device's wall clock, as if it were UTC; zero when the output gives none
	AccessAgo  time.Duration // before the output was made; 0 when the op was never used
	LastReject time.Time     // as LastAccess
	RejectAgo  time.Duration // as AccessAgo
	Accessed   bool          // used at least once as far as the service remembers
	Rejected   bool          // refused at least once
	Duration   time.Duration // of the longest remembered use
	Running    bool          // in use while the output was made
	Background bool          // a use while the app was in the background
	BackAgo    time.Duration // from the last such use to when the output was made
	States     bool          // the output tells of a use in which state the app was (Android 9 on)
	Proxy      string        // package on whose behalf, or by which, it was last used; often empty
	Line       int           // 1-based
}

// modeNames are the numbers that Android 4.3 to 8 print (android.app.AppOpsManager.MODE_*).
var modeNames = map[string]string{"0": "allow", "1": "ignore", "2": "deny", "3": "default", "4": "foreground"}

// AppOps reads dumpsys appops of Android 4.3 to 16, and what "cmd appops get" prints for one
// package is not this format. The form changed three times: one line an op with
// "mode=0; time=+3s ago" up to 8; "OP (allow):" with Access and Reject lines from 9; those in a
// block per attribution tag from 11. What a damaged line says is left out.
func AppOps(b []byte) ([]AppOp, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var p appOpsReader
	serviceText(b, p.line)
	p.flush()
	if !p.header && len(p.ops) == 0 {
		return nil, ErrOtherFormat
	}
	return p.ops, nil
}

type appOpsReader struct {
	ops    []AppOp
	op     AppOp // being read
	open   bool
	header bool
	uid    int
	inUID  bool
	pkg    string
}

func (p *appOpsReader) flush() {
	if p.open {
		p.ops = append(p.ops, p.op)
	}
	p.open = false
}

func (p *appOpsReader) line(n int, line string) {
	text := strings.TrimSpace(line)
	switch depth := indent(line); {
	case text == "":
	case strings.HasPrefix(text, "Current AppOps Service state"):
		p.header = true
	case depth <= 2: // a uid, or any other heading
		p.flush()
		p.inUID, p.pkg = false, ""
		if s, ok := strings.CutPrefix(text, "Uid "); ok && strings.HasSuffix(s, ":") {
			p.uid, p.inUID = AndroidUID(strings.TrimSuffix(s, ":"))
		}
	case !p.inUID:
	case depth == 4:
		p.flush()
		p.pkg = ""
		if s, ok := strings.CutPrefix(text, "Package "); ok && strings.HasSuffix(s, ":") && isPackage(s[:len(s)-1]) {
			p.pkg = s[:len(s)-1]
		}
	case depth == 6:
		p.flush()
		p.start(n, text)
	case p.open:
		p.detail(text)
	}
}

// start reads the line of an op.
func (p *appOpsReader) start(n int, text string) {
	name, rest, _ := strings.Cut(text, " ")
	name = strings.TrimSuffix(name, ":")
	if !isOpName(name) {
		return
	}
	p.op = AppOp{UID: p.uid, Package: p.pkg, Op: name, UIDMode: p.pkg == "", Line: n}
	if mode, ok := strings.CutPrefix(rest, "("); ok { // 9 and later: "(allow / switch OTHER=ignore): "
		p.op.Mode, _, _ = strings.Cut(mode, ")")
		p.op.Mode, _, _ = strings.Cut(p.op.Mode, " / switch ")
		p.open = modeName(&p.op)
		return
	}
	for _, part := range strings.Split(rest, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "mode":
			p.op.Mode = value
		case "time":
			p.op.AccessAgo, p.op.Accessed = ago(value)
		case "rejectTime":
			p.op.RejectAgo, p.op.Rejected = ago(value)
		case "duration":
			p.op.Duration, _ = androidDuration(value)
		case "running":
			p.op.Running = true
		}
	}
	p.open = modeName(&p.op)
}

func modeName(op *AppOp) bool {
	if name, ok := modeNames[op.Mode]; ok {
		op.Mode = name
	}
	return op.Mode != "" && len(op.Mode) <= 20
}

func ago(s string) (time.Duration, bool) {
	d, ok := androidDuration(strings.TrimSuffix(s, " ago"))
	return d, ok
}

// detail reads a line below an op: "Access: [bg-s] 2024-01-02 03:04:05.678 (-3h2m1s0ms)
// duration=+1s", where Android 9 writes the state without brackets and with "=".
func (p *appOpsReader) detail(text string) {
	op := &p.op
	switch key, rest, _ := strings.Cut(text, ":"); key {
	case "Access", "Reject":
		state, when, since, ok := opEvent(rest)
		if !ok {
			return
		}
		if key == "Reject" {
			if !op.Rejected || since < op.RejectAgo {
				op.RejectAgo, op.LastReject = since, when
			}
			op.Rejected = true
			return
		}
		if !op.Accessed || since < op.AccessAgo {
			op.AccessAgo, op.LastAccess = since, when
			op.Proxy = opProxy(rest)
		}
		op.Accessed = true
		if op.States = true; state == "bg" || state == "cch" {
			if !op.Background || since < op.BackAgo {
				op.BackAgo = since
			}
			op.Background = true
		}
		p.longest(valueOf(rest, "duration"))
	case "Running start at":
		op.Running, op.Accessed = true, true
	default:
		if v, ok := strings.CutPrefix(text, "duration="); ok {
			p.longest(v)
		}
	}
}

func (p *appOpsReader) longest(s string) {
	if d, ok := androidDuration(s); ok && d > p.op.Duration {
		p.op.Duration = d
	}
}

// opEvent reads the process state, the time and the age of a use.
func opEvent(s string) (state string, when time.Time, since time.Duration, ok bool) {
	s = strings.TrimSpace(s)
	if in, isNew := strings.CutPrefix(s, "["); isNew {
		state, s, _ = strings.Cut(in, "]")
	} else {
		state, s, _ = strings.Cut(s, "=")
	}
	state, _, _ = strings.Cut(strings.TrimSpace(state), "-") // [top-tp]: by way of a trusted proxy
	s = strings.TrimSpace(s)
	date, rest, found := strings.Cut(s, " (")
	if !found {
		return "", time.Time{}, 0, false
	}
	age, _, _ := strings.Cut(rest, ")")
	if when, ok = wallClock(strings.TrimSpace(date)); !ok {
		return "", time.Time{}, 0, false
	}
	d, ok := androidDuration(age)
	return state, when, -d, ok
}

func opProxy(s string) string {
	in, ok := between(s, "proxy[", "]")
	if !ok {
		return ""
	}
	if pkg := valueOf(in, "pkg"); pkg != "null" && isPackage(pkg) {
		return pkg
	}
	return ""
}

func isOpName(s string) bool {
	return s != "" && len(s) <= 80 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "" || strings.HasPrefix(s, "android:") && isPackage(s[8:])
}
