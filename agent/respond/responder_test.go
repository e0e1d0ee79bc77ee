package respond

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// device is a device with a declaration, and what its agent knows.
type device struct {
	t   *testing.T
	dir string
	r   *Responder
	s   Situation
}

const declared = `format: picket.responses/1
wipe:
  confirm: %s
  folders: [%s]
`

func newDevice(t *testing.T, declaration string) *device {
	t.Helper()
	d := &device{t: t, dir: t.TempDir()}
	put(t, d.dir, "work/a", "work/sub/b", "keep/c")
	if strings.Contains(declaration, "%s") {
		declaration = fmt.Sprintf(declaration, ByOrganisation, d.work())
	}
	d.s = Situation{Now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), Boot: time.Hour, Access: Blocked, WipeDue: true, Why: "the level is high", Block: true, Wipe: true}
	d.declare(declaration)
	d.start()
	return d
}

func (d *device) work() string { return filepath.Join(d.dir, "work") }

func (d *device) declare(text string) {
	d.t.Helper()
	var err error
	d.s.Declared, err = Parse([]byte(text), d.dir+"/state")
	must(d.t, err)
}

// start is the agent after a restart.
func (d *device) start() {
	d.t.Helper()
	var err error
	d.r, err = New(filepath.Join(d.dir, "state"), rand.Reader, filepath.Join(d.dir, "state"))
	must(d.t, err)
}

func (d *device) see() Situation { return d.s }

// after looks when so much time has passed.
func (d *device) after(passed time.Duration) time.Duration {
	d.t.Helper()
	d.s.Now, d.s.Boot = d.s.Now.Add(passed), d.s.Boot+passed
	for range 10 {
		next, err := d.r.Look(d.t.Context(), d.see)
		must(d.t, err)
		if next > 0 {
			return next
		}
	}
	d.t.Fatal("it never comes to rest")
	return 0
}

func (d *device) told() string {
	d.t.Helper()
	var out []string
	entries, err := d.r.Since(0)
	must(d.t, err)
	for i, e := range entries {
		if e.Seq != uint64(i+1) || e.At.IsZero() || e.Text == "" {
			d.t.Errorf("entry %d: %+v", i, e)
		}
		text := e.What
		if e.By != "" {
			text += " by " + e.By
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func (d *device) wantTold(want string) {
	d.t.Helper()
	if got := d.told(); got != want {
		d.t.Errorf("on record: %s\nwant:      %s", got, want)
	}
}

func (d *device) wantGone(gone bool) {
	d.t.Helper()
	if got := there(d.t, d.work()); (got == "") != gone {
		d.t.Errorf("in the folder: %q", got)
	}
	if got := there(d.t, filepath.Join(d.dir, "keep")); got != "c" {
		d.t.Errorf("beside the folder: %q", got)
	}
}

func (d *device) id() string {
	d.t.Helper()
	p := d.r.State().Wipe
	if p == nil {
		d.t.Fatal("no wipe is announced")
	}
	return p.ID
}

func TestWipeWaitsForDelayAndConfirmation(t *testing.T) {
	t.Parallel()
	d := newDevice(t, declared)
	d.after(0)
	d.wantTold("wipe-announced")
	id := d.id()
	for range 30 {
		d.after(time.Hour)
	}
	d.wantGone(false) // the delay is over, and nobody has confirmed it
	d.s.Confirmed = []string{"0123456789abcdef"}
	d.after(time.Hour)
	d.wantGone(false) // another one is confirmed
	d.s.Confirmed = append(d.s.Confirmed, id)
	d.after(time.Hour)
	d.wantGone(true)
	d.wantTold("wipe-announced, wipe-confirmed by the organisation's policy, wipe-begun, wipe-done")
	entries, err := d.r.Since(3)
	must(t, err)
	if len(entries) != 1 || entries[0].Wipe != id || len(entries[0].Steps) != 1 || entries[0].Steps[0].Name != d.work() || entries[0].Steps[0].Removal.Files != 2 || entries[0].Steps[0].State != StepDone {
		t.Errorf("the record says %+v", entries)
	}

	// It is done once, not again while the device still calls for it, nor after a restart.
	put(t, d.dir, "work/new")
	d.after(48 * time.Hour)
	d.start()
	d.after(48 * time.Hour)
	d.wantGone(false)
	// The next time is another one.
	d.s.WipeDue, d.s.Access = false, Open
	d.after(time.Hour)
	d.s.WipeDue, d.s.Access = true, Blocked
	d.after(time.Hour)
	if d.id() == id {
		t.Error("two wipes have one id")
	}
	d.after(25 * time.Hour)
	d.wantGone(false)
}

func TestWipeConfirmedInTimeStillWaits(t *testing.T) {
	t.Parallel()
	d := newDevice(t, declared)
	d.after(0)
	d.s.Confirmed = []string{d.id()}
	for range 23 {
		d.after(time.Hour)
	}
	d.wantGone(false)
	if next := d.after(55 * time.Minute); next != 5*time.Minute {
		t.Errorf("next look after %v", next)
	}
	d.wantGone(false)
	d.after(5 * time.Minute)
	d.wantGone(true)
}

func TestWipeConfirmedByASecondScan(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "format: picket.responses/1\nwipe: {confirm: device, delay: 1h, folders: [/srv/x]}\n")
	d.declare(fmt.Sprintf("format: picket.responses/1\nwipe: {confirm: device, delay: 1h, folders: [%s]}\n", d.work()))
	d.s.Scanned = d.s.Boot - time.Minute
	d.after(0)
	d.after(2 * time.Hour)
	d.wantGone(false) // the scan is the one that called for it
	d.s.Scanned = d.s.Boot
	d.after(time.Minute)
	d.wantGone(true)
	d.wantTold("wipe-announced, wipe-confirmed by a second scan, wipe-begun, wipe-done")
}

// TestASecondScanAfterARestart has the device started anew: its scans come later, though less of time since boot.
func TestASecondScanAfterARestart(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "format: picket.responses/1\nwipe: {confirm: device, delay: 1h, folders: [/srv/x]}\n")
	d.declare(fmt.Sprintf("format: picket.responses/1\nwipe: {confirm: device, delay: 1h, folders: [%s]}\n", d.work()))
	d.s.Boot = 100 * time.Hour
	d.s.Scanned = d.s.Boot - time.Minute
	d.after(0)
	id := d.id()
	d.start()
	d.s.Boot, d.s.Scanned = time.Minute, 0
	d.after(0)
	d.after(2 * time.Hour)
	d.wantGone(false)
	must(t, d.r.Cancel(d.s.Now, id, "anna", "x"))
	d.s.Scanned = d.s.Boot - time.Minute
	d.after(0) // another is announced, after that scan
	d.after(2 * time.Hour)
	d.wantGone(false)
	d.start()
	d.s.Boot, d.s.Scanned = time.Minute, time.Second
	d.after(0)
	d.after(time.Hour)
	d.wantGone(true)
	d.wantTold("wipe-announced, wipe-cancelled by anna, wipe-announced, wipe-confirmed by a second scan, wipe-begun, wipe-done")
}

func TestWipeIsCancelled(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		do   func(*device)
		want string
	}{
		"met again":           {func(d *device) { d.s.WipeDue, d.s.Access = false, Open }, "wipe-cancelled"},
		"policy":              {func(d *device) { d.s.Wipe = false }, "wipe-cancelled"},
		"no declaration":      {func(d *device) { d.s.Declared = nil }, "wipe-cancelled"},
		"another declaration": {func(d *device) { d.declare(fmt.Sprintf(declared, ByOrganisation, d.dir+"/keep")) }, "wipe-cancelled, wipe-announced"},
		"by a person": {func(d *device) {
			must(d.t, d.r.Cancel(d.s.Now, d.id(), "anna", "found it"))
		}, "wipe-cancelled by anna, wipe-announced"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, declared)
			d.after(0)
			d.s.Confirmed = []string{d.id()}
			d.after(23*time.Hour + 59*time.Minute)
			tc.do(d)
			d.after(time.Minute) // when it would have begun
			for range 20 {
				d.after(time.Hour) // within the delay of the next, which nobody has confirmed either
			}
			d.wantGone(false)
			d.wantTold("wipe-announced, wipe-confirmed by the organisation's policy, " + tc.want)
		})
	}
}

// TestWipeIsCancelledWhileTheHookRuns has the situation change while the hook runs, in the look in which the
// wipe would have begun.
func TestWipeIsCancelledWhileTheHookRuns(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Situation){
		"met again":      func(s *Situation) { s.WipeDue, s.Access = false, Open },
		"policy":         func(s *Situation) { s.Wipe = false },
		"no declaration": func(s *Situation) { s.Declared = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, declared)
			d.declare(fmt.Sprintf("format: picket.responses/1\nblock: {hook: [/bin/true]}\nwipe: {folders: [%s]}\n", d.work()))
			d.after(0)
			d.s.Confirmed = []string{d.id()}
			d.after(23 * time.Hour)
			d.s.Boot += time.Hour
			d.s.Keep = func(context.Context) ([]string, error) {
				d.s.Boot += time.Minute
				change(&d.s)
				return nil, nil
			}
			if _, err := d.r.Look(t.Context(), d.see); err != nil {
				t.Error(err)
			}
			d.wantGone(false)
			if s := d.r.State().Wipe; s != nil {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestWipeThatHasRemovedNothingIsCancelled has the situation change after a wipe began and before its first step: while
// the hook runs in between, or while the agent does not.
func TestWipeThatHasRemovedNothingIsCancelled(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*device){
		"met again":           func(d *device) { d.s.WipeDue, d.s.Access = false, Open },
		"policy":              func(d *device) { d.s.Wipe = false },
		"no declaration":      func(d *device) { d.s.Declared = nil },
		"another declaration": func(d *device) { d.declare(fmt.Sprintf(declared, ByDevice, d.work())) },
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %v", name, restart), func(t *testing.T) {
				t.Parallel()
				d := newDevice(t, declared)
				d.after(0)
				d.s.Confirmed = []string{d.id()}
				d.s.Boot += 24 * time.Hour
				if next, err := d.r.Look(t.Context(), d.see); err != nil || next != 0 || d.r.State().Wipe.Begun.IsZero() {
					t.Fatalf("begun, next after %v: %v", next, err)
				}
				change(d)
				if restart {
					d.start()
				}
				if _, err := d.r.Look(t.Context(), d.see); err != nil {
					t.Error(err)
				}
				d.wantGone(false)
				if s := d.r.State().Wipe; s != nil {
					t.Errorf("%+v", s)
				}
				d.wantTold("wipe-announced, wipe-confirmed by the organisation's policy, wipe-begun, wipe-cancelled")
			})
		}
	}
}

// TestAPolicyStopsAWipeBetweenSteps has the policy, or the declaration, go while the first step is done.
func TestAPolicyStopsAWipeBetweenSteps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Situation)
		told   string
	}{
		"policy":         {func(s *Situation) { s.Wipe = false }, ", wipe-incomplete"},
		"no declaration": {func(s *Situation) { s.Declared = nil }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, declared)
			first := script(t, d.dir, "first", "echo done >"+d.dir+"/first-done\n")
			d.declare(fmt.Sprintf("format: picket.responses/1\nwipe: {commands: [{name: first, run: [%s]}], folders: [%s]}\n", first, d.work()))
			d.after(0)
			must(t, d.r.Approve(d.s.Now, d.id(), "anna"))
			d.s.Boot += 24 * time.Hour
			see := func() Situation {
				s := d.s
				if _, err := os.Stat(d.dir + "/first-done"); err == nil {
					c.change(&s)
				}
				return s
			}
			if next, err := d.r.Look(t.Context(), see); err != nil || next != 0 {
				t.Errorf("begun, next after %v: %v", next, err)
			}
			if _, err := d.r.Look(t.Context(), see); (err == nil) == (c.told == "") {
				t.Error(err)
			}
			d.wantGone(false)
			d.wantTold("wipe-announced, wipe-confirmed by anna, wipe-begun" + c.told)
		})
	}
}

// TestTriesAreApartFromTheirEnd has a try take longer than the pause between two.
func TestTriesAreApartFromTheirEnd(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "format: picket.responses/1\nwipe: {commands: [{name: key, run: [/bin/false]}]}\n")
	d.after(0)
	must(t, d.r.Approve(d.s.Now, d.id(), "anna"))
	d.s.Boot += 24 * time.Hour
	if _, err := d.r.Look(t.Context(), d.see); err != nil {
		t.Error(err)
	}
	looks := 0
	slow := func() Situation {
		if looks++; looks == 4 { // after the step
			d.s.Boot += 2 * retryWipe
		}
		return d.s
	}
	if next, err := d.r.Look(t.Context(), slow); err == nil || next != retryWipe {
		t.Errorf("next after %v: %v", next, err)
	}
	if next := d.after(time.Minute); next != retryWipe-time.Minute {
		t.Errorf("next after %v", next)
	}
	if s := d.r.State().Wipe.Steps[0]; s.Tries != 1 || looks != 4 {
		t.Errorf("%+v, after %d looks", s, looks)
	}
}

func TestWipeIsNotHastenedByClocksNorRestarts(t *testing.T) {
	t.Parallel()
	d := newDevice(t, declared)
	d.after(0)
	d.s.Confirmed = []string{d.id()}
	d.s.Now = d.s.Now.AddDate(3, 0, 0) // somebody sets the clock
	d.after(time.Hour)
	d.wantGone(false)
	for range 30 { // a device that is started again and again waits while it runs
		d.start()
		d.s.Boot = time.Minute
		d.after(0)
		d.s.Now = d.s.Now.Add(5 * time.Hour)
	}
	d.wantGone(false)
	if got := d.r.State().Wipe.Waited; got < 50*time.Minute || got > time.Hour {
		t.Errorf("it waited %v", got)
	}
	for range 24 {
		d.after(time.Hour)
	}
	d.wantGone(true)
}

func TestNothingIsDoneWithoutPolicyOrDeclaration(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Situation){
		"no policy":      func(s *Situation) { s.Block, s.Wipe = false, false },
		"no declaration": func(s *Situation) { s.Declared = nil },
		"not due":        func(s *Situation) { s.WipeDue = false },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t, declared)
			change(&d.s)
			for range 100 {
				d.s.Scanned = d.s.Boot
				d.after(time.Hour)
			}
			d.wantGone(false)
			d.wantTold("")
		})
	}
}

func TestApproveAndCancelWantTheRightWipe(t *testing.T) {
	t.Parallel()
	d := newDevice(t, declared)
	d.after(0)
	if err := d.r.Approve(d.s.Now, "0123456789abcdef", "anna"); !errors.Is(err, ErrNoWipe) {
		t.Errorf("approved: %v", err)
	}
	if err := d.r.Cancel(d.s.Now, "", "anna", "x"); !errors.Is(err, ErrNoWipe) {
		t.Errorf("cancelled: %v", err)
	}
	must(t, d.r.Approve(d.s.Now, d.id(), "anna"))
	id := d.id()
	d.after(24 * time.Hour)
	d.wantGone(true)
	if err := d.r.Cancel(d.s.Now, id, "anna", "too late"); !errors.Is(err, ErrNoWipe) {
		t.Errorf("cancelled after it was done: %v", err)
	}
	d.wantTold("wipe-announced, wipe-confirmed by anna, wipe-begun, wipe-done")
}

// TestWipeGoesOnAfterItWasKilled has another process wipe, kills it in the middle of a folder,
// and takes up what it left.
func TestWipeGoesOnAfterItWasKilled(t *testing.T) {
	const files = 3 * walkReport / 2
	if dir := os.Getenv("PICKET_TEST_WIPE"); dir != "" {
		d := &device{t: t, dir: dir, s: Situation{Now: time.Now(), Boot: time.Hour, WipeDue: true, Wipe: true}}
		d.declare(fmt.Sprintf(declared, ByOrganisation, d.work()))
		d.start()
		d.after(0)
		d.s.Confirmed = []string{d.id()}
		d.s.Boot += 24 * time.Hour
		// The disk is slow from the first save within the folder on.
		go func() {
			for {
				s, err := ReadState(filepath.Join(dir, "state"))
				if err == nil && s.Wipe != nil && len(s.Wipe.Steps) == 1 && s.Wipe.Steps[0].Removal != nil {
					fmt.Println("IN THE MIDDLE")
					return
				}
			}
		}()
		stop := make(chan struct{})
		carryOutSlowly(d, stop)
		return
	}
	t.Parallel()
	d := newDevice(t, declared)
	for i := range files {
		put(t, d.dir, fmt.Sprintf("work/many/%d", i))
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestWipeGoesOnAfterItWasKilled$")
	cmd.Env = append(os.Environ(), "PICKET_TEST_WIPE="+d.dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	var said bytes.Buffer
	for buf := make([]byte, 1024); !bytes.Contains(said.Bytes(), []byte("IN THE MIDDLE")); {
		n, err := out.Read(buf)
		said.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v: %s", err, said.String())
		}
	}
	must(t, cmd.Process.Kill())
	cmd.Wait()
	d.start()
	p := d.r.State().Wipe
	left := len(strings.Fields(there(t, d.work())))
	if p == nil || p.Begun.IsZero() || !p.Ended.IsZero() || left == 0 || left > files {
		t.Fatalf("not in the middle: %+v, %d left", p, left)
	}
	d.s.WipeDue, d.s.Access = false, Open // which no longer counts
	d.after(0)
	d.wantGone(true)
	d.wantTold("wipe-announced, wipe-confirmed by the organisation's policy, wipe-begun, wipe-resumed, wipe-done")
	entries, err := d.r.Since(4)
	must(t, err)
	if r := entries[0].Steps[0].Removal; r.Files < uint64(left) || r.Files > files+2 || entries[0].Steps[0].Tries != 2 {
		t.Errorf("the record says %+v", entries[0].Steps[0])
	}
}

// carryOutSlowly wipes, and never comes back from the first report within the folder.
func carryOutSlowly(d *device, never <-chan struct{}) {
	_, err := d.r.hook(d.t.Context(), d.see)
	must(d.t, err)
	d.r.mu.Lock()
	must(d.t, d.r.confirm("the organisation's policy"))
	must(d.t, d.r.begin(d.s))
	d.r.mu.Unlock()
	p := d.r.State().Wipe
	n := 0
	err = carryOut(d.t.Context(), func() *Wipe { return d.s.Declared.Wipe }, p.Steps, nil, func() error {
		d.r.mu.Lock()
		d.r.state.Wipe.Steps = slices.Clone(p.Steps)
		err := d.r.save()
		d.r.mu.Unlock()
		if n++; n == 2 {
			<-never
		}
		return err
	})
	d.t.Error("it came to an end", err)
}

func TestCommandsRunBeforeFoldersAndAreTriedAgain(t *testing.T) {
	d := newDevice(t, "format: picket.responses/1\nwipe: {folders: [/srv/x]}\n")
	put(t, d.dir, "log")
	script := filepath.Join(d.dir, "erase")
	writeProgram(t, script, []byte("#!/bin/sh\nls "+d.work()+" | wc -l >>"+d.dir+"/log\nenv >"+d.dir+"/env\n[ -e "+d.dir+"/ready ] || { echo not yet; exit 3; }\n"))
	d.declare(fmt.Sprintf("format: picket.responses/1\nwipe:\n  commands: [{name: key, run: [%s]}]\n  folders: [%s]\n", script, d.work()))
	t.Setenv("PICKET_SECRET", "x")
	d.after(0)
	must(t, d.r.Approve(d.s.Now, d.id(), "anna"))
	d.s.Now, d.s.Boot = d.s.Now.Add(24*time.Hour), d.s.Boot+24*time.Hour
	if next, err := d.r.Look(t.Context(), d.see); err != nil || next != 0 {
		t.Errorf("begun, next after %v: %v", next, err)
	}
	d.wantGone(false)
	if next, err := d.r.Look(t.Context(), d.see); err == nil || next != retryWipe || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("next after %v: %v", next, err)
	}
	d.wantGone(true) // what can be done is done
	put(t, d.dir, "ready")
	d.after(retryWipe)
	d.wantTold("wipe-announced, wipe-confirmed by anna, wipe-begun, wipe-done")
	if b, err := os.ReadFile(d.dir + "/log"); err != nil || strings.Fields(strings.TrimPrefix(string(b), "content of log"))[0] != "2" {
		t.Errorf("the key was not destroyed first: %q, %v", b, err)
	}
	if b, err := os.ReadFile(d.dir + "/env"); err != nil || bytes.Contains(b, []byte("PICKET_SECRET")) {
		t.Errorf("the environment: %s, %v", b, err)
	}
}

func TestACommandThatNeverWorksEndsTheWipeAsIncomplete(t *testing.T) {
	t.Parallel()
	d := newDevice(t, "format: picket.responses/1\nwipe: {commands: [{name: key, run: [/bin/false]}]}\n")
	d.after(0)
	must(t, d.r.Approve(d.s.Now, d.id(), "anna"))
	d.s.Boot += 24 * time.Hour
	if _, err := d.r.Look(t.Context(), d.see); err != nil {
		t.Error(err)
	}
	for range stepTries - 1 {
		if _, err := d.r.Look(t.Context(), d.see); err == nil {
			t.Error("no error")
		}
		d.s.Boot += retryWipe
	}
	d.after(0)
	d.wantTold("wipe-announced, wipe-confirmed by anna, wipe-begun, wipe-incomplete")
	if d.r.State().Wipe.Removed() {
		t.Error("something is said to be removed")
	}
	d.start()
	d.after(time.Hour)
	d.wantTold("wipe-announced, wipe-confirmed by anna, wipe-begun, wipe-incomplete")
}

func TestDryRunRemovesNothing(t *testing.T) {
	t.Parallel()
	d := newDevice(t, declared)
	steps := d.s.Declared.Wipe.DryRun(context.Background(), d.dir+"/state")
	if len(steps) != 1 || steps[0].State != StepDryRun || steps[0].Error != "" || steps[0].Removal.Files != 2 || steps[0].Removal.Folders != 1 {
		t.Errorf("%+v", steps)
	}
	d.wantGone(false)
	d.wantTold("")
}

func TestTheRecordSurvivesACutOffLine(t *testing.T) {
	t.Parallel()
	d := newDevice(t, declared)
	d.after(0)
	f, err := os.OpenFile(filepath.Join(d.dir, "state", recordName), os.O_APPEND|os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteString(`{"seq":2,"what":"wipe-conf`)
	must(t, errors.Join(err, f.Close()))
	d.start()
	must(t, d.r.Cancel(d.s.Now, d.id(), "anna", "x"))
	d.wantTold("wipe-announced, wipe-cancelled by anna")
}
