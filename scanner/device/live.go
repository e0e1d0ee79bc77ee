package device

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

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
	return &live{
		id: scanner.Identity{
			Origin:     "live",
			Kind:       "live",
			Platform:   platformOf(fsys),
			RecordedAt: time.Now().UTC().Truncate(time.Second),
			Live:       true,
			Root:       unix.Geteuid() == 0,
		},
		fsys:   fsys,
		opts:   opts,
		probes: map[scanner.Source]*answer{},
	}, nil
}

type live struct {
	id   scanner.Identity
	fsys scanner.FS
	opts LiveOptions

	mu     sync.Mutex
	probes map[scanner.Source]*answer
}

// answer is what a probe gave, kept so that each source is asked once in a scan.
type answer struct {
	once sync.Once
	data []byte
	err  error
}

func (l *live) Identity() scanner.Identity { return l.id }
func (l *live) FS() scanner.FS             { return l.fsys }

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

func (l *live) ask(ctx context.Context, s scanner.Source) ([]byte, error) {
	return nil, fmt.Errorf("%s: %w", s, scanner.ErrUnavailable)
}
