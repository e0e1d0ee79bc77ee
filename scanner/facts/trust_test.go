package facts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// certificatePEM makes a self-signed certificate.
func certificatePEM(t *testing.T, name string, ca bool) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: ca, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

const dpkgWithRoots = `-- var/lib/dpkg/status --
Package: ca-certificates
Status: install ok installed
Architecture: all
Version: 1
Description: roots

-- var/lib/dpkg/info/ca-certificates.list --
/.
/usr/share/ca-certificates/mozilla/Root.crt
`

func TestTrustedCAsTellWhatNoPackageBrought(t *testing.T) {
	t.Parallel()
	root, corp, leaf := certificatePEM(t, "Root", true), certificatePEM(t, "Corp Inspection", true), certificatePEM(t, "vm", false)
	tree := dpkgWithRoots + "-- usr/share/ca-certificates/mozilla/Root.crt --\n" + root +
		"-- usr/local/share/ca-certificates/corp.crt --\n" + corp + "-- usr/local/share/ca-certificates/corp.key --\nkey\n" +
		"-- etc/ssl/certs/Root.pem link=/usr/share/ca-certificates/mozilla/Root.crt --\n" +
		"-- etc/ssl/certs/corp.pem link=/usr/local/share/ca-certificates/corp.crt --\n" +
		"-- etc/ssl/certs/ssl-cert-snakeoil.pem --\n" + leaf +
		"-- etc/ssl/certs/ca-certificates.crt --\n" + root + corp
	packages := collectFrom(t, packagesCollector(), tree)
	packages.Name = "packages"
	tab := collectFrom(t, trustedCAsCollector(), tree, &packages)
	rows := tab.Rows.([]TrustedCA)
	got := map[string]TrustedCA{}
	for _, r := range rows {
		got[r.Subject] = r
	}
	if len(rows) != 3 || len(tab.Partial) > 0 {
		t.Fatalf("rows %+v, partial %v", rows, tab.Partial)
	}
	if r := got["Root"]; !r.Packaged || !r.CA {
		t.Errorf("Root: %+v", r)
	}
	if r := got["Corp Inspection"]; r.Packaged || !r.CA || !r.PrivateKey || r.Kind != "anchor" || len(r.Unread.Unread) > 0 {
		t.Errorf("Corp: %+v", r)
	}
	if r := got["vm"]; r.CA || r.Packaged {
		t.Errorf("leaf: %+v", r)
	}
}

func TestTrustedCAsAreUnreadWithoutPackageDatabase(t *testing.T) {
	t.Parallel()
	tree := "-- etc/ssl/certs/ca-certificates.crt --\n" + certificatePEM(t, "Root", true)
	packages := scanner.Table{Name: "packages", Absent: "no package database"}
	rows := collectFrom(t, trustedCAsCollector(), tree, &packages).Rows.([]TrustedCA)
	if len(rows) != 1 || rows[0].Unread.Unread["packaged"] == "" {
		t.Errorf("%+v", rows)
	}
}

func TestPackageSourcesTellWeakChecks(t *testing.T) {
	t.Parallel()
	tree := `-- etc/passwd --
root:x:0:0::/root:/bin/sh
-- etc/apt/sources.list --
# deb http://old.example/ x main
deb [trusted=yes signed-by=/k] http://user:secret@repo.example/debian stable main
deb http://deb.debian.org/debian bookworm main
deb http://deb.debian.org/debian sid main
-- etc/apt/sources.list.d/v.sources --
Types: deb
URIs: https://v.example/deb
Suites: stable
Enabled: no

-- etc/apt/apt.conf.d/99x --
APT { Get { AllowUnauthenticated "true"; }; };
Acquire::AllowInsecureRepositories "false";
-- etc/yum.repos.d/x.repo --
[x]
baseurl=http://y.example/
gpgcheck = 0
-- etc/opkg/customfeeds.conf --
src/gz mine http://feed.example/packages
-- etc/pacman.conf --
[options]
SigLevel = Required DatabaseOptional
[extra]
SigLevel = Never
-- root/.config/pip/pip.conf --
[global]
index-url = http://pypi.example/simple
`
	os := scanner.Table{Name: "os", Rows: []scanner.OS{{ID: "debian", Version: "12"}}}
	users := scanner.Table{Name: "users", Rows: []User{{Name: "root", Home: "/root"}}}
	tab := collectFrom(t, packageSourcesCollector(), tree, &os, &users)
	got := map[string]PackageSource{}
	for _, r := range tab.Rows.([]PackageSource) {
		got[r.Where] = r
		if strings.Contains(r.URL, "secret") {
			t.Errorf("a password is in %q", r.URL)
		}
	}
	for where, want := range map[string]string{
		"/etc/apt/sources.list:2": "trusted=yes", "/etc/apt/sources.list:3": "", "/etc/apt/apt.conf.d/99x:1": "APT::Get::AllowUnauthenticated true",
		"/etc/yum.repos.d/x.repo:3": "gpgcheck=0", "/etc/opkg/customfeeds.conf:1": "option check_signature is not set", "/etc/pacman.conf:4": "SigLevel = Never",
	} {
		if r, ok := got[where]; !ok || r.Weak != want {
			t.Errorf("%s: %+v, want weak %q", where, r, want)
		}
	}
	if got["/etc/apt/sources.list.d/v.sources:1"].Enabled || !got["/etc/apt/sources.list:4"].PreRelease || got["/root/.config/pip/pip.conf:2"].Insecure == "" {
		t.Errorf("%+v", got)
	}
	if len(got) != 9 {
		t.Errorf("%d rows: %v", len(got), got)
	}
}

func TestServicesCountOnlyWhatStarts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ tree, want string }{
		"enabled unit":    {"-- etc/systemd/system/multi-user.target.wants/vsftpd.service link=/lib/systemd/system/vsftpd.service --\n-- lib/systemd/system/vsftpd.service --\n", "FTP server"},
		"removed package": {"-- etc/systemd/system/multi-user.target.wants/vsftpd.service link=/lib/systemd/system/vsftpd.service --\n", ""},
		"masked": {"-- etc/systemd/system/multi-user.target.wants/vsftpd.service link=/lib/systemd/system/vsftpd.service --\n" +
			"-- lib/systemd/system/vsftpd.service --\n-- etc/systemd/system/vsftpd.service link=/dev/null --\n", ""},
		"inetd":            {"-- usr/sbin/inetd elf --\n-- etc/inetd.conf --\n#ftp stream\ntelnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\n", "telnet server"},
		"inetd is missing": {"-- etc/inetd.conf --\ntelnet stream tcp nowait root /usr/sbin/tcpd in.telnetd\n", ""},
		"xinetd disabled":  {"-- usr/sbin/xinetd elf --\n-- etc/xinetd.d/tftp --\nservice tftp\n{\n disable = yes\n server = /usr/sbin/in.tftpd\n}\n", ""},
		"xinetd":           {"-- usr/sbin/xinetd elf --\n-- etc/xinetd.d/tftp --\nservice tftp\n{\n disable=no\n server = /usr/sbin/in.tftpd\n}\n", "TFTP server"},
		"script":           {"-- etc/init.d/rcS --\n#!/bin/sh\n[ -x /x ] && /usr/sbin/telnetd -l /bin/sh &\n", "telnet server"},
		"comment":          {"-- etc/init.d/rcS --\n#!/bin/sh\n# telnetd\necho telnetd is off\n", ""},
		"procd":            {"-- etc/rc.d/S50telnet link=../init.d/telnet --\n", "telnet server"},
	} {
		rows := collectFrom(t, servicesCollector(), tc.tree).Rows.([]Service)
		got := ""
		if len(rows) > 0 {
			got = rows[0].Name
		}
		if got != tc.want || len(rows) > 1 {
			t.Errorf("%s: %+v, want %q", name, rows, tc.want)
		}
	}
}

func TestWiFiProfilesOfEveryManager(t *testing.T) {
	t.Parallel()
	tree := `-- etc/NetworkManager/system-connections/corp.nmconnection mode=0600 --
[connection]
id=corp
type=wifi
[wifi]
ssid=corp
[wifi-security]
key-mgmt=wpa-eap
[802-1x]
eap=peap;
identity=joe
password=topsecret
-- etc/wpa_supplicant/wpa_supplicant.conf --
ctrl_interface=/run/wpa_supplicant
network={
	ssid="uni"
	key_mgmt=WPA-EAP
	eap=TTLS
	ca_cert="/etc/ssl/certs/ca.pem"
	domain_suffix_match="radius.example.org"
	password="topsecret"
}
network={
	ssid="open one"
	key_mgmt=NONE
}
-- var/lib/iwd/cafe.open --
-- var/lib/iwd/work.8021x --
[Security]
EAP-Method=PEAP
EAP-PEAP-CACert=/ca.pem
-- etc/config/wireless --
config wifi-device 'radio0'
	option disabled '0'
config wifi-iface 'default_radio0'
	option device 'radio0'
	option mode 'ap'
	option ssid 'OpenWrt'
	option encryption 'none'
-- etc/hostapd/hostapd.conf --
ssid=hot
wpa=2
wpa_key_mgmt=WPA-PSK
wpa_passphrase=12345678
wps_state=2
`
	tab := collectFrom(t, wifiCollector(), tree)
	got := map[string]WiFiProfile{}
	for _, r := range tab.Rows.([]WiFiProfile) {
		got[r.SSID] = r
	}
	check := func(name string, ok bool) {
		if !ok {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	check("corp", got["corp"].Security == "enterprise" && !got["corp"].CA && got["corp"].EAP[0] == "peap")
	check("uni", got["uni"].Security == "enterprise" && got["uni"].CA && got["uni"].ServerName)
	check("open one", got["open one"].Security == "open" && got["open one"].AutoConnect)
	check("cafe", got["cafe"].Security == "open" && got["cafe"].Manager == "iwd")
	check("work", got["work"].CA && !got["work"].ServerName)
	check("OpenWrt", got["OpenWrt"].Mode == "ap" && got["OpenWrt"].Security == "open")
	check("hot", got["hot"].WPS && got["hot"].CommonPassphrase && got["hot"].Security == "wpa2")
	if len(got) != 7 {
		t.Errorf("%d profiles", len(got))
	}
}

func TestNothingReadableIsSaidNotPassedOver(t *testing.T) {
	t.Parallel()
	tab := collectFrom(t, wifiCollector(), "-- etc/wpa_supplicant.conf denied --\n")
	if len(tab.Partial) != 1 {
		t.Errorf("partial: %v", tab.Partial)
	}
}
