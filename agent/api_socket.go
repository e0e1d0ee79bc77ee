package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// noGroup is the socket_group that is empty.
const noGroup = -1

// apiSocket is a Unix socket that we listen on.
type apiSocket struct {
	*net.UnixListener
	path string
	ino  uint64
	gid  int // group whose members may read, or noGroup
}

// listenSocket makes the socket: mode 0660, group as given (0600 without), in a folder that nobody
// else may write. A socket that an agent of ours left behind is removed.
func listenSocket(path, group string) (*apiSocket, error) {
	gid, err := lookupGroup(group)
	if err != nil {
		return nil, err
	}
	if err := makeSocketFolder(filepath.Dir(path), gid); err != nil {
		return nil, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("making the socket: %w", err)
	}
	l.SetUnlinkOnClose(false) // it may be another's by then
	s := &apiSocket{UnixListener: l, path: path, gid: gid}
	if err := s.restrict(); err != nil {
		l.Close()
		os.Remove(path)
		return nil, err
	}
	return s, nil
}

func (s *apiSocket) restrict() error {
	mode := fs.FileMode(0o600)
	if s.gid != noGroup {
		if err := os.Lchown(s.path, -1, s.gid); err != nil {
			return fmt.Errorf("giving the socket to group %d: %w", s.gid, err)
		}
		mode = 0o660
	}
	// Until here the mode was what umask left; every peer is asked for its credentials anyway.
	if err := os.Chmod(s.path, mode); err != nil {
		return fmt.Errorf("setting the socket's mode: %w", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(s.path, &st); err != nil {
		return fmt.Errorf("looking at the socket: %w", err)
	}
	s.ino = st.Ino
	return nil
}

// remove closes the socket and takes it away, unless another one stands in its place.
func (s *apiSocket) remove() {
	s.Close()
	var st unix.Stat_t
	if unix.Lstat(s.path, &st) == nil && st.Ino == s.ino && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		os.Remove(s.path)
	}
}

// lookupGroup gives the number of a group, noGroup for "".
func lookupGroup(group string) (int, error) {
	if group == "" {
		return noGroup, nil
	}
	if n, err := strconv.ParseUint(group, 10, 31); err == nil {
		return int(n), nil
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return noGroup, &hinted{fmt.Errorf("socket_group: there is no group %q", group),
			"make it (groupadd --system " + group + "), or set socket_group to a number or to nothing"}
	}
	return strconv.Atoi(g.Gid)
}

// makeSocketFolder makes the folder where it is missing, and refuses one in which others may put
// another socket in the place of ours.
func makeSocketFolder(dir string, gid int) error {
	mode := fs.FileMode(0o755)
	if os.Geteuid() != 0 && gid == noGroup {
		mode = 0o700
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("making the socket's folder: %w", err)
	}
	return checkSocketFolder(dir, os.Geteuid())
}

func checkSocketFolder(dir string, uid int) error {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return fmt.Errorf("looking at the socket's folder: %w", &fs.PathError{Op: "stat", Path: dir, Err: err})
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("the socket's folder: %s is no folder", dir)
	}
	if why := writers(&st, uid, true); why != "" {
		return &hinted{fmt.Errorf("others may replace the socket: %s of the folder %s", why, dir),
			"chmod go-w " + dir + ", and let it belong to root or the agent's own user"}
	}
	return nil
}

// removeStale removes a socket of ours that nobody answers on.
func removeStale(path string) error {
	var st, again unix.Stat_t
	err := unix.Lstat(path, &st)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at the socket: %w", &fs.PathError{Op: "lstat", Path: path, Err: err})
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return &hinted{fmt.Errorf("%s is there and is no socket", path), "move it away, or set socket to another path"}
	case int64(st.Uid) != int64(os.Geteuid()):
		return &hinted{fmt.Errorf("%s is a socket of user %d, not of ours", path, st.Uid), "if no agent of that user runs, remove it"}
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return &hinted{fmt.Errorf("somebody answers on %s already", path), "stop the other agent, or give this one a socket of its own"}
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("asking whether somebody answers on the socket: %w", err)
	}
	if err := unix.Lstat(path, &again); err != nil || again.Ino != st.Ino {
		return fmt.Errorf("another agent is taking the socket %s", path)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("removing the old socket: %w", err)
	}
	return nil
}

// apiPeer is who sits at the other end of a connection, as the kernel says.
type apiPeer struct {
	uid, gid uint32
	acts     bool // root or the agent's own user
}

// name is for the record: who set a finding aside.
func (p apiPeer) name() string {
	id := strconv.FormatUint(uint64(p.uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "uid " + id
}

// peerOf asks the kernel who made the connection, and refuses who has no business here.
func peerOf(c *net.UnixConn, gid int) (apiPeer, error) {
	var (
		cred   *unix.Ucred
		groups []uint32
		asked  error
		err    error
	)
	raw, rawErr := c.SyscallConn()
	if rawErr != nil {
		return apiPeer{}, apiErrorf(codeDenied, "cannot tell who asks: %v", rawErr)
	}
	if ctl := raw.Control(func(fd uintptr) {
		if cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil && gid != noGroup {
			groups, asked = peerGroups(int(fd))
		}
	}); ctl != nil {
		err = ctl
	}
	if err != nil {
		return apiPeer{}, apiErrorf(codeDenied, "cannot tell who asks: %v", err)
	}
	p := apiPeer{uid: cred.Uid, gid: cred.Gid}
	p.acts = cred.Uid == 0 || int64(cred.Uid) == int64(os.Geteuid())
	if p.acts || gid != noGroup && inGroup(uint32(gid), cred.Gid, groups) {
		return p, nil
	}
	e := apiErrorf(codeDenied, "user %d may not ask: only root, the agent's own user, and members of socket_group may", cred.Uid)
	if gid == noGroup {
		e.Text += ", and socket_group is empty"
	}
	if asked != nil {
		e.Text += fmt.Sprintf("; this kernel does not tell the groups of a user beyond the first (%v)", asked)
	}
	e.Fix = "run it as root, or become a member of socket_group and log in again"
	return p, e
}

func inGroup(want, first uint32, more []uint32) bool {
	if want == first {
		return true
	}
	for _, g := range more {
		if g == want {
			return true
		}
	}
	return false
}

// peerGroups asks for the supplementary groups that the peer had when it connected (Linux 4.13).
func peerGroups(fd int) ([]uint32, error) {
	const most = 65536 // NGROUPS_MAX
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups)) * 4
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == 0:
			return groups[:min(size/4, uint32(len(groups)))], nil
		case errno == unix.ERANGE && len(groups) < most:
			groups = make([]uint32, most)
		default:
			return nil, errno
		}
	}
}

// dialAPI connects to an agent.
func dialAPI(ctx context.Context, path string) (*net.UnixConn, error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}
