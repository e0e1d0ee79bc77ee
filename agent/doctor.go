package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// storeName is the store's file in state_dir.
const storeName = "picket.db"

// Outcomes of a check.
const (
	checkOK      = "ok"
	checkWarning = "warning" // the agent works, but less well
	checkFailed  = "failed"  // the agent does not work, or not as configured
	checkUnknown = "unknown" // it could not be looked at
)

// check is one thing that the agent needs, and how it stands.
type check struct {
	Code       string `json:"code"` // as a Warning's
	Dependency string `json:"dependency"`
	Outcome    string `json:"outcome"`
	Text       string `json:"text"`
	Fix        string `json:"fix,omitempty"`
}

// warning makes a health warning of a check that is not well.
func (c check) warning(since time.Time) (w Warning, ok bool) {
	return Warning{c.Code, c.Dependency, since, c.Text, c.Fix}, c.Outcome == checkWarning || c.Outcome == checkFailed
}

// examiner looks at what an agent needs of its host. It changes nothing.
type examiner struct {
	cfg     Config
	from    Origins
	uid     int // of the agent, whose rights count
	reader  int // of who looks
	now     time.Time
	android bool
	proc    string // /proc
}

func newExaminer(cfg Config, from Origins, env Env) *examiner {
	return &examiner{cfg: cfg, from: from, uid: env.UID, reader: env.UID, now: time.Now(), android: env.Android, proc: "/proc"}
}

// hostChecks are those that an agent makes of itself, too.
func (x *examiner) hostChecks() []check {
	return append([]check{x.rules()}, x.surroundings()...)
}

// surroundings are all but the rules, which take longer.
func (x *examiner) surroundings() []check {
	return []check{x.stateDir(), x.storeFile(), x.space(), x.sink(), x.socketPlace(), x.watches(), x.clock(), x.privileges(), x.networkProbe()}
}

func (x *examiner) ok(code, dependency, format string, args ...any) check {
	return check{code, dependency, checkOK, fmt.Sprintf(format, args...), ""}
}

// rules looks at what the configuration names: rules, allow lists, indicators.
func (x *examiner) rules() check {
	const code, dep = "rules", "rules"
	if err := checkNamed(x.cfg, x.from); err != nil {
		return check{code, dep, checkFailed, strings.ReplaceAll(err.Error(), "\n", "; "), "correct the files that the configuration names"}
	}
	set, err := loadRules(x.cfg.RulesDir)
	if err != nil {
		return check{code, dep, checkFailed, err.Error(), "correct the rules"}
	}
	where := "built in"
	if x.cfg.RulesDir != "" {
		where = x.cfg.RulesDir
	}
	return x.ok(code, dep, "%d rules (%s), %d allow lists, %d lists of indicators", len(set.Rules()), where, len(x.cfg.Allow), len(x.cfg.Indicators))
}

// stateDir holds the folder to what the store asks of it.
func (x *examiner) stateDir() check {
	const code, dep = "state-dir", "store"
	dir := x.cfg.StateDir
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return x.ok(code, dep, "%s is not there yet; the agent makes it", dir)
	case err != nil:
		return x.unread(code, dep, dir, err)
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return check{code, dep, checkFailed, dir + " is no folder", "move it away, or set state_dir to another path"}
	case int64(st.Uid) != int64(x.uid):
		return x.foreign(code, dep, dir, st.Uid)
	case st.Mode&0o022 != 0:
		return check{code, dep, checkFailed, fmt.Sprintf("others may write into %s (mode %04o)", dir, st.Mode&0o7777), "chmod go-w " + dir}
	}
	return x.ok(code, dep, "%s belongs to user %d, mode %04o", dir, st.Uid, st.Mode&0o7777)
}

// unread says that something could not be looked at; that it may not be looked at tells nothing.
func (x *examiner) unread(code, dep, path string, err error) check {
	c := check{code, dep, checkUnknown, fmt.Sprintf("%s cannot be looked at: %v", path, err), ""}
	if errors.Is(err, fs.ErrPermission) && x.reader != 0 {
		c.Fix = "run picket doctor as root, or as the agent's own user"
	}
	return c
}

// foreign is about a file of another user than the agent's.
func (x *examiner) foreign(code, dep, path string, owner uint32) check {
	text := fmt.Sprintf("%s belongs to user %d, and the agent runs as %d", path, owner, x.uid)
	return check{code, dep, checkFailed, text, "run the agent and picket doctor as that user, or chown it"}
}

// boltMagic begins the first record of the file's first page, behind the page's head of 16 bytes.
const boltMagic = 0xED0CDAED

// storeFile looks at the store from outside: an agent may have it open.
func (x *examiner) storeFile() check {
	const code, dep = "store", "store"
	path := filepath.Join(x.cfg.StateDir, storeName)
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return x.ok(code, dep, "%s is not there yet; the agent makes it", path)
	case errors.Is(err, unix.ELOOP):
		return check{code, dep, checkFailed, path + " is a link, which the store refuses", "remove the link"}
	case err != nil:
		return x.unread(code, dep, path, err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return x.unread(code, dep, path, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return check{code, dep, checkFailed, path + " is no regular file", "move it away"}
	case int64(st.Uid) != int64(x.uid):
		return x.foreign(code, dep, path, st.Uid)
	}
	var head [20]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || binary.NativeEndian.Uint32(head[16:]) != boltMagic {
		return check{code, dep, checkWarning, path + " does not begin as a store does: it is damaged, or something else", "the agent sets it aside when it starts and keeps what can be read; the disk may be failing"}
	}
	if written := time.Unix(st.Mtim.Unix()); written.After(x.now.Add(10 * time.Minute)) {
		return check{warnClock, "clock", checkWarning, fmt.Sprintf("the store was written at %s, which is still to come: the clock was set back", timeText(written)), "set the clock, and let a time service keep it"}
	}
	return x.ok(code, dep, "%s, %s", path, bytesText(st.Size))
}

// space looks at the file system that state_dir is on, or will be.
func (x *examiner) space() check {
	const code, dep = "space", "store"
	dir := x.cfg.StateDir
	var st unix.Statfs_t
	err := unix.Statfs(dir, &st)
	for errors.Is(err, fs.ErrNotExist) && dir != "/" {
		dir = filepath.Dir(dir)
		err = unix.Statfs(dir, &st)
	}
	if err != nil {
		return x.unread(code, dep, dir, err)
	}
	const least = 16 << 20
	free := int64(min(uint64(st.Bavail), 1<<40)) * int64(st.Bsize)
	switch {
	case int64(st.Flags)&unix.ST_RDONLY != 0:
		return check{code, dep, checkFailed, "the file system of " + dir + " is read-only", "mount it writable, or set state_dir to a path elsewhere"}
	case free < least:
		return check{code, dep, checkFailed, fmt.Sprintf("%s has %s free: too little to work with", dir, bytesText(free)), "free some space, or set state_dir to a path elsewhere"}
	case free < int64(x.cfg.OutboxSize):
		return check{code, dep, checkWarning, fmt.Sprintf("%s has %s free, less than outbox_size (%s)", dir, bytesText(free), formatSize(x.cfg.OutboxSize)), "free some space, or make outbox_size smaller"}
	}
	return x.ok(code, dep, "%s has %s free", dir, bytesText(free))
}

// sink looks at where events are written.
func (x *examiner) sink() check {
	const code, dep = "sink", "upstream"
	path := x.cfg.SinkFile
	dir := filepath.Dir(path)
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return check{code, dep, checkFailed, path + " is not a regular file", "move it away, or set sink_file to another path"}
	}
	var st unix.Stat_t
	err := unix.Stat(dir, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist) && dir == x.cfg.StateDir:
		return x.ok(code, dep, "%s is made with the first event", path)
	case errors.Is(err, fs.ErrNotExist):
		return check{code, dep, checkFailed, "there is no folder " + dir + " for sink_file", "make it, or set sink_file to another path"}
	case err != nil:
		return x.unread(code, dep, dir, err)
	case x.uid == x.reader && unix.Access(dir, unix.W_OK) != nil:
		return check{code, dep, checkFailed, "the agent may not write into " + dir, "give user " + strconv.Itoa(x.uid) + " the right, or set sink_file to another path"}
	}
	// A sticky folder does not help: a file of that name can be there before ours.
	if why := writers(&st, x.uid, false); why != "" && dir != x.cfg.StateDir {
		return check{code, dep, checkWarning, fmt.Sprintf("others may put another file in the place of %s: %s of the folder %s", path, why, dir),
			"chmod go-w " + dir + " and let it belong to root or the agent's own user, or set sink_file to another path"}
	}
	return x.ok(code, dep, "%s", path)
}

// socketPlace looks at the socket's folder and group.
func (x *examiner) socketPlace() check {
	const code, dep = warnSocket, "socket"
	fix := func(err error) string {
		if h := (*hinted)(nil); errors.As(err, &h) {
			return h.hint
		}
		return "set socket to another path"
	}
	if _, err := lookupGroup(x.cfg.SocketGroup); err != nil {
		return check{code, dep, checkFailed, err.Error(), fix(err)}
	}
	dir := filepath.Dir(x.cfg.Socket)
	err := checkSocketFolder(dir, x.uid)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return x.ok(code, dep, "%s is not there yet; the agent makes it", dir)
	case errors.Is(err, fs.ErrPermission):
		return x.unread(code, dep, dir, err)
	case err != nil:
		return check{code, dep, checkFailed, err.Error(), fix(err)}
	}
	who := "for root and the agent's own user"
	if x.cfg.SocketGroup != "" {
		who += ", and to read for group " + x.cfg.SocketGroup
	}
	return x.ok(code, dep, "%s, %s", x.cfg.Socket, who)
}

// watches looks at the kernel's bounds for inotify, per user. Android hides them.
func (x *examiner) watches() check {
	const code, dep = warnWatchLimit, "inotify"
	if x.cfg.Watch == 0 {
		return x.ok(code, dep, "files are not watched (watch is off)")
	}
	dir := filepath.Join(x.proc, "sys/fs/inotify")
	watches, err := readNumber(filepath.Join(dir, "max_user_watches"))
	if err != nil {
		return x.unread(code, dep, dir, err)
	}
	instances, err := readNumber(filepath.Join(dir, "max_user_instances"))
	if err != nil {
		return x.unread(code, dep, dir, err)
	}
	const few, fewInstances = 8192, 16
	if watches < few || instances < fewInstances {
		return check{code, dep, checkWarning, fmt.Sprintf("the kernel allows a user %d watches and %d watchers: changes may be noticed with whole scans only", watches, instances),
			fmt.Sprintf("sysctl -w fs.inotify.max_user_watches=%d fs.inotify.max_user_instances=128", 65536)}
	}
	return x.ok(code, dep, "%d watches and %d watchers for each user", watches, instances)
}

func readNumber(path string) (int64, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("reading %s: %w", path, err)
	}
	return n, nil
}

// madeAt is a time that no right clock is before: when this program's source was committed.
func madeAt() time.Time {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				return t
			}
		}
	}
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
}

// clock tells what can be told of the clock without asking anybody.
func (x *examiner) clock() check {
	const code, dep = warnClock, "clock"
	const fix = "set the clock, and let a time service keep it"
	made := madeAt()
	switch {
	case x.now.Before(made.Add(-day)):
		return check{code, dep, checkFailed, fmt.Sprintf("the clock shows %s, and this program was made on %s", timeText(x.now), made.Format(time.DateOnly)), fix}
	case x.now.After(made.AddDate(10, 0, 0)):
		return check{code, dep, checkWarning, fmt.Sprintf("the clock shows %s, ten years and more after this program was made", timeText(x.now)), fix}
	case x.android: // it sets the clock without telling the kernel that it is right
		return x.ok(code, dep, "%s", timeText(x.now))
	}
	const unsynchronised = 0x40 // STA_UNSYNC of adjtimex(2)
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return check{code, dep, checkUnknown, fmt.Sprintf("whether the clock is kept right cannot be told: %v", err), ""}
	}
	if t.Status&unsynchronised != 0 {
		return check{code, dep, checkUnknown, "no time service has told the kernel that the clock is right", "let a time service keep it, unless the host of this machine does"}
	}
	return x.ok(code, dep, "kept by a time service")
}

// networkProbe declares what is sent through new networks.
func (x *examiner) networkProbe() check {
	return x.ok("network-probe", "config", "%s", declareProbe(x.cfg.NetworkProbe))
}

// privileges tells what the agent would see, by what this process may do.
func (x *examiner) privileges() check {
	const code, dep = "privileges", "kernel"
	if x.uid != 0 {
		return check{code, dep, checkWarning, fmt.Sprintf("the agent runs as user %d and does not see everything; the rules that need more end unknown", x.uid), "run the agent as root to see all"}
	}
	if x.reader != 0 {
		return x.ok(code, dep, "the agent runs as root")
	}
	missing, err := missingRights(filepath.Join(x.proc, "self/status"))
	if err != nil {
		return x.unread(code, dep, "what this process may do", err)
	}
	if len(missing) > 0 {
		return check{code, dep, checkWarning, "root here lacks " + strings.Join(missing, ", ") + ": some of the device is hidden", "in a container, run the agent on its host"}
	}
	return x.ok(code, dep, "root, with the rights to see all")
}

// missingRights reads the effective capabilities of a process (capabilities(7)).
func missingRights(status string) ([]string, error) {
	b, err := os.ReadFile(status)
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(b), "\nCapEff:")
	line, _, _ := strings.Cut(rest, "\n")
	caps, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if !found || err != nil {
		return nil, fmt.Errorf("%s has no capabilities", status)
	}
	var missing []string
	for _, need := range []struct {
		name string
		bit  uint
	}{{"CAP_DAC_READ_SEARCH", unix.CAP_DAC_READ_SEARCH}, {"CAP_SYS_PTRACE", unix.CAP_SYS_PTRACE}} {
		if caps&(1<<need.bit) == 0 {
			missing = append(missing, need.name)
		}
	}
	return missing, nil
}
