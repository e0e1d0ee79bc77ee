package device

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/probe"
)

const (
	hiddenTime   = 600 * time.Millisecond // for asking all ids
	betweenLooks = 200 * time.Millisecond
	maxSuspects  = 1 << 12
	maxCgroups   = 1 << 12
	// fewPIDs is how many ids are asked for in two ways; of more, one has to do.
	fewPIDs = 1 << 17
)

// hiddenPIDs asks the kernel for every id that a process could have, and reports those that
// answer and are in no listing, neither of processes nor of their threads. Processes start
// and end all the time, so each suspect is asked again later, before and after a new listing.
func hiddenPIDs(ctx context.Context, within time.Duration) (probe.HiddenPIDs, error) {
	out := probe.HiddenPIDs{Hidden: []probe.HiddenProcess{}}
	if err := sameView(); err != nil {
		return out, err
	}
	listed, err := listIDs(ctx)
	if err != nil {
		return out, err
	}
	if err := idRange(&out); err != nil {
		return out, err
	}
	groups := cgroupIDs()
	suspects := suspectIDs(ctx, listed, groups, within, &out)
	if len(suspects) == 0 || ctx.Err() != nil {
		return out, ctx.Err()
	}
	select {
	case <-time.After(betweenLooks):
	case <-ctx.Done():
		return out, ctx.Err()
	}
	groups = cgroupIDs()
	suspects = slices.DeleteFunc(suspects, func(pid int) bool { return len(seenBy(pid, groups)) == 0 })
	if listed, err = listIDs(ctx); err != nil {
		return out, err
	}
	for _, pid := range suspects {
		if seen := seenBy(pid, groups); len(seen) > 0 && !listed[pid] {
			out.Hidden = append(out.Hidden, hiddenProcess(pid, seen))
		}
	}
	return out, nil
}

// sameView tells why a listing of /proc cannot be compared with what the kernel answers us.
func sameView() error {
	self, err := os.Readlink("/proc/self")
	if err != nil {
		return err
	}
	if self != strconv.Itoa(os.Getpid()) {
		return fmt.Errorf("/proc shows another pid namespace: %w", scanner.ErrUnavailable)
	}
	if unix.Geteuid() == 0 {
		return nil
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(b), "hidepid=") && !strings.Contains(string(b), "hidepid=off") {
		return pathErr("list", "other users' processes", fs.ErrPermission)
	}
	return nil
}

// listIDs lists all processes and all their threads.
func listIDs(ctx context.Context) (map[int]bool, error) {
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	ids := make(map[int]bool, 4*len(pids))
	for _, pid := range pids {
		ids[int(pid)] = true
		fd, err := openat(unix.AT_FDCWD, "/proc/"+strconv.Itoa(int(pid))+"/task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
		if err != nil {
			continue // ended
		}
		names, err := entryNames(fd)
		unix.Close(fd)
		if err != nil {
			continue
		}
		for _, n := range names {
			if tid, err := strconv.Atoi(n); err == nil {
				ids[tid] = true
			}
		}
	}
	return ids, nil
}

// idRange finds the highest id that can be in use. The kernel gives ids in order and starts
// again only at the end of the range, which has not happened while fewer processes were made
// than the range has ids.
func idRange(out *probe.HiddenPIDs) error {
	b, err := os.ReadFile("/proc/sys/kernel/pid_max")
	if err != nil {
		return err
	}
	if out.Max, err = strconv.Atoi(strings.TrimSpace(string(b))); err != nil {
		return fmt.Errorf("pid_max: %w", err)
	}
	out.UpTo = out.Max
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return err
	}
	_, made, _ := strings.Cut(string(stat), "\nprocesses ")
	made, _, _ = strings.Cut(made, "\n")
	load, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return err
	}
	f := strings.Fields(string(load))
	n, err1 := strconv.Atoi(made)
	if last, err2 := strconv.Atoi(f[max(len(f)-1, 0)]); err1 == nil && err2 == nil && n < out.Max && last < out.Max {
		out.UpTo = last
	}
	return nil
}

// suspectIDs gives the ids that answer and are not listed.
func suspectIDs(ctx context.Context, listed, groups map[int]bool, within time.Duration, out *probe.HiddenPIDs) []int {
	var suspects []int
	for pid := range groups {
		if !listed[pid] {
			suspects = append(suspects, pid)
		}
	}
	end := time.Now().Add(within)
	for pid := 1; pid <= out.UpTo && len(suspects) < maxSuspects; pid++ {
		if pid%4096 == 0 && (ctx.Err() != nil || time.Now().After(end)) {
			out.Incomplete = fmt.Sprintf("process ids above %d of %d were not asked for: out of time", pid, out.UpTo)
			break
		}
		there := answersKill(pid) || out.UpTo <= fewPIDs && answersGetsid(pid)
		if there && !listed[pid] {
			suspects = append(suspects, pid)
		}
	}
	slices.Sort(suspects)
	return slices.Compact(suspects)
}

// seenBy names what still shows a process.
func seenBy(pid int, groups map[int]bool) []string {
	var seen []string
	if answersKill(pid) {
		seen = append(seen, "kill")
	}
	if answersGetsid(pid) {
		seen = append(seen, "getsid")
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err == nil {
		seen = append(seen, "stat")
	}
	if groups[pid] {
		seen = append(seen, "cgroup")
	}
	return seen
}

// answersKill sends no signal: number 0 only asks whether one could be sent.
func answersKill(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}

func answersGetsid(pid int) bool {
	_, err := unix.Getsid(pid)
	return err == nil || errors.Is(err, unix.EPERM)
}

// cgroupIDs lists the processes that control groups name. One hierarchy has them all.
func cgroupIDs() map[int]bool {
	ids := map[int]bool{}
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/pids", "/dev/cg2_bpf"} {
		if _, err := os.Stat(top + "/cgroup.procs"); err != nil {
			continue
		}
		groups := 0
		_ = filepath.WalkDir(top, func(dir string, e fs.DirEntry, err error) error {
			if err != nil || !e.IsDir() {
				return nil // groups come and go
			}
			if groups++; groups > maxCgroups {
				return filepath.SkipAll
			}
			b, err := os.ReadFile(dir + "/cgroup.procs")
			if err != nil {
				return nil
			}
			for line := range strings.Lines(string(b)) {
				if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
					ids[pid] = true
				}
			}
			return nil
		})
		return ids
	}
	return ids
}

// hiddenProcess describes what can still be read of a hidden process.
func hiddenProcess(pid int, seen []string) probe.HiddenProcess {
	h := probe.HiddenProcess{PID: pid, Seen: seen}
	dir := "/proc/" + strconv.Itoa(pid)
	if b, err := os.ReadFile(dir + "/comm"); err == nil {
		h.Name = strings.TrimSpace(string(b))
	}
	h.Exe, _ = os.Readlink(dir + "/exe")
	return h
}
