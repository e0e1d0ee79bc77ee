package device

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"picket/scanner"
)

// maxIdleSync is how many connections with the sync service are kept for later.
const maxIdleSync = 2

// begin sends a request to the phone's sync service and reads the start of its answer. The
// connection goes back with release when the whole answer was read, and else is closed.
func (p *phone) begin(request string, read func(r io.Reader) error) (*adbConn, error) {
	for {
		c, used, err := p.syncConn()
		if err != nil {
			if p.ctx.Err() == nil {
				p.count(err)
			}
			return nil, p.unavailable(err)
		}
		c.within(adbTalkTime)
		if err = c.write(request); err == nil {
			err = read(c.in)
		}
		if err == nil {
			p.count(nil)
			return c, nil
		}
		c.Close() // after a refusal too: the phone ends the service then
		var no *adbFail
		if errors.As(err, &no) {
			p.count(nil)
			return nil, failKind(err)
		}
		if used && !errors.Is(err, os.ErrDeadlineExceeded) {
			continue // it was closed meanwhile; unused ones soon run out
		}
		p.count(err)
		return nil, p.unavailable(err)
	}
}

// unavailable is the error for what could not be asked of the phone.
func (p *phone) unavailable(err error) error {
	if p.ctx.Err() != nil {
		return p.ctx.Err()
	}
	return fmt.Errorf("%w: %w", scanner.ErrUnavailable, err)
}

// syncConn gives a connection with the sync service on it, and tells whether it was used.
func (p *phone) syncConn() (*adbConn, bool, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		p.mu.Unlock()
		return c, true, nil
	}
	p.mu.Unlock()
	c, err := p.connect(p.ctx, "sync:")
	return c, false, err
}

func (p *phone) release(c *adbConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil || len(p.idle) >= maxIdleSync {
		c.Close()
		return
	}
	p.idle = append(p.idle, c)
}

// adbTree is the tree of a phone's files. What was asked is remembered: a scan asks the same
// often, and each answer costs the way to the phone and back.
type adbTree struct {
	phone *phone

	mu    sync.Mutex
	infos map[string]syncInfo
	lists map[string]adbListing
	links map[string]string
	known int // entries in these
}

type adbListing struct {
	infos []scanner.Info
	err   error
}

// remember makes room and runs put under the lock.
func (t *adbTree) remember(n int, put func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known += n; t.infos == nil || t.known > maxADBFiles {
		t.infos, t.lists, t.links, t.known = map[string]syncInfo{}, map[string]adbListing{}, map[string]string{}, n
	}
	put()
}

func (t *adbTree) lstat(name string) (scanner.Info, error) {
	t.mu.Lock()
	in, ok := t.infos[name]
	t.mu.Unlock()
	if !ok {
		var err error
		if in, err = t.ask(name); err != nil {
			return scanner.Info{}, pathErr("lstat", name, err)
		}
		t.remember(1, func() { t.infos[name] = in })
	}
	if in.err != nil {
		return scanner.Info{}, pathErr("lstat", name, in.err)
	}
	return in.Info, nil
}

// ask asks the phone to describe a file.
func (t *adbTree) ask(name string) (in syncInfo, err error) {
	second := t.phone.has("stat_v2")
	word := "STAT"
	if second {
		word = "LST2"
	}
	request, err := syncRequest(word, name)
	if err != nil {
		return in, err
	}
	c, err := t.phone.begin(request, func(r io.Reader) error {
		in, err = readSyncStat(r, second)
		return err
	})
	if err != nil {
		return in, err
	}
	t.phone.release(c)
	in.Name = base(name)
	if name == "/" {
		in.Name = "/"
	}
	if errors.Is(in.err, errNoMode) && name != "/" {
		in.err = t.whyNot(name)
	}
	return in, nil
}

// whyNot finds why a phone before Android 8 does not describe a file. It is not there if its
// directory can be listed and does not have it; otherwise nobody knows.
func (t *adbTree) whyNot(name string) error {
	dir := parent(name)
	list, err := t.readDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case errors.Is(err, scanner.ErrUnavailable):
		return err
	case err != nil:
		return fs.ErrPermission
	}
	for _, in := range list {
		if in.Name == base(name) {
			return fs.ErrPermission
		}
	}
	return fs.ErrNotExist
}

func (t *adbTree) readDir(name string) ([]scanner.Info, error) {
	t.mu.Lock()
	l, ok := t.lists[name]
	t.mu.Unlock()
	if ok {
		return l.infos, l.err
	}
	second := t.phone.has("ls_v2")
	word := "LIST"
	if second {
		word = "LIS2"
	}
	request, err := syncRequest(word, name)
	if err != nil {
		return nil, err
	}
	var list []syncInfo
	var readable bool
	c, err := t.phone.begin(request, func(r io.Reader) error {
		list, readable, err = readSyncList(r, second)
		return err
	})
	if err != nil {
		return nil, pathErr("readdir", name, err)
	}
	t.phone.release(c)
	if !readable {
		l.err = pathErr("readdir", name, t.whyUnlisted(name))
	}
	for _, in := range list {
		if in.err != nil {
			in.Info = scanner.Info{Name: in.Name, Mode: fs.ModeIrregular, UID: -1, GID: -1}
		}
		l.infos = append(l.infos, in.Info)
	}
	t.remember(1+len(list), func() {
		t.lists[name] = l
		for _, in := range list {
			// A listing of version 1 knows no owners, a later phone's description does.
			if in.err == nil && second == t.phone.has("stat_v2") {
				t.infos[join(name, in.Name)] = in
			}
		}
	})
	return l.infos, l.err
}

// whyUnlisted finds why a listing is empty.
func (t *adbTree) whyUnlisted(name string) error {
	info, err := t.lstat(name)
	switch {
	case err != nil:
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return pe.Err
		}
		return err
	case !info.Mode.IsDir():
		return errors.New("not a directory")
	}
	return fs.ErrPermission
}

// readlink asks the phone's shell, for the sync service does not tell where links lead.
// Before Android 6 there is no readlink, but ls shows it.
func (t *adbTree) readlink(name string) (string, error) {
	t.mu.Lock()
	to, ok := t.links[name]
	t.mu.Unlock()
	if ok {
		return to, nil
	}
	info, err := t.lstat(name)
	if err != nil {
		return "", rename(err, "readlink", name)
	}
	if info.Mode&fs.ModeSymlink == 0 {
		return "", pathErr("readlink", name, fs.ErrInvalid)
	}
	r, err := t.shell("readlink "+quoted(name), phoneCommandTime)
	if err == nil && r.status == statusMissing {
		if r, err = t.shell("ls -l "+quoted(name), phoneCommandTime); err == nil {
			_, after, _ := strings.Cut(string(r.out), base(name)+" -> ")
			r.out = []byte(after)
		}
	}
	if err != nil {
		return "", pathErr("readlink", name, err)
	}
	to = strings.TrimSuffix(string(r.out), "\n")
	if r.status != 0 || to == "" {
		return "", pathErr("readlink", name, fs.ErrPermission) // SELinux has a right of its own for it
	}
	t.remember(1, func() { t.links[name] = to })
	return to, nil
}

// shell runs a command that prints something of a file.
func (t *adbTree) shell(line string, limit time.Duration) (ran, error) {
	ctx, cancel := context.WithTimeout(t.phone.ctx, limit)
	defer cancel()
	r, err := t.phone.run(ctx, androidBin+line)
	if ctx.Err() != nil {
		t.phone.count(ctx.Err()) // these commands do not take long
	}
	if err != nil {
		return r, t.phone.unavailable(err)
	}
	return r, nil
}

// xattr gives a file's SELinux label. Nothing on a phone prints the other attributes.
func (t *adbTree) xattr(name, attr string) ([]byte, error) {
	if _, err := t.lstat(name); err != nil {
		return nil, rename(err, "xattr", name)
	}
	if attr != "security.selinux" {
		return nil, pathErr("xattr", name, scanner.ErrUnavailable)
	}
	r, err := t.shell("stat -c %C "+quoted(name), phoneCommandTime)
	if err != nil {
		return nil, pathErr("xattr", name, err)
	}
	label := strings.TrimSpace(string(r.out))
	if r.status != 0 || strings.Count(label, ":") < 3 {
		return nil, pathErr("xattr", name, fmt.Errorf("%w: the phone does not print labels", scanner.ErrUnavailable))
	}
	return append([]byte(label), 0), nil // the kernel's own form ends in a zero byte
}
