package parse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// Bounds of an index of a dumpstate.
const (
	maxDumpSections = 1 << 14
	maxDumpTitle    = 512
	maxDumpServices = 2048
	maxDumpProblem  = 256
)

// Dumpstate is the index of a bug report's main text, or of what a bare dumpsys printed
// (AOSP frameworks/native/cmds/dumpstate and cmds/dumpsys).
type Dumpstate struct {
	Header   DumpHeader
	Services []string // what a dumpsys within listed as running, where it did
	Sections []DumpSection
	More     int   // sections beyond those that are kept
	Done     bool  // the end mark "== dumpstate: done" was seen
	Size     int64 // bytes read
}

// DumpSection is the output of one command, file or service. Sections stand in the order of the
// text; a title or service can come several times. What a service prints is partly text of apps,
// which can imitate titles: where an earlier section lost its own end to a later one, the earlier
// one is not Complete.
type DumpSection struct {
	Title    string // of a command or file: SYSTEM PROPERTIES; empty for a service
	Command  string // what stands behind it in parentheses: getprop, /proc/meminfo
	Modified string // of a file, as printed: 2019-08-15 15:08:56; empty where not said
	Service  string // of a service: package
	Priority string // of a service: CRITICAL, HIGH, or NORMAL where the dump does not say
	// Offset and Length tell where the output lies, without title and end marks.
	Offset, Length int64
	// Whole is the length up to the service's own end mark where that came behind what looks like the
	// start of others, else 0. Those may stand in the service's own text, or the mark in theirs.
	Whole    int64
	Duration time.Duration // 0 where the dump does not say
	// Complete: an end mark of its own closes it. Services have none before Android 8, files none
	// in some; in a report without them a section that the next one follows counts as complete.
	Complete bool
	// Problem is the line that says why the output is missing or cut, such as a timeout.
	Problem string
}

// dumpKind is what reports differ in: which of these they write end marks for.
type dumpKind int

const (
	dumpService dumpKind = iota
	dumpCommand
	dumpFile // and what dumpstate collects itself
	dumpKinds
)

func (s *DumpSection) kind() dumpKind {
	switch {
	case s.Service != "":
		return dumpService
	case s.Command == "" || isDumpFile(s.Command):
		return dumpFile
	}
	return dumpCommand
}

// dumpIndexer is the state of a pass over the text.
type dumpIndexer struct {
	d       *Dumpstate
	offset  int64           // of the line
	length  int64           // of the line, its end included
	open    int             // the section that lines belong to, -1 none
	wrapper int             // the DUMPSYS command around services, -1 none
	marked  [dumpKinds]bool // the kinds of sections that this report ends with marks
	rule    int64           // where a line of only dashes or "=" starts that stands right before, -1 none
	banner  bool            // that line is of "="
	listing bool            // inside the list of running services
	cut     map[string]int  // the last section of each service that another one cut off
	header  dumpHeaderReader
}

// IndexDumpstate reads r once, to its end, in constant memory. The error is one of r; the index
// of what came before it is given too. A text that is no dumpstate gives no sections.
func IndexDumpstate(r io.Reader) (*Dumpstate, error) {
	x := &dumpIndexer{d: &Dumpstate{}, open: -1, wrapper: -1, rule: -1, cut: map[string]int{}}
	x.header.to = &x.d.Header
	in := bufio.NewReaderSize(r, 64<<10)
	var err error
	for whole := true; err == nil; {
		var text []byte
		text, err = in.ReadSlice('\n')
		starts := whole
		whole = !errors.Is(err, bufio.ErrBufferFull)
		if !whole {
			err = nil
		}
		x.length = int64(len(text))
		if starts && len(text) > 0 { // else the rest of a long line
			x.line(text)
		}
		x.offset += x.length
	}
	x.close(x.offset, false)
	x.settle()
	x.d.Size = x.offset
	if errors.Is(err, io.EOF) {
		return x.d, nil
	}
	return x.d, err
}

// line looks at the start of a line. Most lines are none of ours, which their first byte tells.
func (x *dumpIndexer) line(text []byte) {
	rule, banner := x.rule, x.banner
	x.rule, x.banner = -1, false
	switch text[0] {
	case '-':
		text = bytes.TrimRight(text, " \r\n")
		if len(text) >= 60 && len(bytes.Trim(text, "-")) == 0 {
			x.rule = x.offset
			return
		}
		x.dashes(text)
	case 'D':
		if name, ok := bytes.CutPrefix(text, []byte("DUMP OF SERVICE ")); ok {
			x.service(bytes.TrimRight(name, " \r\n"), rule)
			return
		}
	case '=':
		text = bytes.TrimRight(text, " \r\n")
		switch {
		case len(text) == 56 && len(bytes.Trim(text, "=")) == 0:
			x.rule, x.banner = x.offset, true
		case banner && bytes.HasPrefix(text, []byte("== ")):
			x.close(rule, false)
			x.header.begin(text)
			x.d.Done = x.d.Done || bytes.HasPrefix(text, []byte("== dumpstate: done"))
		}
		return
	case '*':
		x.problem(bytes.TrimRight(text, " \r\n"))
	case '[':
		x.elapsed(bytes.TrimRight(text, " \r\n"))
	case 'C':
		if bytes.HasPrefix(text, []byte("Currently running services:")) {
			x.listing = true
			return
		}
	}
	if x.listing {
		x.running(text)
	}
	if len(x.d.Sections) == 0 {
		x.header.line(text)
	}
}

// running takes a line of the list of running services, which blanks start.
func (x *dumpIndexer) running(text []byte) {
	name, _ := word(text)
	if text[0] != ' ' || len(name) == 0 {
		x.listing = false
		return
	}
	if len(x.d.Services) < maxDumpServices && len(name) < maxDumpTitle {
		x.d.Services = append(x.d.Services, string(name))
	}
}

// dashes reads the lines that start with dashes and text:
//
//	------ TITLE (command) ------
//	------ 0.028s was the duration of 'TITLE' ------
//	--------- 0.026s was the duration of dumpsys NAME, ending at: 2019-08-15 15:08:47
func (x *dumpIndexer) dashes(text []byte) {
	if len(text) > 2*maxDumpTitle {
		return
	}
	if rest, ok := bytes.CutPrefix(text, []byte("--------- ")); ok {
		if d, what, ok := dumpDuration(rest); ok {
			name, isService := strings.CutPrefix(what, "dumpsys ")
			name, _, _ = strings.Cut(name, ",")
			if isService && !x.ends(d, func(s *DumpSection) bool { return s.Service == name && name != "" }) {
				x.endsLate(name)
			}
		}
		return
	}
	rest, ok := bytes.CutPrefix(text, []byte("------ "))
	title, closed := bytes.CutSuffix(rest, []byte(" ------"))
	if !ok || !closed {
		return
	}
	if d, what, ok := dumpDuration(title); ok {
		what = strings.Trim(what, "'")
		x.ends(d, func(s *DumpSection) bool {
			full := s.Title
			if s.Command != "" {
				full += " (" + s.Command + ")"
			}
			return s.Service == "" && (s.Title == what || full == what || strings.HasSuffix(what, "("+full+")"))
		})
		return
	}
	// Services print headings of their own between dashes, without a command.
	inService := x.open >= 0 && x.d.Sections[x.open].Service != ""
	s := dumpTitle(string(bytes.TrimSpace(title)))
	if s.Title == "" || len(title) > maxDumpTitle || inService && s.Command == "" {
		return
	}
	x.close(x.offset, false)
	x.wrapper = -1
	x.start(s)
}

// service starts a section "DUMP OF SERVICE [HIGH|CRITICAL] NAME:". rule is where the line of
// dashes before it starts, if there is one.
func (x *dumpIndexer) service(name []byte, rule int64) {
	name = bytes.TrimSuffix(name, []byte(":"))
	s := DumpSection{Priority: "NORMAL"}
	for _, p := range []string{"CRITICAL", "HIGH", "NORMAL"} {
		if rest, ok := bytes.CutPrefix(name, []byte(p+" ")); ok {
			s.Priority, name = p, rest
		}
	}
	if len(name) == 0 || len(name) > maxDumpTitle || bytes.IndexByte(name, ' ') >= 0 {
		return
	}
	s.Service = string(name)
	if x.open >= 0 && isDumpsysAll(x.d.Sections[x.open]) {
		x.wrapper = x.open
	}
	if rule < 0 {
		rule = x.offset
	}
	x.close(rule, false)
	x.start(s)
	x.listing = false
}

// isDumpsysAll tells a dumpsys of many services from one of a single service.
func isDumpsysAll(s DumpSection) bool {
	return s.Service == "" && strings.HasPrefix(s.Title, "DUMPSYS") && s.Source() == ""
}

func (x *dumpIndexer) start(s DumpSection) {
	if len(x.d.Sections) >= maxDumpSections {
		x.d.More++
		return
	}
	s.Offset = x.offset + x.length
	x.d.Sections = append(x.d.Sections, s)
	x.open = len(x.d.Sections) - 1
}

// close ends the open section, if there is one.
func (x *dumpIndexer) close(end int64, complete bool) {
	if x.open >= 0 {
		s := &x.d.Sections[x.open]
		s.Length, s.Complete = max(0, end-s.Offset), complete
		if s.Service != "" && !complete {
			x.cut[s.Service] = x.open
		}
	}
	x.open = -1
}

// ends takes an end mark. One that names another section is text that looks like it, or ends the
// dumpsys around services: false.
func (x *dumpIndexer) ends(d time.Duration, names func(*DumpSection) bool) bool {
	switch {
	case x.open >= 0 && names(&x.d.Sections[x.open]):
		s := &x.d.Sections[x.open]
		s.Duration, x.marked[s.kind()] = d, true
		x.close(x.offset, true)
	case x.wrapper >= 0 && names(&x.d.Sections[x.wrapper]):
		x.close(x.offset, false)
		s := &x.d.Sections[x.wrapper]
		s.Duration, s.Complete, x.marked[s.kind()] = d, true, true
		x.wrapper = -1
	default:
		return false
	}
	return true
}

// endsLate takes the end mark of a service that seemed to have lost its end to another section.
func (x *dumpIndexer) endsLate(name string) {
	if i, ok := x.cut[name]; ok {
		s := &x.d.Sections[i]
		s.Whole = x.offset - s.Offset
		delete(x.cut, name)
	}
}

// elapsed reads the end mark of Android 4 and 5: "[logcat: 0.4s elapsed]", with the last part of
// the program's path, or of the file's.
func (x *dumpIndexer) elapsed(text []byte) {
	body, ok := bytes.CutSuffix(text, []byte("s elapsed]"))
	if !ok || len(body) > maxDumpTitle {
		return
	}
	at := bytes.LastIndex(body, []byte(": "))
	if at < 1 {
		return
	}
	d, ok := dumpSeconds(body[at+2:])
	if !ok {
		return
	}
	name := string(body[1:at])
	x.ends(d, func(s *DumpSection) bool {
		program, _, _ := strings.Cut(s.Command, " ")
		return s.Service == "" && program != "" && program[strings.LastIndexByte(program, '/')+1:] == name[strings.LastIndexByte(name, '/')+1:]
	})
}

// problem keeps the first line that says why output is missing: of dumpstate about a command or
// file ("*** command 'x' failed: exit code 1", "*** /proc/x: Permission denied"), of dumpsys
// about a service ("*** SERVICE 'x' DUMP TIMEOUT (10000ms) EXPIRED ***").
func (x *dumpIndexer) problem(text []byte) {
	if x.open < 0 || len(text) > maxDumpTitle || x.d.Sections[x.open].Problem != "" {
		return
	}
	for _, sign := range []string{"DUMP TIMEOUT", "timed out after", "Timed out after", "failed: exit code", ": Exit code ", ": exec(", ": Killed by signal", "*** error", "*** /"} {
		if bytes.Contains(text, []byte(sign)) {
			x.d.Sections[x.open].Problem = string(text[:min(len(text), maxDumpProblem)])
			return
		}
	}
}

// settle decides what is complete in reports that write no end marks, where only the next
// section tells: all but the last.
func (x *dumpIndexer) settle() {
	for i := range x.d.Sections {
		s := &x.d.Sections[i]
		if !x.marked[s.kind()] && (i < len(x.d.Sections)-1 || x.d.Done) {
			s.Complete = true
		}
		if strings.Contains(s.Problem, "imeout") || strings.Contains(s.Problem, "TIMEOUT") || strings.Contains(s.Problem, "imed out") {
			s.Complete = false
		}
	}
}

// dumpDuration reads "0.028s was the duration of WHAT".
func dumpDuration(text []byte) (d time.Duration, what string, ok bool) {
	number, rest, ok := bytes.Cut(text, []byte("s was the duration of "))
	if ok {
		d, ok = dumpSeconds(number)
	}
	return d, string(rest), ok
}

func dumpSeconds(number []byte) (time.Duration, bool) {
	if len(number) > 20 {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || !(seconds >= 0 && seconds < 1e6) {
		return 0, false
	}
	return time.Duration(math.Round(seconds*1000)) * time.Millisecond, true
}

// dumpTitle takes "TITLE (command)" and "TITLE (/file: 2019-08-15 15:08:56)" apart. A title can
// have parentheses of its own, and a command too: the last outer pair is the command.
func dumpTitle(text string) DumpSection {
	s := DumpSection{Title: text}
	if !strings.HasSuffix(text, ")") {
		return s
	}
	depth := 0
	for i := len(text) - 1; i > 0; i-- {
		switch text[i] {
		case ')':
			depth++
		case '(':
			depth--
		}
		if depth == 0 {
			s.Title, s.Command = strings.TrimRight(text[:i], " "), text[i+1:len(text)-1]
			break
		}
	}
	if file, date, ok := strings.Cut(s.Command, ": "); ok && strings.HasPrefix(file, "/") {
		s.Command, s.Modified = file, date
	}
	return s
}
