package facts

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// savedNetworkFiles are where Android keeps the networks that it knows: of the device, in the
// place of Android 11 on and the older one, and of users.
var savedNetworkFiles = []string{"/data/misc/apexdata/com.android.wifi/WifiConfigStore.xml", "/data/misc/wifi/WifiConfigStore.xml",
	"/data/misc_ce/*/apexdata/com.android.wifi/WifiConfigStore.xml", "/data/misc_ce/*/wifi/WifiConfigStore.xml"}

func androidProxiesCollector() scanner.Collector {
	r := powerReads([]string{"connectivity"}, savedNetworkFiles...)
	return scanner.Collector{
		Table: "android_proxies", Doc: "proxies that apps are told to use", Row: AndroidProxy{}, Platforms: onAndroid,
		Reads: r, Collect: collectAndroidProxies,
	}
}

func collectAndroidProxies(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := &powers{ctx: ctx, in: in, t: &t}
	rows := []AndroidProxy{}
	seen := map[string]bool{}
	add := func(scope, name, host, where string, pac bool) {
		row := androidProxy(scope, name, host, where, pac)
		if key := scope + " " + name + " " + row.Host; row.Host != "" && !seen[key] {
			seen[key] = true
			rows = append(rows, row)
		}
	}
	s := readSettings(ctx, in)
	where := s.where["global"]
	if v, _ := s.get("global", "http_proxy"); v != ":0" {
		add("global", "global", v, where, false)
	}
	if host, _ := s.get("global", "global_http_proxy_host"); host != "" {
		port, _ := s.get("global", "global_http_proxy_port")
		add("global", "global", net.JoinHostPort(host, or(port, "0")), where, false)
	}
	if pac, _ := s.get("global", "global_proxy_pac_url"); pac != "" {
		add("global", "global", pac, where, true)
	}
	c, connErr := asked(p, "connectivity", parse.Connectivities)
	for i := range c.Networks {
		n := &c.Networks[i]
		name := transportOf(n)
		if n.WiFi != nil {
			name = or(n.WiFi.SSID, name)
		}
		add("network", name, proxyOf(&n.Link), at("dumpsys/connectivity", n.Line), n.Link.ProxyScript != "")
	}
	saved, filesErr := savedNetworks(p, func(n *parse.SavedNetwork, file string) {
		switch n.Proxy {
		case "static":
			if n.ProxyHost != "" {
				add("network", n.SSID, net.JoinHostPort(n.ProxyHost, strconv.Itoa(n.ProxyPort)), file, false)
			}
		case "pac":
			add("network", n.SSID, n.ProxyPAC, file, true)
		}
	})
	_, settingsRead := s.values["global"]
	switch {
	case !settingsRead && connErr != nil && !saved:
		return scanner.Table{Absent: s.why["global"]}
	case !settingsRead:
		t.Partial = append(t.Partial, "settings: "+s.why["global"])
	case connErr != nil && !saved:
		t.Partial = append(t.Partial, why(connErr, filesErr))
	}
	t.Rows = rows
	return t
}

// savedNetworks hands the networks that files know to f; read tells whether there was a file.
func savedNetworks(p *powers, f func(n *parse.SavedNetwork, file string)) (read bool, err error) {
	var files []string
	for _, pattern := range savedNetworkFiles {
		names, globErr := scanner.Glob(p.in.Device.FS(), pattern)
		if globErr != nil {
			err = globErr
		}
		files = append(files, names...)
	}
	for _, name := range files[:min(len(files), 100)] {
		list, fileErr := fromFile(p, name, parse.WifiConfigXML)
		if fileErr != nil {
			p.partial(fileErr)
			err = fileErr
			continue
		}
		read = true
		for i := range list {
			f(&list[i], name)
		}
	}
	return read, err
}

// androidProxy describes a proxy, without a name and password that stand in front of the host.
func androidProxy(scope, name, host, where string, pac bool) AndroidProxy {
	row := AndroidProxy{Scope: scope, Name: name, Host: WithoutLogin(host), PAC: pac, Where: where}
	address := row.Host
	if pac {
		scheme, rest, ok := strings.Cut(row.Host, "://")
		row.Plain = strings.EqualFold(scheme, "http")
		if ok {
			address, _, _ = strings.Cut(rest, "/")
		}
	}
	if h, _, err := net.SplitHostPort(address); err == nil {
		address = h
	}
	address = strings.Trim(address, "[]")
	if a, err := netip.ParseAddr(address); err == nil {
		row.Loopback, row.Private = a.IsLoopback() || a.IsUnspecified(), a.IsPrivate() || a.IsLinkLocalUnicast()
	}
	row.Loopback = row.Loopback || strings.EqualFold(address, "localhost")
	return row
}

// WithoutLogin cuts user, password, query and fragment off an address.
func WithoutLogin(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i]
	}
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		scheme, rest = "", s
	}
	host, path, slash := strings.Cut(rest, "/")
	host = host[strings.LastIndexByte(host, '@')+1:]
	if slash {
		host += "/" + path
	}
	if ok {
		return scheme + "://" + host
	}
	return host
}
