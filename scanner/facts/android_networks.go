package facts

import (
	"context"
	"net"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

func androidNetworksCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_networks", Doc: "networks that the device was on", Row: AndroidNetwork{}, Platforms: onAndroid,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("connectivity"), scanner.Dumpsys("wifi")}},
		Collect: collectAndroidNetworks,
	}
}

func collectAndroidNetworks(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := &powers{ctx: ctx, in: in, t: &t}
	rows := []AndroidNetwork{}
	c, connErr := asked(p, "connectivity", parse.Connectivities)
	wifi, wifiErr := asked(p, "wifi", parse.WiFiDump)
	if connErr != nil && wifiErr != nil {
		return scanner.Table{Absent: why(connErr, wifiErr)}
	}
	for i := range c.Networks {
		n := &c.Networks[i]
		row := AndroidNetwork{Transport: transportOf(n), Interface: n.Link.Interface, Default: n.ID == c.Default, Validated: n.Validated, Captive: n.CaptivePortal,
			Gateway: gatewayOf(&n.Link), PrivateDNS: privateDNSOf(&n.Link), Proxy: proxyOf(&n.Link), Where: at("dumpsys/connectivity", n.Line)}
		for _, a := range n.Link.DNS {
			row.DNS = append(row.DNS, a.String())
		}
		if row.Transport == "wifi" {
			row.link(n.WiFi)
			if wifi.Current != nil && (row.Name == "" || row.Name == wifi.Current.SSID) {
				row.link(wifi.Current)
			}
			if row.Security == "" {
				row.MarkUnread("security", "no source tells it")
			}
		}
		rows = append(rows, row)
	}
	if connErr != nil {
		p.partial(connErr)
		if wifi.Current != nil {
			row := AndroidNetwork{Transport: "wifi", Where: "dumpsys/wifi"}
			for _, column := range []string{"is_default", "validated", "captive", "gateway", "dns", "private_dns", "proxy", "interface"} {
				row.MarkUnread(column, unavailable(connErr))
			}
			if row.link(wifi.Current); row.Security == "" {
				row.MarkUnread("security", "no source tells it")
			}
			rows = append(rows, row)
		}
	}
	t.Rows = rows
	return t
}

// link adds what is known of the access point.
func (r *AndroidNetwork) link(l *parse.WiFiLink) {
	if l == nil {
		return
	}
	r.Name, r.BSSID = or(r.Name, l.SSID), or(r.BSSID, l.BSSID)
	r.Security = or(r.Security, weakest(l.Security))
}

// weakest picks of several ways to join ("wpa2+wpa3") the weakest.
func weakest(security string) string {
	all := strings.Split(security, "+")
	for _, s := range []string{"open", "wep", "owe", "wpa", "wpa2", "wpa3", "enterprise"} {
		if slices.Contains(all, s) {
			return s
		}
	}
	return security
}

// transportOf names what carries a network; a VPN is one whatever it goes over.
func transportOf(n *parse.AndroidNetwork) string {
	names := map[string]string{"WIFI": "wifi", "CELLULAR": "cellular", "MOBILE": "cellular", "ETHERNET": "ethernet", "BLUETOOTH": "bluetooth", "VPN": "vpn", "USB": "usb",
		"WIFI_AWARE": "wifi_aware", "LOWPAN": "lowpan", "THREAD": "thread", "SATELLITE": "satellite", "TEST": "test"}
	if n.VPN {
		return "vpn"
	}
	kind, _, _ := strings.Cut(n.Kind, "[")
	for _, t := range append(slices.Clone(n.Transports), strings.ToUpper(strings.TrimSpace(kind))) {
		if name := names[t]; name != "" {
			return name
		}
	}
	return strings.ToLower(n.Kind)
}

func gatewayOf(l *parse.LinkProperties) string {
	six := ""
	for _, r := range l.Routes {
		if r.To.Bits() != 0 || !r.Gateway.IsValid() {
			continue
		}
		if r.Gateway.Is4() {
			return r.Gateway.String()
		}
		six = or(six, r.Gateway.String())
	}
	return six
}

func privateDNSOf(l *parse.LinkProperties) string {
	if l.PrivateDNS && l.PrivateName == "" {
		return "automatic"
	}
	return l.PrivateName
}

// proxyOf gives the proxy of a network. With rules there is a proxy on the device that carries
// them out, which is left out.
func proxyOf(l *parse.LinkProperties) string {
	if l.ProxyScript != "" {
		return l.ProxyScript
	}
	if l.ProxyHost == "" {
		return ""
	}
	return net.JoinHostPort(strings.Trim(l.ProxyHost, "[]"), strconv.Itoa(l.ProxyPort))
}
