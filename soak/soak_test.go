// Package soak runs the agent as a process of its own, in a root of its own, and gives it a hard
// time: the device changes without end, the agent is killed, its disks fill up and turn
// read-only, its sink fails, its socket is hammered. In the end all that it was seen to know
// must have been told, once, in order. SOAK=60m sets how long, SOAK_SEED repeats what was done, and
// SOAK_DIR names a folder that is kept; `make soak` is an hour.
package soak

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Set where a test is the one inside the namespaces.
const insideEnv = "SOAK_INSIDE"

// Set inside when the agent has the race detector in it.
const raceEnv = "SOAK_RACE"

// briefly is how long a soak of the normal tests lasts.
const briefly = 8 * time.Second

// TestSoak goes on in namespaces of its own, so that the mounts, the processes and the network
// are the soak's alone and gone when it ends.
func TestSoak(t *testing.T) {
	length := briefly
	if text := os.Getenv("SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatalf("SOAK: %v", err)
		}
	}
	if root := os.Getenv(insideEnv); root != "" {
		soakInside(t, root, length)
		return
	}
	t.Parallel()
	root := os.Getenv("SOAK_DIR")
	if root == "" {
		root = t.TempDir()
	}
	raced := build(t, filepath.Join(root, "usr/bin/picket"), length > briefly)
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestSoak$", "-test.v", "-test.timeout="+(length+20*time.Minute).String())
	cmd.Env = append(os.Environ(), insideEnv+"="+root, raceEnv+"="+raced)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Skipf("namespaces cannot be made here: %v", err)
	}
	err := cmd.Wait()
	t.Logf("%s", out.Bytes())
	switch {
	case err != nil:
		t.Errorf("the soak: %v", err)
	case bytes.Contains(out.Bytes(), []byte("--- SKIP: TestSoak")):
		t.Skip("it could not run inside")
	}
}

// build makes the command, static; for a soak that lasts with the race detector, where a C
// compiler is there. raced is not empty then.
func build(t *testing.T, path string, long bool) (raced string) {
	t.Helper()
	args, env := []string{"build", "-o", path}, append(os.Environ(), "CGO_ENABLED=0")
	if _, err := exec.LookPath("gcc"); err == nil && long {
		args = append(args, "-race", "-tags", "netgo,osusergo", "-ldflags", "-linkmode external -extldflags -static")
		env, raced = append(os.Environ(), "CGO_ENABLED=1"), "yes"
	}
	cmd := exec.Command("go", append(args, "picket")...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	t.Logf("go %s", strings.Join(args, " "))
	return raced
}

// run is one soak.
type run struct {
	*world
	daemon    *daemon
	disks     *disks
	hammer    *hammer
	brief     bool
	known     map[string]string // what the agent last said that it knows
	on        []fault
	count     map[string]int // what was done, by name
	quiet     []status       // while nothing was asked of the agent
	rescanned bool
}

func soakInside(t *testing.T, root string, length time.Duration) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SOAK_SEED"), 10, 64); err == nil {
		seed = s
	}
	w, err := newWorld(root, rand.New(rand.NewPCG(seed, 1)))
	if err != nil {
		t.Fatal(err)
	}
	r := &run{world: w, disks: &disks{root: root}, count: map[string]int{}, known: map[string]string{}, brief: length < time.Minute}
	if err := r.disks.mount(); err != nil {
		t.Skip(err)
	}
	if err := r.configure(""); err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(root, "agent.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	r.daemon = &daemon{root: root, log: output}
	r.hammer = &hammer{socket: r.daemon.socket()}
	fmt.Printf("a soak of %v, SOAK_SEED=%d\n", length, seed)
	began := time.Now()
	if err := r.soak(began.Add(length*3/5), began.Add(length)); err != nil {
		t.Errorf("after %v: %v", time.Since(began).Round(time.Second), err)
	}
	r.judge(t)
}

// configure writes the agent's configuration, with a line more.
func (r *run) configure(more string) error {
	return r.write("etc/picket/config.yaml", "state_dir: /var/lib/picket\nsocket: /run/picket/picket.sock\nsink_file: /srv/sink/events/e.ndjson\n"+
		"sink_size: 4GiB\nwatch: 20ms\nsample_interval: 2s\nscan_interval: 1m\ncpu_budget: 100%\n"+more)
}

// soak kills until one time, and then lets the agent live under load until another.
func (r *run) soak(kill, end time.Time) error {
	if err := r.begin(); err != nil {
		return err
	}
	r.hammer.start()
	err := r.dieOften(kill)
	if err == nil {
		err = r.liveLong(end)
	}
	r.hammer.halt()
	if err != nil {
		return err
	}
	// One last life, which tells what is left.
	return errors.Join(r.daemon.end(syscall.SIGTERM), r.daemon.start(), r.settle(), r.daemon.end(syscall.SIGTERM))
}

// begin has the agent see the device as it is before the soak changes it.
func (r *run) begin() error {
	if err := r.daemon.start(); err != nil {
		return err
	}
	if err := r.settle(); err != nil {
		return err
	}
	return r.daemon.second()
}

// settle ends all faults, and waits until the agent knows and has told the device as it is.
func (r *run) settle() error {
	if err := r.heal(); err != nil {
		return err
	}
	r.rescanned = false
	err := r.daemon.await("the agent knows all", func() (bool, error) {
		r.rescan()
		if err := r.look(); err != nil {
			return false, err
		}
		s, err := r.daemon.status()
		if err != nil || s.LastScan == nil || s.Outbox.Events > 0 {
			return false, err
		}
		if !maps.Equal(r.known, r.now()) {
			return false, fmt.Errorf("it knows %v, and there is %v; warnings %+v", r.known, r.now(), s.Warnings)
		}
		if len(s.Warnings) > 0 {
			return false, fmt.Errorf("there are warnings: %+v", s.Warnings)
		}
		return true, nil
	})
	return err
}

// rescan asks once in each life for the scan that would come within seconds by itself.
func (r *run) rescan() {
	if !r.rescanned {
		_, _, err := r.daemon.ask(`{"v":1,"op":"rescan"}`)
		r.rescanned = err == nil
	}
}

// look asks what the agent knows, and writes down what is new: it must be told from now on.
func (r *run) look() error {
	known, err := r.daemon.knows()
	if err != nil {
		return err
	}
	for _, subject := range sortedKeys(known) {
		if state := known[subject]; r.known[subject] != state {
			r.log = append(r.log, did{kept, subject, state})
		}
	}
	for _, subject := range sortedKeys(r.known) {
		if _, there := known[subject]; !there {
			r.log = append(r.log, did{kept, subject, ""})
		}
	}
	r.known = known
	return nil
}

// between gives a random time; a brief soak has less of it.
func (r *run) between(least, most time.Duration) time.Duration {
	if r.brief {
		least, most = least/8, most/8
	}
	return least + time.Duration(r.rng.Int64N(int64(most-least)))
}

// dieOften kills the agent again and again, and starts it once more.
func (r *run) dieOften(until time.Time) error {
	for {
		if err := r.live(time.Now().Add(r.between(3*time.Second, 15*time.Second))); err != nil {
			return err
		}
		if r.rng.IntN(4) == 0 {
			r.count["SIGTERM"]++
			if err := r.daemon.end(syscall.SIGTERM); err != nil {
				return err
			}
		} else {
			r.count["SIGKILL"]++
			if err := r.daemon.end(syscall.SIGKILL); err != nil {
				return err
			}
		}
		for range r.rng.IntN(4) {
			if err := r.step(); err != nil {
				return err
			}
		}
		over := time.Now().After(until)
		if over || r.brief { // an agent that starts without a store tries again after a minute
			if err := r.heal(); err != nil {
				return err
			}
		}
		if !over {
			if err := r.strike(true); err != nil {
				return err
			}
		}
		r.rescanned = false
		if err := r.daemon.start(); err != nil || over {
			return err
		}
	}
}

// live changes the device while the agent runs, with faults that come and go.
func (r *run) live(until time.Time) error {
	for n := 0; time.Now().Before(until); n++ {
		if err := r.daemon.alive(); err != nil {
			return err
		}
		if err := r.step(); err != nil {
			return err
		}
		r.rescan()
		if n%5 == 0 {
			if err := r.look(); err == nil {
				r.count["looks"]++
			}
		}
		if r.rng.IntN(25) == 0 {
			if err := r.reload(); err != nil {
				return err
			}
		}
		if r.rng.IntN(12) == 0 {
			if len(r.on) > 0 && !(r.brief && r.on[0].down) {
				if err := r.heal(); err != nil {
					return err
				}
			} else if err := r.strike(false); err != nil {
				return err
			}
		}
		time.Sleep(r.between(80*time.Millisecond, 600*time.Millisecond))
	}
	return nil
}

// liveLong lets the agent live, under load and at rest by turns, and measures it at rest.
func (r *run) liveLong(until time.Time) error {
	for {
		r.hammer.halt()
		if err := r.settle(); err != nil {
			return err
		}
		if err := r.measure(); err != nil {
			return err
		}
		r.hammer.start()
		if len(r.quiet) > 1 && time.Now().After(until) {
			return nil
		}
		if err := r.live(time.Now().Add(r.between(12*time.Second, 60*time.Second))); err != nil {
			return err
		}
	}
}

// measure takes the least of what a resting agent has open: a scan may be under way.
func (r *run) measure() error {
	var least status
	for i := range 10 {
		s, err := r.daemon.status()
		if err != nil {
			return err
		}
		if i == 0 {
			least = s
		}
		least.Own.Goroutines = min(least.Own.Goroutines, s.Own.Goroutines)
		least.Own.Files = min(least.Own.Files, s.Own.Files)
		least.Own.Resident = min(least.Own.Resident, s.Own.Resident)
		least.Own.Heap = min(least.Own.Heap, s.Own.Heap)
		time.Sleep(r.between(400*time.Millisecond, 401*time.Millisecond))
	}
	r.quiet = append(r.quiet, least)
	if !r.brief {
		fmt.Fprintf(os.Stderr, "%s soak: at rest %+v; %v\n", time.Now().Format(time.TimeOnly), least.Own, r.count)
	}
	return nil
}
