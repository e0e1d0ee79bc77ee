package device

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"picket/scanner/parse"
	"picket/scanner/probe"
)

const maxSocketTable = 32 << 20 // bytes of one socket table

// socketTables are the files of /proc/net that list sockets.
var socketTables = []struct {
	file, proto string
	family      int
}{
	{"tcp", "tcp", 4}, {"tcp6", "tcp", 6}, {"udp", "udp", 4}, {"udp6", "udp", 6}, {"udplite", "udplite", 4},
	{"udplite6", "udplite", 6}, {"raw", "raw", 4}, {"raw6", "raw", 6}, {"icmp", "icmp", 4}, {"icmp6", "icmp", 6},
	{"packet", "packet", 0},
}

// tcpStates are the kernel's numbers, from 1.
var tcpStates = [...]string{
	"ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT", "LAST_ACK",
	"LISTEN", "CLOSING", "NEW_SYN_RECV",
}

const tcpListen = 10

// sockets reads the socket tables of our network namespace and of those that other
// processes live in, and joins each socket with the processes that hold it.
func sockets(s *snapshot) ([]probe.Socket, error) {
	out, err := namespaceSockets(threadSelf()+"/net", true, s)
	if err != nil {
		return nil, err
	}
	for _, ns := range s.netns {
		more, err := namespaceSockets("/proc/"+strconv.Itoa(ns.pid)+"/net", false, s)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
			continue // its process has ended
		}
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

func namespaceSockets(dir string, own bool, s *snapshot) ([]probe.Socket, error) {
	fd, err := openat(unix.AT_FDCWD, dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	if err != nil {
		return nil, pathErr("open", dir, err)
	}
	defer unix.Close(fd)
	var out []probe.Socket
	r := &reader{buf: make([]byte, 16<<10)}
	for _, t := range socketTables {
		b, err := r.read(fd, t.file, maxSocketTable)
		if errors.Is(err, unix.ENOENT) {
			continue // the kernel has no such protocol
		}
		if err != nil {
			return nil, pathErr("read", dir+"/"+t.file, err)
		}
		var bad []error
		from := len(out)
		if t.proto == "packet" {
			var socks []parse.PacketSocket
			if socks, bad = parse.PacketSockets(b); len(socks) > 0 {
				out = slices.Grow(out, len(socks))
			}
			for _, k := range socks {
				out = append(out, probe.Socket{Proto: t.proto, EtherType: int(k.Protocol), Interface: k.Iface, UID: k.UID, Inode: k.Inode})
			}
		} else {
			var socks []parse.NetSocket
			socks, bad = parse.NetSockets(b, binary.NativeEndian)
			out = slices.Grow(out, len(socks))
			for _, k := range socks {
				out = append(out, inetSocket(t.proto, t.family, k))
			}
		}
		if len(bad) > 0 {
			return nil, pathErr("read", dir+"/"+t.file, fmt.Errorf("%d lines are damaged: %w", len(bad), bad[0]))
		}
		for i := range out[from:] {
			k := &out[from+i]
			k.SameNetNS = own
			k.PIDs = s.holders[k.Inode]
			k.Own = len(k.PIDs) == 1 && k.PIDs[0] == os.Getpid()
			if s.refused != "" && k.Inode != 0 && len(k.PIDs) == 0 {
				k.MarkUnread("pids", "the process that holds it "+s.refused)
			}
		}
	}
	return out, nil
}

func inetSocket(proto string, family int, k parse.NetSocket) probe.Socket {
	local, remote := k.Local.Addr().Unmap(), k.Remote.Addr().Unmap()
	s := probe.Socket{Proto: proto, Family: family, LocalAddr: local.String(), LocalPort: int(k.Local.Port()),
		UID: k.UID, Inode: k.Inode, Loopback: local.IsLoopback(), Wildcard: local.IsUnspecified()}
	connected := k.Remote.Port() != 0 || remote != (netip.Addr{}) && !remote.IsUnspecified()
	if connected {
		s.RemoteAddr, s.RemotePort = remote.String(), int(k.Remote.Port())
	}
	if proto == "tcp" {
		if k.State >= 1 && k.State <= len(tcpStates) {
			s.State = tcpStates[k.State-1]
		}
		s.Listening = k.State == tcpListen
	} else {
		s.Listening = !connected
	}
	return s
}
