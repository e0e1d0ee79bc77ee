package device

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner/parse"
)

// earAt is the state of an ear that knows a link and a gateway on it.
func earAt(now time.Time) *earState {
	s := newEarState(now)
	s.event(parse.NetworkEvent{Link: &parse.LinkInfo{Index: 2, Name: "eth0", Flags: 0x43}}, now)
	s.event(parse.NetworkEvent{Route: &parse.RouteInfo{Type: 1, Table: 254, Index: 2, Gateway: netip.MustParseAddr("10.9.0.1")}}, now)
	return &s
}

// answers is a notice that an address has a hardware address.
func answers(ip, mac string) parse.NetworkEvent {
	return parse.NetworkEvent{Neighbour: &parse.NeighbourInfo{Index: 2, Family: 2, IP: netip.MustParseAddr(ip), MAC: mac, State: 2}}
}

// claims are what is heard, in short.
func claims(s *earState, now time.Time) (out []string) {
	h, _, _ := s.heard(now)
	for _, c := range h.Claims {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %d", c.Kind, c.Interface, c.IP, strings.Join(c.MACs, "+"), c.Turns)))
	}
	return out
}

func TestEarCountsTurns(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	s := earAt(now)
	for i, step := range []struct {
		mac     string
		news    bool
		suspect int
	}{{"02:01", true, 0}, {"02:01", false, 0}, {"02:66", true, 2}, {"02:01", true, 2}} {
		if news, suspect := s.event(answers("10.9.0.1", step.mac), now.Add(time.Duration(i)*time.Second)); news != step.news || suspect != step.suspect {
			t.Errorf("step %d: news %v, suspect %d", i, news, suspect)
		}
	}
	want := []string{"neighbour eth0 10.9.0.1 02:01+02:66 2"}
	if got := claims(s, now.Add(4*time.Second)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if _, settle, due := s.heard(now.Add(4 * time.Second)); settle != redundancyWait-time.Second || !due.After(now.Add(turnWindow)) {
		t.Errorf("settles in %v, due at %v", settle, due)
	}
	if got := claims(s, now.Add(turnWindow+5*time.Second)); got != nil {
		t.Errorf("after a minute still %q", got)
	}
	s.event(answers("10.9.0.1", "02:66"), now)
	s.event(parse.NetworkEvent{Link: &parse.LinkInfo{Index: 2, Name: "eth0", Flags: 0x43, CarrierChanges: 2}}, now)
	if got := claims(s, now); got != nil {
		t.Errorf("on another link still %q", got)
	}
}

func TestEarNoticesWhatMatters(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	s := earAt(now)
	for _, c := range []struct {
		what string
		e    parse.NetworkEvent
		news bool
	}{
		{"the gateway answers", answers("10.9.0.1", "02:01"), true},
		{"some host answers", answers("10.9.0.7", "02:07"), false},
		{"a host has the gateway's", answers("10.9.0.66", "02:01"), true},
		{"a host that is not there", parse.NetworkEvent{Neighbour: &parse.NeighbourInfo{Index: 2, Family: 2, IP: netip.MustParseAddr("10.9.0.8"), MAC: "02:01", State: 1}}, false},
		{"a bridge's own table", parse.NetworkEvent{Neighbour: &parse.NeighbourInfo{Index: 2, Family: 7, MAC: "02:01", State: 2}}, false},
		{"a container's route", parse.NetworkEvent{Route: &parse.RouteInfo{Type: 1, Table: 254, Dst: netip.MustParsePrefix("172.17.0.0/16")}}, false},
		{"another default route", parse.NetworkEvent{Route: &parse.RouteInfo{Type: 1, Table: 254, Index: 2, Gateway: netip.MustParseAddr("10.9.0.2")}}, true},
		{"the same link", parse.NetworkEvent{Link: &parse.LinkInfo{Index: 2, Name: "eth0", Flags: 0x43}}, false},
		{"the link went down", parse.NetworkEvent{Link: &parse.LinkInfo{Index: 2, Name: "eth0", Flags: 0x3}}, true},
		{"an address", parse.NetworkEvent{Address: true}, true},
	} {
		if news, _ := s.event(c.e, now); news != c.news {
			t.Errorf("%s: news %v", c.what, news)
		}
	}
}

func TestEarForgetsServers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	s := earAt(now)
	offer := func(ip string) parse.Overheard {
		return parse.Overheard{Kind: "dhcp", IP: netip.MustParseAddr(ip), Offer: true}
	}
	ra := func(life time.Duration) parse.Overheard {
		return parse.Overheard{Kind: "router", IP: netip.MustParseAddr("fe80::66"), Lifetime: life}
	}
	s.packet(2, "02:01", offer("10.9.0.1"), now)
	s.packet(2, "02:66", offer("10.9.0.66"), now.Add(time.Second))
	s.packet(2, "02:66", ra(30*time.Second), now)
	if got, want := claims(s, now.Add(2*time.Second)), []string{"dhcp eth0 10.9.0.1  0", "dhcp eth0 10.9.0.66  0", "router eth0 fe80::66  0"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if s.packet(2, "02:01", offer("10.9.0.1"), now.Add(5*time.Second)) {
		t.Error("the same answer again is news")
	}
	if !s.packet(2, "02:01", offer("10.9.0.1"), now.Add(20*time.Second)) {
		t.Error("that one of the servers answers no more is no news")
	}
	if got, want := claims(s, now.Add(31*time.Second)), []string{"dhcp eth0 10.9.0.1  0"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	s.packet(2, "02:66", ra(30*time.Second), now)
	if !s.packet(2, "02:66", ra(0), now) || slices.ContainsFunc(claims(s, now), func(c string) bool { return strings.HasPrefix(c, "router") }) {
		t.Error("a router that took itself back is still there")
	}
	for i := range 3 * maxEarClaims {
		s.packet(2, "02:66", offer(fmt.Sprintf("10.9.1.%d", i)), now)
	}
	if len(s.servers) > maxEarClaims {
		t.Errorf("%d servers are kept", len(s.servers))
	}
}

// TestFullEarStillNoticesTheGateway has hosts come without end: who came last is known, and that one
// of them takes the gateway's hardware address is noticed.
func TestFullEarStillNoticesTheGateway(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	s := earAt(now)
	s.event(answers("10.9.0.1", "02:01"), now)
	s.event(answers("10.9.0.7", "02:07"), now)
	s.event(answers("10.9.0.7", "02:08"), now) // a turn, which is not forgotten for others
	for i := range 2 * maxEarEntries {
		s.event(answers(fmt.Sprintf("10.8.%d.%d", i/256, i%256), fmt.Sprintf("06:%04x", i)), now)
	}
	if n := len(s.neighbours); n > maxEarEntries {
		t.Errorf("%d neighbours are kept", n)
	}
	if got, want := claims(s, now), []string{"neighbour eth0 10.9.0.7 02:07+02:08 1"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if news, suspect := s.event(answers("10.9.0.66", "02:01"), now); !news || suspect != 2 {
		t.Errorf("a host with the gateway's hardware address: news %v, suspect %d", news, suspect)
	}
	if news, suspect := s.event(answers("10.9.0.1", "02:66"), now); !news || suspect != 2 {
		t.Errorf("the gateway turned: news %v, suspect %d", news, suspect)
	}
}

// TestEarOpens listens on this machine and ends when told to.
func TestEarOpens(t *testing.T) {
	t.Parallel()
	e, err := OpenEar()
	if err != nil {
		t.Fatal(err)
	}
	if h, _, _ := e.Heard(); os.Geteuid() == 0 && h.Deaf["packets"] != "" {
		t.Errorf("root is deaf: %v", h.Deaf)
	}
	e.state.deaf["events"] = "what there is could not be read once"
	e.lost()
	if h, _, _ := e.Heard(); h.Deaf["events"] != "" {
		t.Error("deaf for ever after one read that failed")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- e.Run(ctx) }()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestEarOutlivesAPanic: what hears of it is told, and the state stays usable.
func TestEarOutlivesAPanic(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	here := os.NewFile(uintptr(pair[0]), "here")
	defer here.Close()
	defer unix.Close(pair[1])
	if _, err := unix.Write(pair[1], []byte("odd")); err != nil {
		t.Fatal(err)
	}
	e := &Ear{ready: make(chan struct{}, 1), state: newEarState(time.Now())}
	err = receive(here, func(b []byte, _ unix.Sockaddr) {
		e.update(func(*earState) bool { panic("over " + string(b)) })
	}, func() {})
	if err == nil || !strings.Contains(err.Error(), "over odd") {
		t.Errorf("got %v", err)
	}
	e.Heard()
}
