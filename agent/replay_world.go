package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/report"
	"picket/store"
)

// step does what a step says.
func (r *replay) step(ctx context.Context, s step) error {
	r.show.step(r.now(), report.Clean(s.String()))
	switch s.do {
	case "device":
		return r.see(ctx, s.device)
	case "change":
		return r.change(s)
	case "upstream":
		r.upstream.state = s.text
		return nil
	case "clock":
		r.setClock(s)
		return nil
	case "sleep":
		r.time.slept += s.span
		return nil
	case "agent", "power":
		return r.power(ctx, s)
	case "config":
		r.configure(s.config)
		if r.agent == nil {
			return nil
		}
		_, err := r.agent.reload()
		return err
	}
	if r.agent == nil {
		return errors.New("the agent does not run")
	}
	switch s.do {
	case "rescan":
		_, err := r.agent.rescan(ctx, false)
		return err
	case "ignore":
		key, err := r.finding(s.ignore.finding)
		if err != nil {
			return err
		}
		now := r.agent.now()
		return r.agent.apiDeps().Ignore(store.Ignore{Key: key, Why: s.ignore.why, By: "replay", Since: now, Until: now.Add(s.ignore.span)})
	case "unignore":
		key, err := r.finding(s.ignore.finding)
		if err != nil {
			return err
		}
		return r.agent.apiDeps().Unignore(key)
	}
	return fmt.Errorf("no step is known by this name")
}

// power starts and stops the agent, or the device with it.
func (r *replay) power(ctx context.Context, s step) error {
	switch {
	case (s.text == "start" || s.text == "on") == (r.agent != nil):
		return fmt.Errorf("%s: it is that already", s.text)
	case s.text == "start":
		return r.start(ctx)
	case s.text == "on":
		r.boots++
		return r.start(ctx)
	}
	return r.stop(s.text != "stop")
}

func (r *replay) setClock(s step) {
	if s.to.IsZero() {
		r.time.set += s.span
		return
	}
	r.time.set += s.to.Sub(r.now().wall)
}

func (r *replay) finding(id string) (string, error) {
	open, err := r.agent.apiDeps().Findings()
	if err != nil {
		return "", err
	}
	var names []findingName
	for _, f := range open {
		names = append(names, findingName{f.Key, f.Rule})
	}
	return findKey(id, names, "no open finding", "")
}

// change lays a change over the device, and gives the agent notice of it as the kernel would.
func (r *replay) change(s step) error {
	text := s.device.text
	if s.device.path != "" {
		var err error
		if text, err = readSmall(s.device.path); err != nil {
			return err
		}
	}
	before := r.device
	dev, touched, err := device.Altered(before, text)
	if err != nil {
		return err
	}
	r.device = dev
	if s.unnoticed {
		return nil
	}
	if r.watcher != nil {
		for _, name := range touched {
			r.watcher.notice(before.FS(), dev.FS(), name)
		}
	}
	if a := r.agent; a != nil && a.judging.report() != nil && networksDiffer(before, dev) {
		a.todo.some(a.networkTables(), a.clock.awake()+networkRest)
	}
	return nil
}

// networksDiffer tells whether the kernel would give notice of a change of the networks.
func networksDiffer(a, b scanner.Device) bool {
	return slices.ContainsFunc(networkSources(), func(s scanner.Source) bool {
		x, xerr := a.Probe(context.Background(), s)
		y, yerr := b.Probe(context.Background(), s)
		return (xerr == nil) != (yerr == nil) || string(x) != string(y)
	})
}

// replayWatcher gives notice of what steps change.
type replayWatcher struct {
	time *virtual
	dirs map[string]bool
	news []fsnotify.Event
	wake chan struct{}
}

func (r *replay) watch() (watcher, error) {
	r.watcher = &replayWatcher{time: r.time, dirs: map[string]bool{}, wake: make(chan struct{}, 1)}
	return r.watcher, nil
}

func (w *replayWatcher) Add(dir string) error    { w.dirs[dir] = true; return nil }
func (w *replayWatcher) Remove(dir string) error { delete(w.dirs, dir); return nil }
func (w *replayWatcher) WatchList() []string     { return slices.Sorted(maps.Keys(w.dirs)) }
func (w *replayWatcher) Close() error            { clear(w.dirs); return nil }
func (w *replayWatcher) limit() int              { return maxWatched }

func (w *replayWatcher) next(ctx context.Context, most time.Duration) (e fsnotify.Event, err error) {
	if len(w.news) == 0 {
		w.time.wait(ctx, most, w.wake)
	}
	if len(w.news) > 0 {
		e, w.news = w.news[0], w.news[1:]
	}
	return e, nil
}

// notice tells of a file that was changed, and of folders above it that came with it, where the
// folder that it is in is watched.
func (w *replayWatcher) notice(before, after scanner.FS, name string) {
	for ; name != "/"; name = path.Dir(name) {
		op := fsnotify.Write
		if _, err := after.Lstat(name); err != nil {
			op = fsnotify.Remove
		} else if _, err := before.Lstat(name); err != nil {
			op = fsnotify.Create
		}
		if w.dirs[path.Dir(name)] {
			w.news = append(w.news, fsnotify.Event{Name: name, Op: op})
		}
		if op != fsnotify.Create {
			break
		}
	}
	if len(w.news) > 0 && len(w.wake) == 0 {
		w.wake <- struct{}{}
	}
}

// glance tells whether what listens and what runs differs from before: not what it is, which the
// tables say.
func (r *replay) glance() (device.Glimpse, error) {
	digest := func(sources ...scanner.Source) map[string]bool {
		out := map[string]bool{}
		for _, s := range sources {
			if b, err := r.device.Probe(context.Background(), s); err == nil {
				out[fmt.Sprintf("%s %x", s, sha256.Sum256(b))] = true
			}
		}
		return out
	}
	return device.Glimpse{
		Programs:  digest(scanner.SourceProcesses, scanner.SourcePS),
		Listening: digest(scanner.SourceSockets, scanner.SourceNetstat),
	}, nil
}

// replayFile is a sink_file that is never full: what is delivered is seen upstream.
type replayFile struct{}

func (replayFile) Send(_ context.Context, events []store.Event) (got Receipt) {
	for _, e := range events {
		got.Delivered = append(got.Delivered, e.ID)
	}
	return got
}

// replayUpstream is where events are delivered to.
type replayUpstream struct {
	replay *replay
	state  string // up, down; refuse: takes none for good; mute: takes all, and the answer is lost
}

// The ways in which an upstream fails.
var (
	errNoNetwork = errors.New("the upstream cannot be reached")
	errNoAnswer  = errors.New("the upstream's answer was lost")
)

func unreachable(err error) *failure {
	return &failure{err: err, code: warnUpstream, pace: busyLane, fix: "none: the scenario has it so"}
}

func (u *replayUpstream) Send(_ context.Context, events []store.Event) Receipt {
	var got Receipt
	switch u.state {
	case "down":
		return Receipt{Err: unreachable(errNoNetwork)}
	case "refuse":
		got.Refused = map[string]string{}
		for _, e := range events {
			got.Refused[e.ID] = "the upstream refuses it"
		}
		return got
	case "mute":
		got.Err = unreachable(errNoAnswer)
	}
	for _, e := range events {
		for line := range bytes.Lines(e.Body) {
			u.replay.show.event(u.replay.now(), bytes.TrimSuffix(line, []byte("\n")))
		}
		if got.Err == nil {
			got.Delivered = append(got.Delivered, e.ID)
		}
	}
	return got
}
