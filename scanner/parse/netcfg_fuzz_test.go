package parse

import (
	"strings"
	"testing"
)

func FuzzINI(f *testing.F) {
	f.Add([]byte("[connection]\nid=cafe\ntype=wifi\n\n[wifi]\nssid=Cafe\n# note\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=\"two words\"\n"))
	f.Add([]byte("alone\nkey = value ; kept\n[broken\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := strings.Count(string(b), "\n") + 1
		for _, s := range append(INI(b), Assignments(b)...) {
			if s.Line < 1 || s.Line > n {
				t.Fatalf("line %d of %d", s.Line, n)
			}
			if strings.ContainsAny(s.Key, "\n=") {
				t.Fatalf("key %q", s.Key)
			}
		}
	})
}

func FuzzDirectives(f *testing.F) {
	f.Add([]byte("bind 127.0.0.1 ::1\nrequirepass \"a b\" # tail\n\n  # whole line\nx'y z'w\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range Directives(b) {
			if len(d.Words) == 0 || d.Words[0] == "" && len(d.Words) > len(b) {
				t.Fatalf("%v", d)
			}
		}
	})
}

func FuzzUCI(f *testing.F) {
	f.Add([]byte("config zone\n\toption name 'wan'\n\tlist network 'wan6'\n\toption input 'REJECT'\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range UCI(b) {
			if s.Options == nil || s.Line < 1 {
				t.Fatalf("%v", s)
			}
		}
	})
}

// FuzzWiFi sees that no profile keeps the secret it was read with.
func FuzzWiFi(f *testing.F) {
	f.Add([]byte("[connection]\ntype=wifi\n[wifi]\nssid=67;97;\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=s3cr3t-s3cr3t\n"))
	f.Add([]byte("network={\n ssid=\"x\"\n psk=\"s3cr3t-s3cr3t\"\n}\nnetwork={\nssid=6162\nkey_mgmt=WPA-EAP\neap=PEAP\npassword=\"s3cr3t-s3cr3t\"\n}\n"))
	f.Add([]byte("config wifi-iface\n option ssid 'x'\n option encryption 'psk2'\n option key 's3cr3t-s3cr3t'\n"))
	f.Add([]byte("ssid=ap\nwpa=2\nwpa_passphrase=s3cr3t-s3cr3t\n"))
	f.Add([]byte("[service_x]\nType=wifi\nName=x\nPassphrase=s3cr3t-s3cr3t\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		all := append(WPASupplicant(b), UCIWireless(b)...)
		all = append(append(all, Hostapd(b)...), Connman(b)...)
		if w, ok := NMConnection(b); ok {
			all = append(all, w)
		}
		if w, ok := IWDProfile("net.psk", b); ok {
			all = append(all, w)
		}
		for _, w := range all {
			if w.Security == "" || w.Mode == "" && w.SSID == "" && w.Line > len(b) {
				t.Fatalf("%+v", w)
			}
		}
	})
}

func FuzzCertificates(f *testing.F) {
	f.Add([]byte("text\n-----BEGIN CERTIFICATE-----\nMAMCAQA=\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Add([]byte{0x30, 0x82, 0x00, 0x01, 0x05})
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, _ := Certificates(b)
		for _, c := range certs {
			if len(c.SHA256) != 64 || c.Line < 1 {
				t.Fatalf("%+v", c)
			}
			c.Describe()
		}
	})
}

func FuzzApt(f *testing.F) {
	f.Add([]byte("APT::Periodic { Unattended-Upgrade \"1\"; };\n// note\nAcquire::http::Proxy \"http://x\";\nDPkg::Post-Invoke {\"a\";\"b\";};\n"))
	f.Add([]byte("deb [trusted=yes signed-by=/x] http://h/d stable main\nTypes: deb\nURIs: http://h/d\nSuites: stable\nSigned-By:\n -----BEGIN\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := strings.Count(string(b), "\n") + 1
		for _, s := range AptConf(b) {
			if s.Line < 1 || s.Line > n {
				t.Fatalf("line %d of %d", s.Line, n)
			}
		}
		for _, s := range append(AptList(b), AptStanzas(b)...) {
			if len(s.URIs) == 0 || s.Line < 1 || s.Line > n {
				t.Fatalf("%+v", s)
			}
		}
	})
}
