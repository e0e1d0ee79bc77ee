package device

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner/parse"
	"picket/scanner/probe"
)

const (
	turnWindow    = time.Minute      // in which the turns of an address are counted
	offersLast    = 10 * time.Second // all servers answer one question within this time
	dhcpLasts     = time.Hour        // that a DHCP server which nobody asks is remembered
	maxEarEntries = 4096             // neighbours
	maxEarClaims  = 64               // of other kinds
	maxTurns      = 16
)

// earState is what an ear knows. It has no clock and no socket of its own.
type earState struct {
	since      time.Time
	deaf       map[string]string
	links      map[int]parse.LinkInfo
	gateways   map[onLink]bool
	neighbours map[onLink]*heardNeighbour
	servers    map[onLink]*heardServer // DHCP
	routers    map[onLink]*heardServer
	vrrp       map[onLink]*heardServer
	settles    time.Time // until when VRRP is listened for before a gateway is judged
}

// onLink is an address on an interface.
type onLink struct {
	index int
	ip    netip.Addr
}

type heardNeighbour struct {
	mac    string
	router bool
	turns  []turn // newest last
}

type turn struct {
	from, to string
	at       time.Time
}

type heardServer struct {
	mac   string
	said  parse.Overheard
	last  time.Time
	until time.Time
}

func newEarState(now time.Time) earState {
	return earState{since: now, deaf: map[string]string{}, links: map[int]parse.LinkInfo{}, gateways: map[onLink]bool{}, neighbours: map[onLink]*heardNeighbour{},
		servers: map[onLink]*heardServer{}, routers: map[onLink]*heardServer{}, vrrp: map[onLink]*heardServer{}}
}

// event takes one of the kernel's notices. news tells whether it is worth a look; suspect is the
// interface on which a gateway turned, 0 none.
func (s *earState) event(e parse.NetworkEvent, now time.Time) (news bool, suspect int) {
	switch {
	case e.Link != nil:
		return s.link(*e.Link, e.Gone), 0
	case e.Address:
		return true, 0
	case e.Route != nil:
		return s.route(*e.Route, e.Gone), 0
	case e.Neighbour != nil:
		return s.neighbour(*e.Neighbour, e.Gone, now)
	}
	return false, 0
}

// link forgets what was heard on a link that went: what comes next is another one.
func (s *earState) link(l parse.LinkInfo, gone bool) bool {
	old, there := s.links[l.Index]
	if gone {
		delete(s.links, l.Index)
		s.forget(l.Index)
		return there
	}
	if l.Name == "" { // part of a notice
		return false
	}
	if there || len(s.links) < maxEarEntries {
		s.links[l.Index] = l
	}
	const matters = unix.IFF_UP | unix.IFF_RUNNING
	if there && old.CarrierChanges == l.CarrierChanges && old.Flags&matters == l.Flags&matters && old.MAC == l.MAC && old.Name == l.Name {
		return false
	}
	if there && old.CarrierChanges != l.CarrierChanges {
		s.forget(l.Index)
	}
	return true
}

func (s *earState) forget(index int) {
	maps.DeleteFunc(s.neighbours, func(p onLink, _ *heardNeighbour) bool { return p.index == index })
	for _, m := range []map[onLink]*heardServer{s.servers, s.routers, s.vrrp} {
		maps.DeleteFunc(m, func(p onLink, _ *heardServer) bool { return p.index == index })
	}
}

// route follows default routes; those of containers and of single hosts come and go.
func (s *earState) route(r parse.RouteInfo, gone bool) bool {
	if r.Type != 1 || r.Table == localTable || r.Dst.Bits() > 0 {
		return r.Protocol == 1 // learnt by a redirect
	}
	p := onLink{r.Index, r.Gateway}
	switch {
	case gone:
		delete(s.gateways, p)
	case len(s.gateways) < maxEarClaims:
		s.gateways[p] = true
	}
	return true
}

func (s *earState) neighbour(n parse.NeighbourInfo, gone bool, now time.Time) (news bool, suspect int) {
	if gone || n.MAC == "" || !n.IP.IsValid() || n.Family != unix.AF_INET && n.Family != unix.AF_INET6 || n.IP.IsMulticast() {
		return false, 0
	}
	const of = 0x02 | 0x04 | 0x08 | 0x10 | 0x80 // reachable, stale, delay, probe, permanent: it has an address
	if n.State&of == 0 {
		return false, 0
	}
	p := onLink{n.Index, n.IP}
	h := s.neighbours[p]
	gateway := s.gateways[p]
	if h == nil {
		if len(s.neighbours) >= maxEarEntries && !s.makeRoom() {
			return false, 0
		}
		s.neighbours[p] = &heardNeighbour{mac: n.MAC, router: n.Router}
		if s.shared(p, n.MAC) {
			s.settles = now.Add(redundancyWait)
			return true, n.Index
		}
		return gateway, 0
	}
	news = n.Router && !h.router && gateway
	h.router = n.Router
	if h.mac == n.MAC {
		return news, 0
	}
	h.turns = append(h.turns, turn{h.mac, n.MAC, now})
	h.turns = h.turns[max(0, len(h.turns)-maxTurns):]
	h.mac = n.MAC
	if gateway {
		suspect, s.settles = n.Index, now.Add(redundancyWait)
	}
	return true, suspect
}

// makeRoom forgets a neighbour of whom there is nothing to tell: on a network with IPv6 hosts take
// new addresses every day.
func (s *earState) makeRoom() bool {
	for p, h := range s.neighbours {
		if len(h.turns) == 0 && !s.gateways[p] {
			delete(s.neighbours, p)
			return true
		}
	}
	return false
}

// shared tells whether a gateway and another host have the same hardware address.
func (s *earState) shared(p onLink, mac string) bool {
	for q, h := range s.neighbours {
		if q != p && h.mac == mac && q.index == p.index && q.ip.Is4() == p.ip.Is4() && (s.gateways[p] || s.gateways[q]) {
			return true
		}
	}
	return false
}

// packet takes what was overheard.
func (s *earState) packet(index int, mac string, o parse.Overheard, now time.Time) (news bool) {
	p := onLink{index, o.IP}
	switch o.Kind {
	case "dhcp":
		if o.Offer { // who does not answer now is no longer there
			maps.DeleteFunc(s.servers, func(q onLink, h *heardServer) bool {
				gone := q.index == index && q != p && now.Sub(h.last) > offersLast
				news = news || gone
				return gone
			})
		}
		return put(s.servers, p, &heardServer{mac: mac, said: o, last: now, until: now.Add(dhcpLasts)}) || news
	case "router":
		if o.Lifetime == 0 {
			_, there := s.routers[p]
			delete(s.routers, p)
			return there
		}
		return put(s.routers, p, &heardServer{mac: mac, said: o, last: now, until: now.Add(o.Lifetime)})
	case "vrrp":
		return put(s.vrrp, p, &heardServer{mac: mac, said: o, last: now})
	}
	return false
}

// put keeps who said what, and tells whether that is news.
func put(m map[onLink]*heardServer, p onLink, h *heardServer) bool {
	old := m[p]
	if old == nil && len(m) >= maxEarClaims {
		return false
	}
	m[p] = h
	return old == nil || old.mac != h.mac || old.said.Proxy != h.said.Proxy || !slices.Equal(old.said.Routers, h.said.Routers) ||
		!slices.Equal(old.said.Resolvers, h.said.Resolvers) || !slices.Equal(old.said.Virtual, h.said.Virtual)
}

// heard sums up what holds now.
func (s *earState) heard(now time.Time) (h probe.Heard, settle time.Duration, due time.Time) {
	h = probe.Heard{Since: s.since.UTC().Truncate(time.Second), Deaf: maps.Clone(s.deaf)}
	later := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	for p, n := range s.neighbours {
		n.turns = slices.DeleteFunc(n.turns, func(t turn) bool { return now.Sub(t.at) > turnWindow })
		if len(n.turns) == 0 {
			continue
		}
		c := probe.Claim{Kind: "neighbour", Interface: s.links[p.index].Name, IP: p.ip.String(), MAC: n.mac, Turns: len(n.turns)}
		for _, t := range n.turns {
			for _, mac := range []string{t.from, t.to} {
				if !slices.Contains(c.MACs, mac) {
					c.MACs = append(c.MACs, mac)
				}
			}
		}
		slices.Sort(c.MACs)
		h.Claims = append(h.Claims, c)
		later(n.turns[0].at.Add(turnWindow + time.Second))
	}
	for kind, m := range map[string]map[onLink]*heardServer{"dhcp": s.servers, "router": s.routers, "vrrp": s.vrrp} {
		for p, one := range m {
			if !one.until.IsZero() {
				if !one.until.After(now) {
					delete(m, p)
					continue
				}
				later(one.until)
			}
			h.Claims = append(h.Claims, probe.Claim{Kind: kind, Interface: s.links[p.index].Name, IP: p.ip.String(), MAC: cmp.Or(one.said.MAC, one.mac),
				Routers: one.said.Routers, Resolvers: one.said.Resolvers, Proxy: one.said.Proxy, Virtual: one.said.Virtual})
		}
	}
	slices.SortFunc(h.Claims, func(a, b probe.Claim) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Interface, b.Interface), cmp.Compare(a.IP, b.IP))
	})
	if s.deaf["packets"] == "" {
		settle = max(s.settles.Sub(now), 0)
	}
	return h, settle, due
}

func hardware(b []byte) string { return net.HardwareAddr(b).String() }
