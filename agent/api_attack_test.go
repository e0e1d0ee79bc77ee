package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"picket/store"
)

func rawAsk(t *testing.T, path, text string) apiLine {
	t.Helper()
	c := dial(t, path)
	defer c.Close()
	go c.Write([]byte(text)) // a server that refuses may not read it all
	return lastLine(t, c)
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := dialAPI(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lastLine(t *testing.T, c io.Reader) (last apiLine) {
	t.Helper()
	r := bufio.NewReader(c)
	for {
		line, err := readLine(r)
		if err != nil {
			return last
		}
		if err := json.Unmarshal(line, &last); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAPIRefusesBadRequests(t *testing.T) {
	path, _ := serveAPI(t, newFakeAgent(), "", nil)
	for _, tt := range []struct{ text, code, has string }{
		{"\n", codeMalformed, "no JSON object"},
		{"GET / HTTP/1.1\r\n", codeMalformed, "no JSON object"},
		{strings.Repeat("\x00\xff", 1000) + "\n", codeMalformed, ""},
		{"[]\n", codeMalformed, ""},
		{"null\n", codeMalformed, `no version`},
		{`{"op":"status"}` + "\n", codeMalformed, `"v":1`},
		{`{"v":2,"op":"status","new":1}` + "\n", codeVersion, "version 2 is asked for"},
		{`{"v":0,"op":"status"}` + "\n", codeVersion, ""},
		{`{"v":1,"op":"status","nonsense":1}` + "\n", codeMalformed, "nonsense"},
		{`{"v":1,"op":7}` + "\n", codeMalformed, ""},
		{`{"v":1,"op":"halt"}` + "\n", codeUnknownOp, `"halt"`},
		{`{"v":1}` + "\n", codeUnknownOp, `""`},
		{`{"v":1,"op":"` + strings.Repeat("\\u0000", 5000) + `"}` + "\n", codeUnknownOp, ""},
		{strings.Repeat("[", 20000) + "\n", codeMalformed, ""},
		{`{"v":1,"op":"history","limit":-1}` + "\n", codeInvalid, "limit"},
		{`{"v":1,"op":"history","limit":10001}` + "\n", codeInvalid, "limit"},
		{`{"v":1,"op":"history","limit":1e99}` + "\n", codeMalformed, ""},
		{`{"v":1,"op":"history","since":"yesterday"}` + "\n", codeInvalid, "since"},
		{strings.Repeat("x", apiRequestMax), codeTooLarge, "65536"},
		{strings.Repeat("x", 4*apiRequestMax) + "\n", codeTooLarge, "65536"},
	} {
		l := rawAsk(t, path, tt.text)
		if l.Error == nil || l.Error.Code != tt.code || !strings.Contains(l.Error.Text, tt.has) || len(l.Error.Text) > 400 {
			t.Errorf("%.40q: %+v", tt.text, l)
		}
		mustAnswer(t, path)
	}
	// Half a line, and then nothing more.
	c := dial(t, path)
	c.Write([]byte(`{"v":1,"op":"st`))
	c.CloseWrite()
	if l := lastLine(t, c); l.Error == nil || l.Error.Code != codeMalformed || !strings.Contains(l.Error.Text, "ends before") {
		t.Errorf("%+v", l)
	}
	c.Close()
	// One that only closes its side after the request gets its answer: nc -N, socat.
	c = dial(t, path)
	c.Write([]byte(`{"v":1,"op":"threats"}` + "\nand more"))
	c.CloseWrite()
	if l := lastLine(t, c); l.End == nil {
		t.Errorf("%+v", l)
	}
	c.Close()
}

func TestAPIRequestDeadline(t *testing.T) {
	path, _ := serveAPI(t, newFakeAgent(), "", func(l *apiLimits) { l.Request = 50 * time.Millisecond })
	for _, half := range []string{"", `{"v":1,`} {
		c := dial(t, path)
		c.Write([]byte(half))
		if l := lastLine(t, c); l.Error == nil || l.Error.Code != codeTimeout {
			t.Errorf("%q: %+v", half, l)
		}
		c.Close()
	}
	// Byte by byte does not stretch it.
	c := dial(t, path)
	defer c.Close()
	go func() {
		for range 1000 {
			if _, err := c.Write([]byte(" ")); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if l := lastLine(t, c); l.Error == nil || l.Error.Code != codeTimeout {
		t.Errorf("%+v", l)
	}
}

func TestAPIThousandConnections(t *testing.T) {
	path, server := serveAPI(t, newFakeAgent(), "", nil)
	before := runtime.NumGoroutine()
	var conns []*net.UnixConn
	busy := 0
	for i := range 1000 {
		c := dial(t, path)
		conns = append(conns, c)
		if i < server.limits.Conns {
			continue
		}
		if l := lastLine(t, c); l.Error != nil && l.Error.Code == codeBusy && l.Error.Fix != "" {
			busy++
		}
	}
	if busy != 1000-server.limits.Conns {
		t.Errorf("%d were told that the server is busy", busy)
	}
	if n := runtime.NumGoroutine() - before; n > 2*server.limits.Conns {
		t.Errorf("%d goroutines for 1,000 connections", n)
	}
	for _, c := range conns {
		c.Close()
	}
	server.rests(t)
	mustAnswer(t, path)
}

// rests waits until nobody is connected.
func (s *apiServer) rests(t *testing.T) {
	t.Helper()
	eventually(t, "the end of all connections", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.conns == 0 && s.readers == 0
	})
}

func bigInventory(f *fakeAgent) {
	f.packages = nil
	for i := range 2000 {
		f.packages = append(f.packages, store.Package{ID: strconv.Itoa(i), Body: []byte(`{"id":"` + strings.Repeat("x", 2000) + `"}`)})
	}
}

func TestAPIClientThatNeverReads(t *testing.T) {
	f := newFakeAgent()
	bigInventory(f)
	never := func(path string) (conns []*net.UnixConn) {
		for range 20 {
			c := dial(t, path)
			t.Cleanup(func() { c.Close() })
			c.Write([]byte(`{"v":1,"op":"inventory"}` + "\n"))
			conns = append(conns, c)
		}
		return conns
	}
	path, server := serveAPI(t, f, "", nil) // with all the time in the world
	conns := never(path)
	eventually(t, "lists for some", func() bool { return len(server.actorLists) == server.limits.Lists }) // and no more lists in memory
	mustAnswer(t, path)
	for _, c := range conns {
		c.Close()
	}
	server.rests(t)
	if items, _, err := ask(t, path, apiRequest{Op: "inventory"}); err != nil || len(items) != 2000 {
		t.Errorf("%d items, %v", len(items), err)
	}

	path, server = serveAPI(t, f, "", func(l *apiLimits) { l.Write = 500 * time.Millisecond })
	var begun []*bufio.Reader
	for _, c := range never(path) {
		begun = append(begun, bufio.NewReader(c))
	}
	for _, r := range begun {
		if _, err := r.Peek(1); err != nil { // the begin of an answer, and no more
			t.Error(err)
		}
	}
	server.rests(t)
	for _, r := range begun {
		if l := lastLine(t, r); l.End != nil {
			t.Error("an answer that was cut has an end")
		}
	}
	for range server.limits.Lists { // others hold all lists
		server.actorLists <- struct{}{}
	}
	if _, _, err := ask(t, path, apiRequest{Op: "inventory"}); codeOf(err) != codeBusy {
		t.Errorf("one that waited was told %v", err)
	}
}

func TestAPIAnswerDeadline(t *testing.T) {
	f := newFakeAgent()
	bigInventory(f)
	path, server := serveAPI(t, f, "", func(l *apiLimits) { l.Answer = time.Second })
	c := dial(t, path)
	defer c.Close()
	c.Write([]byte(`{"v":1,"op":"inventory"}` + "\n"))
	// It reads, so that no single write takes long, but slowly.
	buf, total := make([]byte, 4096), 0
	for {
		n, err := c.Read(buf)
		if total += n; err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if total > 2<<20 {
		t.Errorf("%d bytes of an answer that takes too long", total)
	}
	server.rests(t)
	mustAnswer(t, path)
}

func TestAPIFollowerThatLags(t *testing.T) {
	f := newFakeAgent()
	path, _ := serveAPI(t, f, "", nil)
	c := dial(t, path)
	defer c.Close()
	c.Write([]byte(`{"v":1,"op":"events","follow":true}` + "\n"))
	eventually(t, "a follower", func() bool { return f.feed.followers() == 1 })
	body := []byte(`{"x":"` + strings.Repeat("y", 60<<10) + `"}`)
	for f.feed.followers() == 1 { // it never waits, whatever the follower does
		f.feed.publish(body)
	}
	if l := lastLine(t, c); l.Error == nil || l.Error.Code != codeLagged {
		t.Errorf("%+v", l.Error)
	}
	mustAnswer(t, path)
}

func TestAPIStops(t *testing.T) {
	f := newFakeAgent()
	bigInventory(f)
	f.rescan = func(ctx context.Context, _ bool) (scanSummary, error) { <-ctx.Done(); return scanSummary{}, ctx.Err() }
	path, server := serveAPI(t, f, "", func(l *apiLimits) { l.Request, l.Write, l.Stop = time.Hour, time.Hour, 50*time.Millisecond })
	for _, text := range []string{"", `{"v"`, `{"v":1,"op":"rescan","wait":true}` + "\n", `{"v":1,"op":"events","follow":true}` + "\n",
		`{"v":1,"op":"inventory"}` + "\n", `{"v":1,"op":"inventory"}` + "\n", `{"v":1,"op":"inventory"}` + "\n"} {
		c := dial(t, path)
		t.Cleanup(func() { c.Close() })
		c.Write([]byte(text))
	}
	eventually(t, "all clients", func() bool {
		server.mu.Lock()
		defer server.mu.Unlock()
		return server.conns == 7 && f.feed.followers() == 1 && len(server.actorLists) == 2
	})
}

func TestAPIClientDistrusts(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { verifyNone(t, before) })
	for _, tt := range []struct{ answer, want string }{
		{"", "ends early: unexpected EOF"},
		{`{"v":1,"item":{}}` + "\n", "ends early"},
		{`{"v":1,"end":{}`, "ends early"},
		{"HTTP/1.1 400\n", "invalid character"},
		{`{"v":2,"end":{}}` + "\n", "version 2"},
		{`{"v":1,"end":[]}` + "\n", "cannot unmarshal"},
		{`{"v":1,"item":7}` + "\n", "cannot unmarshal"},
		{`{"v":1,"error":{"code":"failed","text":"no"}}` + "\n", "no"},
		{strings.Repeat("x", apiLineMax+1), "more than"},
	} {
		path := filepath.Join(socketFolder(t), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan bool)
		go func() {
			defer close(done)
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			bufio.NewReader(c).ReadString('\n')
			c.Write([]byte(tt.answer))
		}()
		var (
			items []map[string]any
			end   countEnd
		)
		err = callAPI(t.Context(), path, apiRequest{Op: "ignores"}, collect(&items), &end)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v", tt.answer, err)
		}
		l.Close()
		<-done
	}
	_, _, err := ask(t, filepath.Join(t.TempDir(), "none"), apiRequest{Op: "status"})
	if !errors.As(err, new(*notRunning)) {
		t.Error(err)
	}
	if err := callAPI(t.Context(), "/none", apiRequest{Key: strings.Repeat("x", apiRequestMax)}, nil, nil); err == nil {
		t.Error("no error")
	}
}

func FuzzAPIRequest(f *testing.F) {
	f.Add([]byte(`{"v":1,"op":"ignore","key":"aaaaaa","for":"7d","why":"x"}` + "\n"))
	f.Add([]byte(`{"v":1,"op":"history","limit":10,"since":"2026-01-01T00:00:00Z"}` + "\n"))
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte("\x00[[["))
	f.Fuzz(func(t *testing.T, line []byte) {
		req, err := parseRequest(line)
		if err == nil {
			if req.V != apiVersion {
				t.Errorf("version %d", req.V)
			}
			return
		}
		if codeOf(err) == "" || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q", err)
		}
	})
}

func FuzzAPIAnswer(f *testing.F) {
	f.Add([]byte(`{"v":1,"item":{"key":"aaaaaa","rule":"OS-001","severity":"high","since":"2026-01-01T00:00:00Z"}}`))
	f.Add([]byte(`{"v":1,"end":{"count":1,"level":"high"}}`))
	f.Add([]byte(`{"v":1,"error":{"code":"busy","text":"x","fix":"y"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		var l threatList
		if _, err := takeLine(line, collect(&l.Findings), &l.threatsEnd); err != nil {
			return
		}
		var b bytes.Buffer
		if err := showThreats(&b, l); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x00\r") {
			t.Errorf("%q", b.String())
		}
	})
}
