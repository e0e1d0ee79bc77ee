package agent

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"picket/scanner/facts"
)

const (
	// probePath is what many systems ask for to tell a sign-in page; a host that does not know it
	// says so, which does as well.
	probePath   = "/generate_204"
	maxPage     = 64 << 10 // bytes read of an answer
	pageTime    = 3 * time.Second
	headerBytes = 16 << 10
)

// page is what a host answered to probePath.
type page struct {
	status   int
	location *url.URL // nil when it sends nowhere
	hsts     bool
	body     []byte
	whole    bool // body is all of it
}

// fetch asks over a connection for probePath: no cookies, no name of the program, no redirect is
// followed, and no more than maxPage is read.
func fetch(ctx context.Context, scheme, host string, dial dialFunc) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTime)
	defer cancel()
	t := &http.Transport{DialContext: dial, DialTLSContext: dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: headerBytes}
	defer t.CloseIdleConnections()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+host+probePath, nil)
	if err != nil {
		return page{}, fmt.Errorf("asking %s: %w", host, err)
	}
	req.Header.Set("User-Agent", "")
	res, err := t.RoundTrip(req)
	if err != nil {
		return page{}, fmt.Errorf("asking %s over %s: %w", host, scheme, err)
	}
	defer res.Body.Close()
	p := page{status: res.StatusCode, hsts: hstsHeld(res.Header.Get("Strict-Transport-Security"))}
	if l := res.Header.Get("Location"); l != "" && p.status/100 == 3 {
		p.location, _ = req.URL.Parse(l)
	}
	p.body, err = io.ReadAll(io.LimitReader(res.Body, maxPage+1))
	p.whole = err == nil && len(p.body) <= maxPage
	return p, nil
}

// hstsHeld reads whether the header says that the host is reached over TLS alone (RFC 6797, 6.1).
func hstsHeld(header string) bool {
	for part := range strings.SplitSeq(header, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if strings.EqualFold(name, "max-age") {
			return strings.Trim(value, `"0`) != ""
		}
	}
	return false
}

// noteHTTP notes what plain HTTP answers, beside what TLS does (nil when that is not proven) and
// what was so before.
func noteHTTP(row *facts.NetworkProbe, plain page, over *page, mem *probeMemory) {
	row.HTTPStatus = plain.status
	if l := plain.location; l != nil {
		row.HTTPLocation = shownName(l.Scheme + "://" + l.Host)
		row.Upgrades = l.Scheme == "https" && sameSite(l.Hostname(), row.Host)
	}
	row.Portal, row.PortalHost = portalSign(plain, over, row, mem)
	if row.Portal != "" || row.Upgrades || over == nil {
		if over == nil && row.Portal == "" && !row.Upgrades {
			row.MarkUnread("inserted", "there is nothing proven to compare with")
		}
		return
	}
	row.Same = plain.status == over.status && bytes.Equal(plain.body, over.body) && address(plain.location) == address(over.location)
	switch {
	case row.Same || row.MustUpgrade: // who must send on has nothing to compare
	case plain.status == over.status && plain.whole && over.whole && inserted(over.body, plain.body):
		row.Inserted = len(plain.body) - len(over.body)
	case mem.Same:
		row.Inserted = -1
	}
}

func address(u *url.URL) string {
	if u == nil {
		return ""
	}
	return u.Host + u.Path
}

// inserted reports whether got is want with something put in at one place.
func inserted(want, got []byte) bool {
	if len(got) <= len(want) {
		return false
	}
	n := 0
	for n < len(want) && want[n] == got[n] {
		n++
	}
	return bytes.HasSuffix(got, want[n:])
}

// portalSign tells what shows that a sign-in page stands between. Where the host proves itself over
// TLS, only another place to go to does.
func portalSign(plain page, over *page, row *facts.NetworkProbe, mem *probeMemory) (sign, host string) {
	if plain.status == http.StatusNetworkAuthenticationRequired {
		return "status 511", ""
	}
	if l := plain.location; l != nil && !sameSite(l.Hostname(), row.Host) {
		there := over != nil && over.location != nil && over.location.Hostname() == l.Hostname()
		if !there && mem.Elsewhere != l.Hostname() {
			return "redirect", shownName(l.Hostname())
		}
	}
	if over == nil && plain.status/100 == 2 {
		text := bytes.ToLower(plain.body)
		for _, mark := range []string{"<wispaccessgatewayparam", "<form", `http-equiv="refresh"`, "http-equiv=refresh", `http-equiv='refresh'`} {
			if bytes.Contains(text, []byte(mark)) {
				return "page", ""
			}
		}
	}
	return "", ""
}

// sameSite reports whether two hosts are one, or one is below the other.
func sameSite(a, b string) bool {
	a, b = strings.ToLower(strings.TrimSuffix(a, ".")), strings.ToLower(strings.TrimSuffix(b, "."))
	a, b = strings.TrimPrefix(a, "www."), strings.TrimPrefix(b, "www.")
	if a == b {
		return true
	}
	for _, host := range []string{a, b} {
		if _, err := netip.ParseAddr(host); err == nil {
			return false
		}
	}
	return strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a) && strings.Contains(a, ".")
}
