package parse

import (
	"net/netip"
	"reflect"
	"testing"
)

const (
	connectivity9 = `NetworkFactories for: WIFI

Active default network: 101

Current Networks:
  NetworkAgentInfo{ ni{[type: WIFI[], state: CONNECTED/CONNECTED, reason: (unspecified), extra: "a nc{[ Transports: VPN", failover: false]}  network{101}  nethandle{4}  lp{{InterfaceName: wlan0 LinkAddresses: [fe80::1/64,192.0.2.9/24,]  Routes: [192.0.2.0/24 -> 0.0.0.0 wlan0,0.0.0.0/0 -> 192.0.2.1 wlan0,] DnsAddresses: [192.0.2.53,] UsePrivateDns: false PrivateDnsServerName: null Domains: null MTU: 0}}  nc{[ Transports: WIFI Capabilities: INTERNET&NOT_VPN&CAPTIVE_PORTAL Unwanted:  SSID: "a nc{[ Transports: VPN"]}  Score{20}  lastValidated{true} }
    Requests: REQUEST:1
      NetworkRequest [ LISTEN id=3, [] ]

mLegacyTypeTracker:
    1 NetworkAgentInfo [WIFI () - 101] CONNECTED/CONNECTED
`
	connectivity14 = `Active default network: 104

Current network preferences: 
Current Networks:
  NetworkAgentInfo{network{104}  handle{1}  ni{VPN CONNECTED extra: VPN:org.example.vpn} created=2023-01-01T00:00:00Z Score(Policies : IS_VPN)  lp{{InterfaceName: tun0 LinkAddresses: [ 10.8.0.2/32 ] DnsAddresses: [ /10.8.0.1 ] Domains: null MTU: 1500 Routes: [ 0.0.0.0/0 -> 0.0.0.0 tun0 mtu 1500,::/0 unreachable ]}}  nc{[ Transports: WIFI|VPN Capabilities: INTERNET&VALIDATED&FOREGROUND OwnerUid: 10123 AdminUids: [10123]]}  factorySerialNumber=3}
  NetworkAgentInfo{network{100}  handle{2}  ni{WIFI CONNECTED extra: }  lp{{InterfaceName: wlan0 LinkAddresses: [ 192.0.2.9/24 ] DnsAddresses: [ /192.0.2.53,/2001:db8::53 ] UsePrivateDns: true PrivateDnsServerName: dns.example ValidatedPrivateDnsAddresses: [ /192.0.2.54 ] Domains: null MTU: 0 HttpProxy: [proxy.example] 8080 xl=local Routes: [ 0.0.0.0/0 -> 192.0.2.1 wlan0 mtu 0 ]}}  nc{[ Transports: WIFI Capabilities: INTERNET&VALIDATED TransportInfo: <SSID: "Cafe, BSSID: x", BSSID: 02:11:22:33:44:55, MAC: 02:00:00:00:00:00, IP: /192.0.2.9, Security type: 0, Supplicant state: COMPLETED, Wi-Fi standard: 11ax, RSSI: -44, Frequency: 5180MHz, Net ID: 3> SignalStrength: -44]}}
`
)

func TestConnectivities(t *testing.T) {
	t.Parallel()
	pre, addr := netip.MustParsePrefix, netip.MustParseAddr
	got, err := Connectivities([]byte(connectivity9))
	want := Connectivity{Default: 101, Networks: []AndroidNetwork{{ID: 101, Kind: "WIFI", Transports: []string{"WIFI"}, Validated: true, CaptivePortal: true, Metered: true, OwnerUID: -1, Line: 6,
		Link: LinkProperties{Interface: "wlan0", Addresses: []netip.Prefix{pre("fe80::1/64"), pre("192.0.2.9/24")}, DNS: []netip.Addr{addr("192.0.2.53")},
			Routes: []LinkRoute{{To: pre("192.0.2.0/24"), Interface: "wlan0"}, {To: pre("0.0.0.0/0"), Gateway: addr("192.0.2.1"), Interface: "wlan0"}}}}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	got, err = Connectivities([]byte(connectivity14))
	want = Connectivity{Default: 104, Networks: []AndroidNetwork{
		{ID: 104, Kind: "VPN", Transports: []string{"WIFI", "VPN"}, Validated: true, VPN: true, Metered: true, OwnerUID: 10123, Line: 5,
			Link: LinkProperties{Interface: "tun0", Addresses: []netip.Prefix{pre("10.8.0.2/32")}, DNS: []netip.Addr{addr("10.8.0.1")},
				Routes: []LinkRoute{{To: pre("0.0.0.0/0"), Interface: "tun0"}}}},
		{ID: 100, Kind: "WIFI", Transports: []string{"WIFI"}, Validated: true, Metered: true, OwnerUID: -1, Line: 6,
			WiFi: &WiFiLink{SSID: "Cafe, BSSID: x", BSSID: "02:11:22:33:44:55", Security: "open", Standard: "11ax", Frequency: 5180, RSSI: -44, NetworkID: 3},
			Link: LinkProperties{Interface: "wlan0", Addresses: []netip.Prefix{pre("192.0.2.9/24")}, DNS: []netip.Addr{addr("192.0.2.53"), addr("2001:db8::53")},
				Routes:     []LinkRoute{{To: pre("0.0.0.0/0"), Gateway: addr("192.0.2.1"), Interface: "wlan0"}},
				PrivateDNS: true, PrivateName: "dns.example", ProxyHost: "proxy.example", ProxyPort: 8080}},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := Connectivities([]byte("Users:\n")); err == nil {
		t.Error("another text was read")
	}
	var pac LinkProperties
	pac.proxy("PAC Script: http://user:secretword@pac.example/p [localhost] 0")
	if pac.ProxyScript != RedactLine("http://user:secretword@pac.example/p") || pac.ProxyHost != "localhost" {
		t.Errorf("%+v", pac)
	}
}

const wifiDump11 = `Wi-Fi is enabled
mWifiInfo SSID: <unknown ssid>, BSSID: <none>, MAC: 02:00:00:00:00:00, IP: null, Security type: -1, Net ID: -1
mWifiInfo SSID: "Home", BSSID: 02:11:22:33:44:55, MAC: 02:00:00:00:00:00, Supplicant state: COMPLETED, Wi-Fi standard: 5, RSSI: -50, Link speed: 52Mbps, Frequency: 5240MHz, Net ID: 4, Metered hint: false, score: 60
mWifiInfo SSID: second, BSSID: 02:00:00:00:00:09, Net ID: 9
WifiConfigManager - Configured networks Begin ----
ID: 4 SSID: "Home" PROVIDER-NAME: null BSSID: null FQDN: null PRIO: 0 HIDDEN: false
 mCandidateSecurityParams: null mLastUsedSecurityParams: Security Parameters:
 KeyMgmt: SAE
 Protocols: RSN
 KeyMgmt: WPA_PSK SAE Protocols: WPA RSN
 PSK: *
Proxy settings: NONE
* ID: 7 SSID: "HIDDEN: true" PROVIDER-NAME: null HIDDEN: false
 KeyMgmt: NONE Protocols: WPA RSN
 WEPKey: 0
Proxy settings: STATIC
- DSBLE ID: 8 SSID: "x" HIDDEN: true
 KeyMgmt: WPA_EAP IEEE8021X Protocols: RSN
WifiConfigManager - Configured networks End ----
ID: 99 SSID: "later"
`

func TestWiFiDump(t *testing.T) {
	t.Parallel()
	got, err := WiFiDump([]byte(wifiDump11))
	want := WiFiState{Enabled: true, Known: true,
		Current: &WiFiLink{SSID: "Home", BSSID: "02:11:22:33:44:55", Security: "wpa2+wpa3", Standard: "11ac", Frequency: 5240, RSSI: -50, NetworkID: 4},
		Saved: []SavedWiFi{{ID: 4, Security: "wpa2+wpa3", Current: true, Proxy: "NONE", Line: 6}, {ID: 7, Security: "wep", Proxy: "STATIC", Line: 13},
			{ID: 8, Security: "enterprise", Hidden: true, Line: 17}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v %+v\nwant %+v", err, got, got.Current, want)
	}
	status, err := WiFiDump([]byte("Wifi is enabled\nWifi scanning is only available when wifi is enabled\n==== ClientModeManager instance: x ====\nWifi is connected to \"Net\"\n" +
		"WifiInfo: SSID: \"Net\", BSSID: 02:11:22:33:44:66, MAC: 02:00:00:00:00:00, IP: /192.0.2.4, Security type: 4, Supplicant state: COMPLETED, Wi-Fi standard: 6, RSSI: -127, Net ID: 2\n"))
	if err != nil || status.Current == nil || status.Current.Security != "wpa3" || status.Current.RSSI != 0 || status.Current.Standard != "11ax" {
		t.Errorf("%+v %v", status, err)
	}
	off, err := WiFiDump([]byte("Wi-Fi is disabled\nmWifiInfo SSID: <unknown ssid>, BSSID: <none>, MAC: 02:00:00:00:00:00, Supplicant state: DISCONNECTED, RSSI: -127, Net ID: -1\n"))
	if err != nil || off.Enabled || !off.Known || off.Current != nil {
		t.Errorf("%+v %v", off, err)
	}
	if _, err := WiFiDump([]byte("nothing\n")); err == nil {
		t.Error("another text was read")
	}
}

const vpnManagement = `VPNs:
  0: org.example.vpn
    Active package name: org.example.vpn
    Active vpn type: 1
    NetworkCapabilities: [ Transports: VPN]
  10: [Legacy VPN]
    Active package name: [Legacy VPN]
    Active vpn type: -1
`

func TestVPNManagement(t *testing.T) {
	t.Parallel()
	got, err := VPNManagement([]byte(vpnManagement))
	want := []AndroidVPN{{Package: "org.example.vpn", Active: true, Line: 2}, {User: 10, Line: 6}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	one, err := VPNManagement([]byte("  Active package name: org.example.vpn\n  Active vpn type: 1\n"))
	if err != nil || !reflect.DeepEqual(one, []AndroidVPN{{Package: "org.example.vpn", Active: true, Line: 1}}) {
		t.Errorf("%+v %v", one, err)
	}
	if _, err := VPNManagement([]byte("0: a.b\n")); err == nil {
		t.Error("another text was read")
	}
}

func FuzzConnectivity(f *testing.F) {
	for _, s := range []string{connectivity9, connectivity14, wifiDump11, vpnManagement} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, _ := Connectivities(b)
		for _, n := range c.Networks {
			if n.ID <= 0 || len(n.Link.DNS) > maxLinkValues || len(n.Link.Interface) > 32 {
				t.Errorf("%+v", n)
			}
		}
		w, _ := WiFiDump(b)
		if w.Current != nil && len(w.Current.SSID) > 64 {
			t.Errorf("%+v", w.Current)
		}
		VPNManagement(b)
	})
}

func TestMeteredNetworks(t *testing.T) {
	t.Parallel()
	for nc, want := range map[string]bool{
		" nc{[ Transports: WIFI Capabilities: NOT_METERED&INTERNET&VALIDATED LinkUpBandwidth>=1Kbps]}": false,
		" nc{[ Transports: CELLULAR Capabilities: INTERNET&VALIDATED LinkUpBandwidth>=1Kbps]}":         true,
		" nc{[ Transports: WIFI Capabilities: INTERNET&NOT_METERED]}":                                  false,
		"": false, // nobody knows
	} {
		c, err := Connectivities([]byte("Active default network: 7\n\nCurrent Networks:\n  NetworkAgentInfo{network{7}  ni{WIFI CONNECTED}  lp{{InterfaceName: wlan0}}" + nc + "}\n"))
		if err != nil || len(c.Networks) != 1 || c.Networks[0].Metered != want {
			t.Errorf("%q: %+v, %v", nc, c.Networks, err)
		}
	}
}
