package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/report"
)

// setup sets Picket up on this device, as far as it is not yet.
type setup struct {
	asker
	config *configFlags
	init   string // --init
	wish   setupWish
	env    Env
	log    io.Writer

	cfg     Config
	from    Origins
	restart bool // a running agent has to start anew for what was changed
	result  setupResult
}

// setupResult is what `picket setup --json` writes.
type setupResult struct {
	Steps      []setupStep         `json:"steps"`
	Level      scanner.Level       `json:"level"` // Unknown where nothing was scanned
	Findings   map[string]int      `json:"findings,omitempty"`
	NotChecked int                 `json:"not_checked"`
	Found      []map[string]string `json:"found,omitempty"` // the gravest: rule, severity, title, subject
}

// States of a step.
const (
	stepDone     = "done"
	stepAlready  = "already"
	stepDeclined = "declined"
	stepMissing  = "missing" // it cannot be done here
	stepFailed   = "failed"
)

// setupStep is one thing that setup sees to.
type setupStep struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Text    string `json:"text,omitempty"`
	Without string `json:"without,omitempty"` // what it means that it is not so
	Fix     string `json:"fix,omitempty"`
	err     error
}

// setupTask is how a step is done. look says how it is when that is done already, bar why it cannot
// be done here; each is "" otherwise.
type setupTask struct {
	name     string
	look     func() string
	bar      func() string
	question func() string
	wanted   *bool
	standard bool
	do       func(context.Context) (string, error)
}

// run takes all steps, and gives what came of them. The error is that of the first that failed.
func (s *setup) run(ctx context.Context) (setupResult, error) {
	s.result.Steps = []setupStep{}
	if _, err := enrolPlace(s.config); err != nil {
		return s.result, err
	}
	var err error
	if s.cfg, s.from, err = s.config.load(); err != nil {
		return s.result, err
	}
	if !s.quiet {
		s.say("%s", s.words.Say("hello"))
	}
	tasks := []setupTask{s.enrolment(), s.person(), s.service(), s.kernel(), s.scan()}
	s.heading(1, len(tasks)+1, "rights")
	if err := s.rights(ctx); err != nil {
		return s.result, err
	}
	for i, t := range tasks {
		s.heading(i+2, len(tasks)+1, t.name)
		if err := s.step(ctx, t); err != nil {
			return s.result, err
		}
	}
	return s.result, s.end(ctx)
}

func (s *setup) heading(n, of int, name string) {
	s.say("\n%s", s.words.Say("step", n, of, s.words.Say(name+".title")))
}

// note keeps what became of a step, and says it.
func (s *setup) note(step setupStep) {
	step.Text, step.Fix = report.Clean(step.Text), report.Clean(step.Fix)
	s.result.Steps = append(s.result.Steps, step)
	switch step.State {
	case stepAlready:
		s.say("%s %s", step.Text, s.words.Say("is.done"))
	case stepDone:
		s.say("%s", step.Text)
	case stepDeclined:
		s.say("%s", s.words.Say("is.declined", step.Without))
	case stepMissing:
		s.say("%s", s.words.Say("is.missing", step.Text))
		s.say("%s", step.Without)
	case stepFailed:
		s.say("%s", s.words.Say("is.failed", step.Text))
		if step.Fix != "" {
			s.say("%s", s.words.Say("hint", step.Fix))
		}
		s.say("%s", step.Without)
	}
}

// rights says what root would see more, and asks whether to go on without.
func (s *setup) rights(ctx context.Context) error {
	x := newExaminer(s.cfg, s.from, s.env)
	if s.env.UID == 0 {
		missing, err := missingRights(filepath.Join(x.proc, "self/status"))
		if err != nil {
			return fmt.Errorf("asking what root may do here: %w", err)
		}
		if len(missing) == 0 {
			s.note(setupStep{Name: "rights", State: stepDone, Text: s.words.Say("rights.root")})
			return nil
		}
		s.note(setupStep{Name: "rights", State: stepDone, Text: s.words.Say("rights.container", strings.Join(missing, ", "))})
		return nil
	}
	if !s.quiet {
		onward, err := s.yes(ctx, s.words.Say("rights.ask"), nil, false)
		if err != nil {
			return err
		}
		if !onward {
			return &hinted{errors.New("setup was left: it wants root"), "sudo picket setup"}
		}
	}
	s.note(setupStep{Name: "rights", State: stepDeclined, Without: s.words.Say("rights.without")})
	return nil
}

// step does one thing, if it is not done, can be done, and is wanted.
func (s *setup) step(ctx context.Context, t setupTask) error {
	step := setupStep{Name: t.name, Without: s.words.Say(t.name + ".without")}
	if have := t.look(); have != "" {
		s.note(setupStep{Name: t.name, State: stepAlready, Text: have})
		return nil
	}
	if t.wanted != nil && !*t.wanted {
		step.State = stepDeclined
		s.note(step)
		return nil
	}
	if why := t.bar(); why != "" {
		step.State, step.Text = stepMissing, why
		if t.wanted != nil && *t.wanted {
			step.State, step.err = stepFailed, errors.New(why) // it was asked for
		}
		s.note(step)
		return nil
	}
	wants, err := s.yes(ctx, t.question(), t.wanted, t.standard)
	if err != nil {
		return err
	}
	if !wants {
		step.State = stepDeclined
		s.note(step)
		return nil
	}
	step.Text, step.err = t.do(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(step.err, errLeftOut):
		step.State, step.err = stepDeclined, nil
	case step.err != nil:
		step.State, step.Text, step.Fix = stepFailed, step.err.Error(), fixOf(step.err, "")
	default:
		step.State, step.Without = stepDone, ""
	}
	s.note(step)
	return nil
}

// errLeftOut is a yes that came to nothing.
var errLeftOut = errors.New("left out")

// end says what is set up and what is not, and gives the page.
func (s *setup) end(ctx context.Context) error {
	var left []string
	var failed error
	for _, step := range s.result.Steps {
		if step.State != stepDone && step.State != stepAlready {
			left = append(left, s.words.Say(step.Name+".title"))
		}
		if failed == nil && step.err != nil {
			failed = fmt.Errorf("%s: %w", step.Name, step.err)
		}
	}
	if len(left) > 0 {
		s.say("\n%s", s.words.Say("end.left", strings.Join(left, ", ")))
	} else {
		s.say("\n%s", s.words.Say("end"))
	}
	var page pageEnd
	err := callAPI(ctx, s.cfg.Socket, apiRequest{Op: "page", Lang: language(os.Getenv)}, nil, &page)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
	case s.quiet: // the link is a key to the page: not for logs
		s.say("%s", s.words.Say("page.later"))
	default:
		s.say("%s\n%s\n%s", s.words.Say("page"), page.URL, s.words.Say("page.later"))
	}
	return failed
}

// enrolment makes the device a member of an organisation's fleet.
func (s *setup) enrolment() setupTask {
	t := setupTask{name: "enrolment", bar: func() string { return "" }, question: func() string { return s.words.Say("enrolment.ask") }}
	t.look = func() string {
		id, err := loadIdentity(s.cfg.StateDir)
		if err != nil {
			return ""
		}
		state := id.state(time.Now())
		return s.words.Say("enrolment.is", enrolmentText(&state, time.Now()))
	}
	if s.wish.Enrol != "" {
		wanted := s.wish.Enrol != "no"
		t.wanted = &wanted
	}
	t.do = func(ctx context.Context) (string, error) {
		if s.wish.Enrol != "" {
			return s.enrol(ctx, s.wish.Enrol)
		}
		for {
			from, err := s.secret(ctx, s.words.Say("enrolment.what"))
			if err != nil || from == "" {
				return "", errors.Join(err, errLeftOut)
			}
			text, err := s.enrol(ctx, from)
			if err == nil || ctx.Err() != nil {
				return text, err
			}
			s.say("%s\n%s", s.words.Say("is.failed", report.Clean(err.Error())), s.words.Say("enrolment.spent"))
			if fix := fixOf(err, ""); fix != "" {
				s.say("%s", s.words.Say("hint", report.Clean(fix)))
			}
		}
	}
	return t
}

// enrol spends an invitation: its text, or where that is.
func (s *setup) enrol(ctx context.Context, from string) (string, error) {
	var (
		d   enrolDocument
		err error
	)
	if isToken(from) || strings.HasPrefix(from, "{") {
		d, err = documentIn([]byte(from))
	} else {
		d, err = readDocument(ctx, from, s.in, nil, time.Now)
	}
	if err != nil {
		return "", err
	}
	key := s.wish.Key
	if key == "" {
		key = "file"
	}
	if err := sameAgent(ctx, s.cfg, ""); err != nil {
		return "", err
	}
	id, _, err := enroller{dir: s.cfg.StateDir, now: time.Now}.enrol(ctx, enrolOrder{place: d.upstream, token: d.Token, key: key})
	if err != nil {
		return "", err
	}
	state := id.state(time.Now())
	_, notice := tellAgent(ctx, s.cfg, "", id)
	return strings.TrimSpace(s.words.Say("enrolment.is", enrolmentText(&state, time.Now())) + " " + notice), nil
}

// gravest are the open findings that a person reads first, in their language.
const gravest = 5

func (s *setup) show(findings []scanner.Finding, level scanner.Level, unchecked int, platform string) string {
	s.result.Level, s.result.NotChecked, s.result.Findings = level, unchecked, map[string]int{}
	crit, _, err := criteriaNow(s.cfg)
	slices.SortStableFunc(findings, func(a, b scanner.Finding) int { return int(b.Severity) - int(a.Severity) })
	var lines []string
	for i := range findings {
		f := &findings[i]
		s.result.Findings[f.Severity.String()]++
		if i >= gravest {
			continue
		}
		title := f.Title
		if err == nil {
			if t, ok := crit.rules.Say(s.words["lang"], platform, f); ok {
				title = t.Title
			}
		}
		s.result.Found = append(s.result.Found, map[string]string{"rule": f.Rule, "severity": f.Severity.String(), "title": report.Clean(title), "subject": report.Clean(f.Subject.Name)})
		lines = append(lines, fmt.Sprintf("  %s: %s (%s)", s.words.Say("severity."+f.Severity.String()), report.Clean(title), report.Clean(f.Subject.Name)))
	}
	switch {
	case len(findings) > gravest:
		lines = append(lines, "  "+s.words.Say("scan.more", len(findings)-gravest))
	case len(findings) == 0:
		lines = append(lines, s.words.Say("scan.none"))
	}
	for _, line := range lines {
		s.say("%s", line)
	}
	if unchecked > 0 {
		s.say("%s", s.words.Say("scan.unchecked"))
	}
	return s.words.Say("scan.is", s.words.Say("level."+level.String()), len(findings), unchecked)
}
