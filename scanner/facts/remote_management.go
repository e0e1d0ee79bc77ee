package facts

import (
	"context"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// RemoteManagement is one protocol by which others look into or steer the device.
type RemoteManagement struct {
	Protocol string `expr:"protocol" json:"protocol" doc:"snmp, upnp, tr-069, ipp, mdns-reflector"`
	Setting  string `expr:"setting" json:"setting" doc:"setting that opens it, without a secret"`
	Default  bool   `expr:"default_secret" json:"default_secret,omitempty" doc:"the shared word is one that everybody tries"`
	Write    bool   `expr:"write" json:"write,omitempty" doc:"others can change things"`
	Limited  bool   `expr:"limited" json:"limited" doc:"only named addresses or the device itself are let in, or the safe mode is on"`
	Plain    bool   `expr:"plain" json:"plain,omitempty" doc:"the device is steered over a way without encryption"`
	Where    string `expr:"where" json:"-" doc:"file and line"`
}

func remoteManagementCollector() scanner.Collector {
	return scanner.Collector{
		Table: "remote_management", Doc: "protocols by which others look into or steer the device", Row: RemoteManagement{},
		Reads: scanner.Reads{Globs: []string{"/etc/snmp/snmpd.conf", "/etc/snmp/snmpd.conf.d/*.conf", "/etc/config/snmpd", "/etc/config/upnpd",
			"/etc/miniupnpd/miniupnpd.conf", "/etc/config/easycwmp", "/etc/config/cwmp", "/etc/config/icwmp", "/etc/cups/cupsd.conf", "/etc/avahi/avahi-daemon.conf"}},
		Collect: collectRemoteManagement,
	}
}

type managementReader struct {
	*treeReader
	rows []RemoteManagement
}

func collectRemoteManagement(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	m := &managementReader{treeReader: newReader(in, &t), rows: []RemoteManagement{}}
	m.snmp()
	m.upnp()
	m.cwmp()
	m.cups()
	for _, e := range parse.INI(m.file("/etc/avahi/avahi-daemon.conf")) {
		if e.Key == "enable-reflector" && yes(e.Value) {
			m.rows = append(m.rows, RemoteManagement{Protocol: "mdns-reflector", Setting: "enable-reflector=yes", Where: at("/etc/avahi/avahi-daemon.conf", e.Line)})
		}
	}
	t.Rows = m.rows
	return t
}

// snmp reads snmpd.conf(5). The community is judged and dropped.
func (m *managementReader) snmp() {
	for _, name := range append(m.glob("/etc/snmp/snmpd.conf"), m.glob("/etc/snmp/snmpd.conf.d/*.conf")...) {
		local := false
		ds := parse.Directives(m.file(name))
		for _, d := range ds {
			if strings.EqualFold(d.Words[0], "agentaddress") {
				local = !snmpOpen(strings.Join(d.Words[1:], ","))
			}
		}
		for _, d := range ds {
			row := RemoteManagement{Protocol: "snmp", Setting: d.Words[0], Where: at(name, d.Line)}
			source := ""
			switch strings.ToLower(d.Words[0]) {
			case "rocommunity", "rocommunity6", "rwcommunity", "rwcommunity6":
				row.Default, source = parse.CommonCommunity(d.Arg(0)), d.Arg(1)
				row.Write = strings.HasPrefix(strings.ToLower(d.Words[0]), "rw")
			case "com2sec", "com2sec6":
				row.Default, source = parse.CommonCommunity(d.Arg(2)), d.Arg(1)
			default:
				continue
			}
			row.Limited = local || source != "" && source != "default" && !strings.HasPrefix(source, "0.0.0.0")
			m.rows = append(m.rows, row)
		}
	}
	for _, s := range parse.UCI(m.file("/etc/config/snmpd")) {
		if s.Type == "com2sec" {
			m.rows = append(m.rows, RemoteManagement{Protocol: "snmp", Setting: "com2sec " + s.Name, Default: parse.CommonCommunity(s.Get("community")),
				Write: s.Get("secname") == "rw", Limited: s.Get("source") != "default", Where: at("/etc/config/snmpd", s.Line)})
		}
	}
}

// snmpOpen reports whether an agentaddress lets others in: anything but loopback.
func snmpOpen(list string) bool {
	for _, a := range strings.Split(list, ",") {
		a = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(a), "udp:"), "udp6:")
		if a != "" && everywhere(a) {
			return true
		}
	}
	return false
}

func (m *managementReader) upnp() {
	for _, s := range parse.UCI(m.file("/etc/config/upnpd")) {
		if s.Type == "upnpd" && s.On("enabled") {
			m.rows = append(m.rows, RemoteManagement{Protocol: "upnp", Setting: "enabled", Write: true, Limited: s.On("secure_mode"), Where: at("/etc/config/upnpd", s.Line)})
		}
	}
	const name = "/etc/miniupnpd/miniupnpd.conf"
	if set := parse.Assignments(m.file(name)); set.Get("", "ext_ifname") != "" {
		e, _ := set.Find("", "ext_ifname")
		m.rows = append(m.rows, RemoteManagement{Protocol: "upnp", Setting: "secure_mode", Write: true, Limited: !no(set.Get("", "secure_mode")), Where: at(name, e.Line)})
	}
}

func (m *managementReader) cwmp() {
	for _, name := range m.glob("/etc/config/easycwmp", "/etc/config/cwmp", "/etc/config/icwmp") {
		for _, s := range parse.UCI(m.file(name)) {
			if url := s.Get("url"); s.Type == "acs" && url != "" {
				m.rows = append(m.rows, RemoteManagement{Protocol: "tr-069", Setting: "url of host " + hostOf(url), Write: true, Limited: true,
					Plain: strings.HasPrefix(url, "http://"), Where: at(name, s.Line)})
			}
		}
	}
}

// cups reads cupsd.conf: a Listen or Port that others reach.
func (m *managementReader) cups() {
	const name = "/etc/cups/cupsd.conf"
	for _, d := range parse.Directives(m.file(name)) {
		open := false
		switch strings.ToLower(d.Words[0]) {
		case "port":
			open = true
		case "listen", "ssllisten":
			open = everywhere(d.Arg(0))
		}
		if open {
			m.rows = append(m.rows, RemoteManagement{Protocol: "ipp", Setting: d.Words[0] + " " + d.Arg(0), Where: at(name, d.Line)})
		}
	}
}
