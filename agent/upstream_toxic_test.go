package agent

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picket/store"
)

// timed notes when a sink is tried.
type timed struct {
	*upstreamSink
	at []time.Time
}

func (w *timed) Send(ctx context.Context, events []store.Event) Receipt {
	w.at = append(w.at, time.Now())
	return w.upstreamSink.Send(ctx, events)
}

// Where events are once an upstream has behaved badly for a while.
const (
	kept   = "outbox"
	taken  = "upstream"
	gone   = "quarantine"
	canary = "CANARY-c0ffee"
)

type toxin struct {
	name   string
	make   func(c *otelServer)
	where  string        // kept where not said
	code   string        // of the warning; upstream-unreachable where not said
	text   string        // in the log
	least  time.Duration // between two tries; 5 s where not said
	most   time.Duration // 1 h where not said
	filler int           // bytes that make each event larger
}

// flood writes until the other side has enough, and says in *n how much that was.
func flood(w io.Writer, chunk string, n *atomic.Int64) bool {
	block := []byte(strings.Repeat(chunk, 4096/len(chunk)))
	for {
		m, err := w.Write(block)
		if all := n.Add(int64(m)); err != nil || all > 64<<20 {
			return false
		}
	}
}

func status(code int, headers ...string) func(*otelServer) {
	return func(c *otelServer) {
		c.answer = func(w io.Writer, r *http.Request) bool {
			_, err := io.Copy(io.Discard, r.Body)
			return err == nil && reply(w, code, "text/plain", []byte("no"), headers...)
		}
	}
}

func answers(media string, body []byte, headers ...string) func(*otelServer) {
	return func(c *otelServer) {
		c.answer = func(w io.Writer, r *http.Request) bool {
			_, err := io.Copy(io.Discard, r.Body)
			return err == nil && reply(w, 200, media, body, headers...)
		}
	}
}

func writes(head string) func(*otelServer) {
	return func(c *otelServer) {
		c.answer = func(w io.Writer, r *http.Request) bool {
			_, err := io.Copy(io.Discard, r.Body)
			_, err2 := io.WriteString(w, head)
			return err == nil && err2 == nil && false
		}
	}
}

func serverTLS(change func(c *otelServer, conf *tls.Config)) func(*otelServer) {
	return func(c *otelServer) {
		conf := c.conf.Clone()
		change(c, conf)
		c.conf = conf
	}
}

// bomb is made once, and only where it is thrown.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(make([]byte, 16<<20))
	z.Close()
	return b.Bytes()
})

const quarter = 15 * time.Minute

func toxins(t testing.TB, flooded *atomic.Int64) []toxin {
	other := newAuthority(t)
	long := 2 * time.Hour
	return []toxin{
		{name: "no route", make: func(c *otelServer) {
			c.dial = func(context.Context) error { return &net.OpError{Op: "dial", Err: errNoRoute} }
		}, text: "no route"},
		{name: "hangs at connect", make: func(c *otelServer) { c.dial = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } }, text: "took too long"},
		{name: "hangs at accept", make: func(c *otelServer) { c.raw = func(conn net.Conn) { time.Sleep(time.Hour) } }, text: "handshake timeout"},
		{name: "hangs in the handshake", make: func(c *otelServer) {
			c.raw = func(conn net.Conn) { io.ReadFull(conn, make([]byte, 16)); time.Sleep(time.Hour) }
		}, text: "handshake timeout"},
		{name: "hangs before the headers", make: func(c *otelServer) {
			c.answer = func(_ io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				time.Sleep(time.Hour)
				return false
			}
		}, text: "took too long"},
		{name: "hangs before it reads", make: func(c *otelServer) {
			c.answer = func(io.Writer, *http.Request) bool { time.Sleep(time.Hour); return false }
		}, text: "took too long"},
		{name: "hangs in the body", make: writesAndHangs("HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n\x0a", time.Hour), text: "took too long"},
		{name: "a byte a minute", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				for _, b := range []byte("HTTP/1.1 200 OK\r\n\r\n") {
					time.Sleep(time.Minute)
					if _, err := w.Write([]byte{b}); err != nil {
						return false
					}
				}
				return false
			}
		}, text: "took too long"},
		{name: "half an answer", make: writes("HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 9\r\n\r\n\x0a"), text: "unexpected EOF"},
		{name: "half a header", make: writes("HTTP/1.1 200 O"), text: "unexpected EOF"},
		{name: "closes without an answer", make: writes(""), text: "EOF"},
		{name: "no HTTP", make: writes("SSH-2.0-OpenSSH_9.2\r\n\r\n"), text: "malformed"},
		{name: "HTTP/2 and GOAWAY", make: writes("\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), text: "malformed"},
		{name: "endless headers", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "HTTP/1.1 200 OK\r\n")
				return flood(w, "X-A: bbbbbbbbb\r\n", flooded)
			}
		}, text: "headers exceeded"},
		{name: "a header without end", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "HTTP/1.1 200 OK\r\nX: ")
				return flood(w, "aaaa", flooded)
			}
		}, text: "headers exceeded"},
		{name: "1xx without end", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				return flood(w, "HTTP/1.1 103 Early Hints\r\n\r\n", flooded)
			}
		}, text: "headers exceeded"},
		{name: "an endless body", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n\r\n")
				return flood(w, "\x12\x00", flooded)
			}
		}, code: warnUpstreamUnfit, text: "longer than", least: quarter, most: long},
		{name: "an endless body of an error", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "HTTP/1.1 503 No\r\n\r\n")
				return flood(w, "aaaa", flooded)
			}
		}, text: "503"},
		{name: "redirect to http", make: status(307, "Location: http://"+upstreamHost+"/v1/logs"), code: warnUpstreamUnfit, text: "307", least: quarter, most: long},
		{name: "redirect to itself", make: status(308, "Location: /v1/logs"), code: warnUpstreamUnfit, text: "308", least: quarter, most: long},
		{name: "a captive portal", make: answers("text/html", []byte("<html>Sign in</html>")), code: warnUpstreamUnfit, text: "no OTLP", least: quarter, most: long},
		{name: "JSON", make: answers("application/json", []byte("{}")), code: warnUpstreamUnfit, text: "no OTLP", least: quarter, most: long},
		{name: "no protobuf", make: answers("application/x-protobuf", []byte("<html>Sign in</html>")), code: warnUpstreamUnfit, text: "wire type", least: quarter, most: long},
		{name: "a gzip bomb", make: func(c *otelServer) { answers("application/x-protobuf", bomb(), "Content-Encoding: gzip")(c) }, code: warnUpstreamUnfit, text: "compressed", least: quarter, most: long},
		{name: "202", make: status(202), code: warnUpstreamUnfit, text: "202", least: quarter, most: long},
		{name: "404", make: status(404), code: warnUpstreamUnfit, text: "404", least: quarter, most: long},
		{name: "500", make: status(500), code: warnUpstreamUnfit, text: "500", least: quarter, most: long},
		{name: "an unknown status", make: status(799), code: warnUpstreamUnfit, text: "799", least: quarter, most: long},
		{name: "400 to all", make: status(400), code: warnUpstreamUnfit, text: "400", least: quarter, most: long},
		{name: "415 to all", make: status(415), code: warnUpstreamUnfit, text: "415", least: quarter, most: long},
		{name: "413 to all", make: status(413), code: warnUpstreamUnfit, text: "413", least: quarter, most: long},
		{name: "401", make: status(401), code: warnUpstreamDenied, text: "401", least: quarter, most: 4 * time.Hour},
		{name: "403", make: status(403), code: warnUpstreamDenied, text: "403", least: quarter, most: 4 * time.Hour},
		{name: "429", make: status(429), text: "429"},
		{name: "503, Retry-After a year", make: status(503, "Retry-After: 31536000"), text: "503", least: time.Hour, most: 75 * time.Minute},
		{name: "503, Retry-After without end", make: status(503, "Retry-After: 99999999999999999999999999"), text: "503"},
		{name: "503, Retry-After below zero", make: status(503, "Retry-After: -5"), text: "503"},
		{name: "503, Retry-After 0", make: status(503, "Retry-After: 0"), text: "503"},
		{name: "503, Retry-After of words", make: status(503, "Retry-After: soon"), text: "503"},
		{name: "503, Retry-After in 1970", make: status(503, "Retry-After: Thu, 01 Jan 1970 00:00:00 GMT", "Date: Thu, 01 Jan 2026 00:00:00 GMT"), text: "503"},
		{name: "502 with a new text each time", make: func(c *otelServer) {
			n := 0
			c.answer = func(w io.Writer, r *http.Request) bool {
				n++
				io.Copy(io.Discard, r.Body)
				return reply(w, 502, "text/plain", fmt.Appendf(nil, "request %d failed", n), fmt.Sprintf("X-Request: %d", n))
			}
		}, text: "502"},
		{name: "TLS 1.2", make: serverTLS(func(_ *otelServer, conf *tls.Config) { conf.MaxVersion = tls.VersionTLS12 }), text: "protocol version"},
		{name: "another name", make: serverTLS(func(c *otelServer, conf *tls.Config) {
			conf.Certificates = []tls.Certificate{*c.serverCert(t, "other.example.org", time.Time{})}
		}),
			code: warnUpstreamDistrusted, text: "not who it should be"},
		{name: "another authority", make: serverTLS(func(c *otelServer, conf *tls.Config) {
			conf.Certificates = []tls.Certificate{*(&otelServer{ca: other}).serverCert(t, upstreamHost, time.Time{})}
		}), code: warnUpstreamDistrusted, text: "unknown authority"},
		{name: "expired", make: serverTLS(func(c *otelServer, conf *tls.Config) {
			conf.Certificates = []tls.Certificate{*c.serverCert(t, upstreamHost, time.Now().Add(-time.Hour))}
		}), code: warnUpstreamDistrusted, text: "has expired"},
		{name: "it does not know this device", make: serverTLS(func(_ *otelServer, conf *tls.Config) { conf.ClientCAs = other.pool() }), code: warnUpstreamDenied,
			text: "refuses this device's certificate", least: quarter, most: 4 * time.Hour},
		{name: "plain HTTP", make: func(c *otelServer) {
			c.raw = func(conn net.Conn) {
				io.ReadFull(conn, make([]byte, 5))
				reply(conn, 400, "text/plain", []byte("speak HTTP"))
			}
		}, text: "gave HTTP response"},
		{name: "resets", make: func(c *otelServer) { c.raw = func(conn net.Conn) { io.ReadFull(conn, make([]byte, 100)) } }, text: "EOF"},
		{name: "200 for half of it", make: func(c *otelServer) {
			c.answer = func(w io.Writer, r *http.Request) bool {
				io.ReadFull(r.Body, make([]byte, r.ContentLength/2))
				reply(w, 200, "application/x-protobuf", nil)
				time.Sleep(time.Minute)
				return false
			}
		}, text: "before it had all", filler: 300_000},
		{name: "partial success without a count", make: answers("application/x-protobuf", []byte("\x0a\x04\x12\x02oh")), where: taken, code: "-", text: "remarked"},
		{name: "partial success", make: answers("application/x-protobuf", []byte("\x0a\x02\x08\x01")), where: gone, code: warnUpstreamRejecting, text: "rejected 1 records"},
		{name: "more rejected than sent", make: answers("application/x-protobuf", []byte("\x0a\x03\x08\xff\x7f")), where: gone, code: warnUpstreamRejecting, text: "rejected"},
		{name: "fewer than none rejected", make: answers("application/x-protobuf", []byte("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), code: warnUpstreamUnfit, text: "said to be rejected",
			least: quarter, most: long},
	}
}

// requestMost is how long a try may take.
const requestMost = 4 * time.Minute

func either(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func writesAndHangs(head string, then time.Duration) func(*otelServer) {
	return func(c *otelServer) {
		c.answer = func(w io.Writer, r *http.Request) bool {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, head)
			time.Sleep(then)
			return false
		}
	}
}

// TestToxicUpstreams has each of them behave badly for half a day of virtual time and then well.
func TestToxicUpstreams(t *testing.T) {
	t.Parallel()
	var flooded atomic.Int64
	names := toxins(t, &flooded)
	if len(names) < 20 {
		t.Fatal("fewer than 20 behaviours")
	}
	for i, x := range names {
		t.Run(x.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testToxin(t, toxins(t, &flooded)[i], &flooded) })
		})
	}
}

func testToxin(t *testing.T, x toxin, flooded *atomic.Int64) {
	b := newBench(t, "/")
	v, warn := b.vault(t)
	c := newOtelServer(t)
	s, up, file := newShipper(v, warn, b.machine), &timed{upstreamSink: c.sink(t)}, newFileSink(b.config.SinkFile, 64<<20)
	flooded.Store(0)
	c.behave(x.make)
	var want []string
	for i := range 3 {
		more := make([]byte, x.filler*3/4)
		rand.Read(more)
		want = append(want, fmt.Sprintf(`{"n":%d,"text":%q}`, i, canary+base64.StdEncoding.EncodeToString(more)))
		queueAs(t, v, fmt.Sprint(i), want[i])
	}
	stop := s.start(t, file, up)
	time.Sleep(12 * time.Hour)
	synctest.Wait()

	var st store.Stats
	if err := v.use(func(s *store.Store) (err error) { st, err = s.Stats(); return err }); err != nil {
		t.Fatal(err)
	}
	where := map[string]uint64{kept: st.Outbox, gone: st.Quarantined, taken: 3 - st.Outbox - st.Quarantined}
	if n := where[either(x.where, kept)]; n != 3 {
		t.Errorf("events are at %v\n%s", where, b.log)
	}
	var codes []string
	for _, w := range warn.all() {
		codes = append(codes, w.Code)
	}
	if code := either(x.code, warnUpstream); code == "-" && len(codes) > 0 || code != "-" && !slices.Equal(codes, []string{code}) {
		t.Errorf("warnings %q, want %q", codes, code)
	}
	log := b.log.String()
	if !strings.Contains(log, x.text) {
		t.Errorf("no %q in the log:\n%s", x.text, log)
	}
	if n := strings.Count(log, "level=WARN"); x.where != gone && n != 1 {
		t.Errorf("%d warnings were logged:\n%s", n, log)
	}
	for i := 1; i < len(up.at); i++ {
		if gap := up.at[i].Sub(up.at[i-1]); gap < max(x.least, 5*time.Second) || gap > max(x.most, time.Hour)+requestMost {
			t.Errorf("try %d came after %v", i, gap)
		}
	}
	if either(x.where, kept) == kept && (len(up.at) < 4 || len(up.at) > 60) {
		t.Errorf("%d tries", len(up.at))
	}
	tries := len(up.at)
	if each := flooded.Load() / int64(max(tries, 1)); each > 1<<20 {
		t.Errorf("%d bytes were read at each try", each)
	}
	if got := strings.Split(strings.TrimSpace(read(t, b.config.SinkFile)), "\n"); !slices.Equal(got, want) {
		t.Errorf("the file has %q", got)
	}

	c.behave(func(c *otelServer) {
		c.dial, c.raw, c.answer = nil, nil, nil
		c.conf = c.conf.Clone()
		c.conf.MaxVersion, c.conf.ClientCAs, c.conf.Certificates = 0, c.ca.pool(), []tls.Certificate{*c.serverCert(t, upstreamHost, time.Time{})}
	})
	queue(t, v, `{"last":true}`)
	s.more()
	time.Sleep(5 * time.Hour)
	synctest.Wait()
	if either(x.where, kept) == kept {
		want = append(want, `{"last":true}`)
		log = b.log.String()
		if !strings.Contains(log, fmt.Sprintf("msg=recovered dependency=upstream failures=%d", tries)) || len(warn.all()) > 0 {
			t.Errorf("warnings %v after it recovered:\n%s", warn.all(), log)
		}
	} else {
		want = []string{`{"last":true}`}
	}
	if got := c.got(); !slices.Equal(got, want) {
		t.Errorf("it got %q, want %q", got, want)
	}
	if bytes.Contains(c.clear.Bytes(), []byte(canary)) || bytes.Contains(c.clear.Bytes(), []byte("POST")) {
		t.Error("something was sent in clear")
	}
	if strings.Contains(b.log.String(), canary) {
		t.Error("an event is in the log")
	}
	if err := errors.Join(stop(), up.Close(), file.Close(), v.close()); err != nil {
		t.Error(err)
	}
	time.Sleep(2 * time.Hour) // servers that hang end
}
