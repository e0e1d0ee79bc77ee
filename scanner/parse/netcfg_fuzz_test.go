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

func FuzzNetfilter(f *testing.F) {
	f.Add([]byte("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080\nCOMMIT\n*filter\n:INPUT DROP [0:0]\n-A INPUT -j REJECT\n"))
	f.Add([]byte("table inet f {\n chain i {\n type filter hook input priority 0; policy drop;\n tcp dport { http, 443 } dnat to 192.0.2.1:80\n }\n}\n"))
	f.Add([]byte(`{"nftables":[{"chain":{"hook":"input","type":"filter","policy":"drop"}},{"rule":{"expr":[{"redirect":{"port":80}}]}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		all := []Firewall{IptablesSave(b), NftablesConf(b)}
		if fw, err := NftablesJSON(b); err == nil {
			all = append(all, fw)
		}
		for _, fw := range all {
			for _, r := range fw.Redirects {
				for _, p := range r.Ports {
					if p < 0 || p > 65535 {
						t.Fatalf("port %d", p)
					}
				}
			}
		}
	})
}

func FuzzBootTables(f *testing.F) {
	f.Add([]byte("::respawn:/sbin/getty 38400 tty1\n1:2345:respawn:/sbin/agetty tty1\n"))
	f.Add([]byte("service tftp\n{\n\tdisable = no\n\tserver = /usr/sbin/in.tftpd\n}\n"))
	f.Add([]byte("net:\n  port: 1 # x\n  bindIp: '0.0.0.0'\nsecurity:\n  authorization: enabled\n- a: b\n"))
	f.Add([]byte("127.0.0.1 localhost # x\n::1 a b c\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, e := range Inittab(b) {
			if e.Line < 1 || e.Action == "off" {
				t.Fatalf("%+v", e)
			}
		}
		for _, x := range Xinetd(b) {
			if x.Name == "" {
				t.Fatalf("%+v", x)
			}
		}
		for k := range YAMLScalars(b) {
			if len(k) > 17*201 {
				t.Fatalf("key of %d bytes", len(k))
			}
		}
		for _, h := range Hosts(b) {
			if len(h.Names) == 0 {
				t.Fatalf("%+v", h)
			}
		}
	})
}
