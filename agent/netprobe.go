package agent

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"picket/scanner/facts"
)

// probeTarget is the host that is asked.
type probeTarget struct {
	host string
	port uint16              // of TLS; 0 is 443
	own  []*x509.Certificate // the only authorities that the host may have; nil are the device's
}

const plainPort = 80

func (t probeTarget) String() string {
	return net.JoinHostPort(t.host, strconv.Itoa(int(cmp.Or(t.port, 443))))
}

// probeNetwork is the network that is asked through.
type probeNetwork struct {
	name      string
	resolvers []netip.AddrPort
}

// probeMemory is what is known of a host that proved itself, in whatever network.
type probeMemory struct {
	Anchors   []string `json:"anchors,omitempty"`   // digests of the keys of authorities that vouched for it
	Best      string   `json:"best,omitempty"`      // highest version of TLS
	Public    bool     `json:"public,omitempty"`    // had a public address
	Private   bool     `json:"private,omitempty"`   // had a private one
	Upgrades  bool     `json:"upgrades,omitempty"`  // sends plain HTTP on to HTTPS
	Same      bool     `json:"same,omitempty"`      // plain HTTP has what TLS has
	Elsewhere string   `json:"elsewhere,omitempty"` // host that it sends plain HTTP and TLS on to
	Plain     []string `json:"plain,omitempty"`     // networks in which it no longer sent plain HTTP on
}

const maxAnchors = 8

// prober asks a host, once.
type prober struct {
	dial  dialFunc
	trust func(context.Context) (trust, error)
	now   func() time.Time
}

// ask asks the host through the network, and adds to mem what the host proved. What could not be
// asked is unread in the row.
func (p *prober) ask(ctx context.Context, t probeTarget, n probeNetwork, mem *probeMemory) facts.NetworkProbe {
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	row := facts.NetworkProbe{Network: n.name, Host: t.host, BestVersion: mem.Best, MustUpgrade: mem.Upgrades, WasSame: mem.Same, WasPublic: mem.Public, WasPrivate: mem.Private}
	addresses, err := p.addresses(ctx, &row, n)
	if err != nil {
		unread(&row, err, "chain", "tls_version", "weak_cipher", "must_upgrade", "upgrades", "inserted", "http_status")
		return row
	}
	type answer struct {
		page page
		err  error
	}
	plain := make(chan answer, 1)
	go func() {
		got, err := fetch(ctx, "http", t.host, p.first(addresses, plainPort, nil))
		plain <- answer{got, err}
	}()
	over, anchor, tlsErr := p.overTLS(ctx, &row, t, addresses, mem)
	got := <-plain
	if over != nil {
		row.MustUpgrade = row.MustUpgrade || over.hsts
	}
	if got.err == nil {
		noteHTTP(&row, got.page, over, mem)
	} else {
		unread(&row, got.err, "upgrades", "inserted")
		if !row.Proven {
			unread(&row, got.err, "http_status")
		}
	}
	if tlsErr != nil {
		unread(&row, tlsErr, "chain", "tls_version", "weak_cipher")
	}
	if over == nil && !row.MustUpgrade {
		unread(&row, errors.New("the host has not proven what it does"), "must_upgrade")
	}
	if anchor != nil {
		mem.learn(&row, anchor)
		if got.err == nil && over != nil {
			mem.learnPage(&row, got.page, *over)
		}
	}
	return row
}

// unread marks columns that could not be told.
func unread(row *facts.NetworkProbe, err error, columns ...string) {
	for _, c := range columns {
		row.MarkUnread(c, shownName(err.Error()))
	}
}

// addresses gives the host's addresses as the first server says that has any, which is what
// programs of the device use, and notes what all of them say.
func (p *prober) addresses(ctx context.Context, row *facts.NetworkProbe, n probeNetwork) ([]netip.Addr, error) {
	said := resolve(ctx, p.dial, n.resolvers, row.Host)
	literal, notName := netip.ParseAddr(row.Host)
	var use []netip.Addr
	var errs []error
	for _, r := range said {
		server := r.server.Addr().String()
		row.Resolvers = append(row.Resolvers, server)
		if len(r.invented) > 0 && !standIn().Contains(r.invented[0]) {
			row.Wildcard = append(row.Wildcard, server)
			row.Answers = append(row.Answers, fmt.Sprintf("%s: a random name that cannot exist is at %s", server, r.invented[0]))
		}
		if notName == nil {
			continue
		}
		if r.err != nil {
			errs = append(errs, r.err)
			continue
		}
		row.Answers = append(row.Answers, fmt.Sprintf("%s: %s is at %v", server, row.Host, r.addresses))
		switch {
		case len(r.addresses) == 0:
			continue
		case slices.ContainsFunc(r.addresses, func(a netip.Addr) bool { return !insideAddress(a) }):
			row.Public = append(row.Public, server)
		default:
			row.Private = append(row.Private, server)
		}
		if use == nil {
			use = r.addresses
		}
	}
	switch {
	case notName == nil:
		return []netip.Addr{literal}, nil
	case len(said) == 0:
		err := errors.New("the network names no server to ask for addresses")
		unread(row, err, "private", "wildcard")
		return nil, err
	case len(errs) == len(said):
		unread(row, errs[0], "private", "wildcard")
		return nil, errs[0]
	case use == nil:
		return nil, fmt.Errorf("no server has an address of %s", row.Host)
	}
	return use, nil
}

// first connects to the first of the addresses that answers. used, where it is wanted, is told which.
func (p *prober) first(addresses []netip.Addr, port uint16, used *netip.Addr) dialFunc {
	addresses = addresses[:min(len(addresses), 2)]
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		var errs []error
		for _, a := range addresses {
			each, stop := context.WithTimeout(ctx, connectPatience/time.Duration(len(addresses)))
			conn, err := p.dial(each, network, netip.AddrPortFrom(a, port).String())
			stop()
			if err == nil {
				if used != nil {
					*used = a
				}
				return conn, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

// overTLS agrees with the host, judges its certificate, and asks for the page when it proved itself.
func (p *prober) overTLS(ctx context.Context, row *facts.NetworkProbe, t probeTarget, addresses []netip.Addr, mem *probeMemory) (*page, *x509.Certificate, error) {
	var used netip.Addr
	conn, err := handshake(ctx, p.first(addresses, cmp.Or(t.port, 443), &used), t.host)
	if used.IsValid() {
		row.Address = used.String()
	}
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	trust, err := p.trust(ctx)
	if err != nil && t.own == nil {
		return nil, nil, err
	}
	anchor := noteTLS(ctx, row, conn.ConnectionState(), t.own, trust, mem.Anchors, p.now())
	if !row.Proven {
		return nil, anchor, nil
	}
	over, err := fetch(ctx, "https", t.host, func(context.Context, string, string) (net.Conn, error) { return conn, nil })
	if err != nil {
		return nil, anchor, nil // it proved itself; what else it says is not needed
	}
	return &over, anchor, nil
}

// learn remembers what a host showed that proved itself.
func (m *probeMemory) learn(row *facts.NetworkProbe, anchor *x509.Certificate) {
	if key := keyDigest(anchor); !slices.Contains(m.Anchors, key) {
		m.Anchors = append(m.Anchors, key)
		m.Anchors = m.Anchors[max(0, len(m.Anchors)-maxAnchors):]
	}
	m.Best = max(m.Best, row.TLSVersion)
	if a, err := netip.ParseAddr(row.Address); err == nil {
		m.Public = m.Public || !insideAddress(a)
		m.Private = m.Private || insideAddress(a)
	}
}

// learnPage remembers how it answers plain HTTP. A host that stops sending it on is believed when
// two networks show it.
func (m *probeMemory) learnPage(row *facts.NetworkProbe, plain, over page) {
	switch {
	case row.Portal != "":
	case row.Upgrades:
		m.Upgrades, m.Plain = true, nil
	case m.Upgrades && !over.hsts && !slices.Contains(m.Plain, row.Network):
		if m.Plain = append(m.Plain, row.Network); len(m.Plain) > 1 {
			m.Upgrades, m.Plain = false, nil
		}
	case row.Same:
		m.Same = true
		if plain.location != nil && !sameSite(plain.location.Hostname(), row.Host) {
			m.Elsewhere = plain.location.Hostname()
		}
	}
}
