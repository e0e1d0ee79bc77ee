package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/rules"
	"picket/store"
	"picket/transport/stepca"
)

const (
	probeTable   = "network-probe" // of notes: by host, what it proved
	keepHosts    = 8
	probeJitter  = 1500 * time.Millisecond // the longest that a new network is let be, so that a fleet does not ask at once
	probeRest    = 300 * time.Millisecond  // a network comes in several notices
	probeAgain   = time.Hour               // a network that the device comes back to is not asked through again before
	probeRetry   = 15 * time.Second
	probeSoon    = 3 * time.Second // a network that has just come up may not be ready
	probeRetries = 4               // while nothing is found but something could not be asked
	keepProbed   = 16
	dnsPort      = 53
)

// probing holds the outcome of the network probe for the scans.
type probing struct {
	woken chan struct{} // has room for one: the network may be another

	mu   sync.Mutex
	last facts.NetworkProbes
}

func newProbing() *probing {
	return &probing{woken: make(chan struct{}, 1), last: facts.NetworkProbes{Why: "the network was not asked yet"}}
}

// wake has it looked at whether the network is another. It may be called at any time.
func (p *probing) wake() { rouse(p.woken) }

// input answers scanner.SourceNetworkProbe.
func (p *probing) input(context.Context) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return json.Marshal(p.last)
}

// tell changes the outcome, and reports whether it is another.
func (p *probing) tell(now facts.NetworkProbes) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, _ := json.Marshal(p.last)
	b, _ := json.Marshal(now)
	p.last = now
	return string(a) != string(b)
}

// joined is the network that the device is on.
type joined struct {
	probeNetwork
	link string // name, interface and gateway
	mac  string // of the gateway; empty while it is not known, and on Android
}

// same reports whether it is the network that it was, of which more may be known by now.
func (j joined) same(was joined) bool {
	return j.link == was.link && (j.mac == was.mac || was.mac == "" || j.mac == "") && slices.Equal(j.resolvers, was.resolvers)
}

// probed is what was learnt through one network.
type probed struct {
	through joined
	at      time.Duration // since boot
	row     facts.NetworkProbe
}

// probeTurns is what runProbe keeps between its turns.
type probeTurns struct {
	target  string
	on      *joined       // the network that the device was on
	tries   int           // through it
	retryAt time.Duration // since boot; 0 is not
	asked   []probed      // the last at the end
}

// runProbe asks the host that the configuration names once through every new network, and again,
// ever more seldom, while a finding of it is open or something could not be asked.
func (d *daemon) runProbe(ctx context.Context) error {
	for d.dial == nil && ctx.Err() == nil { // this agent asks nothing
		d.clock.wait(ctx, forever, nil)
	}
	defer d.reloads.tell(d.probing.wake)()
	defer d.member.changed.tell(d.probing.wake)()
	var turns probeTurns
	for ctx.Err() == nil {
		if d.clock.wait(ctx, d.probeTurn(ctx, &turns), d.probing.woken) {
			d.clock.wait(ctx, probeRest, nil)
		}
	}
	return nil
}

// probeTurn looks at the network and asks through it where that is due. It gives how long to wait
// for the next turn; forever is until something changes.
func (d *daemon) probeTurn(ctx context.Context, turns *probeTurns) time.Duration {
	target, why := d.probeTarget()
	if key := why + target.String(); key != turns.target {
		*turns = probeTurns{target: key}
	}
	if why != "" {
		d.toldProbe(facts.NetworkProbes{Why: why})
		return forever
	}
	on, err := d.joinedNow(ctx)
	switch {
	case ctx.Err() != nil:
		return forever
	case err != nil:
		d.toldProbe(facts.NetworkProbes{Why: err.Error()})
		return forever
	case on == nil:
		turns.on = nil
		d.toldProbe(facts.NetworkProbes{})
		return forever
	case turns.on == nil || !on.same(*turns.on):
		turns.on, turns.tries, turns.retryAt = on, 0, 0
		if row, fresh := turns.recall(*on, d.clock.boot()); fresh {
			d.toldProbe(facts.NetworkProbes{Probes: []facts.NetworkProbe{row}})
			return turns.later(d.clock.boot())
		}
		wait := time.Duration(d.chance() * float64(probeJitter))
		d.clock.wait(ctx, wait, nil)
		return d.probeNow(ctx, turns, target)
	}
	if on.mac != "" {
		turns.on.mac = on.mac
	}
	switch now := d.clock.boot(); {
	case turns.retryAt == 0:
		return forever
	case now < turns.retryAt:
		return turns.retryAt - now
	case !d.probeOpen(turns):
		turns.retryAt = 0
		return forever
	}
	turns.tries++
	return d.probeNow(ctx, turns, target)
}

// probeNow asks the host through the network, and remembers what it proved.
func (d *daemon) probeNow(ctx context.Context, turns *probeTurns, target probeTarget) time.Duration {
	var mem probeMemory
	d.note(func(st *store.Store) error {
		b, err := st.Recall(probeTable, target.String())
		if err != nil || b == nil {
			return err
		}
		return json.Unmarshal(b, &mem)
	})
	p := prober{dial: d.dial, trust: d.trusted, now: d.clock.wall}
	row := p.ask(ctx, target, turns.on.probeNetwork, &mem)
	if ctx.Err() != nil {
		return forever
	}
	d.note(func(st *store.Store) error {
		b, err := json.Marshal(mem)
		if err != nil {
			return fmt.Errorf("remembering %s: %w", target.host, err)
		}
		return st.Remember(probeTable, target.String(), b, keepHosts)
	})
	turns.keep(probed{*turns.on, d.clock.boot(), row})
	d.log.Info("asked through the network", "network", row.Network, "host", row.Host, "chain", row.Chain, "portal", row.Portal, "not_told", len(row.Unread.Unread))
	d.toldProbe(facts.NetworkProbes{Probes: []facts.NetworkProbe{row}})
	return turns.later(d.clock.boot())
}

// toldProbe hands the outcome to the rules where it is another.
func (d *daemon) toldProbe(now facts.NetworkProbes) {
	if d.probing.tell(now) {
		d.todo.some([]string{"network_probes"}, 0)
	}
}

// probeOpen reports whether there is a reason to ask once more through the same network.
func (d *daemon) probeOpen(turns *probeTurns) bool {
	if i := turns.find(*turns.on); i >= 0 && len(turns.asked[i].row.Unread.Unread) > 0 && turns.tries < probeRetries {
		return true
	}
	r, set := d.judging.report(), d.set.Load().criteria.rules
	return r != nil && slices.ContainsFunc(r.Findings, func(f scanner.Finding) bool {
		return slices.ContainsFunc(set.Rule(f.Rule), func(rule *rules.Rule) bool { return rule.Table == "network_probes" })
	})
}

// later says when the outcome is to be looked at again.
func (t *probeTurns) later(now time.Duration) time.Duration {
	wait := probeAgain
	switch i := t.find(*t.on); {
	case t.tries == 0 && i >= 0 && len(t.asked[i].row.Unread.Unread) > 0:
		wait = probeSoon
	case t.tries < 8:
		wait = min(wait, probeRetry<<t.tries)
	}
	t.retryAt = now + wait
	return wait
}

func (t *probeTurns) find(on joined) int {
	return slices.IndexFunc(t.asked, func(p probed) bool { return on.same(p.through) })
}

// recall gives what was learnt through a network that the device has come back to.
func (t *probeTurns) recall(on joined, now time.Duration) (facts.NetworkProbe, bool) {
	i := t.find(on)
	if i < 0 || now-t.asked[i].at > probeAgain || len(t.asked[i].row.Unread.Unread) > 0 {
		return facts.NetworkProbe{}, false
	}
	return t.asked[i].row, true
}

func (t *probeTurns) keep(p probed) {
	if i := t.find(p.through); i >= 0 {
		t.asked = slices.Delete(t.asked, i, i+1)
	}
	t.asked = append(t.asked, p)
	t.asked = t.asked[max(0, len(t.asked)-keepProbed):]
}

// probeTarget gives the host to ask, or why there is none.
func (d *daemon) probeTarget() (t probeTarget, why string) {
	switch set := d.config().NetworkProbe; set {
	case "off":
		return t, "switched off by network_probe"
	case "upstream":
		id := d.member.identity()
		if id == nil {
			return t, "there is no upstream to ask (network_probe can name another host)"
		}
		return id.Upstream.probeTarget()
	default:
		host, port, err := SplitProbe(set)
		if err != nil {
			return t, "network_probe: " + err.Error()
		}
		return probeTarget{host: strings.TrimSuffix(host, "."), port: port}, ""
	}
}

// probeTarget is the host that takes the events, else the CA, and the only authorities it may have.
func (u *upstream) probeTarget() (t probeTarget, why string) {
	place, roots := u.CA.URL, u.CA.Roots
	if u.OTLP != nil {
		place, roots = u.OTLP.URL, cmp.Or(u.OTLP.Roots, roots)
	}
	if u.Proxy != "" {
		return t, "the upstream is reached through a proxy (network_probe can name another host)"
	}
	at, err := url.Parse(place)
	if err != nil {
		return t, "the upstream: " + err.Error()
	}
	t.host = at.Hostname()
	if port, err := strconv.ParseUint(at.Port(), 10, 16); err == nil {
		t.port = uint16(port)
	}
	if t.own, err = stepca.ParseChain([]byte(roots)); err != nil {
		return t, "the upstream's authorities: " + err.Error()
	}
	return t, ""
}

// declareProbe says in one line what a setting of network_probe sends.
func declareProbe(set string) string {
	switch set {
	case "off":
		return "nothing is sent to tell what a network does: network_probe is off"
	case "upstream":
		return "once per new network the device's upstream, if it has one, is asked by name, over TLS and over plain HTTP (network_probe)"
	}
	return "once per new network " + set + " is asked by name, over TLS and over plain HTTP (network_probe)"
}

// joinedNow gives the network that the default route leads to; nil is none.
func (d *daemon) joinedNow(ctx context.Context) (*joined, error) {
	r, _, err := d.judging.scan(ctx, d.set.Load().criteria, nil, []string{"routes", "neighbours", "resolvers", "networks", "android_networks"})
	if err != nil {
		return nil, err
	}
	return joinedOf(r.Facts)
}

func joinedOf(f *scanner.Facts) (*joined, error) {
	t := f.Tables["routes"]
	if t.Inapplicable != "" {
		return joinedAndroid(f.Tables["android_networks"])
	}
	if t.Absent != "" {
		return nil, errors.New("which network this is cannot be told: " + t.Absent)
	}
	all, _ := t.Rows.([]facts.Route)
	best := -1
	for i, r := range all {
		// IPv4 first: it is what most networks are run by.
		if r.Default && r.Type == "unicast" && (best < 0 || r.Family < all[best].Family || r.Family == all[best].Family && r.Metric < all[best].Metric) {
			best = i
		}
	}
	if best < 0 {
		return nil, nil
	}
	j := &joined{link: networkName(all[best].Interface, all[best].Gateway)}
	j.name = j.link
	networks, _ := f.Tables["networks"].Rows.([]facts.Network)
	for _, n := range networks {
		if n.Transport == "wifi" && n.Interface == all[best].Interface && n.Name != "" {
			j.name = n.Name
		}
	}
	j.link = j.name + " " + j.link
	neighbours, _ := f.Tables["neighbours"].Rows.([]facts.Neighbour)
	for _, n := range neighbours {
		if n.IP == all[best].Gateway && n.Interface == all[best].Interface {
			j.mac = n.MAC
		}
	}
	resolvers, _ := f.Tables["resolvers"].Rows.([]facts.Resolver)
	for _, r := range resolvers {
		if r.Source == "resolv.conf" {
			j.resolver(r.Address)
		}
	}
	return j, nil
}

func joinedAndroid(t *scanner.Table) (*joined, error) {
	if t.Absent != "" {
		return nil, errors.New("which network this is cannot be told: " + t.Absent)
	}
	all, _ := t.Rows.([]facts.AndroidNetwork)
	i := slices.IndexFunc(all, func(n facts.AndroidNetwork) bool { return n.Default })
	if i < 0 {
		return nil, nil
	}
	n := all[i]
	j := &joined{link: networkName(n.Interface, n.Gateway)}
	if j.name = n.Name; n.Name == "" {
		j.name = j.link
	}
	j.link = j.name + " " + j.link
	for _, a := range n.DNS {
		j.resolver(a)
	}
	return j, nil
}

func networkName(iface, gateway string) string {
	if gateway == "" {
		return iface
	}
	return iface + " via " + gateway
}

func (j *joined) resolver(address string) {
	if a, err := netip.ParseAddr(address); err == nil && len(j.resolvers) < maxResolvers {
		j.resolvers = append(j.resolvers, netip.AddrPortFrom(a, dnsPort))
	}
}

// trusted gives what this device believes.
func (d *daemon) trusted(ctx context.Context) (trust, error) {
	dev, err := d.open(ctx)
	if err != nil {
		return trust{}, fmt.Errorf("opening the device: %w", err)
	}
	defer closeDevice(dev)
	roots, err := readRoots(dev.FS(), dev.Identity().Platform)
	return trust{roots: roots, added: d.addedTo()}, err
}
