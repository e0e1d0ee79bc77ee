package agent

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	ui "picket/agent/page"
	"picket/scanner"
	"picket/store"
)

// pageIdle is how long the page's listener stays while nobody has it open.
const pageIdle = 45 * time.Minute

// pageHost serves the local page while somebody wants it, and nothing otherwise.
type pageHost struct {
	wake     chan struct{}                // has room for one
	networks atomic.Pointer[[]ui.Network] // as the last look at them saw them; nil before it

	mu      sync.Mutex
	ctx     context.Context // of the actor; nil while it does not run
	server  *ui.Server
	address string
	stop    context.CancelFunc
	running sync.WaitGroup
}

// runPage closes the page when nobody has it open any more, and when the agent ends.
func (d *daemon) runPage(ctx context.Context) error {
	h := d.page
	h.mu.Lock()
	h.ctx = ctx
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.ctx = nil
		h.close()
		h.mu.Unlock()
		h.running.Wait()
	}()
	for ctx.Err() == nil {
		most := forever
		h.mu.Lock()
		if h.server != nil {
			if idle := h.server.Idle(); idle >= pageIdle {
				h.close()
			} else {
				most = pageIdle - idle
			}
		}
		h.mu.Unlock()
		d.clock.wait(ctx, most, h.wake)
	}
	return nil
}

// close wants mu.
func (h *pageHost) close() {
	if h.server != nil {
		h.stop()
		h.server = nil
	}
}

// openPage gives a link that opens the page once.
func (d *daemon) openPage(g ui.Grant) (string, error) {
	h := d.page
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx == nil {
		return "", errStopping()
	}
	if h.server == nil {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("listening for the page: %w", err)
		}
		server, err := ui.New(l.Addr().String(), d.pageSource(), d.clock.wall, d.log)
		if err != nil {
			l.Close()
			return "", err
		}
		ctx, stop := context.WithCancel(h.ctx)
		h.server, h.address, h.stop = server, l.Addr().String(), stop
		h.running.Go(func() {
			if err := server.Serve(ctx, l); err != nil {
				d.log.Error("the page ended", "error", err)
			}
		})
		rouse(h.wake)
	}
	return "http://" + h.address + "/#" + h.server.Token(g), nil
}

// pageSource is what the page may ask.
func (d *daemon) pageSource() ui.Source {
	platform := func() string {
		info, _ := d.judging.device()
		return info.Platform
	}
	return ui.Source{View: d.pageView, Apps: d.pageApps, Events: d.pageEvents, Check: d.recheck,
		Text: func(language string, f *scanner.Finding) (string, string, string, bool) {
			t, ok := d.set.Load().criteria.rules.Say(language, platform(), f)
			return t.Title, t.Means, t.Fix, ok
		},
		Title: func(language, rule string) (string, bool) {
			return d.set.Load().criteria.rules.Title(language, platform(), rule)
		}}
}

func (d *daemon) pageView(context.Context) (*ui.View, error) {
	s := d.status()
	v := &ui.View{Level: s.Level}
	if s.Device != nil {
		v.Device = deviceText(s.Device)
	}
	if at := s.scanned(); at != nil {
		v.Scanned = *at
	}
	open, ignores, err := d.openAndIgnored()
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(open, func(a, b store.OpenFinding) int { return int(b.Severity) - int(a.Severity) })
	discreet := map[scanner.Subject]bool{}
	for _, f := range open {
		t := ui.Threat{Finding: threatOf(f, nil).Finding, Since: f.Since}
		if i := slices.IndexFunc(ignores, func(i store.Ignore) bool { return i.Key == f.Key }); i >= 0 {
			t.IgnoredUntil, t.IgnoredWhy = ignores[i].Until, ignores[i].Why
		}
		discreet[t.Subject] = discreet[t.Subject] || t.Discreet
		v.Threats = append(v.Threats, t)
	}
	for i := range v.Threats { // another finding would give away what one keeps back
		v.Threats[i].Discreet = discreet[v.Threats[i].Subject]
	}
	if r := d.judging.report(); r != nil {
		v.SetBy = r.SetBy
		for _, c := range r.Coverage {
			if c.Outcome == scanner.Unknown {
				v.NotChecked = append(v.NotChecked, ui.NotChecked{Rule: c.Rule, Title: c.Title, Why: c.Why})
			}
		}
	}
	if e := s.Enrolment; e.Enrolled {
		v.Member = ui.Membership{Enrolled: true, Organisation: e.Organisation, Account: e.Account, Support: e.Support, Subject: e.Device}
	}
	p := d.postureNow()
	v.Access = accessOf(p)
	if w := d.responseState().Wipe; w != nil && !w.Ended.IsZero() && w.Removed() && p.State == accessBlocked {
		v.Access.State = accessWiped
	}
	if v.Member.Organisation == "" {
		v.Member.Organisation = p.Organisation
	}
	if v.Member.Support == "" {
		v.Member.Support = p.Support
	}
	if n := d.page.networks.Load(); n != nil {
		v.Networks = *n
	}
	v.Delivery = ui.Delivery{Kept: s.Enrolment.OTLP == "", Waiting: s.Outbox.Events, Where: s.Outbox.Upstream}
	if s.Outbox.Oldest != nil {
		v.Delivery.Oldest = *s.Outbox.Oldest
	}
	for _, w := range s.Warnings {
		v.Warnings = append(v.Warnings, ui.Warning{Code: w.Code, Text: w.Text, Fix: w.Fix})
		if w.Code == warnUpstream {
			v.Delivery.Trouble = w.Text
		}
	}
	return v, nil
}

// accessOf is a posture as the page shows it.
func accessOf(p Posture) ui.Access {
	a := ui.Access{State: p.State, Next: p.Next}
	if p.At != nil {
		a.At = *p.At
	}
	for _, r := range p.Reasons {
		if r.Code != reasonLevel {
			a.Why = append(a.Why, r.Code)
			continue
		}
		for _, f := range p.Findings {
			a.Reasons = append(a.Reasons, f.Key)
		}
	}
	return a
}

// deviceText names a device in one line.
func deviceText(d *scanner.DeviceInfo) string {
	if d.OS == nil {
		return d.Platform
	}
	return strings.Join(slices.DeleteFunc([]string{d.OS.Model, d.OS.Name, d.Profile}, func(t string) bool { return t == "" }), ", ")
}

func (d *daemon) pageApps(context.Context) ([]ui.App, error) {
	packages, err := fromStore(d.vault, (*store.Store).Packages)
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	apps := make([]ui.App, 0, len(packages))
	for _, p := range packages {
		// Less than a facts.Package: there may be thousands, and this is done for each page.
		f := struct {
			Name         string `json:"name"`
			Version      string `json:"version"`
			ShortVersion string `json:"short_version"`
			Manager      string `json:"manager"`
			Installer    string `json:"installer"`
			Origin       string `json:"origin"`
			BundleSize   int64  `json:"bundle_size"`
			DynamicSize  int64  `json:"dynamic_size"`
		}{BundleSize: -1, DynamicSize: -1}
		if json.Unmarshal(p.Body, &f) != nil {
			f.BundleSize, f.DynamicSize = -1, -1 // its id is known all the same
		}
		apps = append(apps, ui.App{Name: cmp.Or(f.Name, p.ID), ID: p.ID, Version: f.Version, ShortVersion: f.ShortVersion, From: cmp.Or(f.Installer, f.Origin, f.Manager), BundleSize: f.BundleSize, DynamicSize: f.DynamicSize})
	}
	slices.SortStableFunc(apps, func(a, b ui.App) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) })
	return apps, nil
}

// pageEvents gives what waits, and what the file of delivered events ends with.
func (d *daemon) pageEvents(_ context.Context, n int) (sent, waiting []ui.Event, err error) {
	pending, err := fromStore(d.vault, func(st *store.Store) ([]store.Event, error) { return st.Pending(0, n) })
	if err != nil {
		return nil, nil, fmt.Errorf("reading the outbox: %w", err)
	}
	for _, e := range slices.Backward(pending) {
		waiting = append(waiting, ui.Event{At: e.At, Body: string(e.Body)})
	}
	lines, err := lastLines(d.config().SinkFile)
	if err != nil {
		return nil, nil, err
	}
	unsent, err := d.unsent(uint64(len(lines)))
	if err != nil {
		return nil, nil, err
	}
	for _, line := range slices.Backward(lines) {
		if unsent[sha256.Sum256([]byte(line))] {
			continue
		}
		if len(sent) == n {
			break
		}
		var e struct {
			Time int64 `json:"time"`
		}
		_ = json.Unmarshal([]byte(line), &e) // without a time it is shown all the same
		sent = append(sent, ui.Event{At: time.UnixMilli(e.Time), Body: line})
	}
	return sent, waiting, nil
}

// unsent gives the digests of the lines, among the last n of the file, that wait for the upstream: the file has an event
// first.
func (d *daemon) unsent(n uint64) (map[[sha256.Size]byte]bool, error) {
	out := map[[sha256.Size]byte]bool{}
	filed, err := fromStore(d.vault, filedUpTo)
	if err != nil {
		return nil, fmt.Errorf("reading how far the file is: %w", err)
	}
	for after := filed - min(n, filed); after < filed; {
		some, err := fromStore(d.vault, func(st *store.Store) ([]store.Event, error) { return st.Pending(after, 64) })
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			for line := range bytes.Lines(e.Body) {
				out[sha256.Sum256(bytes.TrimSuffix(line, []byte("\n")))] = true
			}
			after = e.Seq
		}
	}
	return out, nil
}

// lastLines gives the lines that a regular file ends with, of its last 2 MiB at most. It follows no link, as the sink
// does not: who may write to the folder could have any file of the device shown.
func lastLines(name string) ([]string, error) {
	f, err := openPlain(name)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was delivered: %w", err)
	}
	defer f.Close()
	const most = 2 << 20
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, fmt.Errorf("reading what was delivered: %w", err)
	}
	from := max(0, size-most)
	b := make([]byte, size-from)
	if _, err := f.ReadAt(b, from); err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading what was delivered: %w", err)
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if from > 0 || lines[0] == "" {
		lines = lines[1:] // the first may have lost its beginning
	}
	return lines, nil
}

// recheck looks again at all that decides about an open finding; "" is the whole device.
func (d *daemon) recheck(ctx context.Context, key string) error {
	if key == "" {
		_, err := d.rescan(ctx, true)
		return err
	}
	open, err := fromStore(d.vault, (*store.Store).Findings)
	if err != nil {
		return fmt.Errorf("reading the open findings: %w", err)
	}
	i := slices.IndexFunc(open, func(f store.OpenFinding) bool { return f.Key == key })
	if i < 0 {
		return nil // it is gone already
	}
	var tables []string
	for _, r := range d.set.Load().criteria.rules.Rule(open[i].Rule) {
		tables = append(tables, r.Table)
	}
	if len(tables) == 0 { // of a rule that is no more
		_, err := d.rescan(ctx, true)
		return err
	}
	answer := make(chan scanned, 1)
	d.todo.check(tables, answer)
	select {
	case got := <-answer:
		return got.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
