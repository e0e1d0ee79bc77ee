package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"picket/transport"
)

const documentMax = 256 << 10 // bytes

// enrolDocument is all that a device needs to be told to enrol, in one file or behind one link. The
// token in it makes it a secret.
type enrolDocument struct {
	Version int    `json:"version"`
	Token   string `json:"token,omitempty"`
	upstream
}

// readDocument reads an enrolment document from a file, a https link, or standard input for "-".
// In its place there may be a token alone, or a picture with a QR code of a document, a link or a
// token. roots vouch for links; nil is the system's.
func readDocument(ctx context.Context, from string, stdin io.Reader, roots *x509.CertPool, now func() time.Time) (enrolDocument, error) {
	b, err := fetchDocument(ctx, from, stdin, roots, now)
	if err == nil && isPicture(b) {
		if b, err = fromPicture(ctx, b, roots, now); isPicture(b) {
			err = errors.New("a picture behind a QR code")
		}
	}
	if err == nil && len(b) > documentMax {
		err = fmt.Errorf("it is longer than %d bytes", documentMax)
	}
	if err != nil {
		return enrolDocument{}, fmt.Errorf("reading the enrolment document: %w", err)
	}
	return documentIn(b)
}

// fromPicture gives what a picture's QR code says, or what is behind the link that it is.
func fromPicture(ctx context.Context, b []byte, roots *x509.CertPool, now func() time.Time) ([]byte, error) {
	text, err := readQR(b)
	if err != nil || !strings.HasPrefix(text, "https://") {
		return []byte(text), err
	}
	return downloadDocument(ctx, text, roots, now)
}

// documentIn makes a document of its text; a token alone is one that says nothing else.
func documentIn(b []byte) (enrolDocument, error) {
	if text := strings.TrimSpace(string(b)); isToken(text) {
		return enrolDocument{Version: enrolmentVersion, Token: text}, nil
	}
	d, err := parseDocument(b)
	if err != nil {
		return enrolDocument{}, fmt.Errorf("the enrolment document: %w", err)
	}
	return d, nil
}

func parseDocument(b []byte) (enrolDocument, error) {
	var d enrolDocument
	if err := strictJSON(b, &d); err != nil {
		return enrolDocument{}, err
	}
	if d.Version != enrolmentVersion {
		return enrolDocument{}, fmt.Errorf("version: %d is not %d", d.Version, enrolmentVersion)
	}
	if d.CA.Roots != "" {
		return enrolDocument{}, errors.New("ca.roots: the root is fetched by ca.fingerprint")
	}
	if d.CA.URL == "" && d.Token != "" { // the token may say it
		return d, nil
	}
	return d, d.check()
}

func fetchDocument(ctx context.Context, from string, stdin io.Reader, roots *x509.CertPool, now func() time.Time) ([]byte, error) {
	if from == "-" {
		return readBounded(stdin, pictureMax)
	}
	if strings.HasPrefix(from, "https://") {
		return downloadDocument(ctx, from, roots, now)
	}
	if strings.Contains(from, "://") {
		return nil, usagef("a link to an enrolment document begins with https://")
	}
	f, err := os.Open(filepath.Clean(from))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readBounded(f, pictureMax)
}

func readBounded(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("it is longer than %d bytes", most)
	}
	return b, err
}

// downloadDocument fetches a document. Errors do not hold the link: it may be as secret as the token.
func downloadDocument(ctx context.Context, link string, roots *x509.CertPool, now func() time.Time) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if roots == nil {
		roots = publicRoots()
	}
	client := transport.NewClient(transport.Options{Roots: roots, Now: now})
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, errors.New("the link is no URL")
	}
	host := req.URL.Host
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", host, errors.Unwrap(err)) // without the URL
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d %s", host, res.StatusCode, http.StatusText(res.StatusCode))
	}
	return readBounded(res.Body, documentMax)
}

// publicRoots are the authorities that this system trusts, for links alone. On Android they are
// where Go looks in programs built for Android only.
func publicRoots() *x509.CertPool {
	if pool, err := transport.FolderRoots(transport.AndroidRoots()...); err == nil {
		return pool
	}
	pool, err := x509.SystemCertPool()
	if err != nil || pool == nil {
		pool = x509.NewCertPool()
	}
	return pool
}
