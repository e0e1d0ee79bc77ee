package device

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	gopsnet "github.com/shirou/gopsutil/v3/net"
	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

const (
	maxNetlink     = 32 << 20 // bytes of one dump
	netlinkSeconds = 5        // waited for each piece of it
)

// netlinkDump asks the kernel for all objects of one kind. body is the request's own header.
// It only reads: no request that Picket makes changes anything.
func netlinkDump(family int, typ uint16, body []byte) ([]byte, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, family)
	if err != nil {
		return nil, fmt.Errorf("opening netlink: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: netlinkSeconds}); err != nil {
		return nil, fmt.Errorf("setting a time limit on netlink: %w", err)
	}
	req := make([]byte, unix.SizeofNlMsghdr+len(body))
	binary.NativeEndian.PutUint32(req, uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], typ)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	binary.NativeEndian.PutUint32(req[8:], 1)
	copy(req[unix.SizeofNlMsghdr:], body)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := unix.Sendto(fd, req, 0, kernel); err != nil {
		return nil, fmt.Errorf("asking netlink: %w", err)
	}
	var out []byte
	buf := make([]byte, 64<<10)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading netlink: %w", err)
		}
		if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
			continue // not from the kernel
		}
		out = append(out, buf[:n]...)
		if len(out) > maxNetlink {
			return nil, &scanner.TooLargeError{Size: int64(len(out)), Limit: maxNetlink}
		}
		if dumpEnds(buf[:n]) {
			return out, nil
		}
	}
}

// dumpEnds tells whether a piece of a dump holds its last message, or an error.
func dumpEnds(b []byte) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		size, typ := binary.NativeEndian.Uint32(b), binary.NativeEndian.Uint16(b[4:])
		if typ == unix.NLMSG_DONE || typ == unix.NLMSG_ERROR {
			return true
		}
		if size < unix.SizeofNlMsghdr || int(size) > len(b) {
			return true
		}
		b = b[min(int(size+3)&^3, len(b)):]
	}
	return false
}

// links gives the interfaces as rtnetlink describes them.
func links() ([]parse.LinkInfo, error) {
	b, err := netlinkDump(unix.NETLINK_ROUTE, unix.RTM_GETLINK, make([]byte, unix.SizeofIfInfomsg))
	if err != nil {
		return nil, err
	}
	return parse.NetlinkLinks(b, binary.NativeEndian)
}

func interfaces(ctx context.Context) ([]probe.Interface, error) {
	list, err := gopsnet.InterfacesWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	info, linkErr := links() // Android keeps it from other users than root
	byIndex := map[int]parse.LinkInfo{}
	for _, l := range info {
		byIndex[l.Index] = l
	}
	out := make([]probe.Interface, 0, len(list))
	for _, i := range list {
		f := probe.Interface{Index: i.Index, Name: i.Name, MAC: i.HardwareAddr, MTU: i.MTU, Flags: i.Flags,
			Up: slices.Contains(i.Flags, "up"), Loopback: slices.Contains(i.Flags, "loopback")}
		for _, a := range i.Addrs {
			f.Addrs = append(f.Addrs, a.Addr)
		}
		f.Wireless = isWireless(i.Name)
		l := byIndex[i.Index]
		f.Kind, f.Master, f.CarrierChanges = l.Kind, byIndex[l.Master].Name, l.CarrierChanges
		if linkErr != nil {
			f.MarkUnread("kind", linkErr.Error())
			f.MarkUnread("master", linkErr.Error())
			f.MarkUnread("carrier_changes", linkErr.Error())
		}
		f.Promiscuous = l.Promiscuity > 0 || l.Flags&unix.IFF_PROMISC != 0
		if linkErr != nil || l.Promiscuity < 0 {
			promiscuous(&f)
		}
		out = append(out, f)
	}
	return out, nil
}

func isWireless(name string) bool {
	_, err := os.Lstat("/sys/class/net/" + name + "/phy80211")
	return err == nil
}

// promiscuous reads from sysfs what rtnetlink did not tell.
func promiscuous(f *probe.Interface) {
	name := "/sys/class/net/" + f.Name + "/flags"
	b, err := os.ReadFile(name)
	if err != nil {
		f.MarkUnread("promiscuous", scanner.Reason(err))
		return
	}
	flags, err := strconv.ParseUint(strings.TrimSpace(string(b)), 0, 32)
	if err != nil {
		f.MarkUnread("promiscuous", name+" is no number")
		return
	}
	f.Promiscuous = f.Promiscuous || flags&unix.IFF_PROMISC != 0
}

// routeProtocols are the makers of routes (linux/rtnetlink.h).
var routeProtocols = map[int]string{
	0: "unspec", 1: "redirect", 2: "kernel", 3: "boot", 4: "static", 8: "gated", 9: "ra", 10: "mrt", 11: "zebra", 12: "bird",
	13: "dnrouted", 14: "xorp", 15: "ntk", 16: "dhcp", 17: "mrouted", 18: "keepalived", 42: "babel", 186: "bgp", 187: "isis",
	188: "ospf", 189: "rip", 192: "eigrp",
}

var routeTypes = [...]string{
	"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit", "throw", "nat",
}

// localTable holds the routes that the kernel makes for its own addresses.
const localTable = 255

func routes() ([]probe.Route, error) {
	b, err := netlinkDump(unix.NETLINK_ROUTE, unix.RTM_GETROUTE, make([]byte, unix.SizeofRtMsg))
	if err != nil {
		return nil, err
	}
	list, err := parse.NetlinkRoutes(b, binary.NativeEndian)
	if err != nil {
		return nil, err
	}
	names := interfaceNames()
	out := make([]probe.Route, 0, len(list))
	for _, r := range list {
		if r.Table == localTable {
			continue
		}
		f := probe.Route{Family: 4, Dst: "0.0.0.0/0", Interface: names[r.Index], Protocol: routeProtocols[r.Protocol],
			Table: r.Table, Metric: r.Metric, Redirect: r.Protocol == 1 || r.Redirected}
		if r.IPv6 {
			f.Family, f.Dst = 6, "::/0"
		}
		if f.Protocol == "" {
			f.Protocol = strconv.Itoa(r.Protocol)
		}
		if r.Type < len(routeTypes) {
			f.Type = routeTypes[r.Type]
		}
		if r.Dst.IsValid() {
			f.Dst = r.Dst.String()
		}
		f.Default = r.Dst.Bits() <= 0 && r.Type == 1
		if r.Gateway.IsValid() {
			f.Gateway = r.Gateway.String()
		}
		out = append(out, f)
	}
	return out, nil
}

// neighbourStates are the NUD_ bits, lowest first.
var neighbourStates = [...]string{"incomplete", "reachable", "stale", "delay", "probe", "failed", "noarp", "permanent"}

func neighbours() ([]probe.Neighbour, error) {
	b, err := netlinkDump(unix.NETLINK_ROUTE, unix.RTM_GETNEIGH, make([]byte, unix.SizeofNdMsg))
	if err != nil {
		return nil, err
	}
	list, err := parse.NetlinkNeighbours(b, binary.NativeEndian)
	if err != nil {
		return nil, err
	}
	names := interfaceNames()
	out := make([]probe.Neighbour, 0, len(list))
	for _, n := range list {
		const noARP = 64
		if n.Family != unix.AF_INET && n.Family != unix.AF_INET6 || n.State&noARP != 0 || n.IP == (netip.Addr{}) {
			continue
		}
		f := probe.Neighbour{Family: 4, IP: n.IP.String(), MAC: n.MAC, Interface: names[n.Index], Router: n.Router}
		if n.Family == unix.AF_INET6 {
			f.Family = 6
		}
		for bit, name := range neighbourStates {
			if n.State&(1<<bit) != 0 {
				f.State = name
				break
			}
		}
		out = append(out, f)
	}
	return out, nil
}

// interfaceNames names interfaces by index. Those that are gone by now have no name.
func interfaceNames() map[int]string {
	names := map[int]string{}
	list, err := links()
	if err != nil { // the list that other users may see
		if stats, err := gopsnet.Interfaces(); err == nil {
			for _, i := range stats {
				names[i.Index] = i.Name
			}
		}
		return names
	}
	for _, l := range list {
		names[l.Index] = l.Name
	}
	return names
}
