package device

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/parse"
	"picket/scanner/probe"
)

// port is a local port in use.
type port struct {
	proto  string
	number int
}

// portView asks for the ports in use in one way.
type portView struct {
	name string
	ask  func(ctx context.Context, listed map[port]bool) ([]port, error)
}

// hiddenPorts compares the ports of /proc/net with what sock_diag tells and, where that is
// allowed, with what can be bound. Sockets open and close all the time, so what differs is
// asked again later. Listing and asking stay on one thread, so that they see one network.
func hiddenPorts(ctx context.Context, bind bool) (probe.HiddenPorts, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out := probe.HiddenPorts{Hidden: []probe.HiddenPort{}}
	var views []portView
	var missing []string
	if kernelHas("tcp_diag") && kernelHas("udp_diag") {
		views = append(views, portView{"sock_diag", diagPorts})
	} else {
		missing = append(missing, "the kernel module of sock_diag is not loaded, and loading it would change the device")
	}
	switch {
	case !bind:
		missing = append(missing, "binding ports is not allowed by the options")
	case unix.Geteuid() != 0:
		missing = append(missing, "binding all ports needs root")
	default:
		views = append(views, portView{"bind", boundPorts})
	}
	for _, v := range views {
		found, err := hiddenFrom(ctx, v)
		if err != nil {
			missing = append(missing, v.name+": "+err.Error())
			continue
		}
		out.Asked = append(out.Asked, v.name)
		for _, p := range found {
			if !slices.ContainsFunc(out.Hidden, func(h probe.HiddenPort) bool { return h.Proto == p.proto && h.Port == p.number }) {
				out.Hidden = append(out.Hidden, probe.HiddenPort{Proto: p.proto, Port: p.number, Seen: v.name})
			}
		}
	}
	if len(out.Asked) == 0 {
		return out, fmt.Errorf("%s: %w", strings.Join(missing, "; "), scanner.ErrUnavailable)
	}
	return out, ctx.Err()
}

// hiddenFrom gives the ports that a view shows and /proc/net does not. One look is enough
// when it finds none; what it finds must be there still in a second one.
func hiddenFrom(ctx context.Context, v portView) ([]port, error) {
	suspects, err := lookOnce(ctx, v)
	if err != nil || len(suspects) == 0 {
		return nil, err
	}
	select {
	case <-time.After(betweenLooks):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	again, err := lookOnce(ctx, v)
	if err != nil {
		return nil, err
	}
	now, err := listedPorts() // what opened during the second look
	if err != nil {
		return nil, err
	}
	again = slices.DeleteFunc(again, func(p port) bool { return now[p] || !slices.Contains(suspects, p) })
	slices.SortFunc(again, func(a, b port) int { return a.number - b.number })
	return slices.Compact(again), nil
}

func lookOnce(ctx context.Context, v portView) ([]port, error) {
	listed, err := listedPorts()
	if err != nil {
		return nil, err
	}
	shown, err := v.ask(ctx, listed)
	return slices.DeleteFunc(shown, func(p port) bool { return listed[p] }), err
}

// listedPorts gives the local ports of /proc/net.
func listedPorts() (map[port]bool, error) {
	out := map[port]bool{}
	net, tables := threadSelf()+"/net/", 0
	r := &reader{buf: make([]byte, 16<<10)}
	for _, t := range socketTables {
		if t.proto != "tcp" && t.proto != "udp" {
			continue
		}
		b, err := r.read(unix.AT_FDCWD, net+t.file, maxSocketTable)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return nil, pathErr("read", "/proc/net/"+t.file, err)
		}
		tables++
		socks, _ := parse.NetSockets(b, binary.NativeEndian)
		for _, s := range socks {
			out[port{t.proto, int(s.Local.Port())}] = true
		}
	}
	if tables == 0 { // without any, as in a root without /proc, every port would look hidden
		return nil, fmt.Errorf("/proc/net has no table of ports: %w", scanner.ErrUnavailable)
	}
	return out, nil
}

// diagPorts asks sock_diag for listening TCP sockets and all UDP sockets.
func diagPorts(_ context.Context, _ map[port]bool) ([]port, error) {
	var out []port
	for _, q := range []struct {
		name         string
		family, prot uint8
		states       uint32
	}{
		{"tcp", unix.AF_INET, unix.IPPROTO_TCP, 1 << tcpListen}, {"tcp", unix.AF_INET6, unix.IPPROTO_TCP, 1 << tcpListen},
		{"udp", unix.AF_INET, unix.IPPROTO_UDP, 1<<32 - 1}, {"udp", unix.AF_INET6, unix.IPPROTO_UDP, 1<<32 - 1},
	} {
		req := make([]byte, 56) // struct inet_diag_req_v2
		req[0], req[1] = q.family, q.prot
		binary.NativeEndian.PutUint32(req[4:], q.states)
		b, err := netlinkDump(unix.NETLINK_INET_DIAG, unix.SOCK_DIAG_BY_FAMILY, req)
		if err != nil {
			return nil, err
		}
		socks, err := parse.NetlinkSockets(b, binary.NativeEndian)
		if err != nil {
			return nil, err
		}
		for _, s := range socks {
			out = append(out, port{q.name, int(s.Local.Port())})
		}
	}
	return out, nil
}

// boundPorts tries to bind each port that is not listed, without letting anyone connect, and
// gives those that are taken. It holds each for a few microseconds.
func boundPorts(ctx context.Context, listed map[port]bool) ([]port, error) {
	var out []port
	for _, q := range []struct {
		name string
		typ  int
	}{{"tcp", unix.SOCK_STREAM}, {"udp", unix.SOCK_DGRAM}} {
		for n := 1; n <= 65535; n++ {
			if n%1024 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			p := port{q.name, n}
			if listed[p] {
				continue
			}
			taken, err := isTaken(q.typ, n)
			if err != nil {
				return nil, err
			}
			if taken {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

// isTaken binds a port on all addresses of both families, where the kernel has both.
func isTaken(typ, number int) (bool, error) {
	var addr unix.Sockaddr = &unix.SockaddrInet6{Port: number}
	fd, err := unix.Socket(unix.AF_INET6, typ|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) {
		addr = &unix.SockaddrInet4{Port: number}
		fd, err = unix.Socket(unix.AF_INET, typ|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return false, fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, addr); errors.Is(err, unix.EADDRINUSE) {
		return true, nil
	} else if err != nil {
		return false, fmt.Errorf("binding port %d: %w", number, err)
	}
	return false, nil
}

// kernelHas tells whether a part of the kernel can be asked without a module being loaded:
// asking must not change the device.
func kernelHas(module string) bool {
	loaded, err := os.ReadFile("/proc/modules")
	if err != nil {
		return errors.Is(err, os.ErrNotExist) // a kernel that loads none
	}
	if strings.Contains("\n"+string(loaded), "\n"+module+" ") {
		return true
	}
	if off, err := os.ReadFile("/proc/sys/kernel/modules_disabled"); err == nil && strings.TrimSpace(string(off)) == "1" {
		return true
	}
	u, err := uname()
	if err != nil {
		return false
	}
	builtin, err := os.ReadFile("/lib/modules/" + u.Release + "/modules.builtin")
	if err != nil {
		return false
	}
	return len(parse.ModuleFiles(builtin, func(name string) bool { return name == module })) > 0
}
