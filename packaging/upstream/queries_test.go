package upstream

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
)

// query gives a query of the folder, without its first lines, which say what it is for.
func query(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("queries", name+".logsql"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "#") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return strings.Join(lines, "\n")
}

// TestDashboardAsksTheQueries holds the dashboard's panels to the queries that are tested.
func TestDashboardAsksTheQueries(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("dashboard/picket.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(b, &board); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("queries/*.logsql")
	if err != nil || len(files) != len(board.Panels) {
		t.Fatalf("%d queries, %d panels, %v", len(files), len(board.Panels), err)
	}
	asked := map[string]bool{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked[target.Expr] = true
		}
	}
	for _, f := range files {
		if !asked[query(t, strings.TrimSuffix(filepath.Base(f), ".logsql"))] {
			t.Errorf("no panel asks %s", f)
		}
	}
}

// scanned gives what a device with openssl sends, by the real program: its findings are those of an
// empty tree.
func scanned(t *testing.T) []json.RawMessage {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "picket")
	cmd := exec.Command("go", "build", "-o", bin, "picket")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	image := filepath.Join(dir, "device.txtar")
	write(t, image, []byte(`platform: linux
-- etc/os-release --
ID=debian
VERSION_ID="9"
PRETTY_NAME="Debian GNU/Linux 9 (stretch)"
-- etc/passwd --
root:x:0:0:root:/root:/bin/bash
-- var/lib/dpkg/status --
Package: openssl
Status: install ok installed
Architecture: amd64
Version: 1.1.0l-1~deb9u1
Installed-Size: 1000
Maintainer: Somebody <somebody@example.org>
Description: a toolkit

-- var/lib/dpkg/info/openssl.list --
/.
/usr/bin/openssl
`))
	out, err := exec.Command(bin, "scan", "--image", image, "--format", "ocsf").Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("picket scan: %v", err)
	}
	var events []json.RawMessage
	for line := range strings.Lines(string(out)) {
		events = append(events, json.RawMessage(strings.TrimSpace(line)))
	}
	return events
}

// inSnapshot says of an inventory which snapshot it is of, as the agent does.
func inSnapshot(uid string, events []json.RawMessage) []json.RawMessage {
	out := make([]json.RawMessage, len(events))
	for i, body := range events {
		if out[i] = body; strings.Contains(string(body), `"class_uid":5020`) {
			out[i] = json.RawMessage(strings.Replace(string(body), `"unmapped":{`, fmt.Sprintf(`"unmapped":{"snapshot":{"uid":%q,"why":"due","part":0,"last":true},`, uid), 1))
		}
	}
	return out
}

// exportOCSF makes a request of events as the device's own exporter tells them apart.
func exportOCSF(t *testing.T, host, salt string, at time.Time, events []json.RawMessage) []byte {
	t.Helper()
	text := func(key, value string) map[string]any {
		return map[string]any{"key": key, "value": map[string]any{"stringValue": value}}
	}
	var records []any
	for _, body := range events {
		var e struct {
			ClassUID   int `json:"class_uid"`
			SeverityID int `json:"severity_id"`
			Metadata   struct{ UID string }
		}
		if err := json.Unmarshal(body, &e); err != nil {
			t.Fatal(err)
		}
		records = append(records, map[string]any{"timeUnixNano": fmt.Sprint(at.UnixNano()), "body": map[string]any{"stringValue": string(body)},
			"attributes": []any{text("log.record.uid", salt+e.Metadata.UID), text("ocsf.class_uid", fmt.Sprint(e.ClassUID)), text("ocsf.severity_id", fmt.Sprint(e.SeverityID))}})
	}
	b, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{"resource": map[string]any{"attributes": []any{text("host.id", host)}},
		"scopeLogs": []any{map[string]any{"logRecords": records}}}}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestQueries(t *testing.T) {
	t.Parallel()
	u := start(t, "victorialogs")
	events := inSnapshot("first", scanned(t))
	one, two := u.devices.give("device-1", x509.ExtKeyUsageClientAuth), u.devices.give("device-2", x509.ExtKeyUsageClientAuth)
	now := time.Now()
	for _, s := range []struct {
		name string
		as   *http.Client
		host string
		at   time.Time
	}{
		{"a", u.client(&one), "device-1", now.Add(-25 * time.Hour)}, // seen before: not new
		{"b", u.client(&one), "device-1", now},
		{"b", u.client(&one), "device-1", now}, // sent twice
		{"c", u.client(&two), "device-2", now.AddDate(0, 0, -5)},
		{"d", u.client(&two), "device-1", now.Add(-time.Second)}, // speaks for another
	} {
		if code, said := u.post(s.as, exportOCSF(t, s.host, s.name, s.at, events)); code != http.StatusOK {
			t.Fatalf("%d %s", code, said)
		}
	}
	await(t, u.select1, "_time:14d *", 5*len(events))

	row := await(t, u.select1, query(t, "devices-by-level"), 1)[0]
	if row["devices"] != "2" || row["unmapped.level"] == "" {
		t.Errorf("devices by level: %v", row)
	}
	findings := 0
	for _, body := range events {
		if strings.Contains(string(body), `"activity_name":"Create"`) {
			findings++
		}
	}
	if findings == 0 {
		t.Fatal("an old Debian has no finding")
	}
	// What came twice is told once; what came by another's certificate has its own ids here.
	for _, row := range await(t, u.select1, query(t, "new-findings"), 2*findings) {
		if row["metadata.event_code"] == "" || row["severity"] == "" || row["host.id"] != "device-1" {
			t.Errorf("new findings: %v", row)
		}
	}
	for _, row := range await(t, u.select1, query(t, "who-has-package"), 2) {
		if row["id"] != "openssl" || row["short_version"] != "1.1.0l" {
			t.Errorf("who has a package: %v", row)
		}
	}
	if row := await(t, u.select1, query(t, "silent-devices"), 1)[0]; row["host.id"] != "device-2" || row["last_heard"] == "" {
		t.Errorf("silent devices: %v", row)
	}
	if row := await(t, u.select1, query(t, "impostors"), 1)[0]; row["device.cn"] != "device-2" || row["host.id"] != "device-1" || row["events"] != fmt.Sprint(len(events)) {
		t.Errorf("impostors: %v", row)
	}
}

// TestQueriesGoByTheLast: a package that is gone is not there because an older inventory has it, and a device on which nothing
// changes has its level and its packages, though it told them weeks ago.
func TestQueriesGoByTheLast(t *testing.T) {
	t.Parallel()
	u := start(t, "victorialogs")
	inventory := func(snapshot string, packages ...string) json.RawMessage {
		text := fmt.Sprintf(`{"class_uid":5020,"metadata":{"uid":"%s-1"},"unmapped":{"packages":[`, snapshot)
		for i, id := range packages {
			text += strings.Repeat(",", min(i, 1)) + fmt.Sprintf(`{"id":%q,"short_version":"1"}`, id)
		}
		return inSnapshot(snapshot, []json.RawMessage{json.RawMessage(text + "]}}")})[0]
	}
	now, sent := time.Now(), 0
	for _, s := range []struct {
		host  string
		days  int
		event json.RawMessage
	}{
		{"upgraded", 9, inventory("u1", "bash", "openssl")}, {"upgraded", 1, inventory("u2", "bash")},
		{"steady", 20, inventory("s1", "openssl")},
		{"steady", 20, json.RawMessage(`{"class_uid":5001,"metadata":{"uid":"s1-d"},"unmapped":{"level":"low"}}`)},
		{"steady", 1, json.RawMessage(`{"class_uid":6002,"metadata":{"uid":"s2"},"unmapped":{"agent":true,"assertion":{"level":"low","snapshot":"s1"}}}`)},
		{"worse", 2, json.RawMessage(`{"class_uid":5001,"metadata":{"uid":"w1"},"unmapped":{"level":"secured"}}`)},
		{"worse", 1, json.RawMessage(`{"class_uid":5019,"metadata":{"uid":"w2"},"unmapped":{"level":"high","prev_level":"secured"}}`)},
		{"gone", 30, json.RawMessage(`{"class_uid":5001,"metadata":{"uid":"g1"},"unmapped":{"level":"medium"}}`)},
	} {
		device := u.devices.give(s.host, x509.ExtKeyUsageClientAuth)
		if code, said := u.post(u.client(&device), exportOCSF(t, s.host, "", now.AddDate(0, 0, -s.days), []json.RawMessage{s.event})); code != http.StatusOK {
			t.Fatalf("%d %s", code, said)
		}
		sent++
	}
	await(t, u.select1, "_time:40d *", sent)
	levels := map[string]string{}
	for _, row := range await(t, u.select1, query(t, "devices-by-level"), 2) {
		levels[row["unmapped.level"]] = row["devices"]
	}
	if levels["low"] != "1" || levels["high"] != "1" {
		t.Errorf("devices by level: %v", levels)
	}
	if row := await(t, u.select1, query(t, "who-has-package"), 1)[0]; row["host.id"] != "steady" {
		t.Errorf("who has a package: %v", row)
	}
}

// The cluster takes at its insert node and answers at its select node.
func TestCluster(t *testing.T) {
	t.Parallel()
	logs, otelcol := tool(t, "victoria-logs"), tool(t, "otelcol")
	insert, selects, collector := program.Address(t), program.Address(t), program.Address(t)
	run(t, insert, []string{"VICTORIALOGS=" + logs, "DATA=" + t.TempDir(), "ONE=" + program.Address(t), "TWO=" + program.Address(t), "INSERT=" + insert, "SELECT=" + selects}, "sh", "victorialogs/cluster.sh")
	run(t, collector, []string{"PICKET_COLLECTOR=" + collector, "PICKET_VICTORIALOGS=http://" + insert}, otelcol, "--config", "collector/victorialogs.yaml")
	u := &upstream{t: t, url: "http://" + collector}
	sent := 0
	for i := range 20 { // streams are spread over the storage nodes
		events := []event{{fmt.Sprint("uid-", i), fmt.Sprintf(`{"n":%d}`, i)}}
		for try := 0; ; try++ { // until the storage nodes are up
			code, said := u.post(http.DefaultClient, export(fmt.Sprint("device-", i), time.Now(), events...))
			if code == http.StatusOK {
				sent++
				break
			}
			if try == tries {
				t.Fatalf("%d %s", code, said)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	got := map[string]bool{}
	for range tries {
		for _, row := range ask(t, selects, "*") {
			got[row["log.record.uid"]] = true
		}
		if len(got) == sent {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("%d of %d events are in the cluster", len(got), sent)
}
