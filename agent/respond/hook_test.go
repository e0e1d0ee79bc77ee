package respond

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// writeProgram writes what is then run. Meanwhile this process starts no other: it would be born with
// the file open for writing, and as long as it has that, nobody can run the file.
func writeProgram(t *testing.T, name string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(name, content, 0o755)
	syscall.ForkLock.RUnlock()
	must(t, err)
}

// script writes a program for a test.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	p := filepath.Join(dir, name)
	writeProgram(t, p, []byte("#!/bin/sh\n"+text))
	return p
}

func TestRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	echo := script(t, dir, "echo", `read line; printf 'got %s; %s; %s; %s\033[31m\nbad' "$line" "$1" "$X" "$(pwd)"; env | grep -c . >&2; exit $2`)
	out, err := Run(t.Context(), []string{echo, "a b; rm -rf /", "0"}, time.Minute, []string{"X=1"}, []byte("{}\n"))
	if err != nil || !strings.HasPrefix(out, "got {}; a b; rm -rf /; 1; / [31m bad") {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := Run(t.Context(), []string{echo, "", "7"}, time.Minute, nil, nil); err == nil || !strings.Contains(err.Error(), "exit status 7") {
		t.Errorf("%v", err)
	}
	chatty := script(t, dir, "chatty", "yes | head -c 1000000; echo END\n")
	if out, err := Run(t.Context(), []string{chatty}, time.Minute, nil, make([]byte, 1<<20)); err != nil || len(out) > maxOutput || !strings.HasSuffix(out, "END") {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}

func TestRunEndsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	slow := script(t, dir, "slow", "sh -c 'sleep 300; touch "+dir+"/late' & sleep 300\n")
	if _, err := Run(t.Context(), []string{slow}, 300*time.Millisecond, nil, nil); err == nil || !strings.Contains(err.Error(), "stopped after") {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, []string{slow}, time.Minute, nil, nil); err == nil {
		t.Error("it ran")
	}
}

func TestRunWantsAProgramThatRootAloneCanWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	t.Parallel()
	dir := t.TempDir()
	mine := script(t, dir, "mine", "exit 0\n")
	theirs := script(t, dir, "theirs", "exit 0\n")
	must(t, os.Chown(theirs, 1000, 1000))
	open := script(t, dir, "open", "exit 0\n")
	must(t, os.Chmod(open, 0o777))
	plain := script(t, dir, "plain", "exit 0\n")
	must(t, os.Chmod(plain, 0o644))
	must(t, os.Symlink("mine", filepath.Join(dir, "link")))
	must(t, os.Symlink("mine", filepath.Join(dir, "theirlink")))
	must(t, os.Lchown(filepath.Join(dir, "theirlink"), 1000, 1000))
	must(t, os.Symlink("loop", filepath.Join(dir, "loop")))
	for name, good := range map[string]bool{mine: true, dir + "/link": true, theirs: false, open: false, plain: false, dir + "/theirlink": false, dir + "/loop": false, dir: false, dir + "/none": false} {
		if _, err := Run(t.Context(), []string{name}, time.Minute, nil, nil); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// newHook is a device with a hook that writes what it is told, and fails while a file says so.
func newHook(t *testing.T) *device {
	t.Helper()
	d := newDevice(t, "format: picket.responses/1\nblock: {hook: [/bin/true]}\n")
	hook := script(t, d.dir, "hook", fmt.Sprintf(`[ -e %[1]s/fail ] && { echo no rules; exit 1; }
echo "$PICKET_ACCESS $(cat) $PICKET_KEEP" >>%[1]s/ran
[ -e %[1]s/half ] && { echo half of it; exit 1; }
exit 0
`, d.dir))
	d.declare(fmt.Sprintf("format: picket.responses/1\nblock: {hook: [%s]}\n", hook))
	d.s.Access, d.s.WipeDue, d.s.Posture, d.s.Keep = Open, false, []byte(`{"state":"x"}`), func(context.Context) ([]string, error) { return []string{"192.0.2.1:443"}, nil }
	return d
}

// ran gives the accesses that the hook ran with since the last call.
func (d *device) ran() string {
	d.t.Helper()
	name := filepath.Join(d.dir, "ran")
	b, err := os.ReadFile(name)
	if err == nil {
		must(d.t, os.Remove(name))
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		access, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if want := map[bool]string{true: " 192.0.2.1:443"}[access == Blocked]; rest != `{"state":"x"}`+want {
			d.t.Errorf("it was told %q", rest)
		}
		out = append(out, access)
	}
	return strings.Join(out, " ")
}

func (d *device) wantRan(want string) {
	d.t.Helper()
	if got := d.ran(); got != want {
		d.t.Errorf("the hook ran for %q, want %q", got, want)
	}
}

// fails looks, and wants the hook to fail so.
func (d *device) fails(why string) (next time.Duration) {
	d.t.Helper()
	next, err := d.r.Look(d.t.Context(), d.see)
	if err == nil || !strings.Contains(err.Error(), why) {
		d.t.Errorf("next after %v: %v", next, err)
	}
	return next
}

func TestHookFollowsAccess(t *testing.T) {
	t.Parallel()
	d := newHook(t)
	d.after(0)
	d.wantRan("open") // what was before the start is not known
	d.after(time.Hour)
	d.wantRan("")
	d.s.Access = Warned
	d.after(time.Hour)
	d.wantRan("warned")
	d.s.Access = Blocked
	if next := d.after(time.Minute); next != time.Hour {
		t.Errorf("next after %v", next)
	}
	d.after(59 * time.Minute)
	d.wantRan("blocked")
	d.after(time.Minute) // a block that ends by itself goes on
	d.wantRan("blocked")
	d.start()
	d.after(time.Minute) // the device may have started anew
	d.wantRan("blocked")
	d.s.Access = Open
	d.after(time.Second)
	d.after(24 * time.Hour)
	d.wantRan("open")
	d.wantTold("hook-applied, hook-applied, hook-applied, hook-applied")
}

func TestHookOpensWhenThePolicyNoLongerBlocks(t *testing.T) {
	t.Parallel()
	d := newHook(t)
	d.s.Access = Blocked
	d.after(0)
	d.s.Block = false
	d.after(time.Minute)
	d.wantRan("blocked open")
	d.start()
	d.after(time.Minute)
	d.after(48 * time.Hour)
	d.wantRan("")
}

func TestHookIsTriedAgain(t *testing.T) {
	t.Parallel()
	d := newHook(t)
	put(t, d.dir, "fail")
	d.s.Access = Blocked
	fails := func(passed, next time.Duration) {
		t.Helper()
		d.s.Now, d.s.Boot = d.s.Now.Add(passed), d.s.Boot+passed
		got, err := d.r.Look(t.Context(), d.see)
		if err == nil || !strings.Contains(err.Error(), "no rules") || got != next {
			t.Errorf("next after %v: %v", got, err)
		}
	}
	fails(0, time.Minute)
	fails(30*time.Second, 30*time.Second)
	fails(30*time.Second, 2*time.Minute)
	fails(2*time.Minute, 4*time.Minute)
	for range 20 {
		d.s.Boot += time.Hour
		if next, err := d.r.Look(t.Context(), d.see); err == nil || next > retryMost {
			t.Errorf("next after %v, %v", next, err)
		}
	}
	d.wantTold("hook-failed") // once
	must(t, os.Remove(filepath.Join(d.dir, "fail")))
	d.after(time.Hour)
	d.wantRan("blocked")
	d.wantTold("hook-failed, hook-applied")
}

// TestWhatAFailedRunDidIsUndone has the hook fail, or be cut off, after it acted: what it did is not known.
func TestWhatAFailedRunDidIsUndone(t *testing.T) {
	t.Parallel()
	for name, opens := range map[string]func(*device){
		"access opens":                func(d *device) { d.s.Access = Open },
		"the policy no longer blocks": func(d *device) { d.s.Block = false },
		"that and a new agent":        func(d *device) { d.s.Block = false; d.start() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newHook(t)
			d.after(0)
			put(t, d.dir, "half")
			d.s.Access = Blocked
			d.fails("half of it")
			d.wantRan("open blocked")
			must(t, os.Remove(filepath.Join(d.dir, "half")))
			opens(d)
			d.after(time.Minute)
			d.after(10 * time.Hour)
			d.wantRan("open")
			if h := d.r.State().Hook; h.Error != "" || h.Applied != Open {
				t.Errorf("%+v", h)
			}
		})
	}
}

// TestOpeningIsTriedAgainSoon has a block fail for long: the pause that came to is not that of opening.
func TestOpeningIsTriedAgainSoon(t *testing.T) {
	t.Parallel()
	d := newHook(t)
	d.after(0)
	put(t, d.dir, "half")
	d.s.Access = Blocked
	for range 8 {
		d.s.Boot += time.Hour
		d.fails("half of it")
	}
	d.s.Access = Open
	if next := d.fails("half of it"); next != retryHook {
		t.Errorf("next after %v", next)
	}
}

// TestARunThatWasCutOffIsUndone kills the agent, and the hook with it, after the hook acted.
func TestARunThatWasCutOffIsUndone(t *testing.T) {
	t.Parallel()
	for name, declared := range map[string]bool{"declared": true, "declared no more": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newHook(t)
			d.after(0)
			ctx, cancel := context.WithCancel(t.Context())
			d.s.Access = Blocked
			acted := filepath.Join(d.dir, "acted")
			must(t, unix.Mkfifo(acted, 0o600))
			hook := script(t, d.dir, "hangs", "echo yes >"+acted+"; sleep 300\n")
			d.s.Declared.Block.Hook[0], hook = hook, d.s.Declared.Block.Hook[0]
			go func() {
				defer cancel()
				os.ReadFile(acted)
			}()
			if _, err := d.r.Look(ctx, d.see); !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			d.s.Declared.Block.Hook[0], d.s.Block = hook, false
			d.start()
			if !declared {
				d.s.Declared = nil
				if _, err := d.r.Look(t.Context(), d.see); err == nil || !strings.Contains(err.Error(), "no longer declared") {
					t.Error(err)
				}
				return
			}
			d.after(time.Minute)
			d.after(10 * time.Hour)
			d.wantRan("open open") // the first before it was cut off
		})
	}
}

// TestNothingIsBlockedWhileTheWayToTheUpstreamIsUnknown: the agent must not lock itself out.
func TestNothingIsBlockedWhileTheWayToTheUpstreamIsUnknown(t *testing.T) {
	t.Parallel()
	d := newHook(t)
	d.after(0)
	good := d.s.Keep
	d.s.Access, d.s.Keep = Blocked, func(context.Context) ([]string, error) { return nil, errors.New("no such host") }
	d.s.Boot += time.Minute
	if next, err := d.r.Look(t.Context(), d.see); err == nil || next != retryHook {
		t.Errorf("next after %v: %v", next, err)
	}
	d.wantRan("open")
	d.s.Keep = good
	d.after(retryHook)
	d.wantRan("blocked")
	d.s.Access, d.s.Keep = Open, func(context.Context) ([]string, error) { return nil, errors.New("no such host") }
	d.after(time.Minute) // opening does not hang on it
	d.wantRan("open")
}
