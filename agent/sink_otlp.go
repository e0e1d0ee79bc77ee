package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"picket/store"
	"picket/transport"
)

// upstreamSink sends events by OTLP. It is used by one goroutine.
type upstreamSink struct {
	close func()
	sent  func() int64 // bytes of requests so far
	send  func(context.Context, []transport.Record) transport.Answer
	renew func(context.Context) error // gets a new certificate; nil where nothing can be renewed

	now     func() time.Duration // since boot
	renewed time.Duration        // last asked for a new certificate; 0 never
	limit   int                  // bytes of bodies in one request, after a 413
	good    int                  // requests taken since the limit was lowered
	aside   int                  // records given up since it last took one
}

// renewEvery is how often a refusal may make the certificate be renewed.
const renewEvery = time.Hour

// asideMost is how many records are given up at most before the upstream has taken one again.
const asideMost = 3

// growAfter requests that were taken, the limit that a 413 lowered is doubled.
const growAfter = 64

// newUpstreamSink makes a sink of an exporter; renew may be nil.
func newUpstreamSink(e *transport.Exporter, renew func(context.Context) error, now func() time.Duration) *upstreamSink {
	return &upstreamSink{now: now, close: e.Close, sent: e.Sent, send: e.Send, renew: renew, limit: batchBytes}
}

// piece is one record of an event: a part of a snapshot has many, and only those that cannot be
// taken hold it up.
type piece struct {
	id     string // of the event
	record transport.Record
}

// delivery is what becomes of events as their records are sent.
type delivery struct {
	left    map[string]int    // records that nothing has become of yet, by event
	refused map[string]string // why, by event of which a record was refused for good
	took    bool              // the upstream took something
	note    string
}

// Send sends the events, in order, in requests of at most the limit. It stops at the first
// request that was not taken, unless that says which record is at fault.
func (u *upstreamSink) Send(ctx context.Context, events []store.Event) Receipt {
	d := &delivery{left: map[string]int{}, refused: map[string]string{}}
	var pieces []piece
	for _, e := range events {
		more := piecesOf(e)
		d.left[e.ID] += len(more)
		pieces = append(pieces, more...)
	}
	out := Receipt{Refused: map[string]string{}}
	before := u.cost()
	if u.aside >= asideMost && len(pieces) > 0 {
		out.Err = u.tryLast(ctx, pieces[len(pieces)-1])
	}
	for len(pieces) > 0 && out.Err == nil && ctx.Err() == nil {
		n, size := 0, 0
		for n < len(pieces) && (n == 0 || size+len(pieces[n].record.Body) <= u.limit) {
			size += len(pieces[n].record.Body)
			n++
		}
		out.Err = u.deliver(ctx, pieces[:n], d)
		pieces = pieces[n:]
	}
	if out.Note = d.note; u.cost() > before {
		out.Sent = u.cost() - before + meteredConnection
	}
	for _, e := range events {
		switch why, refused := d.refused[e.ID]; {
		case d.left[e.ID] > 0: // comes again, whole
		case refused:
			out.Refused[e.ID] = why
		default:
			out.Delivered = append(out.Delivered, e.ID)
		}
	}
	return out
}

// cost is how many bytes of requests were sent so far.
func (u *upstreamSink) cost() int64 {
	if u.sent == nil {
		return 0
	}
	return u.sent()
}

// Close closes its connections.
func (u *upstreamSink) Close() error {
	u.close()
	return nil
}

// deliver sends records as one request, and halves them as long as the upstream says that one
// of them is at fault, or that they are too many.
func (u *upstreamSink) deliver(ctx context.Context, batch []piece, d *delivery) error {
	records := make([]transport.Record, len(batch))
	for i, p := range batch {
		records[i] = p.record
	}
	a := u.send(ctx, records)
	switch a.Verdict {
	case transport.Taken:
		u.took(batch, d)
		if a.Message != "" {
			d.note = fmt.Sprintf("the upstream took events and remarked %q", a.Message)
		}
		return nil
	case transport.Rejected:
		why := fmt.Sprintf("in a request of which the upstream rejected %d records, saying %q", a.Rejected, a.Message)
		for _, p := range batch {
			d.refuse(p, why)
		}
		return nil
	case transport.Malformed, transport.TooLarge:
		if a.Verdict == transport.TooLarge {
			u.lower(batch)
		}
		if len(batch) > 1 {
			half := len(batch) / 2
			if err := u.deliver(ctx, batch[:half], d); err != nil {
				return err
			}
			return u.deliver(ctx, batch[half:], d)
		}
		return u.setAside(ctx, batch[0], a, d)
	}
	return u.failure(ctx, a)
}

// tryLast finds out whether an upstream that has refused one record after the other takes another: the one
// that is furthest from those. It comes again in its turn.
func (u *upstreamSink) tryLast(ctx context.Context, p piece) error {
	a := u.send(ctx, []transport.Record{p.record})
	switch a.Verdict {
	case transport.Taken:
		u.aside = 0
		return nil
	case transport.Malformed, transport.TooLarge, transport.Rejected:
		return u.failure(ctx, refusesAll(a))
	}
	return u.failure(ctx, a)
}

// refusesAll is what the refusal of a record means that follows on others.
func refusesAll(a transport.Answer) transport.Answer {
	return transport.Answer{Verdict: transport.Unfit, Err: fmt.Errorf("the upstream refuses one record after the other: %w", a.Err)}
}

// setAside gives up a record that was refused by itself, once the upstream has shown that it
// takes anything at all: one that answers 400 to whatever comes must not empty the outbox. That it takes an empty
// request is a sign of it, but not for long: a Collector does that itself and asks nobody.
func (u *upstreamSink) setAside(ctx context.Context, p piece, a transport.Answer, d *delivery) error {
	if u.aside >= asideMost {
		return u.failure(ctx, refusesAll(a))
	}
	if !d.took {
		if empty := u.send(ctx, nil); empty.Verdict != transport.Taken {
			if empty.Verdict == transport.Malformed || empty.Verdict == transport.TooLarge {
				empty.Verdict = transport.Unfit
			}
			return u.failure(ctx, empty)
		}
	}
	why := a.Err.Error()
	if p.record.UID != p.id {
		why += ", to the record " + p.record.UID
	}
	u.aside++
	d.refuse(p, why)
	return nil
}

// refuse notes that a record is not to be sent again.
func (d *delivery) refuse(p piece, why string) {
	d.left[p.id]--
	if d.refused[p.id] == "" {
		d.refused[p.id] = why
	}
}

func (u *upstreamSink) took(batch []piece, d *delivery) {
	d.took, u.aside = true, 0
	for _, p := range batch {
		d.left[p.id]--
	}
	if u.good++; u.good >= growAfter && u.limit < batchBytes {
		u.limit, u.good = min(2*u.limit, batchBytes), 0
	}
}

// lower halves the limit, from what was just too large.
func (u *upstreamSink) lower(batch []piece) {
	size := 0
	for _, p := range batch {
		size += len(p.record.Body)
	}
	u.limit, u.good = max(min(u.limit, size)/2, 1), 0
}

// failure says how long to wait, and what a person may do.
func (u *upstreamSink) failure(ctx context.Context, a transport.Answer) error {
	switch a.Verdict {
	case transport.Denied:
		f := &failure{err: a.Err, code: warnUpstreamDenied, pace: slowLane, fix: "see whether the device was revoked; 'picket enrol' enrols it anew. Nothing is lost while the outbox has room"}
		if u.renew == nil || u.renewed != 0 && u.now()-u.renewed < renewEvery {
			return f
		}
		u.renewed = u.now()
		if err := u.renew(ctx); err != nil {
			f.err = fmt.Errorf("%w; renewing the certificate: %w", a.Err, err)
			return f
		}
		f.pace = busyLane // the new one may do
		return f
	case transport.Unfit:
		return &failure{err: a.Err, code: warnUpstreamUnfit, pace: longLane, fix: "see to the upstream's address and configuration; nothing is lost while the outbox has room"}
	case transport.Distrusted:
		return &failure{err: a.Err, code: warnUpstreamDistrusted, pace: busyLane, fix: "something between this device and the upstream answers in its place, or the upstream's certificate is not of the roots that were given at enrolment"}
	}
	return &failure{err: a.Err, code: warnUpstream, pace: busyLane, after: a.After, fix: "see to the network and the upstream; nothing is lost while the outbox has room"}
}

// piecesOf makes an event's records, one for each line of its body.
func piecesOf(e store.Event) (out []piece) {
	for line := range bytes.Lines(e.Body) {
		out = append(out, piece{e.ID, recordOf(bytes.TrimSuffix(line, []byte("\n")), e)})
	}
	return out
}

// recordOf takes from an event's own text what queries look for. What cannot be read goes
// without: the body is what counts.
func recordOf(body []byte, e store.Event) transport.Record {
	var says struct {
		Time     int64 `json:"time"`
		Class    int64 `json:"class_uid"`
		Severity int64 `json:"severity_id"`
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
		Finding struct {
			UID string `json:"uid"`
		} `json:"finding_info"`
	}
	r := transport.Record{UID: e.ID, Observed: e.At, Time: e.At, Body: body}
	if err := json.Unmarshal(body, &says); err != nil {
		return r
	}
	r.Class, r.Severity, r.Finding = says.Class, says.Severity, says.Finding.UID
	if says.Metadata.UID != "" {
		r.UID = says.Metadata.UID
	}
	if says.Time > 0 {
		r.Time = time.UnixMilli(says.Time)
	}
	return r
}

// failure is why a sink did not take events, and how it is to be treated.
type failure struct {
	err       error
	code, fix string        // of the warning
	pace      pace          // how long between tries
	after     time.Duration // the sink asked not to be tried before
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// asFailure gives what a sink says of its failure. The file says nothing.
func asFailure(err error, dependency string) *failure {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	if dependency == dependFile {
		return &failure{err: err, code: warnSinkFile, pace: fileLane, fix: "see to the place that sink_file names; nothing is lost while the outbox has room"}
	}
	return &failure{err: err, code: warnUpstream, pace: fileLane, fix: "see to the upstream and the store; nothing is lost while the outbox has room"}
}
