package parse

import (
	"strconv"
	"strings"
	"time"
)

// Tombstone is the record of one native crash, from either form that debuggerd writes. What a
// crashed process had in memory, registers, logs and open files is not kept.
type Tombstone struct {
	Time        time.Time // zero when not printed or not read
	Build       string    // fingerprint of the build
	ABI         string    // arm, arm64, x86, x86_64, riscv64
	PID, TID    int
	UID         int    // -1 when not printed (before Android 10)
	Thread      string // name of the crashed thread
	Process     string // first word of Cmdline
	Cmdline     []string
	Label       string // SELinux label, protobuf form only
	Signal      int
	SignalName  string // SIGSEGV
	Code        int
	CodeName    string // SEGV_MAPERR
	HasFault    bool   // FaultAddr was given
	FaultAddr   uint64
	SenderUID   int // who sent the signal; -1 when nobody did or it was not printed
	Abort       string
	Causes      []string // what the crash handler thinks it was: use after free, ...
	Backtrace   []CrashFrame
	FramesShort bool // the crash has more frames than are kept here
}

// CrashFrame is one frame of a backtrace.
type CrashFrame struct {
	PC       uint64 // relative to the file
	File     string
	Function string
	Offset   uint64 // into the function
	BuildID  string
}

const (
	maxFrames     = 256
	maxAbort      = 1024 // bytes: an abort message may hold what a program worked on
	maxCauses     = 8
	maxTombstones = 1024 // in one text
)

// crashStars is the line that starts a tombstone's text, or the start of it.
const crashStars = "*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***"

// Tombstones reads tombstones in text form: a file of /data/tombstones, or the section of a
// bugreport that holds several. Android 4 to 16.
func Tombstones(b []byte) ([]Tombstone, error) {
	var p tombstoneReader
	lines(b, p.line)
	p.flush()
	if len(p.all) == 0 {
		return nil, ErrOtherFormat
	}
	return p.all, nil
}

type tombstoneReader struct {
	all    []Tombstone
	t      Tombstone
	open   bool // between the stars and the next crash
	frames bool // in the backtrace of the crashed thread
	done   bool // behind it: other threads, memory, logs
}

func (p *tombstoneReader) flush() {
	if p.open && p.t.PID > 0 && len(p.all) < maxTombstones {
		p.all = append(p.all, p.t)
	}
	p.open, p.frames, p.done = false, false, false
}

func (p *tombstoneReader) line(_ int, line string) {
	text := strings.TrimSpace(line)
	if strings.HasPrefix(text, crashStars) {
		p.flush()
		p.open, p.t = true, Tombstone{UID: -1, SenderUID: -1}
		return
	}
	if !p.open || p.done {
		return
	}
	if strings.HasPrefix(text, "--- --- --- ") || strings.HasPrefix(text, "memory near ") || strings.HasPrefix(text, "stack:") && p.frames {
		p.done = true
		return
	}
	if strings.HasPrefix(text, "#") && p.frames {
		p.frame(text)
		return
	}
	if p.frames && len(p.t.Backtrace) > 0 && text == "" {
		p.done = true
		return
	}
	p.head(text)
}

func (p *tombstoneReader) head(text string) {
	t := &p.t
	key, value, _ := strings.Cut(text, ":")
	value = strings.TrimSpace(value)
	switch key {
	case "Build fingerprint":
		t.Build = clip(strings.Trim(value, "'"), 300)
	case "ABI":
		t.ABI = clip(strings.Trim(value, "'"), 20)
	case "Timestamp":
		t.Time = crashTime(value)
	case "Cmdline":
		t.Cmdline = cmdline(strings.Fields(value))
	case "uid":
		if uid, err := strconv.Atoi(value); err == nil {
			t.UID = uid
		}
	case "pid":
		p.process(value)
	case "Abort message":
		t.Abort = clip(strings.Trim(value, "'"), maxAbort)
	case "Cause":
		if len(t.Causes) < maxCauses {
			t.Causes = append(t.Causes, clip(value, 300))
		}
	case "backtrace":
		p.frames = true
	default:
		if strings.HasPrefix(text, "signal ") {
			t.signal(text)
		}
	}
	if len(t.Cmdline) > 0 {
		t.Process = t.Cmdline[0]
	}
}

// process reads "pid: 1, tid: 2, name: thread  >>> command <<<".
func (p *tombstoneReader) process(value string) {
	t := &p.t
	pid, rest, _ := strings.Cut(value, ",")
	t.PID, _ = strconv.Atoi(strings.TrimSpace(pid))
	if tid, ok := between(rest, "tid:", ","); ok {
		t.TID, _ = strconv.Atoi(strings.TrimSpace(tid))
	}
	if name, ok := between(rest, "name:", ">>>"); ok {
		t.Thread = clip(strings.TrimSpace(name), 64)
	}
	if cmd, ok := between(rest, ">>>", "<<<"); ok && len(t.Cmdline) == 0 {
		t.Cmdline = cmdline(strings.Fields(cmd))
	}
}

// cmdline bounds a command line and hides the secrets in it.
func cmdline(words []string) []string {
	if len(words) > 32 {
		words = words[:32]
	}
	for i := range words {
		words[i] = clip(words[i], 256)
	}
	return RedactArgs(words)
}

// signal reads "signal 11 (SIGSEGV), code 1 (SEGV_MAPERR from pid 3, uid 4), fault addr 0x0".
func (t *Tombstone) signal(text string) {
	rest := strings.TrimPrefix(text, "signal ")
	t.Signal, _ = leadingInt(rest)
	t.SignalName, _ = between(rest, "(", ")")
	t.SignalName = clip(t.SignalName, 20)
	if _, code, ok := strings.Cut(rest, ", code "); ok {
		number, _, _ := strings.Cut(code, " ")
		t.Code, _ = strconv.Atoi(strings.TrimSuffix(number, ","))
		name, _ := between(code, "(", ")")
		if sender, ok := strings.CutPrefix(name, "SI_"); ok && strings.Contains(sender, " uid ") {
			_, uid, _ := strings.Cut(sender, " uid ")
			t.SenderUID, _ = leadingInt(uid)
		}
		name, _, _ = strings.Cut(name, " ")
		t.CodeName = clip(strings.TrimSuffix(name, ","), 32)
	}
	if _, addr, ok := strings.Cut(rest, "fault addr "); ok {
		word, _ := cutField(addr)
		addr = strings.TrimPrefix(strings.TrimSuffix(word, ","), "0x")
		n, err := strconv.ParseUint(addr, 16, 64)
		t.FaultAddr, t.HasFault = n, err == nil
	}
}

// frame reads "#00 pc 0001 /system/lib64/libc.so (abort+168) (BuildId: 1234)".
func (p *tombstoneReader) frame(text string) {
	t := &p.t
	if len(t.Backtrace) >= maxFrames {
		t.FramesShort = true
		return
	}
	_, rest, ok := strings.Cut(text, " pc ")
	if !ok {
		return
	}
	pc, rest := cutField(strings.TrimSpace(rest))
	f := CrashFrame{}
	n, err := strconv.ParseUint(strings.TrimPrefix(pc, "0x"), 16, 64)
	if err != nil {
		return
	}
	f.PC = n
	rest = strings.TrimSpace(rest)
	if before, id, ok := strings.Cut(rest, "(BuildId: "); ok {
		f.BuildID = clip(strings.TrimSuffix(strings.TrimSpace(id), ")"), 80)
		rest = strings.TrimSpace(before)
	}
	file, function, _ := strings.Cut(rest, " (")
	for strings.HasPrefix(function, "offset 0x") || strings.HasPrefix(function, "deleted)") { // part of the file
		_, function, _ = strings.Cut(function, " (")
	}
	f.File = clip(file, 512)
	function = strings.TrimSuffix(strings.TrimSpace(function), ")")
	if at := strings.LastIndexByte(function, '+'); at >= 0 {
		if n, err := strconv.ParseUint(function[at+1:], 10, 64); err == nil {
			f.Offset, function = n, function[:at]
		}
	}
	f.Function = clip(function, 512)
	t.Backtrace = append(t.Backtrace, f)
}

// crashTime reads "2024-01-02 03:04:05.678901234+0200", with and without the fraction.
func crashTime(s string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04:05.999999999-0700", "2006-01-02 15:04:05-0700"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC()
		}
	}
	return time.Time{}
}
