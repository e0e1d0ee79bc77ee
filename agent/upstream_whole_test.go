package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
	"picket/transport/stepca"
)

func upstreamTool(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(stepCATool(t)), name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not here; `make upstream-tools` builds it", name)
	}
	return path
}

// stored gives what VictoriaLogs has: bodies by their uid, and the names in the certificates that they came with.
func storedUpstream(t *testing.T, address string) (bodies map[string]string, names map[string]bool) {
	t.Helper()
	resp, err := http.PostForm("http://"+address+"/select/logsql/query", url.Values{"query": {"_time:[2000-01-01Z, 2060-01-01Z] *"}})
	if err != nil {
		return nil, nil // it is starting
	}
	defer resp.Body.Close()
	bodies, names = map[string]string{}, map[string]bool{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var row map[string]string
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		bodies[row["log.record.uid"]] = row["_msg"]
		names[row["device.cn"]+" "+row["host.id"]] = true
	}
	return bodies, names
}

// wholeUpstream is all of it as packaging/upstream configures it, and a device that has enrolled with step-ca.
type wholeUpstream struct {
	stores             []*program.Program // one, or two that know nothing of each other
	addresses          []string           // of the stores
	collector, haproxy *program.Program
	d                  *daemon // that does not run yet
}

// startWhole starts it with one of the Collector's configurations, victorialogs or pair.
func startWhole(t *testing.T, b *bench, config string) *wholeUpstream {
	t.Helper()
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not here (Debian's package haproxy)")
	}
	logs, otelcol := upstreamTool(t, "victoria-logs"), upstreamTool(t, "otelcol")
	ca := startStepCA(t, "")
	dir := t.TempDir()
	run := func(address string, env []string, name string, args ...string) *program.Program {
		return program.Run(t, address, func() *exec.Cmd {
			cmd := exec.Command(name, args...)
			cmd.Env = append(os.Environ(), env...)
			return cmd
		})
	}
	w := &wholeUpstream{}
	collector, entry := program.Address(t), program.Address(t)
	env := []string{"PICKET_COLLECTOR=" + collector}
	for _, name := range map[string][]string{"victorialogs": {"PICKET_VICTORIALOGS"}, "pair": {"PICKET_VICTORIALOGS", "PICKET_VICTORIALOGS_TWO"}}[config] {
		store := program.Address(t)
		w.addresses = append(w.addresses, store)
		w.stores = append(w.stores, run(store, nil, logs, "-storageDataPath="+filepath.Join(dir, name), "-httpListenAddr="+store, "-retentionPeriod=2y", "-futureRetention=1y", "-inmemoryDataFlushInterval=1s", "-loggerLevel=WARN"))
		env = append(env, name+"=http://"+store)
	}
	w.collector = run(collector, env, otelcol, "--config", "../packaging/upstream/collector/"+config+".yaml")

	b.upstream = nil
	if w.d, err = newDaemon(b.machine); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewTLSServer(nil) // for its certificate
	defer front.Close()
	order := ca.order()
	order.place.OTLP = &otlpPlace{URL: "https://" + entry, Roots: string(stepca.EncodeChain(front.Certificate()))}
	e := enroller{dir: b.config.StateDir, now: time.Now}
	id, _, err := e.enrol(t.Context(), order)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"server.pem": serverPEM(t, front), "devices.pem": stepca.EncodeChain(ca.root, id.chain[1]), "crl.pem": ca.lists(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.haproxy = run(entry, []string{"CERTS=" + dir, "RUN=" + dir, "LISTEN=" + entry, "COLLECTOR=" + collector}, haproxy, "-db", "-f", "../packaging/upstream/haproxy/haproxy.cfg")
	return w
}

// filed gives what the device has in its own file: bodies by their uid.
func (b *bench) filed(t *testing.T) map[string]string {
	t.Helper()
	own := map[string]string{}
	for line := range strings.Lines(read(t, b.config.SinkFile)) {
		var event struct{ Metadata struct{ UID string } }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		own[event.Metadata.UID] = strings.TrimSuffix(line, "\n")
	}
	return own
}

// TestWholeUpstream: a device enrols with step-ca and sends through HAProxy and the Collector to
// VictoriaLogs, all as packaging/upstream configures them. What arrives is what the device has in
// its own file, byte for byte, also after the store was away and the certificate renewed.
func TestWholeUpstream(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 20))
	w := startWhole(t, b, "victorialogs")
	d, engine, store := w.d, w.stores[0], w.addresses[0]
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.run(ctx, actor{"renew", d.runRenew}) }()
	defer func() {
		stop()
		<-done
		if t.Failed() {
			t.Logf("agent: %s", b.log)
		}
	}()
	eventually(t, "an empty outbox", func() bool {
		d.ship.hurry() // low findings may wait for others, but not here
		return d.summary.Load() != nil && d.status().Outbox.Events == 0
	})

	engine.End() // a kill would lose what it has in memory alone, which packaging/upstream tests
	replace(t, b.root, "/var/lib/dpkg/status", stanza("pkg0", "2.0-1")+stanza("new", "1.0-1"))
	if _, err := d.rescan(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a warning that events wait", func() bool {
		d.ship.hurry()
		s := d.status()
		for _, w := range s.Warnings {
			if w.Code == warnUpstream && s.Outbox.Events > 0 {
				return true
			}
		}
		return false
	})
	engine.Start()
	before := d.member.identity().leaf().SerialNumber
	if err := d.member.renewNow(t.Context()); err != nil {
		t.Errorf("renewing: %v", err)
	}
	eventually(t, "an empty outbox, after the store was away", func() bool { return d.status().Outbox.Events == 0 })
	if after := d.member.identity().leaf().SerialNumber; after.Cmp(before) == 0 {
		t.Error("the certificate was not renewed")
	}

	own := b.filed(t)
	if len(own) < 10 {
		t.Fatalf("the device has %d events", len(own))
	}
	var there map[string]string
	var names map[string]bool
	eventually(t, "all events in the store", func() bool { there, names = storedUpstream(t, store); return len(there) >= len(own) })
	for uid, body := range own {
		if there[uid] != body {
			t.Errorf("the device has %.300s\nthe store has %.300s", body, there[uid])
		}
	}
	if len(names) != 1 || !names[testDevice+" "+testDevice] {
		t.Errorf("they came from and speak for %v", names)
	}
	t.Logf("%d events, byte for byte", len(own))
}
