package parse

import "strings"

// UCIWireless reads the Wi-Fi interfaces of OpenWrt's /etc/config/wireless. Interfaces that are
// switched off, themselves or with their radio, are left out.
func UCIWireless(b []byte) []WiFi {
	sections := UCI(b)
	off := map[string]bool{}
	for _, s := range sections {
		if s.Type == "wifi-device" {
			off[s.Name] = s.On("disabled")
		}
	}
	var out []WiFi
	for _, s := range sections {
		if s.Type == "wifi-iface" && !s.On("disabled") && !off[s.Get("device")] {
			out = append(out, uciInterface(s))
		}
	}
	return out
}

func uciInterface(s UCISection) WiFi {
	w := WiFi{SSID: s.Get("ssid"), Mode: s.Get("mode"), AutoConnect: true, Line: s.Line, WPS: s.On("wps_pushbutton") || s.On("wps_label"),
		Isolated: s.On("isolate"), PMF: map[string]string{"0": "off", "1": "optional", "2": "required"}[s.Get("ieee80211w")]}
	if w.Mode == "" {
		w.Mode = "ap"
	}
	w.Passphrase = passphrase(s.Get("key"))
	enc := strings.ToLower(s.Get("encryption"))
	kind, cipher, _ := strings.Cut(enc, "+")
	w.TKIP = strings.Contains(cipher, "tkip")
	w.CCMP = cipher == "" || strings.Contains(cipher, "ccmp") || strings.Contains(cipher, "aes")
	w.WPA1 = strings.HasPrefix(kind, "psk-mixed") || kind == "psk" || kind == "wpa" || kind == "wpa-mixed"
	switch {
	case kind == "" || kind == "none":
		w.Security = "open"
	case kind == "owe":
		w.Security = "owe"
	case strings.HasPrefix(kind, "wep"):
		w.Security = "wep"
	case kind == "psk":
		w.Security = "wpa"
	case kind == "sae":
		w.Security = "wpa3"
	case strings.HasPrefix(kind, "psk"), kind == "sae-mixed":
		w.Security = "wpa2"
	default: // wpa2, wpa3, wpa: enterprise
		w.Security = "enterprise"
		w.EAP = strings.Fields(strings.ToLower(s.Get("eap_type")))
		w.CA = s.Get("ca_cert") != "" || s.On("ca_cert_usesystem")
		w.ServerName = len(s.Options["domain_suffix_match"])+len(s.Options["domain_match"])+len(s.Options["subject_match"])+len(s.Options["altsubject_match"]) > 0
	}
	return w
}

// Hostapd reads an access point's hostapd.conf: one for each bss in it.
func Hostapd(b []byte) []WiFi {
	var out []WiFi
	kv := map[string]string{}
	flush := func() {
		if kv["ssid"] != "" || kv["ssid2"] != "" {
			out = append(out, hostapdBSS(kv))
		}
	}
	for _, s := range Assignments(b) {
		if s.Key == "bss" {
			flush()
			kv = map[string]string{}
		}
		kv[s.Key] = s.Value
	}
	flush()
	return out
}

func hostapdBSS(kv map[string]string) WiFi {
	w := WiFi{SSID: wpaText(kv["ssid2"]), Mode: "ap", AutoConnect: true, WPS: kv["wps_state"] == "1" || kv["wps_state"] == "2",
		Isolated: kv["ap_isolate"] == "1", PMF: map[string]string{"0": "off", "1": "optional", "2": "required"}[kv["ieee80211w"]]}
	if kv["ssid"] != "" {
		w.SSID = kv["ssid"]
	}
	w.Passphrase = passphrase(kv["wpa_passphrase"])
	pairwise, key := kv["wpa_pairwise"]+" "+kv["rsn_pairwise"], kv["wpa_key_mgmt"]
	w.TKIP, w.CCMP = strings.Contains(pairwise, "TKIP"), strings.Contains(pairwise, "CCMP") || strings.Contains(pairwise, "GCMP")
	w.WPA1 = kv["wpa"] == "1" || kv["wpa"] == "3"
	switch {
	case kv["wpa"] == "" || kv["wpa"] == "0":
		w.Security = "open"
		if kv["wep_key0"] != "" {
			w.Security = "wep"
		}
	case strings.Contains(key, "EAP"):
		w.Security = "enterprise"
		w.CA = true // an access point asks clients, it does not check a server
		w.ServerName = true
	case strings.Contains(key, "OWE"):
		w.Security = "owe"
	case strings.Contains(key, "SAE") && !strings.Contains(key, "PSK"):
		w.Security = "wpa3"
	case kv["wpa"] == "1":
		w.Security = "wpa"
	default:
		w.Security = "wpa2"
	}
	return w
}

// Connman reads the services of a connman provisioning file (connman-service.config(5)).
func Connman(b []byte) []WiFi {
	s := INI(b)
	var out []WiFi
	for _, sec := range s.Sections() {
		if !strings.HasPrefix(sec, "service_") || s.Get(sec, "Type") != "wifi" {
			continue
		}
		name, _ := s.Find(sec, "Type")
		w := WiFi{SSID: s.Get(sec, "Name"), Mode: "sta", Security: "open", CCMP: true, AutoConnect: true, Line: name.Line,
			Passphrase: passphrase(s.Get(sec, "Passphrase"))}
		switch kind := s.Get(sec, "Security"); {
		case s.Get(sec, "EAP") != "" || kind == "ieee8021x":
			w.Security, w.EAP = "enterprise", []string{strings.ToLower(s.Get(sec, "EAP"))}
			w.CA = s.Get(sec, "CACertFile") != ""
			w.ServerName = s.Get(sec, "DomainSuffixMatch")+s.Get(sec, "DomainMatch")+s.Get(sec, "SubjectMatch")+s.Get(sec, "AltSubjectMatch") != ""
		case kind == "wep":
			w.Security = "wep"
		case kind != "" && kind != "none" || s.Get(sec, "Passphrase") != "":
			w.Security = "wpa2"
		}
		out = append(out, w)
	}
	return out
}
