package facts

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"picket/scanner/probe"
)

const (
	acceptAfter = 7 * 24 * time.Hour // that something new has stayed, it is the network's own
	openAgain   = 7 * 24 * time.Hour // in which it is told once that a network is open
	learnFor    = 10 * time.Minute   // from the first sight of a network on
	renewAfter  = 24 * time.Hour     // the note of when it was last seen
)

// identify finds what is remembered of the network: by its name, by the link that the device has
// been on all the time, or by its router.
func (r *networkReader) identify(n *Network) {
	if n.Transport != "wifi" && n.Transport != "ethernet" || r.noPast != "" {
		return
	}
	link, there := r.links[n.Interface]
	if _, unread := link.UnreadColumns()["carrier_changes"]; there && !unread && r.history.Boot != "" {
		n.Session = r.hash(fmt.Sprintf("session %s %d %s %s", n.Interface, link.CarrierChanges, r.history.Boot, n.BSSID))
	}
	mac := r.macs[[2]string{n.Interface, bareAddress(n.Gateway)}]
	router := n.Gateway + " " + mac
	if n.Transport == "wifi" && n.Name != "" && n.Name != n.Interface {
		n.ID = r.hash("wifi " + n.Name)
	} else if mac != "" {
		n.ID = r.hash("router " + router)
	}
	for i := range r.history.Networks {
		if old := &r.history.Networks[i]; n.Session != "" && old.Session == n.Session {
			n.ID, n.Same = old.ID, true
		}
	}
	n.Values = map[string][]string{}
	for _, ip := range n.hops {
		if mac := r.macs[[2]string{n.Interface, ip}]; mac != "" {
			n.Values[kindGateway] = append(n.Values[kindGateway], ip+" "+mac)
		}
	}
	if old := seen(&r.history, n.ID); old != nil && mac != "" && slices.Contains(old.Known[kindGateway], router) {
		n.Same = true
	}
}

func (r *networkReader) hash(s string) string {
	h := hmac.New(sha256.New, []byte(r.history.Key))
	h.Write([]byte(s))
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// overheard adds what was heard on the network's link.
func (r *networkReader) overheard(n *Network) {
	for _, c := range r.heard.Claims {
		if c.Interface != n.Interface {
			continue
		}
		n.claims = append(n.claims, c)
		switch c.Kind {
		case "dhcp":
			n.DHCP = appendNew(n.DHCP, c.IP)
		case "router":
			n.Routers = appendNew(n.Routers, c.IP)
		}
	}
}

// compare holds the network against what is remembered of it.
func (r *networkReader) compare(n *Network) {
	if n.ID == "" {
		return
	}
	now := r.in.Options.Now
	if n.Security != "" {
		n.Values[kindSecurity] = []string{n.Security}
	}
	n.Values[kindResolver], n.Values[kindDHCP], n.Values[kindRouter] = n.Resolvers, n.DHCP, n.Routers
	n.Values[kindProxy] = []string{cmp.Or(n.Proxy, noProxy)}
	old := seen(&r.history, n.ID)
	if old == nil {
		return
	}
	n.Remembered = true
	n.OpenLately = !old.OpenTold.IsZero() && now.Sub(old.OpenTold) < openAgain && old.Left.After(old.OpenTold)
	n.StrongBefore = strongest(old.Known[kindSecurity])
	if !weakerThan(n.Security, n.StrongBefore) {
		n.StrongBefore = ""
	}
	fresh := func(kind string) []string { return freshValues(old, kind, n.Values[kind], n.Same, now) }
	if n.ResolversNew = fresh(kindResolver); len(n.ResolversNew) > 0 {
		n.ResolversWere = old.Known[kindResolver]
	}
	n.DHCPNew, n.RoutersNew = fresh(kindDHCP), fresh(kindRouter)
	n.ProxyNew = n.Proxy != "" && len(fresh(kindProxy)) > 0
	n.DHCPLeads = leads(n, old)
	if len(n.DHCPNew) == 0 && r.deaf != "" {
		n.MarkUnread("dhcp_new", "other servers cannot be heard: "+r.deaf)
	}
	if len(n.RoutersNew) == 0 && r.deaf != "" {
		n.MarkUnread("routers_new", "advertisements cannot be heard: "+r.deaf)
	}
	n.RoutersShared = len(n.RoutersNew) > 0 && !slices.ContainsFunc(n.RoutersNew, func(ip string) bool {
		mac := cmp.Or(r.macs[[2]string{n.Interface, ip}], macOf(n.claims, ip))
		return !redundantAddress(n.claims, ip, mac)
	})
}

func macOf(claims []probe.Claim, ip string) string {
	for _, c := range claims {
		if c.Kind == "router" && c.IP == ip {
			return c.MAC
		}
	}
	return ""
}

func strongest(list []string) string {
	best := ""
	for _, s := range list {
		if best == "" || weakerThan(best, s) {
			best = s
		}
	}
	return best
}

// leads gives where new DHCP servers lead to that the known ones and the network do not.
func leads(n *Network, old *NetworkSeen) (out []string) {
	usual := append(slices.Clone(old.Known[kindResolver]), old.Known[kindDHCP]...)
	for _, g := range old.Known[kindGateway] {
		ip, _, _ := strings.Cut(g, " ")
		usual = append(usual, ip)
	}
	usual = append(usual, old.Known[kindProxy]...)
	for _, c := range n.claims {
		if c.Kind == "dhcp" && !slices.Contains(n.DHCPNew, c.IP) {
			usual = append(append(append(usual, c.Routers...), c.Resolvers...), c.Proxy)
		}
	}
	handed := append(slices.Clone(n.ResolversNew), n.Gateway) // what the lease led to, where it is of a new server
	for _, c := range n.claims {
		if c.Kind == "dhcp" && slices.Contains(n.DHCPNew, c.IP) {
			handed = append(append(append(handed, c.Routers...), c.Resolvers...), c.Proxy)
		}
	}
	if len(n.DHCPNew) == 0 {
		return nil
	}
	for _, h := range handed {
		if !slices.Contains(usual, h) {
			out = appendNew(out, h)
		}
	}
	return out
}

// redundantAddress tells whether routers share an address by a protocol made for it: its hardware
// address is one of VRRP, CARP, HSRP or GLBP, or whoever has it was heard to announce it.
func redundantAddress(claims []probe.Claim, ip, mac string) bool {
	for _, prefix := range []string{"00:00:5e:00:01:", "00:00:5e:00:02:", "00:00:0c:07:ac:", "00:00:0c:9f:f", "00:05:73:a0:0", "00:07:b4:00:"} {
		if strings.HasPrefix(mac, prefix) {
			return true
		}
	}
	return mac != "" && slices.ContainsFunc(claims, func(c probe.Claim) bool {
		return c.Kind == "vrrp" && c.MAC == mac && slices.Contains(c.Virtual, ip)
	})
}

// freshValues gives the values of a kind that do not count as the network's own. On another link
// or behind another router of the same name, all do.
func freshValues(old *NetworkSeen, kind string, now []string, same bool, at time.Time) (out []string) {
	if !same && kind != kindSecurity || learns(old, kind, at) {
		return nil
	}
	for _, v := range now {
		ip, mac, _ := strings.Cut(v, " ")
		if kind == kindGateway && len(macsBefore(old, ip, mac)) == 0 {
			continue // another router beside the one that is known
		}
		if since, waits := old.Fresh[kind][v]; slices.Contains(old.Known[kind], v) || waits && at.Sub(since) >= acceptAfter {
			continue
		}
		out = append(out, v)
	}
	return out
}

// learns tells whether what is first seen of a kind is taken as it is.
func learns(old *NetworkSeen, kind string, at time.Time) bool {
	if len(old.Known[kind]) > 0 {
		return false
	}
	switch kind {
	case kindDHCP, kindRouter: // a network without is one where the first may be a stranger
		return at.Sub(old.First) < learnFor
	}
	return true
}

// RememberNetworks gives what is to be remembered after the rows were seen: the networks of which
// something changed. whole says that the rows are all networks that the device is on.
func RememberNetworks(h NetworkHistory, rows []Network, whole bool, now time.Time) (changed []NetworkSeen) {
	now = now.UTC().Truncate(time.Second)
	here := map[string]bool{}
	for i := range rows {
		n := &rows[i]
		if n.ID == "" || here[n.ID] {
			continue
		}
		here[n.ID] = true
		if len(n.Values[kindGateway]) == 0 && seen(&h, n.ID) == nil {
			continue // its router is not known yet
		}
		if next, news := remembered(seen(&h, n.ID), n, now); news {
			changed = append(changed, next)
		}
	}
	for _, old := range h.Networks {
		if whole && old.Here && !here[old.ID] {
			old.Here, old.Left = false, now
			changed = append(changed, old)
		}
	}
	return changed
}

// remembered makes the note of one network.
func remembered(old *NetworkSeen, n *Network, now time.Time) (next NetworkSeen, news bool) {
	if old == nil {
		old, news = &NetworkSeen{ID: n.ID, First: now, Last: now}, true
	}
	next = *old
	next.Known, next.Fresh = map[string][]string{}, map[string]map[string]time.Time{}
	for kind, list := range old.Known {
		next.Known[kind] = slices.Clone(list)
	}
	for kind, values := range n.Values {
		fresh := freshValues(old, kind, values, n.Same, now)
		if kind == kindSecurity && !weakerThan(n.Security, strongest(old.Known[kind])) {
			fresh = nil
		}
		for _, v := range values {
			if !slices.Contains(fresh, v) {
				next.Known[kind] = keepValue(next.Known[kind], v)
				continue
			}
			since, there := old.Fresh[kind][v]
			if !there {
				since = now
			}
			if next.Fresh[kind] == nil {
				next.Fresh[kind] = map[string]time.Time{}
			}
			next.Fresh[kind][v] = since
		}
	}
	maps.DeleteFunc(next.Known, func(_ string, list []string) bool { return len(list) == 0 })
	next.Here = true
	next.Session = cmp.Or(n.Session, old.Session)
	if n.Security == "open" && !n.OpenLately && (old.OpenTold.IsZero() || now.Sub(old.OpenTold) >= openAgain && old.Left.After(old.OpenTold)) {
		next.OpenTold = now
	}
	news = news || next.Session != old.Session || next.OpenTold != old.OpenTold || !old.Here || now.Sub(old.Last) >= renewAfter ||
		!maps.EqualFunc(next.Known, old.Known, slices.Equal) || !sameFresh(next.Fresh, old.Fresh)
	if news {
		next.Last = now
	}
	return next, news
}

func sameFresh(a, b map[string]map[string]time.Time) bool {
	return maps.EqualFunc(a, b, func(x, y map[string]time.Time) bool {
		return maps.EqualFunc(x, y, func(s, t time.Time) bool { return s.Equal(t) })
	})
}

// keepValue adds a value, and lets the oldest go where there are too many.
func keepValue(list []string, v string) []string {
	if slices.Contains(list, v) {
		return list
	}
	if list = append(list, v); len(list) > MaxNetworkList {
		list = list[1:]
	}
	return list
}
