package device

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device/adbtest"
)

// silence is how long a server with a fault is waited for.
func silence(fault adbtest.Fault) time.Duration {
	if fault == adbtest.Stall {
		return adbMoment
	}
	return adbPatience
}

// Whatever the server or the phone does, opening it ends soon, in an error that says what.
func TestOpeningAPhoneThatMisbehaves(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"host:version", "host:devices-l", "host-serial:", "host:transport:", "shell,v2,raw:/system/bin/id"} {
		for fault, want := range map[adbtest.Fault]string{
			adbtest.Stall: "stopped answering", adbtest.Close: "unexpected EOF", adbtest.Lie: "EOF", adbtest.Fail: "go away",
			adbtest.Garbage: "neither OKAY nor FAIL",
		} {
			if request == "host-serial:" && fault == adbtest.Fail {
				continue // an old server
			}
			if request == "host:transport:" && fault == adbtest.Lie {
				continue // it says OKAY, and the rest is the next answer
			}
			if strings.HasPrefix(request, "shell") && fault == adbtest.Lie {
				want = "a packet of"
			}
			t.Run(request+want, func(t *testing.T) {
				t.Parallel()
				_, s := fakePhone(t, phoneText)
				s.Break(request, fault)
				dev, err := openPhoneWithin(t, s, "0A1B", silence(fault))
				if fault == adbtest.Stall && strings.HasPrefix(request, "shell") {
					// The command was not even begun.
					want = "stopped answering"
				}
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v, %v", dev, err)
				}
			})
		}
	}
}

func TestCommandsOfAPhoneThatMisbehaves(t *testing.T) {
	t.Parallel()
	const command = "shell,v2,raw:/system/bin/getprop"
	for fault, want := range map[adbtest.Fault]string{
		adbtest.Stall: "stopped answering", adbtest.Close: "EOF", adbtest.Lie: "a packet of", adbtest.Fail: "go away",
		adbtest.Endless: "over the limit of 1048576", adbtest.Garbage: "neither OKAY nor FAIL",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			_, s := fakePhone(t, phoneText)
			dev := mustOpenPhone(t, s)
			s.Break(command, fault)
			server := &dev.(*adbDevice).phone.server
			server.wait = silence(fault)
			_, err := dev.Probe(t.Context(), scanner.SourceGetprop)
			server.wait = adbPatience
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "getprop") {
				t.Errorf("%v", err)
			}
			if _, err := dev.Probe(t.Context(), scanner.Dumpsys("package")); err != nil {
				t.Errorf("another command: %v", err)
			}
		})
	}
}

// A command that hangs is cut off and named; the next one is asked.
func TestAHangingCommandIsCutOff(t *testing.T) {
	t.Parallel()
	p, s := fakePhone(t, phoneText)
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	run := p.Run
	p.Run = func(line string) adbtest.Output {
		switch line {
		case "/system/bin/dumpsys -t 20 wifi":
			<-hang
		case "/system/bin/dumpsys -t 20 appops":
			return adbtest.Output{Stdout: "Current AppOps Service state:\n\n*** SERVICE 'appops' DUMP TIMEOUT (20000ms) EXPIRED ***\n\n"}
		case "/system/bin/dumpsys -t 20 usagestats":
			return adbtest.Output{Stdout: "Permission Denial: can't dump usagestats from pid=1, uid=2000\n"}
		case "/system/bin/dumpsys -t 20 role":
			return adbtest.Output{Stderr: "Can't find service: role\n"}
		case "/system/bin/dumpsys -t 20 user":
			return adbtest.Output{Stderr: "Can't find service: -t\n"} // Android 6
		case "/system/bin/dumpsys user":
			return adbtest.Output{Stdout: "Users:\n"}
		}
		return run(line)
	}
	dev := mustOpenPhone(t, s).(*adbDevice)
	cmd, _ := androidCommandFor(scanner.Dumpsys("wifi"))
	cmd.time = 200 * time.Millisecond
	_, err := cmd.try(t.Context(), dev.phone.run, androidBin+cmd.lines[0])
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "dumpsys -t 20 wifi: cut off after 200ms") {
		t.Errorf("hanging: %v", err)
	}
	for service, want := range map[string]string{
		"appops":     "dumpsys/appops: /system/bin/dumpsys -t 20 appops: SERVICE 'appops' DUMP TIMEOUT (20000ms) EXPIRED",
		"usagestats": "Permission Denial: can't dump usagestats",
		"role":       "Can't find service: role",
	} {
		if _, err := dev.Probe(t.Context(), scanner.Dumpsys(service)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", service, err)
		}
	}
	if b, err := dev.Probe(t.Context(), scanner.Dumpsys("user")); err != nil || string(b) != "Users:\n" {
		t.Errorf("a dumpsys without -t: %q, %v", b, err)
	}
}

func TestFilesOfAPhoneThatMisbehaves(t *testing.T) {
	t.Parallel()
	ask := map[string]func(scanner.FS) error{
		"sync:LST2": func(f scanner.FS) error { _, err := f.Lstat("/system"); return err },
		"sync:LIS2": func(f scanner.FS) error { _, err := f.ReadDir("/"); return err },
		"sync:RECV": func(f scanner.FS) error { _, err := scanner.ReadFile(f, "/system/etc/hosts", 1<<20); return err },
	}
	for request, do := range ask {
		for _, fault := range []adbtest.Fault{adbtest.Stall, adbtest.Close, adbtest.Lie, adbtest.Fail, adbtest.Endless, adbtest.Garbage} {
			t.Run(request, func(t *testing.T) {
				t.Parallel()
				_, s := fakePhone(t, phoneText)
				dev := mustOpenPhone(t, s)
				s.Break(request, fault)
				dev.(*adbDevice).phone.server.wait = silence(fault)
				var large *scanner.TooLargeError
				err := do(dev.FS())
				var pe *fs.PathError
				switch {
				case err == nil:
					t.Fatal("no error")
				case !errors.As(err, &pe) || errors.Is(err, fs.ErrNotExist):
					t.Errorf("fault %d: %v", fault, err)
				case fault == adbtest.Fail:
					if !strings.Contains(err.Error(), "go away") {
						t.Errorf("refused: %v", err)
					}
				case fault == adbtest.Endless && errors.As(err, &large):
				case !errors.Is(err, scanner.ErrUnavailable):
					t.Errorf("fault %d: %v", fault, err)
				}
			})
		}
	}
}

// A phone that was unplugged is given up, so that a scan of thousands of files ends.
func TestAPhoneThatIsGone(t *testing.T) {
	t.Parallel()
	_, s := fakePhone(t, phoneText)
	dev := mustOpenPhone(t, s)
	s.Break("sync:LST2", adbtest.Stall)
	dev.(*adbDevice).phone.server.wait = adbMoment
	for _, name := range []string{"/a", "/b", "/c", "/d", "/e", "/f", "/g"} {
		if _, err := dev.FS().Lstat(name); !errors.Is(err, scanner.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := len(slices.DeleteFunc(s.Asked(), func(r string) bool { return !strings.HasPrefix(r, "sync:LST2") }))
	if n != maxStalls {
		t.Errorf("%d requests were sent to a phone that does not answer, want %d", n, maxStalls)
	}
	if _, err := dev.Probe(t.Context(), scanner.SourceGetprop); err == nil || !strings.Contains(err.Error(), "given up") {
		t.Errorf("a command for it: %v", err)
	}
}

// Who stops the program does not wait for a phone that says nothing.
func TestStoppingAScanOfAPhone(t *testing.T) {
	t.Parallel()
	_, s := fakePhone(t, phoneText)
	ctx, stop := context.WithCancel(t.Context())
	dev, err := Open(ctx, "adb:0A1B", OpenOptions{ADBServer: s.Address()})
	if err != nil {
		t.Fatal(err)
	}
	s.Break("sync:LST2", adbtest.Stall)
	time.AfterFunc(50*time.Millisecond, stop)
	if _, err := dev.FS().Lstat("/system"); !errors.Is(err, context.Canceled) {
		t.Errorf("a file: %v", err)
	}
	if _, err := dev.Probe(ctx, scanner.SourceGetprop); !errors.Is(err, context.Canceled) {
		t.Errorf("a command: %v", err)
	}
	if err := dev.(*adbDevice).Close(); err != nil {
		t.Error(err)
	}
	if _, err := dev.FS().ReadDir("/"); err == nil {
		t.Error("a closed device was read")
	}
}

func TestManyReadAPhoneAtOnce(t *testing.T) {
	t.Parallel()
	_, s := fakePhone(t, phoneText)
	dev := mustOpenPhone(t, s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { checkPhone(t, dev, false) })
	}
	wg.Wait()
}
