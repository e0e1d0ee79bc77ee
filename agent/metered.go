package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/store"
)

// meteredDaily is what may be sent in a day over a metered network where no policy says.
const meteredDaily Size = 5_000_000

const (
	meteredConnection = 4300             // bytes that a connection costs beside the bodies of requests
	meteredAge        = time.Minute      // how long an answer about the network holds
	meteredLook       = 15 * time.Minute // between two looks while events are held
	meteredLong       = 72 * time.Hour   // events that were held for longer are worth a warning
	meteredPatience   = 2 * time.Second  // for who knows of the network
)

// meter keeps what goes upstream over a metered network within a day's budget. Beyond it what is
// grave still goes; the rest waits for another network or the next day. It is used by the shipper,
// and read by the status.
type meter struct {
	vault *vault
	clock clock
	warn  *warnings
	now   func() time.Time                    // for days
	rules func() PolicyMetered                // in force
	ask   func(context.Context) (bool, error) // whether the network is metered; nil where nobody can tell

	mu      sync.Mutex
	asked   time.Duration // since boot; 0 is not yet
	metered bool
	day     meteredDay
	read    bool          // day is as the store has it
	held    time.Duration // since boot: since when some have had to wait; a new day's budget may not do for all. 0 while none has
}

// meteredDay is kept in the store, so that a new start has no new budget.
type meteredDay struct {
	Day   string `json:"day"`   // YYYY-MM-DD, UTC
	Bytes int64  `json:"bytes"` // sent over metered networks
}

// MeteredState is what was sent over metered networks today.
type MeteredState struct {
	Metered bool       `json:"metered"`        // the network is, as far as that is known
	Bytes   int64      `json:"bytes"`          // sent today
	Daily   int64      `json:"daily"`          // budget
	Held    *time.Time `json:"held,omitempty"` // since when what is not grave has waited
}

const meteredNote = "metered"

// holds tells whether only what is grave may go now. The budget comes first: as long as there is some,
// nobody is asked.
func (m *meter) holds(ctx context.Context) bool {
	if m == nil {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.today()
	if m.day.Bytes < int64(m.rules().Daily) {
		return false
	}
	if !m.isMetered(ctx) {
		m.free()
		return false
	}
	return true
}

// emptied says that nothing waits any more.
func (m *meter) emptied() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free()
}

// free wants mu.
func (m *meter) free() {
	m.held = 0
	m.warn.clear(warnUpstreamHeld)
}

// holding notes that something waits, and warns when it has for long.
func (m *meter) holding() {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock.boot()
	if m.held == 0 {
		m.held = now
	}
	if now-m.held >= meteredLong {
		m.warn.set(warnUpstreamHeld, "upstream", "events that are not grave have waited for days: the network is metered and each day's budget is used up",
			"bring the device to another network, or raise metered.daily in the policy")
	}
}

// spent counts what was sent.
func (m *meter) spent(ctx context.Context, bytes int64) {
	if m == nil || bytes == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.isMetered(ctx) {
		return
	}
	m.today()
	m.day.Bytes += bytes
	// What the store does not take is counted all the same, until the next start.
	_ = m.vault.use(func(st *store.Store) error { return remember(st, meteredNote, m.day) })
}

// today begins a new day where there is one. It wants mu.
func (m *meter) today() {
	if !m.read {
		m.read = m.vault.use(func(st *store.Store) error {
			b, err := st.Recall(notesTable, meteredNote)
			if err == nil && json.Unmarshal(b, &m.day) != nil {
				m.day = meteredDay{}
			}
			return err
		}) == nil
	}
	if day := m.now().UTC().Format(time.DateOnly); day != m.day.Day {
		m.day = meteredDay{Day: day}
	}
}

// isMetered asks, unless that was done just now. What nobody knows is not metered. It wants mu.
func (m *meter) isMetered(ctx context.Context) bool {
	switch m.rules().Network {
	case meteredAlways:
		m.metered = true
		return true
	case meteredNever:
		m.metered = false
		return false
	}
	if now := m.clock.boot(); m.ask != nil && (m.asked == 0 || now-m.asked >= meteredAge) {
		m.asked = now
		yes, err := m.ask(ctx)
		m.metered = yes && err == nil
	}
	return m.metered
}

// moved says that the network may be another one.
func (m *meter) moved() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked = 0
}

// state is nil where no network was ever metered today.
func (m *meter) state(wall time.Time) *MeteredState {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.today()
	if !m.metered && m.day.Bytes == 0 {
		return nil
	}
	s := &MeteredState{Metered: m.metered, Bytes: m.day.Bytes, Daily: int64(m.rules().Daily)}
	if m.held != 0 && s.Metered && s.Bytes >= s.Daily {
		since := wall.Add(m.held - m.clock.boot()).UTC().Truncate(time.Second)
		s.Held = &since
	}
	return s
}

// newMeter goes by the policy in force.
func (d *daemon) newMeter() *meter {
	return &meter{vault: d.vault, clock: d.clock, warn: d.warn, now: d.now, ask: d.metered,
		rules: func() PolicyMetered { return d.set.Load().criteria.policy.metered() }}
}

// hostMetered asks who knows of this machine's network: on Android its connectivity service, elsewhere
// NetworkManager. systemd-networkd and others do not know.
func hostMetered(android bool, open func(context.Context) (scanner.Device, error)) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		ctx, stop := context.WithTimeout(ctx, meteredPatience)
		defer stop()
		if android {
			return androidMetered(ctx, open)
		}
		return networkManagerMetered(ctx, "unix:path=/run/dbus/system_bus_socket")
	}
}

func androidMetered(ctx context.Context, open func(context.Context) (scanner.Device, error)) (bool, error) {
	dev, err := open(ctx)
	if err != nil {
		return false, err
	}
	defer closeDevice(dev)
	b, err := dev.Probe(ctx, scanner.Dumpsys("connectivity"))
	if err != nil {
		return false, err
	}
	c, err := parse.Connectivities(b)
	if err != nil {
		return false, err
	}
	for _, n := range c.Networks {
		if n.ID == c.Default {
			return n.Metered, nil
		}
	}
	return false, errors.New("there is no default network")
}

// networkManagerMetered reads the property Metered of
// https://networkmanager.dev/docs/api/latest/gdbus-org.freedesktop.NetworkManager.html: NMMetered 1 and 3 are
// yes and a guess that it is.
func networkManagerMetered(ctx context.Context, address string) (bool, error) {
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return false, fmt.Errorf("connecting to the system bus: %w", err)
	}
	defer conn.Close()
	const name = "org.freedesktop.NetworkManager"
	var v dbus.Variant
	call := conn.Object(name, "/org/freedesktop/NetworkManager").CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart, name, "Metered")
	if err := call.Store(&v); err != nil {
		return false, fmt.Errorf("asking NetworkManager: %w", err)
	}
	n, ok := v.Value().(uint32)
	if !ok || n == 0 {
		return false, errors.New("NetworkManager does not know whether the network is metered")
	}
	return n == 1 || n == 3, nil
}
