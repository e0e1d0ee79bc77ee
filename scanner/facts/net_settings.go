package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// NetSetting is one kernel setting of the network that others can make use of.
type NetSetting struct {
	Key       string `expr:"key" json:"key" doc:"sysctl name: net.ipv4.conf.all.accept_redirects, net.ipv4.ip_forward, ..."`
	Name      string `expr:"name" json:"name" doc:"last part of the key"`
	Interface string `expr:"interface" json:"interface,omitempty" doc:"interface, all or default; empty for settings of the whole device"`
	Value     string `expr:"value" json:"value" doc:"value in force, or set by files on images"`
	On        bool   `expr:"on" json:"on" doc:"not 0"`
	Explained string `expr:"explained" json:"explained,omitempty" doc:"what on the device needs forwarding: containers, virtual machines, a hotspot or a VPN"`
	Where     string `expr:"where" json:"-" doc:"/proc/sys file, or file and line"`
}

var netSettingNames = []string{"accept_source_route", "accept_redirects", "secure_redirects", "send_redirects", "proxy_arp"}

var forwardNames = []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"}

var sysctlGlobs = []string{"/usr/lib/sysctl.d/*.conf", "/lib/sysctl.d/*.conf", "/run/sysctl.d/*.conf", "/etc/sysctl.d/*.conf", "/etc/sysctl.conf"}

func netSettingsCollector() scanner.Collector {
	globs := concat(sysctlGlobs, forwardNames)
	for _, n := range netSettingNames {
		globs = append(globs, "/proc/sys/net/ipv4/conf/*/"+n, "/proc/sys/net/ipv6/conf/*/"+n)
	}
	return scanner.Collector{
		Table: "net_settings", Doc: "kernel settings of the network that others can make use of", Row: NetSetting{},
		Reads: scanner.Reads{Globs: globs, Meta: []string{"/usr/bin/dockerd", "/usr/bin/podman", "/usr/sbin/libvirtd", "/usr/bin/lxc-start", "/usr/bin/containerd", "/etc/wireguard/*.conf", "/etc/openvpn/server/*.conf"}},
		Needs: []string{"wifi_profiles", "interfaces"}, Collect: collectNetSettings,
	}
}

func collectNetSettings(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	explained := forwardingNeed(in, r)
	var rows []NetSetting
	if in.Device.Identity().Live {
		rows = r.kernelSettings()
	} else {
		rows = r.bootSettings()
	}
	for i := range rows {
		rows[i].On = rows[i].Value != "0" && rows[i].Value != ""
		if rows[i].Name == "ip_forward" || rows[i].Name == "forwarding" || rows[i].Name == "proxy_arp" {
			rows[i].Explained = explained
		}
	}
	t.Rows = rows
	return t
}

// kernelSettings reads the values in force.
func (r *treeReader) kernelSettings() []NetSetting {
	rows := []NetSetting{}
	read := func(name string) {
		if b := r.file(name); b != nil {
			rows = append(rows, netSetting(strings.ReplaceAll(strings.TrimPrefix(name, "/proc/sys/"), "/", "."), strings.TrimSpace(string(b)), name))
		}
	}
	for _, name := range forwardNames {
		read(name)
	}
	for _, dir := range r.glob("/proc/sys/net/ipv4/conf/*", "/proc/sys/net/ipv6/conf/*") {
		for _, n := range netSettingNames {
			if base := path.Base(dir); base != "lo" && base != "default" {
				read(dir + "/" + n)
			}
		}
	}
	return rows
}

// bootSettings reads what files set at boot; of files with the same name the one in /etc counts,
// and later lines win over earlier ones.
func (r *treeReader) bootSettings() []NetSetting {
	files := map[string]string{}
	var order []string
	for _, name := range r.glob(sysctlGlobs...) {
		base := path.Base(name)
		if files[base] == "" {
			order = append(order, base)
		}
		files[base] = name
	}
	last := map[string]NetSetting{}
	var keys []string
	for _, base := range order {
		set, bad := parse.Sysctls(r.file(files[base]))
		r.table.Partial = append(r.table.Partial, damaged(files[base], bad)...)
		for _, e := range set {
			if e.Except || !wantedSetting(e.Key) {
				continue
			}
			if _, ok := last[e.Key]; !ok {
				keys = append(keys, e.Key)
			}
			last[e.Key] = netSetting(e.Key, e.Value, at(files[base], e.Line))
		}
	}
	rows := make([]NetSetting, len(keys))
	for i, k := range keys {
		rows[i] = last[k]
	}
	return rows
}

func wantedSetting(key string) bool {
	if key == "net.ipv4.ip_forward" || key == "net.ipv6.conf.all.forwarding" {
		return true
	}
	for _, n := range netSettingNames {
		if strings.HasPrefix(key, "net.ipv") && strings.HasSuffix(key, "."+n) {
			return true
		}
	}
	return false
}

func netSetting(key, value, where string) NetSetting {
	s := NetSetting{Key: key, Value: value, Where: where}
	parts := strings.Split(key, ".")
	s.Name = parts[len(parts)-1]
	if len(parts) > 4 {
		s.Interface = strings.Join(parts[3:len(parts)-1], ".")
	}
	return s
}

// forwardingNeed names what on the device forwards by design.
func forwardingNeed(in *scanner.Input, r *treeReader) string {
	if r.exists("/usr/bin/dockerd", "/usr/bin/podman", "/usr/bin/containerd", "/usr/bin/lxc-start") {
		return "containers"
	}
	if r.exists("/usr/sbin/libvirtd") {
		return "virtual machines"
	}
	if len(r.glob("/etc/wireguard/*.conf", "/etc/openvpn/server/*.conf")) > 0 {
		return "a VPN"
	}
	wifi, _ := scanner.Rows[WiFiProfile](in, "wifi_profiles")
	for _, w := range wifi {
		if w.Mode == "ap" {
			return "a hotspot"
		}
	}
	interfaces, _ := scanner.Rows[Interface](in, "interfaces")
	for _, i := range interfaces {
		if i.Kind == "bridge" {
			return "a bridge"
		}
	}
	return ""
}
