package facts

import (
	"fmt"
	"maps"
	"testing"

	"picket/scanner"
)

// tables are what the network collectors need, empty unless given.
func tables(given ...*scanner.Table) []*scanner.Table {
	out := []*scanner.Table{
		{Name: "os", Rows: []scanner.OS{{ID: "debian", Version: "12"}}},
		{Name: "users", Rows: []User{{Name: "root", Home: "/root"}}},
		{Name: "packages", Absent: "none"}, {Name: "processes", Absent: needsLive}, {Name: "sockets", Absent: needsLive},
		{Name: "interfaces", Absent: needsLive}, {Name: "services", Rows: []Service{}}, {Name: "wifi_profiles", Rows: []WiFiProfile{}},
		{Name: "package_sources", Rows: []PackageSource{{Enabled: true, Host: "mirror.example.org"}}}, {Name: "firewall", Rows: []FirewallState{}},
	}
	return append(out, given...)
}

func expect[T any](t *testing.T, c scanner.Collector, tree string, want map[string]string, tell func(T) (key, text string), needs ...*scanner.Table) {
	t.Helper()
	tab := collectFrom(t, c, tree, tables(needs...)...)
	if tab.Absent != "" || len(tab.Partial) > 0 {
		t.Errorf("absent %q, partial %v", tab.Absent, tab.Partial)
	}
	got := map[string]string{}
	for _, r := range tab.Rows.([]T) {
		k, v := tell(r)
		got[k] = v
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", c.Table, got, want)
	}
}

func TestRedirectionsKeepOnlyNamesThatMatter(t *testing.T) {
	t.Parallel()
	tree := `-- etc/hosts --
127.0.0.1 localhost
::1 localhost ip6-localhost
0.0.0.0 ads.example.com
192.168.1.4 nas
203.0.113.7 security.debian.org other.example
0.0.0.0 MIRROR.example.org
203.0.113.8 localhost
-- etc/dnsmasq.d/x --
address=/deb.debian.org/example.com/203.0.113.9
-- etc/config/firewall --
config redirect
	option src 'lan'
	option src_dport '53'
	option dest_ip '203.0.113.10'
`
	redirect := func(r Redirection) (string, string) {
		return r.Where, fmt.Sprint(r.Kind, " ", r.Name, " ", r.Target, " ", r.Protected, r.Localhost, r.Blocked)
	}
	expect(t, redirectionsCollector(), tree, map[string]string{
		"/etc/hosts:5":           "hosts security.debian.org 203.0.113.7 true false false",
		"/etc/hosts:6":           "hosts mirror.example.org 0.0.0.0 true false true",
		"/etc/hosts:7":           "hosts localhost 203.0.113.8 false true false",
		"/etc/dnsmasq.d/x:1":     "dnsmasq deb.debian.org 203.0.113.9 true false false",
		"/etc/config/firewall:1": "nat port 53 203.0.113.10: false false false",
	}, redirect)
}

func TestFirewallIsReadFromFilesOfAnImage(t *testing.T) {
	t.Parallel()
	nft := "-- etc/systemd/system/sysinit.target.wants/nftables.service link=/lib/x --\n-- etc/nftables.conf --\n" +
		"flush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority 0; policy %s;\n\t\tct state established accept\n\t}\n" +
		"\tchain pre {\n\t\ttype nat hook prerouting priority -100;\n\t\ttcp dport { 80, 443 } redirect to :8080\n\t}\n}\n"
	for name, tc := range map[string]struct{ tree, want string }{
		"drop":    {fmt.Sprintf(nft, "drop"), "nftables drop true [80 443] :8080"},
		"accept":  {fmt.Sprintf(nft, "accept"), "nftables accept false [80 443] :8080"},
		"ufw":     {"-- etc/ufw/ufw.conf --\nENABLED=yes\n", "ufw drop true"},
		"ufw off": {"-- etc/ufw/ufw.conf --\nENABLED=no\n", "none  false"},
		"saved": {"-- etc/iptables/rules.v4 --\n*nat\n-A OUTPUT -p udp --dport 53 -j DNAT --to-destination 203.0.113.1:53\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n",
			"iptables drop true [53] 203.0.113.1:53"},
		"openwrt": {"-- etc/config/firewall --\nconfig zone\n\toption name 'wan'\n\toption input 'REJECT'\n\toption masq '1'\n", "OpenWrt reject true"},
	} {
		tab := collectFrom(t, firewallCollector(), tc.tree, tables()...)
		f := tab.Rows.([]FirewallState)[0]
		got := fmt.Sprint(f.Backend, " ", f.InputPolicy, " ", f.Guarded)
		for _, x := range tab.Aux.([]located) {
			got += fmt.Sprint(" ", x.Ports, " ", x.To)
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestFirewallInForceIsReadFromItsProbe(t *testing.T) {
	t.Parallel()
	tree := `-- probe/nftables --
{"nftables":[{"metainfo":{}},{"chain":{"family":"inet","table":"f","name":"in","type":"filter","hook":"input","policy":"accept"}},
{"rule":{"family":"inet","table":"f","chain":"in","expr":[{"match":{"left":{"payload":{"protocol":"tcp","field":"dport"}},"right":22}},{"accept":null}]}},
{"rule":{"family":"inet","table":"f","chain":"in","expr":[{"counter":{}},{"drop":null}]}},
{"rule":{"family":"ip","table":"n","chain":"out","expr":[{"match":{"left":{"payload":{"protocol":"udp","field":"dport"}},"right":{"set":[53,853]}}},{"dnat":{"addr":"203.0.113.1","port":53}}]}}]}
`
	tab := collectFrom(t, firewallCollector(), tree, tables()...)
	f := tab.Rows.([]FirewallState)[0]
	if x := tab.Aux.([]located); !f.Live || !f.Guarded || len(x) != 1 || fmt.Sprint(x[0].Ports, x[0].To) != "[53 853]203.0.113.1:53" {
		t.Errorf("%+v %+v", f, x)
	}
}

func TestAdminPortsTellOpenDoors(t *testing.T) {
	t.Parallel()
	tree := `-- etc/docker/daemon.json --
{"hosts": ["unix:///run/docker.sock", "tcp://0.0.0.0:2375", "tcp://127.0.0.1:2376"]}
-- etc/redis/redis.conf --
bind 0.0.0.0
protected-mode no
-- etc/mosquitto/conf.d/a.conf --
listener 1883
allow_anonymous true
-- etc/mongod.conf --
net:
  port: 27017
  bindIp: 127.0.0.1,10.0.0.4
security:
  authorization: enabled
-- etc/memcached.conf --
-m 64
-l 127.0.0.1
-- root/.config/code-server/config.yaml --
bind-addr: 0.0.0.0:8080
auth: none
`
	expect(t, adminPortsCollector(), tree, map[string]string{
		"Docker 0.0.0.0:2375": "true false", "Docker 127.0.0.1:2376": "false false", "Redis 0.0.0.0": "true false", "MQTT broker 1883": "true false",
		"MongoDB 127.0.0.1,10.0.0.4": "true true", "memcached 127.0.0.1": "false false", "code-server 0.0.0.0:8080": "true false",
	}, func(a AdminPort) (string, string) {
		return a.Service + " " + a.Address, fmt.Sprint(a.Exposed, " ", a.Auth)
	})
}

func TestTunnelsTellReverseConnectionsAndRelays(t *testing.T) {
	t.Parallel()
	tree := `-- etc/wireguard/wg0.conf --
[Interface]
PrivateKey = never-shown
PostUp = /usr/bin/x
-- etc/systemd/system/back.service --
[Service]
ExecStart=/usr/bin/autossh -N -R 2222:localhost:22 home.example
-- etc/systemd/system/fine.service --
[Service]
ExecStart=/usr/bin/ssh -N -L 1:a:2 home.example
-- etc/danted.conf --
logoutput: syslog
-- etc/tinyproxy/tinyproxy.conf --
Port 8888
Allow 127.0.0.1
-- root/.config/ngrok/ngrok.yml --
authtoken: never-shown
`
	expect(t, tunnelsCollector(), tree, map[string]string{
		"wireguard wg0": "false false [/usr/bin/x]", "ssh back.service": "true false []", "relay danted.conf": "false true []", "ngrok ngrok.yml": "true false []",
	}, func(r Tunnel) (string, string) {
		return r.Kind + " " + r.Name, fmt.Sprint(r.Reverse, " ", r.Relay, " ", r.Commands)
	})
}

func TestNetSettingsOfAnImageFollowTheOrderOfFiles(t *testing.T) {
	t.Parallel()
	tree := "-- usr/lib/sysctl.d/50-default.conf --\nnet.ipv4.conf.all.accept_redirects = 1\nkernel.sysrq = 1\n" +
		"-- etc/sysctl.d/99-mine.conf --\n-net/ipv4/conf/all/accept_redirects = 0\nnet.ipv4.ip_forward=1\n-- usr/bin/dockerd elf --\n"
	expect(t, netSettingsCollector(), tree, map[string]string{
		"net.ipv4.conf.all.accept_redirects": "0 false ", "net.ipv4.ip_forward": "1 true containers",
	}, func(n NetSetting) (string, string) { return n.Key, fmt.Sprint(n.Value, " ", n.On, " ", n.Explained) })
}

func TestSharesTellWhoIsLetIn(t *testing.T) {
	t.Parallel()
	tree := `-- etc/exports --
# comment
/srv *(rw,sync) 10.0.0.5(rw,no_root_squash)
/pub *(ro)
-- etc/samba/smb.conf --
[global]
   map to guest = bad user
[homes]
   read only = no
[media]
   path = /media
   guest ok = yes
   writable = yes
-- etc/rsyncd.conf --
[backup]
path = /b
read only = false
-- etc/vsftpd.conf --
anonymous_enable=YES
`
	expect(t, sharesCollector(), tree, map[string]string{
		"nfs /srv *": "true true false", "nfs /srv 10.0.0.5": "false true true", "nfs /pub *": "true false false", "smb homes ": "false true false",
		"smb media ": "true true false", "rsync backup ": "true true false", "ftp anonymous ": "true false false",
	}, func(s Share) (string, string) {
		return s.Protocol + " " + s.Name + " " + s.Clients, fmt.Sprint(s.Guest, s.Writable, s.RootOpen)
	})
}

func TestRemoteManagementDropsTheCommunity(t *testing.T) {
	t.Parallel()
	tree := `-- etc/snmp/snmpd.conf --
agentaddress udp:161
rocommunity public default
rwcommunity s3cret 10.0.0.5
-- etc/config/upnpd --
config upnpd config
	option enabled '1'
-- etc/cups/cupsd.conf --
Listen localhost:631
Listen *:631
Listen /run/cups/cups.sock
`
	expect(t, remoteManagementCollector(), tree, map[string]string{
		"/etc/snmp/snmpd.conf:2": "snmp rocommunity true false", "/etc/snmp/snmpd.conf:3": "snmp rwcommunity false true",
		"/etc/config/upnpd:1": "upnp enabled false false", "/etc/cups/cupsd.conf:2": "ipp Listen *:631 false false",
	}, func(m RemoteManagement) (string, string) {
		return m.Where, fmt.Sprint(m.Protocol, " ", m.Setting, " ", m.Default, m.Limited)
	})
}

func TestProxiesLoseTheirPassword(t *testing.T) {
	t.Parallel()
	tree := `-- etc/environment --
http_proxy="http://joe:secret@proxy.example:3128"
no_proxy=localhost
-- etc/apt/apt.conf.d/01proxy --
Acquire::http::Proxy "http://192.168.1.9:3142";
Acquire::https::Proxy "DIRECT";
-- root/.gitconfig --
[http]
	proxy = socks5://127.0.0.1:1080
`
	expect(t, proxiesCollector(), tree, map[string]string{
		"/etc/environment:1":            "environment http://proxy.example:3128 proxy.example false false",
		"/etc/apt/apt.conf.d/01proxy:1": "apt http://192.168.1.9:3142 192.168.1.9 false true",
		"/root/.gitconfig:2":            "git socks5://127.0.0.1:1080 127.0.0.1 true false",
	}, func(p Proxy) (string, string) {
		return p.Where, fmt.Sprint(p.Program, " ", p.URL, " ", p.Host, " ", p.Loopback, p.Private)
	})
}

func TestResolversTellHandFromNetwork(t *testing.T) {
	t.Parallel()
	r := func(r Resolver) (string, string) {
		return r.Address, fmt.Sprint(r.Source, " ", r.ByHand, r.Known, r.Private, r.Loopback)
	}
	expect(t, resolversCollector(), "-- etc/resolv.conf --\nnameserver 203.0.113.5\nnameserver 9.9.9.9\n", map[string]string{
		"203.0.113.5": "resolv.conf true false false false", "9.9.9.9": "resolv.conf true true false false"}, r)
	expect(t, resolversCollector(), "-- etc/resolv.conf --\n# Generated by NetworkManager\nnameserver 203.0.113.5\n", map[string]string{
		"203.0.113.5": "resolv.conf false false false false"}, r)
	expect(t, resolversCollector(), "-- etc/resolv.conf link=/run/gone --\n", map[string]string{}, r)
}

// TestNetworksSayWhereOneSignsIn takes the address of a captive portal from what DHCP clients keep.
func TestNetworksSayWhereOneSignsIn(t *testing.T) {
	t.Parallel()
	tree := "live: yes\n-- etc/os-release --\nID=debian\n-- etc/resolv.conf --\nnameserver 9.9.9.9\n" +
		"-- probe/interfaces --\n[{\"index\":2,\"name\":\"eth0\",\"up\":true},{\"index\":3,\"name\":\"eth1\",\"up\":true},{\"index\":4,\"name\":\"eth2\",\"up\":true}]\n" +
		"-- probe/neighbours --\n[]\n-- probe/routes --\n["
	for i, name := range []string{"eth0", "eth1", "eth2"} {
		if i > 0 {
			tree += ","
		}
		tree += fmt.Sprintf(`{"family":4,"dst":"0.0.0.0/0","default":true,"gateway":"10.%d.0.1","interface":%q,"protocol":"dhcp","type":"unicast","table":254}`, i, name)
	}
	tree += "]\n-- run/systemd/netif/links/2 --\n# This is private data. Do not parse.\nADMIN_STATE=configured\nDNS=203.0.113.9\nCAPTIVE_PORTAL=https://portal.example.net/api?client=1\n" +
		"-- run/systemd/netif/links/4 --\nADMIN_STATE=configured\n" +
		"-- var/lib/dhcp/dhclient.eth1.leases --\nlease {\n  interface \"eth1\";\n  option dhcp-server-identifier 10.1.0.1;\n  option default-url \"http://user:secret@10.1.0.1/login\";\n}\n"
	rows, _ := tableOf(t, "networks", tree, scanner.Options{}).Rows.([]Network)
	got := map[string]string{}
	for _, n := range rows {
		got[n.Interface] = fmt.Sprint(n.Portal, " ", n.Resolvers)
	}
	want := map[string]string{"eth0": "https://portal.example.net/api []", "eth1": "http://10.1.0.1/login []", "eth2": " []"}
	if !maps.Equal(got, want) {
		t.Errorf("%q, not %q", got, want)
	}
}

func TestRouterOpeningsFromOutside(t *testing.T) {
	t.Parallel()
	tree := `-- etc/config/firewall --
config zone
	option name 'wan'
	option input 'ACCEPT'
config rule
	option name 'ssh'
	option src 'wan'
	option dest_port '22'
	option target 'ACCEPT'
config rule
	option name 'ping'
	option src 'wan'
	option proto 'icmp'
	option target 'ACCEPT'
config redirect
	option name 'cam'
	option src 'wan'
	option src_dport '8080'
	option dest_ip '192.168.1.20'
config redirect
	option name 'off'
	option src 'wan'
	option enabled '0'
`
	expect(t, routerOpeningsCollector(), tree, map[string]string{"zone wan": "", "management ssh": "22", "forward cam": "8080"},
		func(r RouterOpening) (string, string) { return r.Kind + " " + r.Name, r.Ports })
	if tab := collectFrom(t, routerOpeningsCollector(), "-- etc/hosts --\n"); tab.Inapplicable == "" {
		t.Error("no router, no table")
	}
}

func TestBluetoothTellsTrustedKeyboards(t *testing.T) {
	t.Parallel()
	tree := "-- etc/bluetooth/main.conf --\n[General]\n#JustWorksRepairing = never\nJustWorksRepairing = always\n" +
		"-- var/lib/bluetooth/00:11/22:33/info --\n[General]\nName=Joe's keyboard\nClass=0x002540\nTrusted=true\n-- var/lib/bluetooth/00:11/44:55/info --\n[General]\nClass=0x240404\nTrusted=true\n"
	expect(t, bluetoothCollector(), tree, map[string]string{"JustWorksRepairing": "true false", "22:33": "false true"},
		func(b BluetoothFact) (string, string) { return b.Name, fmt.Sprint(b.Weak, " ", b.Trusted) })
}
