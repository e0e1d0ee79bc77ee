package agent

import (
	"context"
	"crypto/x509"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/transport/stepca/fakeca"
)

// member is a membership on a clock that waiting advances: a month passes at once.
type member struct {
	*membership
	ca    *fakeca.CA
	clock *setClock
	log   *lockedBuffer
	waits int
}

func newMember(t *testing.T) *member {
	t.Helper()
	c := newSetClock()
	b := newBench(t, "/")
	ca := fakeca.New(t, c.now)
	dir := filepath.Join(t.TempDir(), "state")
	if _, _, err := (enroller{dir: dir, now: c.now}).enrol(t.Context(), orderOf(ca)); err != nil {
		t.Fatal(err)
	}
	m := b.machine
	m.clock = clock{wall: c.now}
	out := &member{ca: ca, clock: c, log: b.log}
	out.membership = newMembership(dir, m, newWarnings(m.log, c.now))
	if err := out.read(); err != nil {
		t.Fatal(err)
	}
	return out
}

// runFor lets the actor run until its waits come to so much time.
func (m *member) runFor(t *testing.T, d time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	end := m.clock.now().Add(d)
	m.membership.clock.wait = func(_ context.Context, most time.Duration, wake <-chan struct{}) bool {
		m.waits++
		select {
		case <-wake:
			return true
		default:
		}
		if left := end.Sub(m.clock.now()); most >= left {
			m.clock.advance(left)
			stop()
			return false
		}
		m.clock.advance(most)
		return false
	}
	if err := m.run(ctx); err != nil {
		t.Fatal(err)
	}
}

func (m *member) codes() string {
	var out []string
	for _, w := range m.warn.all() {
		out = append(out, w.Code)
	}
	return strings.Join(out, " ")
}

func (m *member) issued() int {
	m.ca.Lock()
	defer m.ca.Unlock()
	return len(m.ca.Issued)
}

func (m *member) change(do func(*fakeca.CA)) {
	m.ca.Lock()
	defer m.ca.Unlock()
	do(m.ca)
}

func TestRenewsAtTwoThirds(t *testing.T) {
	t.Parallel()
	m := newMember(t) // ten days
	told := 0
	defer m.changed.tell(func() { told++ })()
	begin := m.identity().leaf().NotBefore
	m.runFor(t, 6*day)
	if m.issued() != 1 {
		t.Fatal("renewed too early")
	}
	m.runFor(t, 24*time.Hour+5*time.Hour)
	if m.issued() != 2 || told != 1 {
		t.Fatalf("%d certificates, told %d times", m.issued(), told)
	}
	life := 10 * day
	if at := m.identity().leaf().NotBefore.Sub(begin); at < life*2/3-time.Hour || at > life*2/3+life/20+time.Hour {
		t.Errorf("renewed after %v", at)
	}
	m.runFor(t, 70*day)
	if n := m.issued(); n < 10 || n > 13 {
		t.Errorf("%d certificates in 77 days", n)
	}
	again, err := loadIdentity(m.dir)
	if err != nil || !again.leaf().Equal(m.identity().leaf()) || m.codes() != "" {
		t.Errorf("%v, warnings %q", err, m.codes())
	}
	if m.waits > 90*24 {
		t.Errorf("%d wake-ups", m.waits)
	}
}

func TestRenewsAfterTheEnd(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.change(func(ca *fakeca.CA) { ca.Fail = http.StatusServiceUnavailable })
	m.runFor(t, 8*day)
	if m.codes() != "" {
		t.Errorf("warned early: %s", m.codes())
	}
	m.runFor(t, 30*day)
	if m.codes() != warnCertificate+" "+warnRenewal {
		t.Errorf("warnings %q", m.codes())
	}
	if n := strings.Count(m.log.String(), "could not be renewed"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	m.change(func(ca *fakeca.CA) { ca.Fail = 0 })
	m.runFor(t, 2*lastRenewRetry)
	if m.issued() != 2 || m.codes() != "" || !strings.Contains(m.log.String(), "recovered") {
		t.Errorf("%d certificates, warnings %q", m.issued(), m.codes())
	}
	m.change(func(ca *fakeca.CA) { ca.AfterExpiry = false })
	m.clock.advance(60 * day)
	m.runFor(t, time.Minute)
	if w := m.warn.all(); m.codes() != warnCertificate+" "+warnRenewal || !strings.Contains(w[1].Text, "allowRenewalAfterExpiry") || !strings.Contains(w[1].Fix, "--again") {
		t.Errorf("warnings %+v", w)
	}
}

// TestClockAheadForAWhile: a try that failed while the clock was years ahead does not put the next
// one off until then.
func TestClockAheadForAWhile(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.change(func(ca *fakeca.CA) { ca.Fail = http.StatusServiceUnavailable })
	ahead := 12 * 365 * day
	m.clock.advance(ahead)
	m.runFor(t, time.Hour)
	m.clock.advance(-ahead)
	m.change(func(ca *fakeca.CA) { ca.Fail = 0 })
	m.runFor(t, 2*lastRenewRetry)
	if m.issued() != 2 || m.codes() != "" {
		t.Errorf("%d certificates, warnings %q", m.issued(), m.codes())
	}
}

// TestClockAheadOfTheCA: a certificate that is due as soon as it is given is not renewed without pause, and what is
// next due is right once the clock is.
func TestClockAheadOfTheCA(t *testing.T) {
	t.Parallel()
	const ahead = 7*day + 12*time.Hour
	m := newMember(t)
	n := 0
	m.change(func(ca *fakeca.CA) {
		ca.Shape = func(c *x509.Certificate) {
			if n++; n <= 100 { // else nothing would end it
				c.NotBefore, c.NotAfter = c.NotBefore.Add(-ahead), c.NotAfter.Add(-ahead)
			}
		}
	})
	m.runFor(t, 8*day)
	if n < 15 || n > 40 {
		t.Errorf("%d certificates in about a day after the first was due", n)
	}
	if s := m.state(); !s.Renewal.After(m.membership.clock.wall()) {
		t.Errorf("the next renewal, at %v, is past", s.Renewal)
	}
	m.membership.clock.wall = func() time.Time { return m.clock.now().Add(-ahead) }
	if due, leaf := *m.state().Renewal, m.identity().leaf(); due.Before(leaf.NotBefore.Add(6*day)) || due.After(leaf.NotAfter) {
		t.Errorf("with the clock put right it is due at %v, of %v to %v", due, leaf.NotBefore, leaf.NotAfter)
	}
}

func TestRevokedIsNotRenewed(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.change(func(ca *fakeca.CA) { ca.Revoked[m.identity().leaf().SerialNumber.String()] = true })
	if err := m.renewNow(t.Context()); err == nil {
		t.Error("renewed")
	}
	m.runFor(t, day)
	if m.issued() != 1 || m.codes() != warnRenewal || !strings.Contains(m.warn.all()[0].Text, "revoked") {
		t.Errorf("%d certificates, warnings %+v", m.issued(), m.warn.all())
	}
	m.ca.Lock()
	n := len(m.ca.Requests)
	m.ca.Unlock()
	if n > 12 {
		t.Errorf("%d requests in a day to a CA that says no", n)
	}
}

// TestUpstreamsRefusalRenews: one that refuses again and again does not have it renewed again and again.
func TestUpstreamsRefusalRenews(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	for range 60 {
		if err := m.renewNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.clock.advance(time.Minute)
	}
	if n := m.issued(); n < 2 || n > 8 {
		t.Errorf("%d certificates in an hour of refusals", n)
	}
}

// TestRenewalSpeaksOfNoToken: none is needed, and there is none.
func TestRenewalSpeaksOfNoToken(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.change(func(ca *fakeca.CA) { ca.Fail = http.StatusServiceUnavailable })
	m.clock.advance(m.identity().leaf().NotAfter.Sub(m.clock.now()) - time.Hour)
	if err := m.renewNow(t.Context()); err == nil {
		t.Fatal("renewed")
	}
	if w := m.warn.all(); len(w) != 1 || strings.Contains(w[0].Text+w[0].Fix, "token") || !strings.Contains(w[0].Fix, "reaches the CA") {
		t.Errorf("warnings %+v", w)
	}
}

func TestRenewalTakesNoOtherCertificate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		shape func(*x509.Certificate)
		want  string
	}{
		"another":     {func(c *x509.Certificate) { c.Subject.CommonName = "another" }, "is for \"another\""},
		"no account":  {func(c *x509.Certificate) { c.EmailAddresses = nil }, "does not name the account"},
		"server auth": {func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) }, "good for more than client"},
	} {
		m := newMember(t)
		before := m.identity().leaf()
		m.change(func(ca *fakeca.CA) { ca.Shape = c.shape })
		if err := m.renewNow(t.Context()); err == nil {
			t.Errorf("%s: renewed", name)
		}
		if w := m.warn.all(); len(w) != 1 || !strings.Contains(w[0].Text, c.want) || !m.identity().leaf().Equal(before) {
			t.Errorf("%s: warnings %+v", name, w)
		}
	}
}

func TestUnenrol(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	serial := m.identity().leaf().SerialNumber.String()
	e := enroller{dir: m.dir, now: m.clock.now}
	m.change(func(ca *fakeca.CA) { ca.Fail = http.StatusServiceUnavailable })
	if _, _, err := e.unenrol(t.Context(), false); err == nil || !strings.Contains(fixOf(err, ""), "--force") {
		t.Errorf("without a CA: %v", err)
	}
	m.change(func(ca *fakeca.CA) { ca.Fail = 0 })
	if _, left, err := e.unenrol(t.Context(), false); err != nil || left != nil {
		t.Fatalf("%v, %v", err, left)
	}
	if !m.ca.Revoked[serial] {
		t.Error("the certificate was not revoked")
	}
	if names, _ := filepath.Glob(filepath.Join(m.dir, "*")); len(names) != 1 || filepath.Base(names[0]) != enrolmentLock {
		t.Errorf("left %v", names)
	}
	m.poll()
	if m.identity() != nil || m.state().Enrolled {
		t.Error("the agent still believes to be enrolled")
	}
	if _, _, err := e.unenrol(t.Context(), false); err == nil || !strings.Contains(err.Error(), "not enrolled") {
		t.Errorf("twice: %v", err)
	}
}

// TestUnenrolAfterTheEnd: whether a certificate has ended is by a clock that may be wrong, so the CA is asked all the same; what it
// could not be asked is told, and hinders nobody.
func TestUnenrolAfterTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		ahead   time.Duration // this device's clock, of the CA's
		passes  time.Duration
		fail    int
		revoked bool
	}{
		{name: "a clock that is ahead", ahead: 60 * 24 * time.Hour, revoked: true},
		{name: "ended", passes: 60 * 24 * time.Hour},
		{name: "ended, and the CA is away", passes: 60 * 24 * time.Hour, fail: http.StatusServiceUnavailable},
	} {
		m := newMember(t)
		serial := m.identity().leaf().SerialNumber.String()
		m.clock.advance(c.passes)
		m.change(func(ca *fakeca.CA) { ca.Fail = c.fail })
		e := enroller{dir: m.dir, now: func() time.Time { return m.clock.now().Add(c.ahead) }}
		_, left, err := e.unenrol(t.Context(), false)
		if err != nil || (left == nil) != c.revoked || m.ca.Revoked[serial] != c.revoked {
			t.Errorf("%s: %v, not revoked because: %v; the CA knows it as revoked: %v", c.name, err, left, m.ca.Revoked[serial])
		}
	}
}
