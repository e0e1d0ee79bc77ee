package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/store"
	"picket/transport/tuf"
)

// The daemon ends within five seconds: its parts have stopTime, the store the rest.
const (
	stopTime  = 4 * time.Second
	leaveTime = time.Second
)

// machine is what a daemon needs of the world; tests give it another one.
type machine struct {
	open func(context.Context) (scanner.Device, error) // the device, anew for each scan
	// glance takes a look at what runs; nil where nothing does.
	glance func() (device.Glimpse, error)
	// listen opens what hears the networks; nil where there are none.
	listen  func() (*device.Ear, error)
	watcher func() (watcher, error)
	root    string // where the device's tree is, to be watched; "" is not watched
	load    func() (Config, Origins, error)
	log     *slog.Logger
	level   *slog.LevelVar
	clock   clock
	chance  func() float64       // from 0 to below 1: for what must not come at the same time everywhere
	entropy io.Reader            // for ids
	cpu     func() time.Duration // that the agent has used
	usage   func() usage         // of all kinds, more costly to ask for
	release func()               // gives back memory after a scan
	delay   time.Duration        // the longest before the first scan
	tell    func(state ...string)
	boot    string // id of this boot
	version string
	// volatile is a store that need not outlive a crash of the machine.
	volatile bool
	built    time.Time // when this program was made; zero when not known
	sink     func(Config) Sink
	// upstream gives where events go beside the file, nil for nowhere; a nil function goes by the enrolment.
	upstream func(Config) Sink
	// metered tells whether the network costs by volume; nil where nobody can tell.
	metered func(context.Context) (bool, error)
	boards  []board               // where people read what they are told
	zone    func() *time.Location // of the device; nil is the process's
	dial    dialFunc              // into the network, for the network probe; nil asks nothing of it
}

// settled is a configuration in effect, and what it names.
type settled struct {
	local    Config // as it was read
	config   Config // within the policy's bounds
	from     Origins
	criteria *criteria
}

// daemon is the agent that goes on: it scans by schedule and after changes, remembers, and delivers.
type daemon struct {
	machine
	started  time.Time
	warn     *warnings
	vault    *vault
	calendar *calendar
	judging  *judging
	todo     *backlog
	stock    chan struct{} // has room for one: the packages have changed
	budget   *budget
	ship     *shipper
	member   *membership
	page     *pageHost
	access   *access
	respond  *responding
	feed     feed
	noticed  reloads // told after each change of what is open
	reloads  reloads
	set      atomic.Pointer[settled]
	ledger   *ledger
	when     schedule
	probing  *probing

	ear  atomic.Pointer[device.Ear] // nil while nobody listens
	file atomic.Pointer[fileSink]   // that events are delivered to; nil before the first

	scans, looks atomic.Int64 // whole scans, and looks at parts
	scanning     atomic.Bool  // a whole scan is under way
	summary      atomic.Pointer[scanSummary]
	ticked       atomic.Int64                      // when the schedule last looked at the clocks, in nanoseconds since boot
	patches      atomic.Pointer[report.PatchState] // nil before the first scan
	rules        atomic.Pointer[tuf.Pinned]        // whose updates are in force; see outlet
	reloading    sync.Mutex
	arriving     sync.Mutex
	arrived      bool // its start is noted, and the gap before it told; guarded by arriving
}

// newDaemon loads the configuration and opens the store. It fails where another agent runs, or
// where the configuration is wrong.
func newDaemon(m machine) (*daemon, error) {
	c, from, err := m.load()
	if err != nil {
		return nil, err
	}
	crit, lost, err := criteriaNow(c)
	if err != nil {
		return nil, err
	}
	local := c
	c = crit.policy.bound(c)
	setLevel(m.level, c.LogLevel)
	warn := newWarnings(m.log, m.clock.wall)
	d := &daemon{machine: m, started: m.clock.wall(), warn: warn, calendar: &calendar{clock: m.clock, built: m.built}, todo: newBacklog(m.clock), stock: make(chan struct{}, 1), ledger: newLedger(m.usage), budget: newBudget(c.CPUBudget, m.clock.awake)}
	d.when.chance = m.chance
	d.page, d.access, d.respond = &pageHost{wake: make(chan struct{}, 1)}, newAccess(), newResponding()
	d.set.Store(&settled{local, c, from, crit})
	d.lostUpdates(lost)
	d.judging = &judging{open: m.open, inputs: inputs{}, collectors: facts.Collectors(), now: d.calendar.now, meter: d.ledger.meter}
	if d.probing = newProbing(); m.dial != nil {
		d.judging.inputs[scanner.SourceNetworkProbe] = d.probing.input
	}
	d.vault = &vault{dir: c.StateDir, log: m.log, warn: warn, opts: store.Options{
		MaxBytes: int64(c.OutboxSize), MaxAge: c.OutboxAge, Now: m.clock.wall, Over: func(t time.Time) bool { return !t.After(d.calendar.now()) }, Uptime: m.clock.awake, Rand: m.entropy, Volatile: m.volatile}}
	d.member = newMembership(c.StateDir, m, warn)
	d.member.read() // what is wrong with it is a warning
	d.rule()
	if d.upstream == nil {
		d.upstream = d.enrolledUpstream
	}
	d.networks()
	d.judging.seen = append(d.judging.seen, d.page.seeNetworks, d.seePatches)
	d.ship = newShipper(d.vault, warn, m)
	d.ship.reached = d.contacted
	d.ship.meter = d.newMeter()
	if err := d.vault.open(); err != nil {
		return nil, &hinted{err, "stop it first: 'picket service stop', or by its process id"}
	}
	return d, nil
}

func setLevel(v *slog.LevelVar, name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) == nil {
		v.Set(l)
	}
}

func (d *daemon) config() Config { return d.set.Load().config }

// run runs all parts until ctx ends or one of them fails.
func (d *daemon) run(ctx context.Context, more ...actor) error {
	d.begin()
	d.tell(notifyReady)
	err := runGroup(ctx, d.log, stopTime, append(d.actors(), more...)...)
	d.tell(notifyStopping)
	return errors.Join(err, d.leave(err))
}

// begin tells what is to be told before the parts run.
func (d *daemon) begin() {
	d.checkRights()
	d.takeUp()
	d.arrive()
	d.note(d.recallAccess)
}

// actors are the parts that a replay runs too: they wait by d.clock alone.
func (d *daemon) actors() []actor {
	return []actor{
		{"schedule", d.runSchedule},
		{"scan", d.runScans},
		{"inventory", d.runInventory},
		{"watch", d.runWatch},
		{"sample", d.runSample},
		{"probe", d.runProbe},
		{"networks", d.runNetworks},
		{"ship", d.runShip},
	}
}

// once scans, remembers and delivers, and ends.
func (d *daemon) once(ctx context.Context) error {
	d.begin()
	_, err := d.scanWhole(ctx, "once", d.set.Load().criteria)
	if err == nil {
		err = d.ship.flush(ctx, d.sink(d.config()), d.gated(d.upstream(d.config())))
	}
	return errors.Join(err, d.leave(err))
}

func (d *daemon) checkRights() {
	dev, err := d.open(context.Background())
	if err != nil {
		return // the scan will say it
	}
	defer closeDevice(dev)
	if id := dev.Identity(); !id.Root {
		d.warn.set(warnUnprivileged, "rights", "the agent does not run as root: some of the device cannot be read", "run it as root, by 'picket service install'")
	}
}

// runShip delivers to the file that the configuration names, and upstream.
func (d *daemon) runShip(ctx context.Context) error {
	var before *identity
	for ctx.Err() == nil {
		c, id := d.config(), d.member.identity()
		switch {
		case !id.sendsAs(before):
			d.ship.up.leave()
		case id != before:
			d.ship.up.renewed()
		}
		before = id
		sink, up := d.sink(c), d.gated(d.upstream(c))
		if f, ok := sink.(*fileSink); ok {
			f.keep = d.retention
			d.file.Store(f)
		}
		part, stop := context.WithCancel(ctx)
		left := d.member.changed.tell(stop) // another certificate, or another place
		if d.member.identity() != id {
			stop()
		}
		gone := d.reloads.tell(func() {
			if now := d.config(); now.SinkFile != c.SinkFile || now.SinkSize != c.SinkSize {
				stop()
			}
		})
		err := d.ship.run(part, sink, up)
		gone()
		left()
		stop()
		for _, one := range []Sink{sink, up} {
			if closer, ok := one.(io.Closer); ok {
				if err := closer.Close(); err != nil {
					d.log.Debug("closing the sink", "error", err)
				}
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reloads calls those who want to know after each change of the configuration.
type reloads struct {
	mu   sync.Mutex
	next int
	list map[int]func()
}

// tell has do called after each change, until cancel.
func (r *reloads) tell(do func()) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.next
	r.next++
	if r.list == nil {
		r.list = map[int]func(){}
	}
	r.list[id] = do
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.list, id)
	}
}

// news gives a channel that has something after each change, until leave.
func (r *reloads) news() (wake chan struct{}, leave func()) {
	wake = make(chan struct{}, 1)
	return wake, r.tell(func() { rouse(wake) })
}

// rouse wakes who waits for a channel that has room for one, or will.
func rouse(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

func (r *reloads) all() {
	r.mu.Lock()
	list := slices.Collect(maps.Values(r.list))
	r.mu.Unlock()
	for _, do := range list {
		do()
	}
}

// restartKeys take effect when the agent starts.
var restartKeys = []string{"state_dir", "socket", "socket_group", "outbox_size", "outbox_age"}

// reload loads the configuration and what it names, and puts it into effect as a whole. What is
// wrong leaves the old one. It gives the changes, as "key: old -> new".
func (d *daemon) reload() ([]string, error) {
	d.reloading.Lock()
	defer d.reloading.Unlock()
	d.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", d.clock.awake().Microseconds()))
	defer d.tell(notifyReady)
	c, from, err := d.load()
	var (
		crit *criteria
		lost error
	)
	if err == nil {
		crit, lost, err = criteriaNow(c)
	}
	if err != nil {
		d.warn.set(warnConfigRefused, "config", "the new configuration is not used: "+err.Error(), "see 'picket config check'; the old one stays in effect")
		return nil, fmt.Errorf("the old configuration stays: %w", err)
	}
	d.warn.clear(warnConfigRefused)
	d.lostUpdates(lost)
	old := d.config()
	local := c
	c = crit.policy.bound(c)
	changes := Changes(old, c)
	for i, change := range changes {
		if slices.ContainsFunc(restartKeys, func(k string) bool { return len(change) > len(k) && change[:len(k)+1] == k+":" }) {
			changes[i] += " (when the agent starts anew)"
		}
	}
	c.StateDir, c.Socket, c.SocketGroup, c.OutboxSize, c.OutboxAge = old.StateDir, old.Socket, old.SocketGroup, old.OutboxSize, old.OutboxAge
	d.settle(settled{local, c, from, crit})
	d.rule()
	d.log.Info("configuration loaded", "changes", changes)
	d.todo.all("reload", nil) // the files that it names may have changed too
	return changes, nil
}

// rescan asks for a whole scan, and waits for it if asked to.
func (d *daemon) rescan(ctx context.Context, wait bool) (scanSummary, error) {
	if !wait {
		d.todo.all("asked", nil)
		return scanSummary{}, nil
	}
	answer := make(chan scanned, 1)
	d.todo.all("asked", answer)
	select {
	case got := <-answer:
		return got.summary, got.err
	case <-ctx.Done():
		return scanSummary{}, ctx.Err()
	}
}
