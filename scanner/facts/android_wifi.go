package facts

import (
	"context"
	"fmt"

	"picket/scanner"
	"picket/scanner/parse"
)

// androidSupplicant kept the networks up to Android 7.
const androidSupplicant = "/data/misc/wifi/wpa_supplicant.conf"

// collectAndroidWiFi lists the networks that a phone knows, from the files of its Wi-Fi service
// or, where these cannot be read, what the service prints. Their names tell where somebody has
// been, and no rule needs them: they are numbered instead.
func collectAndroidWiFi(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := &powers{ctx: ctx, in: in, t: &t}
	rows := []WiFiProfile{}
	read, filesErr := savedNetworks(p, func(n *parse.SavedNetwork, file string) { rows = append(rows, savedProfile(n, len(rows)+1, file)) })
	if b, err := scanner.ReadFile(in.Device.FS(), androidSupplicant, maxSystemXML); err == nil && !read {
		read = true
		for _, w := range parse.WPASupplicant(b) {
			row := wifiRow(w, "wpa_supplicant", androidSupplicant)
			row.SSID = savedName(len(rows) + 1)
			rows = append(rows, row)
		}
	} else if err != nil && filesErr == nil {
		filesErr = err
	}
	if !read {
		state, err := asked(p, "wifi", parse.WiFiDump)
		if err != nil {
			return scanner.Table{Absent: why(err, filesErr)}
		}
		for i := range state.Saved {
			rows = append(rows, printedProfile(&state.Saved[i]))
		}
	}
	t.Rows = rows
	return t
}

func savedName(n int) string { return fmt.Sprintf("saved network %d", n) }

func savedProfile(n *parse.SavedNetwork, number int, file string) WiFiProfile {
	row := WiFiProfile{SSID: savedName(number), Mode: "sta", Security: n.Security, WPA1: n.Security == "wpa", CA: n.CA, ServerName: n.ServerName, AutoConnect: n.AutoJoin,
		Manager: "Android", Where: file}
	if n.EAP != "" {
		row.EAP = []string{n.EAP}
	}
	if n.PMF {
		row.PMF = "required"
	}
	if n.Security == "" {
		row.MarkUnread("security", "the file does not tell it")
	}
	row.unread("secrets and ciphers are not read", "passphrase_length", "common_passphrase", "tkip", "ccmp")
	return row
}

func printedProfile(s *parse.SavedWiFi) WiFiProfile {
	row := WiFiProfile{SSID: savedName(s.ID), Mode: "sta", Security: weakest(s.Security), AutoConnect: true, Manager: "Android", Where: at("dumpsys/wifi", s.Line)}
	if row.Security == "" {
		row.MarkUnread("security", "the service does not print it")
	}
	row.unread("the service does not print it", "wpa1", "tkip", "ccmp", "eap", "autoconnect", "passphrase_length", "common_passphrase", "pmf")
	if row.Security == "enterprise" {
		row.unread("the service does not print it", "ca_configured", "server_name_check")
	}
	return row
}

func (r *WiFiProfile) unread(why string, columns ...string) {
	for _, c := range columns {
		r.MarkUnread(c, why)
	}
}
