package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"picket/store"
	"picket/transport/stepca"
)

// When a certificate is renewed, and tried again.
const (
	firstRenewRetry = time.Minute
	lastRenewRetry  = time.Hour
	refusedRetry    = 6 * time.Hour    // after the CA said no
	renewLook       = time.Hour        // between two looks at the clock, which may be set
	renewPause      = time.Hour        // after a renewal, whatever the clock says
	askedRenewal    = 10 * time.Minute // between two that the upstream's refusal brings about
)

// Codes of warnings about the enrolment.
const (
	warnEnrolment   = "enrolment-unusable"
	warnRenewal     = "renewal-failing"
	warnCertificate = "certificate-expired"
)

// membership is the enrolment as the daemon holds it: read at the start and whenever its file
// changes, its certificate renewed in time.
type membership struct {
	dir     string
	clock   clock
	chance  func() float64
	log     *slog.Logger
	warn    *warnings
	current atomic.Pointer[identity] // nil: not enrolled
	wake    chan struct{}            // has room for one
	changed reloads                  // told after each change

	renewing sync.Mutex // held for one try

	mu     sync.Mutex
	stamp  fileStamp
	why    error     // why the record that is there cannot be used
	due    time.Time // of the next renewal or try, by the wall clock; zero for none
	failed int       // tries since the last that succeeded
	tried  time.Time // the last
}

// fileStamp tells one content of a file from another.
type fileStamp struct {
	changed time.Time
	size    int64
	file    os.FileInfo
}

func (s fileStamp) same(o fileStamp) bool {
	return s.changed.Equal(o.changed) && s.size == o.size && (s.file == nil) == (o.file == nil) && (s.file == nil || os.SameFile(s.file, o.file))
}

func stampOf(name string) fileStamp {
	st, err := os.Lstat(name)
	if err != nil {
		return fileStamp{}
	}
	return stampFrom(st)
}

func stampFrom(st os.FileInfo) fileStamp { return fileStamp{st.ModTime(), st.Size(), st} }

func newMembership(dir string, m machine, warn *warnings) *membership {
	return &membership{dir: dir, clock: m.clock, chance: m.chance, log: m.log, warn: warn, wake: make(chan struct{}, 1)}
}

// identity is who the device is now; nil when it is not enrolled.
func (m *membership) identity() *identity { return m.current.Load() }

// broken says why a record that is there cannot be used, and none is in use; nil otherwise.
func (m *membership) broken() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.identity() != nil {
		return nil
	}
	return m.why
}

// renewNow has the certificate renewed because the upstream did not take it, but not again and again.
func (m *membership) renewNow(ctx context.Context) error {
	m.mu.Lock()
	soon := m.clock.wall().Sub(m.tried).Abs() < askedRenewal
	m.mu.Unlock()
	if soon || m.identity() == nil {
		return nil
	}
	return m.renew(ctx)
}

func (m *membership) rouse() { rouse(m.wake) }

// poll looks whether the file has changed, by its description alone.
func (m *membership) poll() {
	m.mu.Lock()
	same := m.stamp.same(stampOf(filepath.Join(m.dir, enrolmentName)))
	m.mu.Unlock()
	if !same {
		m.read()
		m.rouse()
	}
}

// read reads the enrolment anew, and tells those who want to know when it is another.
func (m *membership) read() error {
	m.mu.Lock()
	m.stamp = stampOf(filepath.Join(m.dir, enrolmentName)) // before reading: a change between is seen next time
	id, err := loadIdentity(m.dir)
	if errors.Is(err, fs.ErrNotExist) && m.stamp.file == nil {
		id, err = nil, nil
	}
	if m.why = err; err != nil {
		m.mu.Unlock()
		m.warn.set(warnEnrolment, "enrolment", "the enrolment cannot be used: "+err.Error(), fixOf(err, "put it right, or enrol again: 'picket enrol --again'"))
		return err
	}
	m.warn.clear(warnEnrolment)
	m.hold(id)
	m.mu.Unlock()
	m.changed.all()
	return nil
}

func fixOf(err error, otherwise string) string {
	if h := (*hinted)(nil); errors.As(err, &h) {
		return h.hint
	}
	return otherwise
}

// hold puts an identity into effect. It wants mu.
func (m *membership) hold(id *identity) {
	m.current.Store(id)
	m.failed, m.due = 0, time.Time{}
	if id == nil {
		m.warn.clear(warnRenewal, warnCertificate)
		return
	}
	leaf := id.leaf()
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	// At two thirds of its life, and up to a twentieth later, so that a fleet that was enrolled on
	// one day does not come back on one.
	m.due = leaf.NotBefore.Add(life*2/3 + part(life/20, m.chance()))
	if now := m.clock.wall(); now.Before(leaf.NotAfter) {
		m.warn.clear(warnRenewal, warnCertificate)
	} else {
		m.expired(id, now)
	}
}

func (m *membership) expired(id *identity, now time.Time) {
	m.warn.set(warnCertificate, "enrolment", "the certificate of this device ended at "+stamp(id.leaf().NotAfter)+": the upstream takes nothing from it",
		"if that is not past, set the clock; else see that the device reaches "+id.Upstream.CA.URL+", or enrol again: 'picket enrol --again'")
}

// state is for status.
func (m *membership) state() EnrolmentState {
	s := m.identity().state(m.clock.wall())
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.Enrolled && !m.due.IsZero() {
		due := m.next(m.clock.wall()).UTC().Truncate(time.Second)
		s.Renewal = &due
	}
	return s
}

// run renews the certificate whenever that is due, until ctx ends.
func (m *membership) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if m.isDue() {
			m.renew(ctx) // what goes wrong is a warning
			continue
		}
		m.mu.Lock()
		wait := forever
		if !m.due.IsZero() {
			now := m.clock.wall()
			wait = min(renewLook, max(time.Second, m.next(now).Sub(now)))
		}
		m.mu.Unlock()
		m.clock.wait(ctx, wait, m.wake)
	}
	return nil
}

func (m *membership) isDue() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.wall()
	// After a try that failed before now, the clock was set back, and the next is by the wrong one.
	return m.identity() != nil && !m.due.IsZero() && (!now.Before(m.next(now)) || m.failed > 0 && now.Before(m.tried))
}

// next is when a renewal is due, or a try. Where this clock is far ahead of the CA's, a certificate is due as soon as it
// is given; it is not to be renewed without pause. It wants mu.
func (m *membership) next(now time.Time) time.Time {
	if pause := m.tried.Add(renewPause); m.failed == 0 && !now.Before(m.tried) && pause.After(m.due) {
		return pause
	}
	return m.due
}

// renew tries once.
func (m *membership) renew(ctx context.Context) error {
	m.renewing.Lock()
	defer m.renewing.Unlock()
	id := m.identity()
	if id == nil {
		return nil
	}
	next, err := enroller{dir: m.dir, now: m.clock.wall}.renew(ctx, id)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	now := m.clock.wall()
	m.mu.Lock()
	m.tried = now
	if err != nil {
		m.failing(id, err, now)
		m.mu.Unlock()
		return err
	}
	m.stamp = stampOf(filepath.Join(m.dir, enrolmentName))
	if m.failed > 0 {
		m.log.Info("recovered", "dependency", "enrolment", "failures", m.failed)
	}
	m.hold(next)
	m.log.Info("certificate renewed", "until", stamp(next.leaf().NotAfter))
	m.mu.Unlock()
	m.changed.all()
	return nil
}

// failing says what a failure means, and when to try again. It wants mu.
func (m *membership) failing(id *identity, err error, now time.Time) {
	m.failed++
	wait := min(firstRenewRetry<<min(m.failed-1, 16), lastRenewRetry)
	leaf := id.leaf()
	final := errors.As(err, new(*enrolRefused))
	if final {
		wait = refusedRetry
	}
	m.due = now.Add(wait/2 + part(wait/2, m.chance()))
	text := "the certificate cannot be renewed: " + err.Error()
	switch late := leaf.NotAfter.Add(-leaf.NotAfter.Sub(leaf.NotBefore) / 6); {
	case now.After(leaf.NotAfter):
		m.expired(id, now)
		fallthrough
	case final, now.After(late):
		m.warn.set(warnRenewal, "enrolment", text, fixOf(err, "see that the device reaches "+id.Upstream.CA.URL))
	case m.failed == 1: // a phone that is offline for a day is nothing to warn of
		m.log.Info("the certificate could not be renewed and is tried again", "until", stamp(leaf.NotAfter), "error", err)
	}
}

// renew has the certificate made anew, for the same key, and writes the record. Where somebody
// else has changed the enrolment in the meantime, that is what it gives.
func (e enroller) renew(ctx context.Context, id *identity) (*identity, error) {
	unlock, err := lockEnrolment(e.dir)
	if err != nil {
		return nil, err
	}
	defer unlock()
	now, err := loadIdentity(e.dir)
	if err != nil {
		return nil, err
	}
	if !now.leaf().Equal(id.leaf()) {
		return now, nil
	}
	ended := e.now().After(now.leaf().NotAfter)
	ca, err := now.ca(!ended, e.now)
	if err != nil {
		return nil, err
	}
	defer ca.Client.CloseIdleConnections()
	var chain []*x509.Certificate
	if ended {
		chain, err = ca.RenewExpired(ctx, now.chain, now.key, e.now())
	} else {
		chain, err = ca.Renew(ctx)
	}
	if no := (*stepca.Refusal)(nil); errors.As(err, &no) && no.Final() {
		return nil, e.noRenewal(no, ended)
	}
	if err != nil {
		return nil, e.explain(fmt.Errorf("%s: %w", ca.URL, err), "see that this device reaches the CA")
	}
	if err := stepca.Check(chain, now.roots, now.key.Public(), now.Device, now.Account); err != nil {
		return nil, refused("tell who runs the CA", "the CA gave a certificate that is not right: %w", err)
	}
	now.chain, now.Certificate = chain, string(stepca.EncodeChain(chain...))
	return now, saveEnrolment(e.dir, now.enrolment)
}

// noRenewal says what a CA's no to a renewal means.
func (e enroller) noRenewal(no *stepca.Refusal, ended bool) error {
	const again = "if this device is still a member, enrol it again with a new token: 'picket enrol --again'"
	now := e.now()
	switch off := now.Sub(no.Date); {
	case !no.Date.IsZero() && off.Abs() > 2*time.Minute:
		return refused("set this device's clock", "%w; and this device's clock says %s, the CA's %s", no, stamp(now), stamp(no.Date))
	case ended:
		return refused(again, "%w; the certificate has ended, and the CA may not renew such ones (allowRenewalAfterExpiry), or it was revoked", no)
	}
	return refused(again, "%w; the certificate may have been revoked", no)
}

// takeUp has the store know the id that events carry from now on. Who gets them under another id
// than before, or elsewhere, needs to be told everything once.
func (d *daemon) takeUp() {
	id := d.member.identity()
	who := ""
	if id != nil {
		who = id.Device + " " + id.Upstream.CA.Fingerprint
		if id.Upstream.OTLP != nil {
			who += " " + id.Upstream.OTLP.URL
		}
	}
	asked := false
	d.note(func(st *store.Store) error {
		before, err := st.Recall(notesTable, "member")
		if err != nil || string(before) == who {
			return err
		}
		if err := st.AskSnapshot(); err != nil {
			return err
		}
		asked = true
		return st.Remember(notesTable, "member", []byte(who), keepNotes)
	})
	if !asked {
		return
	}
	if id != nil {
		d.log.Info("enrolled", "device", id.Device, "account", id.Account, "ca", id.Upstream.CA.URL)
	} else {
		d.log.Info("no longer enrolled")
	}
	if r := d.judging.report(); r != nil {
		d.upkeep(r)
	}
	d.ship.hurry()
}

// runRenew keeps the certificate good.
func (d *daemon) runRenew(ctx context.Context) error {
	defer d.member.changed.tell(d.takeUp)()
	return d.member.run(ctx)
}
