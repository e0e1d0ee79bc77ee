package agent

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/parse"
	"picket/scanner/report"
)

// The chains of facts.NetworkProbe.
const (
	chainExpected  = "expected"
	chainLocal     = "local"
	chainExpired   = "expired"
	chainUntrusted = "untrusted"
)

const (
	maxShownName    = 200 // bytes of a name that came over the network
	maxRootFile     = 16 << 20
	maxRootFiles    = 2000
	connectPatience = 2 * time.Second
	tlsPatience     = 3 * time.Second // to agree, once connected
	probePatience   = 9 * time.Second // for all of it
)

// handshake agrees with whoever answers, on whatever it can do: what it can do is the question, and
// nothing is sent over the connection before its certificate was judged.
func handshake(ctx context.Context, dial dialFunc, host string) (*tls.Conn, error) {
	conn, err := dial(ctx, "tcp", "")
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{ServerName: host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, NextProtos: []string{"http/1.1"}}
	for _, s := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		conf.CipherSuites = append(conf.CipherSuites, s.ID)
	}
	c := tls.Client(conn, conf)
	ctx, cancel := context.WithTimeout(ctx, tlsPatience)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("agreeing with %s on TLS: %w", host, err)
	}
	return c, nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// trust is what the device believes.
type trust struct {
	roots []*x509.Certificate
	// added reports whether an authority was put into the device's store by somebody; it fails when
	// nobody can tell.
	added func(ctx context.Context, sha256 string) (bool, error)
}

func (t trust) pool() *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range t.roots {
		p.AddCert(c)
	}
	return p
}

// noteTLS notes what was agreed on, and whose certificate came. own are the only authorities that
// the host may have; nil are those of the device. It gives the authority to remember.
func noteTLS(ctx context.Context, row *facts.NetworkProbe, st tls.ConnectionState, own []*x509.Certificate, t trust, known []string, now time.Time) (anchor *x509.Certificate) {
	row.TLSVersion = strings.TrimPrefix(tls.VersionName(st.Version), "TLS ")
	row.Cipher = tls.CipherSuiteName(st.CipherSuite)
	row.WeakCipher = slices.ContainsFunc(tls.InsecureCipherSuites(), func(s *tls.CipherSuite) bool { return s.ID == st.CipherSuite && weak(s.Name) })
	certs := st.PeerCertificates
	last := certs[len(certs)-1]
	row.Issuer, row.AnchorSHA = shownName(certs[0].Issuer.String()), certDigest(last)
	pool := t.pool()
	if own != nil {
		pool = trust{roots: own}.pool()
	}
	anchor, dated, err := verify(certs, row.Host, pool, known, now)
	if err != nil {
		row.Chain, row.ChainWhy = chainUntrusted, shownName(err.Error())
		if own != nil {
			if other, _, err := verify(certs, row.Host, t.pool(), nil, now); err == nil {
				if added, err := t.added(ctx, certDigest(other)); err == nil && added {
					row.Chain, row.Anchor, row.AnchorSHA = chainLocal, shownName(other.Subject.String()), certDigest(other)
				}
			}
		}
		return nil
	}
	row.Anchor, row.AnchorSHA = shownName(anchor.Subject.String()), certDigest(anchor)
	row.Chain = chainExpected
	if own == nil && !slices.Contains(known, keyDigest(anchor)) {
		added, err := t.added(ctx, row.AnchorSHA)
		switch {
		case err != nil && len(known) > 0: // the first time it is believed
			row.Chain = ""
			row.MarkUnread("chain", "another authority than before vouches for the host, and it cannot be told whether it came with the system: "+err.Error())
			return nil
		case err == nil && added:
			row.Chain = chainLocal
			return nil
		}
	}
	if dated {
		row.Chain, row.ChainWhy = chainExpired, "its dates do not fit this device's clock"
		return nil
	}
	row.Proven = true
	return anchor
}

// weak tells which of the suites that Go calls insecure can be broken, as against those that only
// lack forward secrecy.
func weak(suite string) bool {
	return strings.Contains(suite, "RC4") || strings.Contains(suite, "3DES")
}

// verify finds the authority that vouches for the host, a known one where there are several. dated
// is true when it does so at another time only.
func verify(certs []*x509.Certificate, host string, roots *x509.CertPool, known []string, now time.Time) (anchor *x509.Certificate, dated bool, err error) {
	opts := x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: now}
	for _, c := range certs[1:] {
		opts.Intermediates.AddCert(c)
	}
	chains, err := certs[0].Verify(opts)
	if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		for _, at := range []time.Time{certs[0].NotBefore.Add(time.Hour), certs[0].NotAfter.Add(-time.Hour)} {
			opts.CurrentTime = at
			if again, other := certs[0].Verify(opts); other == nil {
				chains, err, dated = again, nil, true
				break
			}
		}
	}
	if err != nil {
		return nil, false, err
	}
	for _, chain := range chains {
		last := chain[len(chain)-1]
		if anchor == nil || slices.Contains(known, keyDigest(last)) {
			anchor = last
		}
	}
	return anchor, dated, nil
}

func certDigest(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// keyDigest is of an authority's public key, which it keeps when its certificate is renewed.
func keyDigest(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:])
}

// shownName bounds and cleans what came over the network.
func shownName(s string) string {
	return report.Clean(strings.ToValidUTF8(s[:min(len(s), maxShownName)], ""))
}

// Where the authorities are that programs of the device believe: one file, or files of a folder.
// Android's are a module's from version 14 on; people's own follow.
var (
	rootBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt",
		"/var/lib/ca-certificates/ca-bundle.pem", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}
	androidRoots = []string{"/apex/com.android.conscrypt/cacerts", "/system/etc/security/cacerts"}
	androidUsers = "/data/misc/user"
)

// readRoots reads the device's authorities.
func readRoots(fsys scanner.FS, platform string) ([]*x509.Certificate, error) {
	if platform == "android" {
		return readAndroidRoots(fsys)
	}
	var errs []error
	for _, name := range rootBundles {
		roots, err := readCerts(fsys, name)
		if len(roots) > 0 {
			return roots, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return nil, fmt.Errorf("this device has no list of authorities that could be read: %s", scanner.Reason(errors.Join(errs...)))
}

func readAndroidRoots(fsys scanner.FS) (roots []*x509.Certificate, err error) {
	dirs := slices.Clone(androidRoots)
	users, _ := fsys.ReadDir(androidUsers) // who may not read it cannot tell people's own
	for _, u := range users {
		dirs = append(dirs, androidUsers+"/"+u.Name+"/cacerts-added")
	}
	found := false
	for i, dir := range dirs {
		files, derr := fsys.ReadDir(dir)
		if i < len(androidRoots) {
			if found || derr != nil {
				continue // an older release's place, beside the one in use
			}
			found = true
		}
		for _, f := range files[:min(len(files), maxRootFiles)] {
			certs, _ := readCerts(fsys, dir+"/"+f.Name)
			roots = append(roots, certs...)
		}
	}
	if len(roots) == 0 {
		return nil, errors.New("this device has no list of authorities that could be read")
	}
	return roots, nil
}

func readCerts(fsys scanner.FS, name string) ([]*x509.Certificate, error) {
	b, err := scanner.ReadFile(fsys, name, maxRootFile)
	if err != nil {
		return nil, err
	}
	list, _ := parse.Certificates(b)
	var out []*x509.Certificate
	for _, c := range list {
		if x, err := x509.ParseCertificate(c.DER); err == nil { // an odd one in a store is no reason to do without the others
			out = append(out, x)
		}
	}
	return out, nil
}

// addedTo gives what tells whether an authority was added to the device's store, from the table of
// these, which is read once and only when it is asked for.
func (d *daemon) addedTo() func(context.Context, string) (bool, error) {
	var f *scanner.Facts
	return func(ctx context.Context, sha256 string) (bool, error) {
		if f == nil {
			r, _, err := d.judging.scan(ctx, d.set.Load().criteria, nil, []string{"trusted_cas", "android_cas"})
			if err != nil {
				return false, err
			}
			f = r.Facts
		}
		return addedCA(f, sha256)
	}
}

func addedCA(f *scanner.Facts, sha256 string) (bool, error) {
	if t := f.Tables["android_cas"]; t.Inapplicable == "" {
		if t.Absent != "" {
			return false, errors.New(t.Absent)
		}
		rows, _ := t.Rows.([]facts.AndroidCA) // of the system's store only what does not belong there
		return slices.ContainsFunc(rows, func(c facts.AndroidCA) bool { return strings.EqualFold(c.SHA256, sha256) }), nil
	}
	t := f.Tables["trusted_cas"]
	if t.Absent != "" {
		return false, errors.New(t.Absent)
	}
	rows, _ := t.Rows.([]facts.TrustedCA)
	i := slices.IndexFunc(rows, func(c facts.TrustedCA) bool { return c.SHA256 == sha256 })
	if i < 0 {
		return false, errors.New("it is not among those that were read")
	}
	if why := rows[i].UnreadColumns()["packaged"]; why != "" && rows[i].Kind != "anchor" {
		return false, errors.New(why)
	}
	return !rows[i].Packaged, nil
}
