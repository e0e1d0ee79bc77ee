package agent

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"picket/transport"
	"picket/transport/tuf"
)

// lookupTime is how long all names together may take.
const lookupTime = 20 * time.Second

// keptPlaces are the addresses of what the agent must reach. A name that is not found now has the
// addresses that it had.
type keptPlaces struct {
	mu    sync.Mutex
	known map[string][]netip.Addr
}

// keepWay gives the addresses and ports of what the agent must reach: the hook never blocks those,
// so that a device which is put right gets back in. It is an error where that is not known.
func (d *daemon) keepWay(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	if err := d.member.broken(); err != nil {
		return nil, fmt.Errorf("nothing is blocked while the enrolment cannot be used: %w", err)
	}
	pinned, err := tuf.Trust(updatesDir(d.set.Load().local))
	if err != nil {
		return nil, fmt.Errorf("nothing is blocked while it is not known where updates come from: %w", err)
	}
	id := d.member.identity()
	var out []string
	if id != nil {
		o, err := id.Upstream.options()
		if err != nil {
			return nil, err
		}
		if out, err = d.respond.places.find(ctx, id.Upstream.places(), o.Lookup); err != nil {
			return nil, err
		}
	}
	if pinned == nil || pinned.Enrolled || id != nil && id.Upstream.Updates != nil {
		return out, nil
	}
	at, web := webPlace(pinned.From)
	if !web { // a folder
		return out, nil
	}
	more, err := d.respond.places.find(ctx, []string{at}, transport.Options{}.Lookup) // as updatesSource has it: not through the enrolment's proxy
	return append(out, more...), err
}

func (k *keptPlaces) find(ctx context.Context, places []string, lookup func(context.Context, string) ([]netip.Addr, error)) ([]string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var out []string
	for _, place := range places {
		host, port, err := net.SplitHostPort(place)
		if err != nil {
			return nil, err
		}
		all, err := lookup(ctx, host)
		if err == nil && len(all) > 0 {
			if k.known == nil {
				k.known = map[string][]netip.Addr{}
			}
			k.known[host] = all
		}
		if all = k.known[host]; len(all) == 0 {
			return nil, fmt.Errorf("nothing is blocked while the way to %s is not known: %w", place, err)
		}
		for _, a := range all {
			if at := net.JoinHostPort(a.Unmap().WithZone("").String(), port); !slices.Contains(out, at) {
				out = append(out, at)
			}
		}
	}
	return out, nil
}

// places are what the agent must reach, as host:port. Behind a proxy that is the proxy.
func (u *upstream) places() (out []string) {
	for _, r := range u.Resolvers {
		if _, err := netip.ParseAddrPort(r); err != nil {
			r = net.JoinHostPort(r, "53")
		}
		out = append(out, r)
	}
	urls := []string{u.CA.URL}
	if u.OTLP != nil {
		urls = append(urls, u.OTLP.URL)
	}
	if u.Updates != nil {
		urls = append(urls, u.Updates.URL)
	}
	if u.Proxy != "" {
		urls = []string{u.Proxy}
	}
	for _, text := range urls {
		if at, web := webPlace(text); web { // what is not was refused at enrolment
			out = append(out, at)
		}
	}
	return out
}

// webPlace is the host:port of a web address; false for what is none.
func webPlace(address string) (string, bool) {
	at, err := url.Parse(address)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" {
		return "", false
	}
	port := at.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[at.Scheme]
	}
	return net.JoinHostPort(at.Hostname(), port), true
}
