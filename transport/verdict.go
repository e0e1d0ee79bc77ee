package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Verdict is what an answer means for the records.
type Verdict uint8

// The verdicts. Only Taken and Rejected end the sending of a record.
const (
	Busy       Verdict = iota // 429, 502, 503, 504, no answer: later
	Taken                     // 200, nothing rejected
	Rejected                  // 200, and it names a count that it did not keep: never to be sent again
	Malformed                 // 400, 415: one of the records cannot be read
	TooLarge                  // 413
	Denied                    // 401, 403, or it refuses our certificate
	Unfit                     // 404, 405, 500, 501, redirects, and answers that are no OTLP: a person has to see to it
	Distrusted                // it could not show that it is the upstream: later
)

var verdictNames = [...]string{"busy", "taken", "rejected", "malformed", "too large", "denied", "unfit", "distrusted"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict %d", uint8(v))
}

// Answer is what came of a request.
type Answer struct {
	Verdict Verdict
	// Err says why it is not Taken. Its text is the same for the same cause: no port of this
	// side, nothing that the other side has worded.
	Err      error
	After    time.Duration // Busy: not before; 0 where it was not said
	Rejected int64         // records
	Message  string        // the other side's words, at most 256 bytes, to be quoted
}

func verdictOf(status int) Verdict {
	switch status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType:
		return Malformed
	case http.StatusRequestEntityTooLarge:
		return TooLarge
	case http.StatusUnauthorized, http.StatusForbidden:
		return Denied
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Busy
	}
	return Unfit
}

// refusesUs tells whether a server's alert (RFC 8446, 6) is about the certificate that it was shown.
// The alert's own type is not exported, its words are.
func refusesUs(err error) bool {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "remote error" {
		return false
	}
	about := []tls.AlertError{42, 43, 44, 45, 46, 48, 49, 116} // bad, unsupported, revoked, expired, unknown, unknown CA, access denied, required
	return slices.ContainsFunc(about, func(a tls.AlertError) bool { return op.Err.Error() == a.Error() })
}

// failed makes an answer of an error that came in the place of one.
func failed(err error) Answer {
	var verify *tls.CertificateVerificationError
	plain := plainError(err)
	switch {
	case errors.As(err, &verify):
		return Answer{Verdict: Distrusted, Err: fmt.Errorf("the upstream is not who it should be: %w", untrusted(verify))}
	case refusesUs(err):
		return Answer{Verdict: Denied, Err: fmt.Errorf("the upstream refuses this device's certificate: %w", plain)}
	}
	return Answer{Verdict: Busy, Err: fmt.Errorf("no answer from the upstream: %w", plain)}
}

// plainError takes from an error what differs from one try to the next: addresses and ports of
// this side, and the URL, which is known.
func plainError(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err
	}
	op, dns := (*net.OpError)(nil), (*net.DNSError)(nil)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("it took too long")
	case errors.As(err, &dns):
		return fmt.Errorf("looking up %s: %s", dns.Name, dns.Err)
	case errors.As(err, &op) && op.Op == "dial" && op.Addr != nil:
		return fmt.Errorf("dial %s: %w", op.Addr, op.Err)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w", op.Op, op.Err)
	}
	return err
}

// untrusted words a failed verification without its times, which go on.
func untrusted(err *tls.CertificateVerificationError) error {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return errors.New("its certificate has expired or is not valid yet")
	}
	return err.Err
}
