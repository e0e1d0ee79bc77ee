package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
	"picket/transport"
)

// sentEvents makes n events of a store, with a snapshot part of two lines at the end.
func sentEvents(n int) (out []store.Event, lines []string) {
	for i := range n {
		body := fmt.Sprintf(`{"time":1700000000000,"class_uid":2004,"severity_id":4,"metadata":{"uid":"m%d"},"finding_info":{"uid":"f%d"},"n":%d}`, i, i, i)
		if i == n-1 {
			body += "\n" + `{"metadata":{"uid":"part"}}`
		}
		out = append(out, store.Event{ID: fmt.Sprintf("id%d", i), Seq: uint64(i + 1), Body: []byte(body)})
		lines = append(lines, strings.Split(body, "\n")...)
	}
	return out, lines
}

// TestSinkFindsTheBadRecord has a Collector refuse requests that hold some record, or that are large.
func TestSinkFindsTheBadRecord(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		refuse func(bodies []string) int
		bad    []string // ids that are set aside
	}{
		{"400", func(b []string) int { return has(b, `"n":5,`, `"n":5}`, 400) }, []string{"id5"}},
		{"415", func(b []string) int { return has(b, `"n":0}`, `"n":17}`, 415) }, []string{"id0", "id17"}},
		{"400 for the first and the last", func(b []string) int { return has(b, `"n":0}`, `"n":19}`, 400) }, []string{"id0", "id19"}},
		{"413 above two", func(b []string) int {
			if len(b) > 2 {
				return 413
			}
			return 0
		}, nil},
		{"413 for one alone", func(b []string) int { return has(b, `"n":7}`, "-", 413) }, []string{"id7"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := newOtelServer(t)
				up.answer = func(w io.Writer, r *http.Request) bool {
					bodies, err := up.read(r, true)
					if err != nil {
						t.Error(err)
					}
					if status := c.refuse(bodies); status != 0 {
						return reply(w, status, "text/plain", nil)
					}
					up.mu.Lock()
					up.bodies = append(up.bodies, bodies...)
					up.mu.Unlock()
					return reply(w, 200, "application/x-protobuf", nil)
				}
				sink := up.sink(t)
				defer sink.Close()
				events, lines := sentEvents(20)
				done := sink.Send(t.Context(), events)
				if done.Err != nil {
					t.Fatal(done.Err)
				}
				var refused []string
				for id := range done.Refused {
					refused = append(refused, id)
				}
				slices.Sort(refused)
				slices.Sort(c.bad)
				if !slices.Equal(refused, c.bad) || len(done.Delivered)+len(refused) != len(events) {
					t.Errorf("refused %q, delivered %q", refused, done.Delivered)
				}
				for _, id := range c.bad {
					var n int
					fmt.Sscanf(id, "id%d", &n)
					lines = slices.DeleteFunc(lines, func(l string) bool {
						return strings.HasSuffix(l, fmt.Sprintf(`"n":%d}`, n)) // the other line of a part arrives
					})
				}
				if got := up.got(); !slices.Equal(got, lines) {
					t.Errorf("it got %q\nwant %q", got, lines)
				}
			})
		})
	}
}

func has(bodies []string, one, other string, status int) int {
	if slices.ContainsFunc(bodies, func(b string) bool { return strings.Contains(b, one) || strings.Contains(b, other) }) {
		return status
	}
	return 0
}

func TestSinkHalvesItsLimitAndGrowsAgain(t *testing.T) {
	t.Parallel()
	most := 40_000
	var sizes []int
	u := &upstreamSink{close: func() {}, limit: batchBytes, now: func() time.Duration { return time.Hour }}
	u.send = func(_ context.Context, records []transport.Record) transport.Answer {
		size := 0
		for _, r := range records {
			size += len(r.Body)
		}
		sizes = append(sizes, size)
		if size > most {
			return transport.Answer{Verdict: transport.TooLarge, Err: errors.New("too large")}
		}
		return transport.Answer{Verdict: transport.Taken}
	}
	if r := u.Send(t.Context(), events(0, 300, 1000)); r.Err != nil || len(r.Delivered) != 300 || len(r.Refused) > 0 {
		t.Fatalf("%v, %d delivered", r.Err, len(r.Delivered))
	}
	refused := func() (n int) {
		for _, s := range sizes {
			if s > most {
				n++
			}
		}
		return n
	}
	if n := refused(); n > 10 {
		t.Errorf("%d requests were too large: %v", n, sizes)
	}
	sizes = nil
	if r := u.Send(t.Context(), events(0, 300, 1000)); r.Err != nil || refused() > 0 {
		t.Errorf("it did not remember its limit: %v", sizes)
	}
	most = batchBytes
	more := events(0, 10, 10)
	for range 10 * growAfter {
		u.Send(t.Context(), more)
	}
	if u.limit != batchBytes {
		t.Errorf("the limit stays at %d", u.limit)
	}
}

func TestRecordsSayWhatQueriesLookFor(t *testing.T) {
	t.Parallel()
	e := store.Event{ID: "id", At: time.UnixMilli(5), Body: []byte(`{"time":1700000000123,"class_uid":2004,"severity_id":4,"metadata":{"uid":"m"},"finding_info":{"uid":"f"}}`)}
	got := piecesOf(e)
	if len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
	r := got[0].record
	if r.UID != "m" || r.Class != 2004 || r.Severity != 4 || r.Finding != "f" || !r.Time.Equal(time.UnixMilli(1700000000123)) || !r.Observed.Equal(e.At) || string(r.Body) != string(e.Body) {
		t.Errorf("%+v", r)
	}
	e.Body = []byte("no JSON")
	if r := piecesOf(e)[0].record; r.UID != "id" || !r.Time.Equal(e.At) || string(r.Body) != "no JSON" {
		t.Errorf("%+v", r)
	}
}

// TestSinkRenewsOnceInAWhile: a refusal has the certificate renewed, but not each.
func TestSinkRenewsOnceInAWhile(t *testing.T) {
	t.Parallel()
	now, renewed := time.Hour, 0
	u := &upstreamSink{limit: batchBytes, now: func() time.Duration { return now }, renew: func(context.Context) error { renewed++; return nil }}
	u.send = func(context.Context, []transport.Record) transport.Answer {
		return transport.Answer{Verdict: transport.Denied, Err: errors.New("the upstream answered 403 Forbidden")}
	}
	one, _ := sentEvents(1)
	for i, want := range []struct {
		pace    pace
		renewed int
	}{{busyLane, 1}, {slowLane, 1}, {slowLane, 1}, {busyLane, 2}} {
		r := u.Send(t.Context(), one)
		if f := asFailure(r.Err, dependUpstream); f.pace != want.pace || f.code != warnUpstreamDenied || renewed != want.renewed || len(r.Delivered)+len(r.Refused) > 0 {
			t.Errorf("%d: %+v, renewed %d times", i, f, renewed)
		}
		now += 25 * time.Minute
	}
	u.renewed, u.renew = 0, func(context.Context) error { return errors.New("no CA") }
	if f := asFailure(u.Send(t.Context(), one).Err, dependUpstream); f.pace != slowLane || !strings.Contains(f.Error(), "no CA") {
		t.Errorf("%+v", f)
	}
}

// TestBothSinksGetAll has the file fail for a while, and then the agent end and begin anew.
func TestBothSinksGetAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		file, up := &fickle{}, &fickle{err: errNoRoute}
		run := func(d time.Duration, during func(s *shipper)) {
			warn = newWarnings(b.log0(), time.Now)
			s := newShipper(v, warn, b.machine)
			stop := s.start(t, file, up)
			during(s)
			time.Sleep(d)
			synctest.Wait()
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		add := func(body string) func(*shipper) {
			return func(s *shipper) { queue(t, v, body); s.more() }
		}
		run(time.Hour, add("a")) // the file has it, the upstream has not
		run(time.Hour, add("b"))
		if got, _ := file.seen(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("the file has %q", got)
		}
		up.works()
		run(time.Hour, add("c"))
		file.mu.Lock()
		file.err = errors.New("read-only file system")
		file.mu.Unlock()
		run(time.Hour, add("d")) // a broken file holds up nothing
		codes := warn.all()
		if len(codes) != 1 || codes[0].Code != warnSinkFile {
			t.Errorf("warnings %+v", codes)
		}
		if !strings.Contains(b.log.String(), "level=WARN") || strings.Contains(b.log.String(), "dependency=sink failures") {
			t.Errorf("a file that is not written to has not recovered:\n%s", b.log)
		}
		file.works()
		run(time.Hour, add("e"))
		if got, _ := up.seen(); !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
			t.Errorf("the upstream has %q", got)
		}
		if got, _ := file.seen(); !slices.Equal(got, []string{"a", "b", "c", "e"}) {
			t.Errorf("the file has %q", got)
		}
		if err := v.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestGraveEventsGoAtOnce: what is not grave waits for more of its kind.
func TestGraveEventsGoAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		s, file, up := newShipper(v, warn, b.machine), &fickle{}, &fickle{}
		stop := s.start(t, file, up)
		queue(t, v, "low")
		s.more()
		time.Sleep(batchAge/2 - time.Second)
		queue(t, v, "low too")
		s.more()
		synctest.Wait()
		if _, at := up.seen(); len(at) != 0 {
			t.Errorf("tried at %v", at)
		}
		if got, _ := file.seen(); len(got) != 2 {
			t.Errorf("the file waits too: %q", got)
		}
		if err := v.use(func(st *store.Store) error {
			_, err := st.Queue("high", 4, func(store.Change) ([]byte, error) { return []byte("high"), nil })
			return err
		}); err != nil {
			t.Fatal(err)
		}
		s.more()
		synctest.Wait()
		if got, _ := up.seen(); !slices.Equal(got, []string{"low", "low too", "high"}) {
			t.Errorf("it got %q", got)
		}
		queue(t, v, "last")
		s.more()
		time.Sleep(batchAge)
		synctest.Wait()
		if got, at := up.seen(); len(got) != 4 || len(at) != 2 {
			t.Errorf("it got %q in %d tries", got, len(at))
		}
		if err := errors.Join(stop(), v.close()); err != nil {
			t.Error(err)
		}
	})
}

// TestGraveEventsAreTriedAgainSoon: an upstream that was away for a moment gets what is grave as soon as it may be
// asked again, not when the rest would go.
func TestGraveEventsAreTriedAgainSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, "/")
		v, warn := b.vault(t)
		s, file, up := newShipper(v, warn, b.machine), &fickle{}, &fickle{err: errNoRoute}
		stop := s.start(t, file, up)
		if err := v.use(func(st *store.Store) error {
			_, err := st.Queue("high", 4, func(store.Change) ([]byte, error) { return []byte("high"), nil })
			return err
		}); err != nil {
			t.Fatal(err)
		}
		s.more()
		synctest.Wait()
		up.works()
		time.Sleep(busyLane.first)
		synctest.Wait()
		if got, at := up.seen(); len(got) != 1 {
			t.Errorf("it got %q in %d tries", got, len(at))
		}
		if err := errors.Join(stop(), v.close()); err != nil {
			t.Error(err)
		}
	})
}

// TestAPartIsSentInPieces: what is too large for one request is a part of a snapshot, which has many
// records, and then one of these.
func TestAPartIsSentInPieces(t *testing.T) {
	t.Parallel()
	part := func(id string, sizes ...int) store.Event {
		var lines []string
		for i, n := range sizes {
			lines = append(lines, fmt.Sprintf(`{"metadata":{"uid":"%s-f%d"},"x":"%s"}`, id, i+1, strings.Repeat("x", n)))
		}
		return store.Event{ID: id, Body: []byte(strings.Join(lines, "\n"))}
	}
	const most = 20_000
	var got []string
	away := 0 // requests until it is away; 0 never
	u := &upstreamSink{limit: batchBytes, now: func() time.Duration { return time.Hour }}
	u.send = func(_ context.Context, records []transport.Record) transport.Answer {
		size := 0
		for _, r := range records {
			size += len(r.Body)
		}
		if size > most {
			return transport.Answer{Verdict: transport.TooLarge, Err: errors.New("the upstream answered 413 Request Entity Too Large")}
		}
		if away--; away == 0 {
			return transport.Answer{Verdict: transport.Busy, Err: errNoRoute}
		}
		for _, r := range records {
			got = append(got, r.UID)
		}
		return transport.Answer{Verdict: transport.Taken}
	}
	uids := func(id string, n int, but ...int) (out []string) {
		for i := 1; i <= n; i++ {
			if !slices.Contains(but, i) {
				out = append(out, fmt.Sprint(id, "-f", i))
			}
		}
		return out
	}
	sizes := slices.Repeat([]int{6000}, 12)
	r := u.Send(t.Context(), []store.Event{part("a", sizes...), part("b", 10)})
	if want := append(uids("a", 12), "b-f1"); r.Err != nil || !slices.Equal(r.Delivered, []string{"a", "b"}) || len(r.Refused) > 0 || !slices.Equal(got, want) {
		t.Errorf("%+v, it got %q", r, got)
	}
	got = nil
	sizes[4] = most + 1
	r = u.Send(t.Context(), []store.Event{part("a", sizes...), part("b", 10)})
	if want := append(uids("a", 12, 5), "b-f1"); r.Err != nil || !slices.Equal(r.Delivered, []string{"b"}) || len(r.Refused) != 1 || !strings.Contains(r.Refused["a"], "a-f5") || !slices.Equal(got, want) {
		t.Errorf("%+v, it got %q", r, got)
	}
	got, away = nil, 3 // a part of which some has arrived comes again, and nothing of it is given up
	r = u.Send(t.Context(), []store.Event{part("a", sizes...), part("b", 10)})
	if r.Err == nil || len(r.Delivered)+len(r.Refused) > 0 || len(got) == 0 {
		t.Errorf("%+v, it got %q", r, got)
	}
}

// TestARefusalOfAllEmptiesNothing has a Collector pass on what its backend says, 400 to all that there is, and
// take what is empty itself. Then the backend is put right, and refuses only what it cannot read.
func TestARefusalOfAllEmptiesNothing(t *testing.T) {
	t.Parallel()
	all := true
	bad := map[string]bool{"e0": true, "e1": true, "e2": true, "e3": true, "e4": true, "e9": true}
	requests := 0
	u := &upstreamSink{limit: batchBytes, now: func() time.Duration { return time.Hour }}
	u.send = func(_ context.Context, records []transport.Record) transport.Answer {
		requests++
		for _, r := range records {
			if all || bad[r.UID] {
				return transport.Answer{Verdict: transport.Malformed, Err: errors.New("the upstream answered 400 Bad Request")}
			}
		}
		return transport.Answer{Verdict: transport.Taken}
	}
	left := make([]store.Event, 12)
	for i := range left {
		left[i] = store.Event{ID: fmt.Sprint("e", i), Body: []byte("{}")}
	}
	refused := map[string]bool{}
	try := func() (r Receipt) {
		requests = 0
		r = u.Send(t.Context(), left)
		left = slices.DeleteFunc(left, func(e store.Event) bool {
			if _, aside := r.Refused[e.ID]; aside {
				refused[e.ID] = true
				return true
			}
			return slices.Contains(r.Delivered, e.ID)
		})
		return r
	}
	for n := range 5 {
		var f *failure
		if r := try(); len(left) != 12-asideMost || !errors.As(r.Err, &f) || f.code != warnUpstreamUnfit || n > 0 && requests != 1 {
			t.Fatalf("try %d: %d are left after %d requests: %+v", n, len(left), requests, r)
		}
	}
	all = false
	for len(left) > 0 {
		if r := try(); r.Err != nil && requests > 12 {
			t.Fatalf("%d are left after %d requests: %+v", len(left), requests, r)
		}
	}
	if !maps.Equal(refused, bad) {
		t.Errorf("set aside: %v, want %v", refused, bad)
	}
}
