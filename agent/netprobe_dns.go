package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsPatience  = 900 * time.Millisecond // for one answer; asked twice
	maxResolvers = 3
	maxAddresses = 8 // kept of one answer
)

// resolution is what one server said.
type resolution struct {
	server    netip.AddrPort
	addresses []netip.Addr // of the host; none when it says that there are none
	invented  []netip.Addr // of a name that cannot exist
	err       error        // the server could not be asked
}

// resolve asks each server for the host, and for a name that cannot exist (RFC 6761, 6.4).
func resolve(ctx context.Context, dial dialFunc, servers []netip.AddrPort, host string) []resolution {
	var label [10]byte
	rand.Read(label[:]) // never fails
	nowhere := hex.EncodeToString(label[:]) + ".invalid"
	out := make([]resolution, min(len(servers), maxResolvers))
	var wait sync.WaitGroup
	for i := range out {
		out[i].server = servers[i]
		wait.Go(func() { out[i].addresses, out[i].err = addressesOf(ctx, dial, servers[i], host) })
		wait.Go(func() { out[i].invented, _ = addressesOf(ctx, dial, servers[i], nowhere) })
	}
	wait.Wait()
	return out
}

// addressesOf asks one server for the IPv4 and IPv6 addresses of a name. It fails when neither
// question was answered.
func addressesOf(ctx context.Context, dial dialFunc, server netip.AddrPort, name string) ([]netip.Addr, error) {
	types := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA}
	var got [2][]netip.Addr
	var errs [2]error
	var wait sync.WaitGroup
	for i, t := range types {
		wait.Go(func() { got[i], errs[i] = askDNS(ctx, dial, server, name, t) })
	}
	wait.Wait()
	if errs[0] != nil && errs[1] != nil {
		return nil, errs[0]
	}
	return slices.Concat(got[0], got[1]), nil
}

func askDNS(ctx context.Context, dial dialFunc, server netip.AddrPort, name string, t dnsmessage.Type) ([]netip.Addr, error) {
	id, query, err := dnsQuery(name, t)
	if err != nil {
		return nil, err
	}
	conn, err := dial(ctx, "udp", server.String())
	if err != nil {
		return nil, fmt.Errorf("asking %s: %w", server, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 4096)
	for range 2 {
		if _, err = conn.Write(query); err != nil {
			continue // an earlier question was refused by ICMP
		}
		for until := time.Now().Add(dnsPatience); ; {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			conn.SetReadDeadline(until)
			var n int
			if n, err = conn.Read(buf); err != nil {
				break
			}
			if got, ours, perr := readDNS(buf[:n], id, name, t); ours {
				return got, perr
			}
		}
	}
	return nil, fmt.Errorf("%s does not answer: %w", server, err)
}

func dnsQuery(name string, t dnsmessage.Type) (uint16, []byte, error) {
	q, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return 0, nil, fmt.Errorf("%.80q is no name: %w", name, err)
	}
	var raw [2]byte
	rand.Read(raw[:])
	id := uint16(raw[0])<<8 | uint16(raw[1])
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: q, Type: t, Class: dnsmessage.ClassINET}}}
	b, err := m.Pack()
	return id, b, err
}

// readDNS reads an answer. ours is false for what answers another question, which anybody can
// send. The server that says that a name does not exist, or has no such address, gives none.
func readDNS(b []byte, id uint16, name string, t dnsmessage.Type) (got []netip.Addr, ours bool, err error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || !h.Response || h.ID != id {
		return nil, false, err
	}
	q, err := p.AllQuestions()
	if err != nil || len(q) != 1 || q[0].Type != t || !strings.EqualFold(q[0].Name.String(), strings.TrimSuffix(name, ".")+".") {
		return nil, false, err
	}
	if h.RCode != dnsmessage.RCodeSuccess && h.RCode != dnsmessage.RCodeNameError {
		return nil, true, fmt.Errorf("the server says %s", strings.TrimPrefix(h.RCode.String(), "RCode"))
	}
	for len(got) < maxAddresses {
		rh, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil {
			return nil, true, fmt.Errorf("reading the answer: %w", err)
		}
		switch rh.Type {
		case dnsmessage.TypeA:
			r, err := p.AResource()
			if err != nil {
				return nil, true, fmt.Errorf("reading the answer: %w", err)
			}
			got = append(got, netip.AddrFrom4(r.A))
		case dnsmessage.TypeAAAA:
			r, err := p.AAAAResource()
			if err != nil {
				return nil, true, fmt.Errorf("reading the answer: %w", err)
			}
			got = append(got, netip.AddrFrom16(r.AAAA).Unmap())
		default:
			if err := p.SkipAnswer(); err != nil {
				return nil, true, fmt.Errorf("reading the answer: %w", err)
			}
		}
	}
	return got, true, nil
}

// insideAddress reports whether an address belongs to no host of the internet: private, of the
// device itself, shared by a provider's customers (RFC 6598), or handed out in place of real ones.
func insideAddress(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() ||
		netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64}), 10).Contains(a) || standIn().Contains(a)
}

// standIn has the addresses for tests (RFC 2544) that VPN programs hand out for every name, and
// replace on the way by those of the hosts.
func standIn() netip.Prefix { return netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18}), 15) }
