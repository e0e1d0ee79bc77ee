package device

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

// Ear follows what the kernel tells of links, addresses, routes and neighbours, and what DHCP
// servers and routers tell on the links. It sends nothing and sleeps while nothing is told: the
// kernel lets no other packets through to it.
type Ear struct {
	events   *os.File // rtnetlink
	wireless *os.File // nl80211; nil where there is no Wi-Fi
	packets  *os.File // nil where packets cannot be heard

	ready chan struct{} // has room for one

	mu    sync.Mutex
	state earState
}

// redundancyWait is how long is listened for VRRP before a turned gateway is told: masters tell
// themselves once a second.
const redundancyWait = 2500 * time.Millisecond

// OpenEar opens what the ear listens on. Without rtnetlink there is none; what else is missing is
// said in what was heard.
func OpenEar() (*Ear, error) {
	e := &Ear{ready: make(chan struct{}, 1), state: newEarState(time.Now())}
	var err error
	groups := []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE}
	if e.events, err = listenNetlink(unix.NETLINK_ROUTE, groups); err != nil {
		return nil, err
	}
	switch family, err := nl80211(); {
	case err == nil:
		if e.wireless, err = listenNetlink(unix.NETLINK_GENERIC, []uint32{family.Groups["mlme"]}); err != nil {
			e.state.deaf["wireless"] = err.Error()
		}
	case !errors.Is(err, scanner.ErrUnavailable):
		e.state.deaf["wireless"] = err.Error()
	}
	if e.packets, err = listenPackets(); err != nil {
		e.state.deaf["packets"] = err.Error()
	}
	if err := e.refresh(); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func listenNetlink(family int, groups []uint32) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, family)
	if err != nil {
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	f := os.NewFile(uintptr(fd), "netlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		f.Close()
		return nil, fmt.Errorf("listening to netlink: %w", err)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(g)); err != nil {
			f.Close()
			return nil, fmt.Errorf("joining netlink group %d: %w", g, err)
		}
	}
	return f, nil
}

// Run listens until ctx ends or the kernel no longer tells. It closes the ear.
func (e *Ear) Run(ctx context.Context) error {
	defer e.close()
	part, stop := context.WithCancel(ctx)
	defer stop()
	go func() { // ends the reads
		<-part.Done()
		e.close()
	}()
	var others sync.WaitGroup
	for _, more := range []struct {
		from *os.File
		what string
		take func(b []byte, from unix.Sockaddr)
	}{{e.wireless, "wireless", e.roamed}, {e.packets, "packets", e.packet}} {
		if more.from == nil {
			continue
		}
		others.Go(func() {
			if err := receive(more.from, more.take, func() {}); err != nil && part.Err() == nil {
				e.update(func(s *earState) bool { s.deaf[more.what] = err.Error(); return true })
			}
		})
	}
	err := receive(e.events, e.event, e.lost)
	stop()
	others.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (e *Ear) close() {
	for _, f := range []*os.File{e.events, e.wireless, e.packets} {
		if f != nil {
			f.Close()
		}
	}
}

// receive hands on what a socket gets, until it is closed. lost is called when the kernel had
// more to tell than there was room for. A panic over what somebody sent is an error.
func receive(f *os.File, take func([]byte, unix.Sockaddr), lost func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("listening failed: %v", p)
		}
	}()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		var from unix.Sockaddr
		var got error
		err := conn.Read(func(fd uintptr) bool {
			n, from, got = unix.Recvfrom(int(fd), buf, 0)
			return got != unix.EAGAIN && got != unix.EINTR
		})
		switch {
		case err != nil:
			return fmt.Errorf("listening: %w", err)
		case errors.Is(got, unix.ENOBUFS):
			lost()
		case errors.Is(got, unix.ENETDOWN): // an interface went; the others go on
		case got != nil:
			return fmt.Errorf("listening: %w", got)
		default:
			take(buf[:n], from)
		}
	}
}

// update changes the state and, when it is news, says so.
func (e *Ear) update(do func(*earState) bool) {
	if e.news(do) {
		e.wake()
	}
}

func (e *Ear) news(do func(*earState) bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return do(&e.state)
}

func (e *Ear) wake() {
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

func (e *Ear) event(b []byte, from unix.Sockaddr) {
	if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
		return // not from the kernel
	}
	events, err := parse.NetworkEvents(b, binary.NativeEndian)
	suspect := 0
	e.update(func(s *earState) bool {
		news := err != nil
		for _, one := range events {
			told, index := s.event(one, time.Now())
			news = news || told
			suspect = max(suspect, index)
		}
		return news
	})
	if suspect > 0 && e.packets != nil {
		joinRedundancy(e.packets, suspect)
	}
}

// lost looks at all anew. Where that fails the ear is deaf until it goes well.
func (e *Ear) lost() {
	if err := e.refresh(); err != nil {
		e.update(func(s *earState) bool { s.deaf["events"] = err.Error(); return true })
		return
	}
	e.update(func(s *earState) bool { delete(s.deaf, "events"); return true })
}

// refresh reads what there is, as if the kernel had just told it.
func (e *Ear) refresh() error {
	for _, ask := range []struct {
		typ  uint16
		size int
	}{{unix.RTM_GETLINK, unix.SizeofIfInfomsg}, {unix.RTM_GETROUTE, unix.SizeofRtMsg}, {unix.RTM_GETNEIGH, unix.SizeofNdMsg}} {
		b, err := netlinkDump(unix.NETLINK_ROUTE, ask.typ, make([]byte, ask.size))
		if err != nil {
			return err
		}
		events, err := parse.NetworkEvents(b, binary.NativeEndian)
		if err != nil {
			return fmt.Errorf("reading netlink: %w", err)
		}
		suspect := 0
		e.update(func(s *earState) bool {
			for _, one := range events {
				_, index := s.event(one, time.Now())
				suspect = max(suspect, index)
			}
			return false
		})
		if suspect > 0 && e.packets != nil {
			joinRedundancy(e.packets, suspect)
		}
	}
	return nil
}

// roamed is told when a wireless interface came to an access point or left one.
func (e *Ear) roamed([]byte, unix.Sockaddr) { e.wake() }

func (e *Ear) packet(b []byte, from unix.Sockaddr) {
	sa, ok := from.(*unix.SockaddrLinklayer)
	if !ok || sa.Pkttype == unix.PACKET_OUTGOING {
		return
	}
	o, ok := parse.OverheardPacket(b)
	if !ok {
		return
	}
	mac := ""
	if sa.Halen == 6 {
		mac = hardware(sa.Addr[:6])
	}
	e.update(func(s *earState) bool { return s.packet(sa.Ifindex, mac, o, time.Now()) })
}

// Changed is readable when something came that is worth a look.
func (e *Ear) Changed() <-chan struct{} { return e.ready }

// Heard gives what holds now. settle is how long to wait before that is judged, due is when
// something of it ends by itself; zero for never.
func (e *Ear) Heard() (h probe.Heard, settle time.Duration, due time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.heard(time.Now())
}
