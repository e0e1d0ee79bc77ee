package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"picket/packaging/upstream/program"
)

// outside does for a bubble of synctest what must not be done in one: there, time would not pass
// while anything waits for another process. Its channels are made outside of the bubble, so that
// time stands still for who waits at one of them.
type outside struct {
	lines chan *outsideLine // those that are free
	do    chan func()
	done  chan struct{}
}

type outsideLine struct {
	ask  chan *http.Request
	told chan outsideAnswer
}

type outsideAnswer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// newOutside leads requests to a server that speaks plain HTTP.
func newOutside(t *testing.T, address string) *outside {
	o := &outside{lines: make(chan *outsideLine, 16), do: make(chan func()), done: make(chan struct{})}
	go func() {
		for do := range o.do {
			do()
			o.done <- struct{}{}
		}
	}()
	t.Cleanup(func() { close(o.do) })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: cap(o.lines)}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	for range cap(o.lines) {
		l := &outsideLine{make(chan *http.Request), make(chan outsideAnswer)}
		o.lines <- l
		t.Cleanup(func() { close(l.ask) })
		go func() {
			for r := range l.ask {
				r.URL.Scheme, r.URL.Host, r.Host = "http", address, ""
				l.told <- outsideAsk(client, r)
			}
		}()
	}
	return o
}

func outsideAsk(client *http.Client, r *http.Request) outsideAnswer {
	res, err := client.Do(r)
	if err != nil {
		return outsideAnswer{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return outsideAnswer{res.StatusCode, res.Header, body, err}
}

func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	out, err := http.NewRequest(r.Method, r.URL.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	out.Header = r.Header.Clone()
	l := <-o.lines
	l.ask <- out
	a := <-l.told
	o.lines <- l
	if a.err != nil {
		return nil, a.err
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
}

// away does something outside, and waits for it.
func (o *outside) away(do func()) {
	o.do <- do
	<-o.done
}

var fleetUID = regexp.MustCompile(`"log\.record\.uid","value":\{"stringValue":"([^"]+)"`)

// TestCollectorFleet is TestFleet with the real OpenTelemetry Collector, which is killed at the begin of the
// outage. It writes what it takes to files, and those have all.
func TestCollectorFleet(t *testing.T) {
	t.Parallel()
	otelcol, n := upstreamTool(t, "otelcol"), fleetSize(t)
	dir, address := t.TempDir(), program.Address(t)
	p := program.Run(t, address, func() *exec.Cmd {
		cmd := exec.Command(otelcol, "--config", "../packaging/upstream/collector/file.yaml")
		cmd.Env = append(os.Environ(), "PICKET_COLLECTOR="+address, "PICKET_FILE="+filepath.Join(dir, "events.json"))
		return cmd
	})
	o := newOutside(t, address)
	var used time.Duration
	queued := runFleet(t, n, o, func(down bool) {
		o.away(func() {
			if down {
				used += cpuOf(p.PID())
				p.Kill()
			} else {
				p.Start()
			}
		})
	})
	used += cpuOf(p.PID())
	p.End()
	files, err := filepath.Glob(filepath.Join(dir, "events*.json"))
	if err != nil {
		t.Fatal(err)
	}
	there, bytes := map[string]bool{}, int64(0)
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			bytes += int64(len(lines.Bytes()))
			for _, m := range fleetUID.FindAllSubmatch(lines.Bytes(), -1) {
				there[string(m[1])] = true
			}
		}
		if err := errors.Join(lines.Err(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for uid := range queued {
		if !there[uid] {
			t.Fatalf("%s is not in the Collector's files", uid)
		}
	}
	if len(queued) != 3*n || len(there) != 3*n {
		t.Errorf("%d events, want %d; the Collector has %d", len(queued), 3*n, len(there))
	}
	perMillion := used.Seconds() / float64(len(there)) * 1e6 // one a day of each device
	t.Logf("the Collector used %s of CPU for %d events, and wrote %.1f kB for each; 1,000,000 devices on which nothing changes take %.0f s of its CPU a day",
		used.Round(10*time.Millisecond), len(there), float64(bytes)/float64(len(there))/1000, perMillion)
}

// cpuOf is the CPU time that a process has used.
func cpuOf(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
