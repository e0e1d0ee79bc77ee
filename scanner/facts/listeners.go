package facts

import (
	"context"
	"path"
	"strconv"
	"strings"

	"picket/scanner"
)

// Listener is a service that others on the network can reach.
type Listener struct {
	Name     string `expr:"name" json:"name" doc:"program or service"`
	Proto    string `expr:"proto" json:"proto,omitempty" doc:"tcp or udp; empty for images"`
	Port     int    `expr:"port" json:"port,omitempty" doc:"port; 0 for images"`
	Address  string `expr:"address" json:"address,omitempty" doc:"local address"`
	Program  string `expr:"program" json:"program,omitempty" doc:"program file"`
	Observed bool   `expr:"observed" json:"observed" doc:"an open socket; else a service that starts by itself and listens for others unless configured otherwise"`
	Baseline bool   `expr:"baseline" json:"baseline" doc:"expected on most devices: SSH, name and address discovery, DHCP, time"`
	Where    string `expr:"where" json:"-" doc:"/proc/net file, unit or script"`
}

func listenersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "listeners", Doc: "services that others on the network can reach", Row: Listener{},
		Needs: []string{"sockets", "services"}, Collect: collectListeners,
	}
}

func collectListeners(_ context.Context, in *scanner.Input) scanner.Table {
	rows := []Listener{}
	sockets, why := scanner.Rows[Socket](in, "sockets")
	if why == "" && in.Tables["sockets"].Inapplicable == "" {
		for _, s := range sockets {
			if !s.Listening || s.Loopback || !s.SameNetNS || s.Proto != "tcp" && s.Proto != "udp" {
				continue
			}
			rows = append(rows, Listener{Name: socketName(s), Proto: s.Proto, Port: s.LocalPort, Address: s.LocalAddr, Program: s.Exe,
				Observed: true, Baseline: baseline(s), Where: s.Where})
		}
		return scanner.Table{Rows: rows, Partial: in.Tables["sockets"].Partial}
	}
	if in.Device.Identity().Live {
		return scanner.Table{Absent: why}
	}
	services, why := scanner.Rows[Service](in, "services")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	for _, s := range services {
		if s.Class == "network" {
			rows = append(rows, Listener{Name: s.Name, Where: s.Where})
		}
	}
	return scanner.Table{Rows: rows, Partial: in.Tables["services"].Partial}
}

// baselinePorts are what an ordinary device opens for the network's own sake: DHCP clients,
// time, name discovery, SSDP, IKE and the answers to queries above.
var baselinePorts = map[string][]int{"udp": {68, 123, 137, 138, 546, 1900, 5353, 5355, 500, 4500}, "tcp": {22, 5355}}

func baseline(s Socket) bool {
	for _, p := range baselinePorts[s.Proto] {
		if p == s.LocalPort {
			return true
		}
	}
	return s.Proto == "udp" && s.LocalPort >= 32768 || strings.HasPrefix(s.LocalAddr, "fe80:") && s.Proto == "udp"
}

func socketName(s Socket) string {
	switch {
	case s.Exe != "":
		return path.Base(s.Exe)
	case s.Name != "":
		return s.Name
	}
	return s.Proto + " port " + strconv.Itoa(s.LocalPort)
}

// exposedSocket names a listening socket that others can reach, "" for the rest.
func exposedSocket(s Socket) string {
	if !s.Listening || s.Loopback || !s.SameNetNS || s.Proto != "tcp" && s.Proto != "udp" || baseline(s) {
		return ""
	}
	return socketName(s) + " (" + s.Proto + " " + strconv.Itoa(s.LocalPort) + ")"
}
