package device

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

const probeTime = 30 * time.Second // longest that one source is waited for

// LiveOptions chooses what the live machine is asked.
type LiveOptions struct {
	// BindPorts allows the hidden-ports probe, which asks the kernel for each port that no
	// socket table lists by binding it for a moment.
	BindPorts bool
}

// Live is the machine that this process runs on. As a plain user it gives what that user may
// read; Identity().Root says which it is.
func Live(ctx context.Context, opts LiveOptions) (scanner.Device, error) {
	t, err := openTree("/")
	if err != nil {
		return nil, err
	}
	fsys := newFS(t)
	l := &live{
		id: scanner.Identity{
			Origin:     "live",
			Kind:       "live",
			Platform:   platformOf(fsys),
			RecordedAt: time.Now().UTC().Truncate(time.Second),
			Live:       true,
			Root:       unix.Geteuid() == 0,
		},
		tree:   t,
		fsys:   fsys,
		opts:   opts,
		probes: map[scanner.Source]*answer{},
	}
	if l.id.Platform == "android" {
		l.id.Acquired = acquiredOnPhone(unix.Geteuid())
		l.phone = &phoneAsker{run: phoneShell(androidBin, os.Getenv)}
	}
	return l, nil
}

type live struct {
	id   scanner.Identity
	tree *dirTree
	fsys scanner.FS
	opts LiveOptions
	// phone asks Android's own programs; nil on other platforms.
	phone *phoneAsker

	mu     sync.Mutex
	probes map[scanner.Source]*answer

	lookOnce sync.Once
	snap     *snapshot
	snapErr  error
}

// answer is what a probe gave, kept so that each source is asked once in a scan.
type answer struct {
	once sync.Once
	data []byte
	err  error
}

func (l *live) Identity() scanner.Identity { return l.id }
func (l *live) FS() scanner.FS             { return l.fsys }

// Close gives back the descriptors of directories.
func (l *live) Close() error {
	l.tree.close()
	return nil
}

func (l *live) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	l.mu.Lock()
	a := l.probes[s]
	if a == nil {
		a = &answer{}
		l.probes[s] = a
	}
	l.mu.Unlock()
	a.once.Do(func() { a.data, a.err = l.ask(ctx, s) })
	return a.data, a.err
}

// ask runs the probe itself, on one thread: what is compared must come from the same namespaces.
func (l *live) ask(ctx context.Context, s scanner.Source) ([]byte, error) {
	if l.phone != nil && isAndroidSource(s) {
		return l.phone.probe(ctx, s)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	v, err := l.value(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return json.Marshal(v)
}

// value gives a source's rows, or its bytes where a command printed them.
func (l *live) value(ctx context.Context, s scanner.Source) (any, error) {
	switch s {
	case scanner.SourceProcesses, scanner.SourceSockets, scanner.SourceMappings:
		snap, err := l.snapshot(ctx)
		switch {
		case err != nil:
			return nil, err
		case s == scanner.SourceSockets:
			return sockets(snap)
		case s == scanner.SourceMappings:
			return snap.maps.rows(), nil
		}
		return snap.procs, nil
	case scanner.SourceHiddenPIDs:
		return hiddenPIDs(ctx, hiddenTime)
	case scanner.SourceHiddenPorts:
		return hiddenPorts(ctx, l.opts.BindPorts)
	case scanner.SourceNftables:
		return nftables(ctx)
	case scanner.SourceIptables:
		return iptables(ctx)
	case scanner.SourceBPF:
		snap, err := l.snapshot(ctx)
		if err != nil {
			return nil, err
		}
		return bpfPrograms(ctx, snap.bpf)
	case scanner.SourceRoutes:
		return routes()
	case scanner.SourceNeighbours:
		return neighbours()
	case scanner.SourceInterfaces:
		return interfaces(ctx)
	case scanner.SourceWiFi:
		return wifi()
	case scanner.SourceUname:
		return uname()
	}
	return nil, scanner.ErrUnavailable
}

// snapshot looks through /proc once for all the sources that need it.
func (l *live) snapshot(ctx context.Context) (*snapshot, error) {
	l.lookOnce.Do(func() { l.snap, l.snapErr = look(ctx) })
	return l.snap, l.snapErr
}
