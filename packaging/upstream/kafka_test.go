package upstream

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
)

// With Kafka behind the Collector a batch is acknowledged when the broker has it. While there is no broker the Collector
// gives no answer, and HAProxy one of 504 after its minute; devices wait on either. The broker is a stand-in that speaks Kafka's protocol.
func TestKafka(t *testing.T) {
	t.Parallel()
	trial, otelcol := tool(t, "kafka-trial"), tool(t, "otelcol")
	broker, collector := program.Address(t), program.Address(t)
	kafka := run(t, broker, nil, trial, broker)
	run(t, collector, []string{"PICKET_COLLECTOR=" + collector, "PICKET_KAFKA=" + broker}, otelcol, "--config", "collector/kafka.yaml")
	u := &upstream{t: t, url: "http://" + collector}
	bodies := []string{`{"spaces":  "kept","n":1.0}`, `{"unicode":"é☃\u2028","html":"<b>"}`}
	client := &http.Client{Timeout: 5 * time.Second}
	post := func(uid, body string) (int, string) {
		return u.post(client, export("device-1", time.Now(), event{uid, body}))
	}
	for i, body := range bodies {
		for try := 0; ; try++ { // until the Collector has found the broker
			code, said := post(fmt.Sprint("uid-", i), body)
			if code == http.StatusOK {
				break
			}
			if code != http.StatusServiceUnavailable && code != 0 || try == tries {
				t.Fatalf("%d %s", code, said)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	for i, body := range bodies {
		found := false
		for range tries {
			if found = holds(kafka.Output(), []byte(body)); found {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if !found {
			t.Errorf("the topic does not have event %d as it was sent", i)
		}
	}
	// As much as a device sends at once: 1 MiB of bodies, here a snapshot's many small ones, which compress badly.
	text := base64.StdEncoding.EncodeToString(random(1 << 20 * 3 / 4))
	var full []event
	for i := 0; len(text) > 0; i++ {
		n := min(300, len(text))
		full, text = append(full, event{fmt.Sprint("full-", i), text[:n]}), text[n:]
	}
	if code, said := u.post(client, export("device-1", time.Now(), full...)); code != http.StatusOK {
		t.Errorf("a full batch: %d %s", code, said)
	}
	kafka.Kill()
	if code, said := post("late", "{}"); code == http.StatusOK {
		t.Errorf("without a broker: %d %s", code, said)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return b
}

// holds looks into records that are written in base64, a line each.
func holds(lines string, body []byte) bool {
	for line := range strings.Lines(lines) {
		if record, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line)); err == nil && bytes.Contains(record, body) {
			return true
		}
	}
	return false
}
