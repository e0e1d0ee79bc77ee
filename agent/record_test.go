package agent

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/scanner/rules"
)

// scanJSON scans a device and gives the report without its line of origin.
func scanJSON(t *testing.T, dev scanner.Device, set *rules.Set) string {
	t.Helper()
	r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Judge: set, Tables: []string{"packages"},
		Now: time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC), Digests: scanner.DigestsAll})
	if err != nil {
		t.Fatal(err)
	}
	return reportJSON(t, r)
}

// reportJSON gives a report without its line of origin.
func reportJSON(t *testing.T, r *scanner.Report) string {
	t.Helper()
	r.Device.Origin = ""
	var b bytes.Buffer
	if err := report.JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// recordDevice makes a recording as the command does, and gives its path.
func recordDevice(t *testing.T, dev scanner.Device) string {
	t.Helper()
	rec := device.NewRecorder(dev, device.RecordOptions{Redact: facts.Redact, Version: "test"})
	collectors := facts.Collectors()
	report, err := scanner.Scan(t.Context(), rec, scanner.Options{Collectors: collectors, Tables: facts.Everything(collectors), Digests: scanner.DigestsAll})
	if err != nil {
		t.Fatal(err)
	}
	hideNames(rec, report, collectors)
	name := filepath.Join(t.TempDir(), "device.tar.zst")
	if err := writeFile(name, func(w io.Writer) error { return rec.Write(t.Context(), w) }); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestRecordingGivesTheSameReport records every planted device, without its secrets, and holds
// the recording's report against the device's own.
func TestRecordingGivesTheSameReport(t *testing.T) {
	t.Parallel()
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/planted/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := readScenario(t, file)
			dev := fixture(t, overlay(cleanDevice(t, s.live), s.planted))
			replay, err := device.Open(t.Context(), recordDevice(t, dev), device.OpenOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := replay.(io.Closer); ok {
				defer c.Close()
			}
			want, got := scanJSON(t, dev, set), scanJSON(t, replay, set)
			if want != got {
				t.Errorf("reports differ:\n%s", firstDifference(want, got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range w {
		if i >= len(g) || w[i] != g[i] {
			return strings.Join(w[max(0, i-8):min(len(w), i+4)], "\n") + "\n--- recording ---\n" + strings.Join(g[max(0, min(i, len(g))-8):min(len(g), i+4)], "\n")
		}
	}
	return "the recording's is longer"
}

// TestNoSecretIsRecorded plants secrets in every place that a collector reads and looks for
// them in what a recording and a report hold.
func TestNoSecretIsRecorded(t *testing.T) {
	t.Parallel()
	const canary = "CANARYcanary"
	files := overlay(cleanDevice(t, true), []txtarFile{
		{name: "etc/shadow", attrs: "mode=0640 gid=42", data: "root:$y$j9T$" + canary + "$" + canary + ":20000:0:99999:7:::\nann:" + "$6$" + canary + "$" + canary + ":20000::::::\n"},
		{name: "etc/NetworkManager/system-connections/a.nmconnection", attrs: "mode=0600", data: "[connection]\nid=a\ntype=wifi\n[wifi]\nssid=a\n[wifi-security]\nkey-mgmt=wpa-psk\npsk=" + canary + "\n[802-1x]\npassword=" + canary + "\nprivate-key-password=" + canary + "\n"},
		{name: "etc/wpa_supplicant/wpa_supplicant.conf", attrs: "mode=0600", data: "network={\n\tssid=\"b\"\n\tpsk=\"" + canary + "\"\n\tpassword=\"" + canary + "\"\n}\n"},
		{name: "var/lib/iwd/c.psk", attrs: "mode=0600", data: "[Security]\nPassphrase=" + canary + "\nPreSharedKey=" + canary + "\n"},
		{name: "etc/config/wireless", data: "config wifi-iface 'd'\n\toption ssid 'd'\n\toption key '" + canary + "'\n"},
		{name: "etc/hostapd/hostapd.conf", data: "ssid=e\nwpa_passphrase=" + canary + "\n"},
		{name: "etc/wireguard/wg0.conf", attrs: "mode=0600", data: "[Interface]\nPrivateKey = " + canary + "\n"},
		{name: "home/ann/.ssh/id_rsa", attrs: "mode=0600 uid=1000 gid=1000", data: "-----BEGIN OPENSSH PRIVATE KEY-----\n" + canary + "\n-----END OPENSSH PRIVATE KEY-----\n"},
		{name: "etc/ssl/private/key.pem", attrs: "mode=0600", data: "-----BEGIN PRIVATE KEY-----\n" + canary + "\n-----END PRIVATE KEY-----\n"},
		{name: "home/ann/mail/inbox", attrs: "uid=1000 gid=1000", data: "Subject: " + canary + "\n"},
		{name: "home/ann/.mozilla/firefox/p/places.sqlite", attrs: "uid=1000 gid=1000", data: canary},
	})
	dev := fixture(t, files)
	f, err := os.Open(recordDevice(t, dev))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(b, []byte(canary)); i >= 0 {
		t.Errorf("the recording holds a secret: %q", b[max(0, i-200):i+len(canary)])
	}
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	if s := scanJSON(t, dev, set); strings.Contains(s, canary) {
		t.Error("the report holds a secret")
	}
}
