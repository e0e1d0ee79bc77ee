package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Bounds of one request.
const (
	requestTime   = 3 * time.Minute
	answerBytes   = 64 << 10
	longestWait   = time.Hour // that a Retry-After is believed
	logsPath      = "/v1/logs"
	protobufMedia = "application/x-protobuf"
)

// Exporter sends records to an OpenTelemetry Collector, or to whatever else takes logs by
// OTLP/HTTP. It may be used by several goroutines.
type Exporter struct {
	client *http.Client
	url    string
	who    Resource
	zips   sync.Pool
	sent   atomic.Int64
}

// NewExporter makes one for the OTLP endpoint base, an https URL to which /v1/logs is added.
func NewExporter(client *http.Client, base string, who Resource) (*Exporter, error) {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no https URL of an OTLP endpoint", base)
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), logsPath) + logsPath
	return &Exporter{client: client, url: u.String(), who: who}, nil
}

// Sent is how many bytes of request bodies were sent so far, compressed.
func (e *Exporter) Sent() int64 { return e.sent.Load() }

// Host names where records go, for people.
func (e *Exporter) Host() string {
	u, err := url.Parse(e.url)
	if err != nil {
		return ""
	}
	return u.Host
}

// Close closes connections that wait for more.
func (e *Exporter) Close() { e.client.CloseIdleConnections() }

// Send sends the records as one request and says what came of it. No records are sent as an
// empty request: a Collector takes it.
func (e *Exporter) Send(ctx context.Context, records []Record) Answer {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	body, err := e.compress(records)
	if err != nil {
		return Answer{Verdict: Malformed, Err: err}
	}
	var read *counted
	renew := func() io.ReadCloser {
		read = &counted{r: bytes.NewReader(body)}
		return read
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, renew())
	if err != nil {
		return Answer{Verdict: Unfit, Err: fmt.Errorf("making the request: %w", err)}
	}
	req.ContentLength = int64(len(body))
	req.GetBody = func() (io.ReadCloser, error) { return renew(), nil }
	req.Header.Set("Content-Type", protobufMedia)
	req.Header.Set("Content-Encoding", "gzip")
	req.Header.Set("User-Agent", "picket/"+e.who.Version)
	e.sent.Add(int64(len(body)))
	res, err := e.client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer res.Body.Close() // not drained: a body without end closes its connection
	if res.StatusCode != http.StatusOK {
		return e.refusal(res)
	}
	if n := read.n.Load(); n < int64(len(body)) {
		return Answer{Verdict: Busy, Err: errors.New("the upstream answered 200 before it had all of the request")}
	}
	return accepted(res, len(records))
}

func (e *Exporter) compress(records []Record) ([]byte, error) {
	var out bytes.Buffer
	z, ok := e.zips.Get().(*gzip.Writer)
	if !ok {
		z = gzip.NewWriter(&out)
	}
	defer e.zips.Put(z)
	z.Reset(&out)
	if _, err := z.Write(encodeRequest(e.who, records)); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, fmt.Errorf("compressing: %w", err)
	}
	return out.Bytes(), nil
}

// counted counts what was taken of a request's body.
type counted struct {
	r *bytes.Reader
	n atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

func (c *counted) Close() error { return nil }

// accepted reads an answer of status 200. Only one that says in its own words that it is OTLP
// takes the records: captive portals answer 200 too.
func accepted(res *http.Response, sent int) Answer {
	body, err := io.ReadAll(io.LimitReader(res.Body, answerBytes+1))
	switch {
	case err != nil:
		return failed(fmt.Errorf("reading the answer: %w", err))
	case len(body) > answerBytes:
		return Answer{Verdict: Unfit, Err: fmt.Errorf("the upstream's answer is longer than %d bytes", answerBytes)}
	case res.Header.Get("Content-Encoding") != "":
		return Answer{Verdict: Unfit, Err: errors.New("the upstream's answer is compressed, and was not asked to be")}
	}
	kind := res.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(kind); (err != nil || media != protobufMedia) && (kind != "" || len(body) > 0) {
		return Answer{Verdict: Unfit, Err: errors.New("the upstream's answer is no OTLP: it is of another content type")}
	}
	p, err := parseAnswer(body)
	if err != nil {
		return Answer{Verdict: Unfit, Err: err}
	}
	a := Answer{Verdict: Taken, Rejected: p.rejected, Message: p.message}
	if p.rejected > 0 {
		a.Verdict = Rejected
		a.Err = fmt.Errorf("the upstream rejected %d of %d records", p.rejected, sent)
	}
	return a
}

// refusal makes an answer of any other status.
func (e *Exporter) refusal(res *http.Response) Answer {
	a := Answer{Verdict: verdictOf(res.StatusCode)}
	what := http.StatusText(res.StatusCode)
	if what == "" {
		what = "unknown status"
	}
	a.Err = fmt.Errorf("the upstream answered %d %s", res.StatusCode, what)
	if a.Verdict == Busy {
		a.After = retryAfter(res.Header)
	}
	return a
}

// retryAfter reads Retry-After (RFC 9110, 10.2.3): seconds, or a date, which counts from the
// answer's own. 0 is none, or one that makes no sense.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 63); err == nil {
		return time.Duration(min(seconds, uint64(longestWait/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}
