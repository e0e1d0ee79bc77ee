package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
)

// fickle is a sink that does what it is told to.
type fickle struct {
	mu     sync.Mutex
	err    error
	refuse string // ids of events whose body holds this are refused
	taken  []string
	tries  []time.Time
}

func (f *fickle) Send(_ context.Context, events []store.Event) Receipt {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tries = append(f.tries, time.Now())
	if f.err != nil {
		return Receipt{Err: f.err}
	}
	r := Receipt{Refused: map[string]string{}}
	for _, e := range events {
		if f.refuse != "" && strings.Contains(string(e.Body), f.refuse) {
			r.Refused[e.ID] = "not wanted"
			continue
		}
		f.taken = append(f.taken, string(e.Body))
		r.Delivered = append(r.Delivered, e.ID)
	}
	return r
}

// seen gives what the sink took, and when it was tried.
func (f *fickle) seen() (taken []string, tries []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.taken), slices.Clone(f.tries)
}

func (f *fickle) works() { f.fails(nil) }

func (f *fickle) takesAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.refuse = nil, ""
}

func (f *fickle) fails(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func queue(t testing.TB, v *vault, body string) {
	t.Helper()
	queueAs(t, v, body, body)
}

func queueAs(t testing.TB, v *vault, key, body string) {
	t.Helper()
	err := v.use(func(st *store.Store) error {
		_, err := st.Queue(key, 1, func(store.Change) ([]byte, error) { return []byte(body), nil })
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestNetworkChangeTriesAgain: soon, but not again and again.
func TestNetworkChangeTriesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		up := &fickle{err: &failure{err: errors.New("no route"), code: warnUpstream, pace: busyLane}}
		s := newShipper(v, warn, b.machine)
		queue(t, v, "one")
		stop := s.start(t, &fickle{}, up)
		time.Sleep(12 * time.Hour)
		synctest.Wait()
		for {
			_, before := up.seen()
			time.Sleep(time.Minute)
			if _, now := up.seen(); len(now) > len(before) {
				break // just tried: the next is half an hour away at least
			}
		}
		_, before := up.seen()
		for range 40 {
			s.network()
			time.Sleep(15 * time.Second)
		}
		synctest.Wait()
		_, after := up.seen()
		if n := len(after) - len(before); n < 1 || n > 2 {
			t.Errorf("%d tries in 10 minutes of changing networks", n)
		}
		if gap := after[len(before)].Sub(before[len(before)-1]); gap > time.Minute+movedSpread+15*time.Second {
			t.Errorf("tried %v after the last", gap)
		}
		if err := errors.Join(stop(), v.close()); err != nil {
			t.Error(err)
		}
	})
}

// TestAnotherCertificateIsTriedAtOnce: the slow lane is for the one that was refused, and what was said of an upstream goes
// with it.
func TestAnotherCertificateIsTriedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		up := &fickle{err: &failure{err: errors.New("not you"), code: warnUpstreamDenied, pace: slowLane}}
		var d *daemon
		b.upstream = func(Config) Sink {
			if d.member.identity() == nil {
				return nil
			}
			return up
		}
		d, err := newDaemon(b.machine)
		if err != nil {
			t.Fatal(err)
		}
		member := func(id *identity) {
			d.member.current.Store(id)
			d.member.changed.all()
		}
		place := upstream{OTLP: &otlpPlace{URL: "https://upstream.example"}}
		d.member.current.Store(&identity{enrolment: enrolment{Device: "one", Upstream: place}})
		queue(t, d.vault, "one")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.runShip(ctx) }()
		time.Sleep(12 * time.Hour)
		for tried := 0; ; { // until just after a try: the next is two hours away
			_, tries := up.seen()
			if tried != 0 && len(tries) > tried {
				break
			}
			tried = len(tries)
			time.Sleep(time.Minute)
		}
		up.works()
		member(&identity{enrolment: enrolment{Device: "one", Upstream: place}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if taken, _ := up.seen(); !slices.Equal(taken, []string{"one"}) || d.warn.stands(warnUpstreamDenied) {
			t.Errorf("with another certificate: taken %q, warnings %+v", taken, d.warn.all())
		}

		up.fails(&failure{err: errors.New("no such path"), code: warnUpstreamUnfit, pace: longLane})
		queue(t, d.vault, "two")
		d.ship.hurry()
		time.Sleep(6 * time.Hour)
		elsewhere := upstream{OTLP: &otlpPlace{URL: "https://elsewhere.example"}}
		up.works()
		member(&identity{enrolment: enrolment{Device: "one", Upstream: elsewhere}})
		time.Sleep(time.Minute)
		synctest.Wait()
		if taken, _ := up.seen(); !slices.Equal(taken, []string{"one", "two"}) || d.warn.stands(warnUpstreamUnfit) {
			t.Errorf("elsewhere: taken %q, warnings %+v", taken, d.warn.all())
		}

		up.fails(&failure{err: errors.New("no answer"), code: warnUpstream, pace: busyLane})
		queue(t, d.vault, "three")
		d.ship.hurry()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !d.warn.stands(warnUpstream) {
			t.Error("no warning of an upstream that does not answer")
		}
		member(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if d.warn.stands(warnUpstream) {
			t.Error("the warning outlives the enrolment")
		}
		stop()
		if err := errors.Join(<-done, d.vault.close()); err != nil {
			t.Error(err)
		}
	})
}

// TestRefusedEventsComeInTheNextSnapshot: that one is whole, though nothing has changed since.
func TestRefusedEventsComeInTheNextSnapshot(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		up := &fickle{refuse: `"snapshot":{`}
		b.upstream = func(Config) Sink { return up }
		d, stop := b.start(t)
		time.Sleep(time.Hour)
		synctest.Wait()
		if held, err := fromStore(d.vault, (*store.Store).Quarantined); err != nil || len(held) == 0 {
			t.Fatalf("%d set aside, %v", len(held), err)
		}
		up.takesAll()
		time.Sleep(36 * time.Hour)
		synctest.Wait()
		if taken, _ := up.seen(); !containsText(taken, `"snapshot":{`) {
			t.Errorf("no snapshot in a day: %q", taken)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// chatty takes all, refuses what it is told to, and remarks something else each time.
type chatty struct {
	fickle
	calls int
}

func (c *chatty) Send(ctx context.Context, events []store.Event) Receipt {
	r := c.fickle.Send(ctx, events[:min(len(events), 50)])
	c.calls++
	r.Note = fmt.Sprintf("the upstream took events and remarked %d", c.calls)
	return r
}

// TestUpstreamsWordsDoNotFillTheLog: neither its remarks nor its refusals, a line for each.
func TestUpstreamsWordsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		s, up := newShipper(v, warn, b.machine), &chatty{fickle: fickle{refuse: "bad"}}
		for i := range 200 {
			queue(t, v, fmt.Sprint([...]string{"good", "bad"}[i%2], i))
		}
		if err := s.all(t.Context(), up); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.log.String(), "remarked"); n != 1 || up.calls < 4 {
			t.Errorf("%d remarks were logged of %d", n, up.calls)
		}
		if n := strings.Count(b.log.String(), "refused for good"); n > 2*up.calls {
			t.Errorf("%d lines for 100 refusals in %d requests", n, up.calls)
		}
		if err := v.close(); err != nil {
			t.Error(err)
		}
	})
}

// oneByOne takes one batch of a few at a time, and fails in between: an upstream that throttles.
type oneByOne struct {
	fickle
	calls int
}

func (o *oneByOne) Send(ctx context.Context, events []store.Event) Receipt {
	if o.calls++; o.calls%2 == 0 {
		return Receipt{Err: &failure{err: errors.New("slow down"), code: warnUpstream, pace: busyLane}}
	}
	return o.fickle.Send(ctx, events[:1])
}

// TestProgressKeepsTheShortPace: waits grow while nothing is taken, not while a backlog drains.
func TestProgressKeepsTheShortPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		s, up := newShipper(v, warn, b.machine), &oneByOne{}
		for i := range 60 {
			queue(t, v, fmt.Sprint(i))
		}
		stop := s.start(t, &fickle{}, up)
		time.Sleep(batchAge + 60*busyLane.first)
		synctest.Wait()
		if taken, _ := up.seen(); len(taken) != 60 {
			t.Errorf("%d of 60 were taken", len(taken))
		}
		if n := strings.Count(b.log.String(), "slow down"); n > 2 {
			t.Errorf("logged %d times", n)
		}
		if err := errors.Join(stop(), v.close()); err != nil {
			t.Error(err)
		}
	})
}

func TestShipperBacksOffAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		s, sink := newShipper(v, warn, b.machine), &fickle{err: errors.New("no route")}
		queue(t, v, "first")
		stop := s.start(t, sink, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		_, at := sink.seen()
		if n := len(at); n < 12 || n > 40 {
			t.Errorf("%d tries in an hour", n)
		}
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < fileLane.first/2 || gap > fileLane.last {
				t.Errorf("try %d came after %v", i, gap)
			}
		}
		if n := strings.Count(b.log.String(), "no route"); n != 1 {
			t.Errorf("the error was logged %d times:\n%s", n, b.log)
		}
		if w := warn.all(); len(w) != 1 || w[0].Code != warnSinkFile || w[0].Dependency != "sink" {
			t.Errorf("warnings %+v", w)
		}
		tries := len(at)
		queue(t, v, "second") // does not hurry a sink that fails
		s.more()
		synctest.Wait()
		if _, at = sink.seen(); len(at) != tries {
			t.Error("a new event made the sink be tried again at once")
		}
		sink.works()
		time.Sleep(fileLane.last)
		synctest.Wait()
		taken, at := sink.seen()
		if !slices.Equal(taken, []string{"first", "second"}) {
			t.Errorf("taken %q", taken)
		}
		if !strings.Contains(b.log.String(), "msg=recovered dependency=sink failures="+fmt.Sprint(tries)) || len(warn.all()) > 0 {
			t.Errorf("warnings %+v, log:\n%s", warn.all(), b.log)
		}
		tries = len(at)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if _, at = sink.seen(); len(at) != tries {
			t.Error("the shipper does not sleep while there is nothing to ship")
		}
		if err := errors.Join(stop(), v.close()); err != nil {
			t.Error(err)
		}
	})
}

func TestShipperSetsRefusedEventsAside(t *testing.T) {
	t.Parallel()
	b := newBench(t, "/")
	v, warn := b.vault(t)
	defer v.close()
	for i := range 600 {
		queue(t, v, fmt.Sprintf("event %d", i))
	}
	sink := &fickle{refuse: "7"}
	if err := newShipper(v, warn, b.machine).all(t.Context(), sink); err != nil {
		t.Fatal(err)
	}
	held := 0
	if err := v.use(func(st *store.Store) error {
		s, err := st.Stats()
		held = int(s.Quarantined)
		if s.Outbox != 0 {
			t.Errorf("%d events are left", s.Outbox)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if held+len(sink.taken) != 600 || held == 0 {
		t.Errorf("%d delivered, %d held", len(sink.taken), held)
	}
}

func events(from, n, size int) []store.Event {
	var out []store.Event
	for i := range n {
		id := fmt.Sprintf("id-%06d", from+i)
		out = append(out, store.Event{ID: id, Body: []byte(`{"id":"` + id + `","x":"` + strings.Repeat("x", size) + `"}`)})
	}
	return out
}

func TestFileSinkTurnsAndStaysBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out", "events.ndjson")
	const all = 64 << 10
	s := newFileSink(path, all)
	defer s.Close()
	for i := range 100 {
		r := s.Send(t.Context(), events(i*20, 20, 100))
		if r.Err != nil || len(r.Delivered) != 20 {
			t.Fatalf("%+v", r)
		}
	}
	names, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	sum, last := int64(0), ""
	for i := len(names) - 1; i >= 0; i-- {
		name := path
		if i > 0 {
			name = fmt.Sprintf("%s.%d", path, i)
		}
		text := read(t, name)
		sum += int64(len(text))
		for line := range strings.Lines(text) {
			if !strings.HasSuffix(line, "\"}\n") || line <= last {
				t.Fatalf("%s: %q after %q", name, line, last)
			}
			last = line
		}
	}
	if len(names) != sinkTurns || sum > all || sum < all/2 {
		t.Errorf("%d files of %d bytes", len(names), sum)
	}
	if !strings.Contains(last, "id-001999") {
		t.Errorf("the newest line is %q", last)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	// One event that is larger than a file is delivered all the same.
	if r := s.Send(t.Context(), events(5000, 1, all)); r.Err != nil || len(r.Delivered) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestFileSinkCutsWhatACrashLeft(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ before, want string }{
		"half a line":      {"{\"a\":1}\n{\"b\":", "{\"a\":1}\n"},
		"only half a line": {"{\"b\":" + strings.Repeat("x", 100_000), ""},
		"whole":            {"{\"a\":1}\n", "{\"a\":1}\n"},
		"zeroes":           {"{\"a\":1}\n\x00\x00\x00", "{\"a\":1}\n"},
	} {
		path := filepath.Join(t.TempDir(), "e")
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		s := newFileSink(path, 1<<20)
		if r := s.Send(t.Context(), events(1, 1, 1)); r.Err != nil {
			t.Errorf("%s: %v", name, r.Err)
		}
		if got, want := read(t, path), c.want+string(events(1, 1, 1)[0].Body)+"\n"; got != want {
			t.Errorf("%s: %.80q, want %.80q", name, got, want)
		}
		s.Close()
	}
}

func TestFileSinkRefusesWhatIsNoFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "."} {
		s := newFileSink(filepath.Join(dir, name), 1<<20)
		if r := s.Send(t.Context(), events(1, 2, 1)); r.Err == nil || len(r.Delivered) > 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if read(t, other) != "" {
		t.Error("a link was followed")
	}
}

func TestFileSinkNoticesThatItsFileWasTaken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "e")
	s := newFileSink(path, 1<<20)
	defer s.Close()
	for i, meddle := range []func() error{
		func() error { return nil },
		func() error { return os.Remove(path) },
		func() error { return os.Rename(path, path+".elsewhere") },
		func() error { return os.Truncate(path, 3) },
	} {
		if err := meddle(); err != nil {
			t.Fatal(err)
		}
		if r := s.Send(t.Context(), events(i, 1, 1)); r.Err != nil {
			t.Fatal(r.Err)
		}
		if want := string(events(i, 1, 1)[0].Body) + "\n"; !strings.HasSuffix(read(t, path), want) {
			t.Errorf("%d: %q does not end with %q", i, read(t, path), want)
		}
	}
}
