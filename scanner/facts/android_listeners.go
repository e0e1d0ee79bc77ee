package facts

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"

	"picket/scanner"
	"picket/scanner/parse"
)

var netTables = map[string]string{"/proc/net/tcp": "tcp", "/proc/net/tcp6": "tcp", "/proc/net/udp": "udp", "/proc/net/udp6": "udp"}

func androidListenersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_listeners", Doc: "ports that programs listen at", Row: AndroidListener{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceNetstat}, Globs: []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"}},
		Needs: []string{"packages"}, Collect: collectAndroidListeners,
	}
}

var errNoServers = errors.New("netstat was not asked for listening sockets")

func collectAndroidListeners(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	l := &listenerReader{apps: androidTables(in), rows: []AndroidListener{}}
	l.byUID = appsByUID(l.apps.rows)
	err := l.netstat(ctx, in, &t)
	if err != nil {
		err = errors.Join(err, l.kernel(in))
		if !l.asked {
			return scanner.Table{Absent: unavailable(err)}
		}
	}
	t.Rows = l.rows
	return t
}

type listenerReader struct {
	apps  *androidApps
	byUID map[int][]*App
	rows  []AndroidListener
	asked bool
}

func (l *listenerReader) netstat(ctx context.Context, in *scanner.Input, t *scanner.Table) error {
	b, err := in.Device.Probe(ctx, scanner.SourceNetstat)
	if err != nil {
		return err
	}
	if bytes.Contains(b, []byte("(w/o servers)")) && !bytes.Contains(b, []byte("LISTEN")) {
		return errNoServers
	}
	socks, bad, err := parse.Netstat(b)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		t.Partial = append(t.Partial, "netstat: "+bad[0].Error())
	}
	l.asked = true
	for _, s := range socks {
		udp := len(s.Proto) >= 3 && s.Proto[:3] == "udp"
		if s.State == "LISTEN" || udp && s.Remote.Port() == 0 {
			proto := "tcp"
			if udp {
				proto = "udp"
			}
			l.add(AndroidListener{Proto: proto, Address: s.Local.Addr().String(), Port: int(s.Local.Port()), Exposed: !s.Local.Addr().IsLoopback(), UID: s.UID,
				Process: s.Program, Where: at(string(scanner.SourceNetstat), s.Line)})
		}
	}
	return nil
}

// kernel reads the kernel's own tables, which have no names of programs.
func (l *listenerReader) kernel(in *scanner.Input) error {
	var first error
	for _, name := range []string{"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6"} {
		b, err := scanner.ReadFile(in.Device.FS(), name, maxSystemXML)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		l.asked = true
		socks, _ := parse.NetSockets(b, binary.LittleEndian) // every Android machine is
		for _, s := range socks {
			proto := netTables[name]
			const tcpListening = 0x0a
			if proto == "tcp" && s.State != tcpListening || proto == "udp" && s.Remote.Port() != 0 {
				continue
			}
			l.add(AndroidListener{Proto: proto, Address: s.Local.Addr().String(), Port: int(s.Local.Port()), Exposed: !s.Local.Addr().IsLoopback(), UID: s.UID, Where: name})
		}
	}
	return first
}

// knownPorts are what programs of interest listen at.
var knownPorts = map[int]string{5555: "adb", 27042: "frida", 27043: "frida", 22: "ssh", 2222: "ssh", 8022: "ssh", 23: "telnet", 5900: "vnc", 5901: "vnc", 9050: "tor", 8080: "http", 8888: "http", 21: "ftp", 2121: "ftp"}

func (l *listenerReader) add(r AndroidListener) {
	r.Service, r.App = knownPorts[r.Port], isAppUID(r.UID)
	if r.Proto == "udp" {
		r.Service = ""
	}
	r.AppTraits = AppTraits{Source: "unknown", AgeDays: -1}
	switch apps := l.byUID[r.UID%perUser]; {
	case !r.App:
	case len(apps) > 0:
		r.AppTraits = apps[0].AppTraits
	}
	if r.UID < 0 {
		r.MarkUnread("uid", "netstat does not tell it")
		r.MarkUnread("app", "netstat does not tell the user")
		r.MarkUnread("sideloaded", "netstat does not tell the user")
		r.MarkUnread("package", "netstat does not tell the user")
	}
	if r.Process == "" {
		r.MarkUnread("process", "the source does not tell it")
	}
	l.rows = append(l.rows, r)
}
