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
}

// renewEvery is how often a refusal may make the certificate be renewed.
const renewEvery = time.Hour

// growAfter requests that were taken, the limit that a 413 lowered is doubled.
const growAfter = 64

// newUpstreamSink makes a sink of an exporter; renew may be nil.
func newUpstreamSink(e *transport.Exporter, renew func(context.Context) error, now func() time.Duration) *upstreamSink {
	return &upstreamSink{now: now, close: e.Close, sent: e.Sent, send: e.Send, renew: renew, limit: batchBytes}
}

// message is an event with its records: a part of a snapshot has many.
type message struct {
	id      string
	records []transport.Record
	size    int
}

// Send sends the events, in order, in requests of at most the limit. It stops at the first
// request that was not taken, unless that says which event is at fault.
func (u *upstreamSink) Send(ctx context.Context, events []store.Event) Receipt {
	done := Receipt{Refused: map[string]string{}}
	for len(events) > 0 && done.Err == nil && ctx.Err() == nil {
		var batch []message
		size := 0
		for len(events) > 0 && (len(batch) == 0 || size+len(events[0].Body) <= u.limit) {
			m := messageOf(events[0])
			batch, size, events = append(batch, m), size+m.size, events[1:]
		}
		done.Err = u.deliver(ctx, batch, &done)
	}
	return done
}

// Close closes its connections.
func (u *upstreamSink) Close() error {
	u.close()
	return nil
}

// deliver sends messages as one request, and halves them as long as the upstream says that one
// of them is at fault, or that they are too many.
func (u *upstreamSink) deliver(ctx context.Context, batch []message, done *Receipt) error {
	a := u.send(ctx, recordsOf(batch))
	switch a.Verdict {
	case transport.Taken:
		u.took(batch, done)
		if a.Message != "" {
			done.Note = fmt.Sprintf("the upstream took events and remarked %q", a.Message)
		}
		return nil
	case transport.Rejected:
		why := fmt.Sprintf("in a request of which the upstream rejected %d records, saying %q", a.Rejected, a.Message)
		for _, m := range batch {
			done.Refused[m.id] = why
		}
		return nil
	case transport.Malformed, transport.TooLarge:
		if a.Verdict == transport.TooLarge {
			u.lower(batch)
		}
		if len(batch) > 1 {
			half := len(batch) / 2
			if err := u.deliver(ctx, batch[:half], done); err != nil {
				return err
			}
			return u.deliver(ctx, batch[half:], done)
		}
		return u.setAside(ctx, batch[0], a, done)
	}
	return u.failure(ctx, a)
}

// setAside gives up an event that was refused by itself, once the upstream has shown that it
// takes anything at all: one that answers 400 to whatever comes must not empty the outbox.
func (u *upstreamSink) setAside(ctx context.Context, m message, a transport.Answer, done *Receipt) error {
	if len(done.Delivered) == 0 {
		if empty := u.send(ctx, nil); empty.Verdict != transport.Taken {
			if empty.Verdict == transport.Malformed || empty.Verdict == transport.TooLarge {
				empty.Verdict = transport.Unfit
			}
			return u.failure(ctx, empty)
		}
	}
	done.Refused[m.id] = a.Err.Error()
	return nil
}

func (u *upstreamSink) took(batch []message, done *Receipt) {
	for _, m := range batch {
		done.Delivered = append(done.Delivered, m.id)
	}
	if u.good++; u.good >= growAfter && u.limit < batchBytes {
		u.limit, u.good = min(2*u.limit, batchBytes), 0
	}
}

// lower halves the limit, from what was just too large.
func (u *upstreamSink) lower(batch []message) {
	size := 0
	for _, m := range batch {
		size += m.size
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

func recordsOf(batch []message) []transport.Record {
	var out []transport.Record
	for _, m := range batch {
		out = append(out, m.records...)
	}
	return out
}

// messageOf makes an event's records, one for each line of its body.
func messageOf(e store.Event) message {
	m := message{id: e.ID, size: len(e.Body)}
	for line := range bytes.Lines(e.Body) {
		m.records = append(m.records, recordOf(bytes.TrimSuffix(line, []byte("\n")), e))
	}
	return m
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

// asFailure gives what a sink says of its failure; one that says nothing is a file's.
func asFailure(err error) *failure {
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	return &failure{err: err, code: warnUpstream, pace: fileLane, fix: "see to the place that sink_file names; nothing is lost while the outbox has room"}
}
