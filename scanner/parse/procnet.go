package parse

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"
)

// NetSocket is one line of /proc/net/{tcp,udp,raw,udplite,icmp} or their "6" forms.
type NetSocket struct {
	Local, Remote netip.AddrPort
	State         int // TCP state number: 1 established, 10 listen; UDP uses 7
	UID           int
	Inode         uint64 // 0 for sockets that no process holds (time-wait)
}

// NetSockets reads /proc/net/tcp and its kin (proc_net_tcp(5)): addresses are in hex, in the
// byte order of the machine, 32 bits at a time.
func NetSockets(b []byte, order binary.ByteOrder) (socks []NetSocket, bad []error) {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if n == 1 || len(bytes.TrimSpace(line)) == 0 { // heading
			continue
		}
		s, ok := netSocket(line, order)
		if !ok {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not a socket line"})
			continue
		}
		socks = append(socks, s)
	}
	return socks, bad
}

func netSocket(line []byte, order binary.ByteOrder) (s NetSocket, ok bool) {
	_, rest := word(line) // slot
	local, rest := word(rest)
	remote, rest := word(rest)
	state, rest := word(rest)
	_, rest = word(rest) // queues
	_, rest = word(rest) // timer
	_, rest = word(rest) // retransmits
	uid, rest := word(rest)
	_, rest = word(rest) // timeout
	inode, _ := word(rest)
	if s.Local, ok = hexAddrPort(local, order); !ok {
		return s, false
	}
	if s.Remote, ok = hexAddrPort(remote, order); !ok {
		return s, false
	}
	st, ok1 := hexNumber(state)
	u, ok2 := unsigned(uid)
	ino, ok3 := unsigned(inode)
	if !ok1 || !ok2 || !ok3 || st > 255 || u > 1<<32-1 {
		return s, false
	}
	s.State, s.UID, s.Inode = int(st), int(u), ino
	return s, true
}

func hexAddrPort(b []byte, order binary.ByteOrder) (netip.AddrPort, bool) {
	addr, port, ok := bytes.Cut(b, []byte{':'})
	p, okPort := hexNumber(port)
	if !ok || !okPort || p > 65535 || len(addr) != 8 && len(addr) != 32 {
		return netip.AddrPort{}, false
	}
	var raw [16]byte
	for i := 0; i < len(addr); i += 8 {
		v, ok := hexNumber(addr[i : i+8])
		if !ok {
			return netip.AddrPort{}, false
		}
		order.PutUint32(raw[i/2:], uint32(v))
	}
	if len(addr) == 8 {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[:4])), uint16(p)), true
	}
	return netip.AddrPortFrom(netip.AddrFrom16(raw), uint16(p)), true
}

// PacketSocket is one line of /proc/net/packet: a socket that sees frames.
type PacketSocket struct {
	Type     int    // 3 raw, 2 datagram
	Protocol uint16 // EtherType, 3 is all
	Iface    int    // interface index, 0 all
	UID      int
	Inode    uint64
}

// PacketSockets reads /proc/net/packet.
func PacketSockets(b []byte) (socks []PacketSocket, bad []error) {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		f := bytes.Fields(line)
		if n == 1 || len(f) == 0 {
			continue
		}
		// sk RefCnt Type Proto Iface R Rmem User Inode
		if len(f) < 9 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not a packet socket line"})
			continue
		}
		typ, err1 := strconv.Atoi(string(f[2]))
		proto, ok := hexNumber(f[3])
		iface, err2 := strconv.Atoi(string(f[4]))
		uid, err3 := strconv.Atoi(string(f[7]))
		inode, ok2 := unsigned(f[8])
		if err1 != nil || err2 != nil || err3 != nil || !ok || !ok2 || proto > 0xffff {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not a packet socket line"})
			continue
		}
		socks = append(socks, PacketSocket{Type: typ, Protocol: uint16(proto), Iface: iface, UID: uid, Inode: inode})
	}
	return socks, bad
}
