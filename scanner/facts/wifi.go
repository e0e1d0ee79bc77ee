package facts

import (
	"context"
	"fmt"
	"path"

	"picket/scanner"
	"picket/scanner/parse"
)

// WiFiProfile is one saved Wi-Fi network, or an access point that the device runs itself.
// Secrets are dropped by the parser.
type WiFiProfile struct {
	SSID             string   `expr:"ssid" json:"ssid" doc:"network name; on Android a number in its place, for the names tell where somebody has been"`
	Mode             string   `expr:"mode" json:"mode" doc:"sta joins a network, ap runs one; adhoc, mesh"`
	Security         string   `expr:"security" json:"security" doc:"open, owe, wep, wpa, wpa2, wpa3 or enterprise"`
	WPA1             bool     `expr:"wpa1" json:"wpa1,omitempty" doc:"the first WPA is accepted or the only one"`
	TKIP             bool     `expr:"tkip" json:"tkip,omitempty" doc:"the weak cipher TKIP is accepted"`
	CCMP             bool     `expr:"ccmp" json:"ccmp,omitempty" doc:"CCMP or a newer cipher is accepted"`
	EAP              []string `expr:"eap" json:"eap,omitempty" doc:"EAP methods of an enterprise network"`
	CA               bool     `expr:"ca_configured" json:"ca_configured,omitempty" doc:"a certificate authority is set for the login server"`
	ServerName       bool     `expr:"server_name_check" json:"server_name_check,omitempty" doc:"the login server's name is checked"`
	AutoConnect      bool     `expr:"autoconnect" json:"autoconnect,omitempty" doc:"joins by itself; an access point starts by itself"`
	PassphraseLength int      `expr:"passphrase_length" json:"passphrase_length,omitempty" doc:"bytes of the stored passphrase, 64 for a raw key, 0 when there is none"`
	CommonPassphrase bool     `expr:"common_passphrase" json:"common_passphrase,omitempty" doc:"the passphrase is among the first that are tried, or short and all digits"`
	PMF              string   `expr:"pmf" json:"pmf,omitempty" doc:"protected management frames: off, optional, required; empty default"`
	WPS              bool     `expr:"wps" json:"wps,omitempty" doc:"an access point with WPS switched on"`
	Isolated         bool     `expr:"isolated" json:"isolated,omitempty" doc:"clients of an access point cannot reach each other"`
	Manager          string   `expr:"manager" json:"manager" doc:"NetworkManager, wpa_supplicant, iwd, OpenWrt, hostapd, connman or Android"`
	Where            string   `expr:"where" json:"-" doc:"file and line"`
	scanner.Unread
}

var wifiGlobs = []string{"/etc/NetworkManager/system-connections/*", "/run/NetworkManager/system-connections/*",
	"/usr/lib/NetworkManager/system-connections/*", "/etc/wpa_supplicant.conf", "/etc/wpa_supplicant/*.conf", "/var/lib/iwd/*",
	"/etc/config/wireless", "/etc/hostapd.conf", "/etc/hostapd/*.conf", "/var/lib/connman/*.config"}

func wifiCollector() scanner.Collector {
	return scanner.Collector{
		Table: "wifi_profiles", Doc: "saved Wi-Fi networks and access points run by the device; never a secret", Row: WiFiProfile{}, Platforms: onBoth,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("wifi")}, Globs: concat(wifiGlobs, savedNetworkFiles, []string{androidSupplicant})},
		Collect: collectWiFi,
	}
}

func collectWiFi(ctx context.Context, in *scanner.Input) scanner.Table {
	if in.Device.Identity().Platform == "android" {
		return collectAndroidWiFi(ctx, in)
	}
	var t scanner.Table
	r := newReader(in, &t)
	rows := []WiFiProfile{}
	for _, name := range r.glob(wifiGlobs...) {
		if i, err := r.fs.Stat(name); err != nil || !i.Mode.IsRegular() {
			r.note(err)
			continue
		}
		b := r.file(name)
		manager, found := wifiFile(name, b)
		for _, w := range found {
			rows = append(rows, wifiRow(w, manager, name))
		}
	}
	t.Rows = rows
	return t
}

// wifiFile reads a file by the format that its place stands for.
func wifiFile(name string, b []byte) (manager string, found []parse.WiFi) {
	one := func(w parse.WiFi, ok bool) []parse.WiFi {
		if !ok {
			return nil
		}
		return []parse.WiFi{w}
	}
	switch dir, base := path.Split(name); {
	case dir == "/var/lib/iwd/":
		return "iwd", one(parse.IWDProfile(base, b))
	case dir == "/var/lib/connman/":
		return "connman", parse.Connman(b)
	case base == "wireless":
		return "OpenWrt", parse.UCIWireless(b)
	case dir == "/etc/hostapd/" || base == "hostapd.conf":
		return "hostapd", parse.Hostapd(b)
	case path.Base(path.Clean(dir)) == "system-connections":
		return "NetworkManager", one(parse.NMConnection(b))
	}
	return "wpa_supplicant", parse.WPASupplicant(b)
}

func wifiRow(w parse.WiFi, manager, file string) WiFiProfile {
	if w.Line > 0 {
		file = fmt.Sprintf("%s:%d", file, w.Line)
	}
	return WiFiProfile{SSID: w.SSID, Mode: w.Mode, Security: w.Security, WPA1: w.WPA1, TKIP: w.TKIP, CCMP: w.CCMP, EAP: w.EAP,
		CA: w.CA, ServerName: w.ServerName, AutoConnect: w.AutoConnect, PassphraseLength: w.Passphrase.Length,
		CommonPassphrase: w.Passphrase.Common, PMF: w.PMF, WPS: w.WPS, Isolated: w.Isolated, Manager: manager, Where: file}
}
