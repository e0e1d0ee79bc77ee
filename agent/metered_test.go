package agent

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"

	"picket/store"
)

// costly is an upstream, and each event costs.
type costly struct {
	fickle
	each int64
}

func (c *costly) Send(ctx context.Context, events []store.Event) Receipt {
	r := c.fickle.Send(ctx, events)
	r.Sent = c.each * int64(len(events))
	return r
}

// meteredTrial is a shipper on a network that may be metered.
type meteredTrial struct {
	t       *testing.T
	b       *bench
	v       *vault
	warn    *warnings
	up      *costly
	metered atomic.Bool
	asked   atomic.Int64
	ship    *shipper
	stop    func()
}

func newMeteredTrial(t *testing.T) *meteredTrial {
	b := newBench(t, "/")
	m := &meteredTrial{t: t, b: b, up: &costly{each: 1000}}
	m.metered.Store(true)
	m.warn = newWarnings(b.log0(), time.Now)
	m.v = &vault{dir: b.config.StateDir, log: b.log0(), warn: m.warn, opts: store.Options{Uptime: b.clock.awake, Volatile: true}}
	if err := m.v.open(); err != nil {
		t.Fatal(err)
	}
	m.start()
	return m
}

func (m *meteredTrial) start() {
	m.ship = newShipper(m.v, m.warn, m.b.machine)
	m.ship.meter = &meter{vault: m.v, clock: m.b.clock, warn: m.warn, now: time.Now, rules: func() PolicyMetered { return PolicyMetered{meteredAuto, 3000} },
		ask: func(context.Context) (bool, error) { m.asked.Add(1); return m.metered.Load(), nil }}
	ctx, cancel := context.WithCancel(m.t.Context())
	done := make(chan error, 1)
	go func() { done <- m.ship.run(ctx, &fickle{}, m.up) }()
	m.stop = func() {
		cancel()
		if err := <-done; err != nil {
			m.t.Error(err)
		}
	}
}

// add queues an event about something, named by its body.
func (m *meteredTrial) add(about string, severity uint8, body string) {
	m.t.Helper()
	if err := m.v.use(func(st *store.Store) error {
		_, err := st.Queue(about, severity, func(store.Change) ([]byte, error) { return []byte(body), nil })
		return err
	}); err != nil {
		m.t.Fatal(err)
	}
	m.ship.more()
}

func (m *meteredTrial) want(after time.Duration, want ...string) {
	m.t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got, _ := m.up.seen(); !slices.Equal(got, want) {
		m.t.Errorf("it got %q, want %q", got, want)
	}
	m.up.mu.Lock()
	m.up.taken = nil
	m.up.mu.Unlock()
}

func TestMeteredNetworkHasABudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // it is midnight
		m := newMeteredTrial(t)
		for i := range 3 {
			m.add(fmt.Sprint("s", i), 1, fmt.Sprint("low", i))
		}
		m.want(time.Hour, "low0", "low1", "low2") // that is the budget
		m.add("x", 1, "x came")
		m.add("y", 3, "y came")
		m.want(5 * time.Hour)
		if s := m.ship.meter.state(time.Now()); s == nil || !s.Metered || s.Bytes != 3000 || s.Daily != 3000 || s.Held == nil || time.Since(*s.Held) < 4*time.Hour {
			t.Errorf("%+v", s)
		}
		m.add("x", 4, "x is grave")
		m.want(time.Second, "x came", "x is grave") // in their order, and y waits
		m.stop()
		m.start() // no new start has a new budget
		m.want(10 * time.Hour)
		m.metered.Store(false)
		m.ship.network()
		m.want(time.Second, "y came")
		if s := m.ship.meter.state(time.Now()); s == nil || s.Metered || s.Held != nil {
			t.Errorf("%+v", s)
		}
		m.metered.Store(true)
		m.ship.network()
		m.add("z", 1, "z came")
		m.want(3 * time.Hour)
		m.want(6*time.Hour, "z came") // on the next day
		if m.warn.stands(warnUpstreamHeld) {
			t.Error("a warning for hours")
		}
		asked := m.asked.Load()
		if asked > 200 {
			t.Errorf("the network was asked for %d times in a day", asked)
		}
		m.stop()
		if err := m.v.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestEventsHeldForDaysAreAWarning: each day's budget takes some, and more come than it takes.
func TestEventsHeldForDaysAreAWarning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMeteredTrial(t)
		const aDay, batch = 60, 36 // events; a batch has no more of this size
		for day := range 5 {
			if stands := m.warn.stands(warnUpstreamHeld); stands != (day > 3) {
				t.Errorf("day %d: a warning: %v", day, stands)
			}
			for i := range aDay { // the first batch is the day's
				m.add(fmt.Sprint(day, "-", i), 1, strings.Repeat("x", 30_000))
			}
			time.Sleep(24 * time.Hour)
			synctest.Wait()
		}
		got, _ := m.up.seen()
		if len(got) < 5*batch/2 || len(got) > 6*batch {
			t.Errorf("%d events went in five days", len(got))
		}
		m.metered.Store(false)
		time.Sleep(meteredLook)
		synctest.Wait()
		if got, _ := m.up.seen(); len(got) != 5*aDay || m.warn.stands(warnUpstreamHeld) {
			t.Errorf("%d events arrived", len(got))
		}
		m.stop()
		if err := m.v.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestUnknownAndPolicyOfMeteredNetworks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		network string
		ask     func(context.Context) (bool, error)
		want    bool
	}{
		{meteredAuto, nil, false},
		{meteredAuto, func(context.Context) (bool, error) { return true, errors.New("nobody knows") }, false},
		{meteredAuto, func(context.Context) (bool, error) { return true, nil }, true},
		{meteredNever, func(context.Context) (bool, error) { return true, nil }, false},
		{meteredAlways, nil, true},
	} {
		m := &meter{clock: clock{boot: func() time.Duration { return time.Hour }}, ask: c.ask, rules: func() PolicyMetered { return PolicyMetered{c.network, 1} }}
		if got := m.isMetered(t.Context()); got != c.want {
			t.Errorf("%s: %v", c.network, got)
		}
	}
	p, err := ParsePolicy("", []byte("format: picket.policy/1\n"))
	if err != nil || p.metered() != (*Policy)(nil).metered() {
		t.Errorf("without a policy %+v, with an empty one %+v, %v", (*Policy)(nil).metered(), p, err)
	}
	p, err = ParsePolicy("", []byte("format: picket.policy/1\nmetered: {network: always, daily: 1MB}\n"))
	if err != nil || p.metered() != (PolicyMetered{meteredAlways, 1_000_000}) {
		t.Errorf("%+v, %v", p, err)
	}
}

// busOfTests starts a bus, and gives its address and what ends it.
func busOfTests(t *testing.T) (address string, end func()) {
	t.Helper()
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("there is no dbus-daemon here")
	}
	address = "unix:path=" + t.TempDir() + "/bus"
	bus := exec.Command(daemon, "--session", "--nofork", "--nopidfile", "--print-address", "--address="+address)
	out, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Process.Kill(); bus.Wait() })
	if _, err := out.Read(make([]byte, 200)); err != nil { // it listens
		t.Fatal(err)
	}
	return address, func() { bus.Process.Kill() }
}

// fakeManager has one property, as NetworkManager has.
type fakeManager struct{ metered atomic.Uint32 }

func (f *fakeManager) Get(of, name string) (dbus.Variant, *dbus.Error) {
	if of != "org.freedesktop.NetworkManager" || name != "Metered" {
		return dbus.Variant{}, dbus.MakeFailedError(fmt.Errorf("no property %s of %s", name, of))
	}
	return dbus.MakeVariant(f.metered.Load()), nil
}

func TestNetworkManagerSaysWhatIsMetered(t *testing.T) {
	t.Parallel()
	address, _ := busOfTests(t)
	if _, err := networkManagerMetered(t.Context(), address); err == nil {
		t.Error("nobody is there, and it answers")
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	f := &fakeManager{}
	if err := conn.Export(f, "/org/freedesktop/NetworkManager", "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName("org.freedesktop.NetworkManager", dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	for says, want := range map[uint32]string{0: "does not know", 1: "true", 2: "false", 3: "true", 4: "false"} {
		f.metered.Store(says)
		yes, err := networkManagerMetered(t.Context(), address)
		if got := fmt.Sprint(yes, err); !strings.HasPrefix(got, want) && !(says == 0 && err != nil && strings.Contains(got, want)) {
			t.Errorf("%d: %s", says, got)
		}
	}
}
