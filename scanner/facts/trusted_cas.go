package facts

import (
	"context"
	"encoding/hex"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// TrustedCA is one certificate that programs of the device trust to vouch for others.
type TrustedCA struct {
	SHA256     string `expr:"sha256" json:"sha256" doc:"digest of the certificate, lower-case hex; of the whole file for a changed bundle"`
	Subject    string `expr:"subject" json:"subject" doc:"common name, or the whole subject when it has none"`
	CA         bool   `expr:"is_ca" json:"is_ca" doc:"may sign other certificates"`
	Kind       string `expr:"kind" json:"kind" doc:"anchor (a file put in for the store), store (a file of the store), bundle (in the store's one large file), changed-bundle (a packaged bundle that was altered)"`
	Packaged   bool   `expr:"packaged" json:"packaged" doc:"the certificate is in an unchanged file of a package"`
	PrivateKey bool   `expr:"private_key" json:"private_key,omitempty" doc:"its private key seems to be on the device"`
	Path       string `expr:"path" json:"path" doc:"file that holds it"`
	Where      string `expr:"where" json:"-" doc:"file and line"`
	scanner.Unread
}

const maxBundle = 16 << 20 // bytes of a file of certificates

// Where the trust stores of distributions keep things.
var (
	caPackaged = []string{"/usr/share/ca-certificates/*", "/usr/share/ca-certificates/*/*", "/usr/share/pki/ca-trust-source/*",
		"/usr/share/pki/trust/*", "/usr/share/ca-certificates/trust-source/*"}
	caAnchors = []string{"/usr/local/share/ca-certificates/*", "/usr/local/share/ca-certificates/*/*", "/etc/pki/ca-trust/source/anchors/*",
		"/usr/share/pki/ca-trust-source/anchors/*", "/etc/pki/trust/anchors/*", "/usr/share/pki/trust/anchors/*",
		"/etc/ca-certificates/trust-source/*", "/etc/ca-certificates/trust-source/anchors/*"}
	caStore   = []string{"/etc/ssl/certs/*", "/etc/pki/tls/certs/*"}
	caBundles = []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/certs/ca-bundle.crt",
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/var/lib/ca-certificates/ca-bundle.pem"}
	caKeys = []string{"/etc/ssl/private/*", "/usr/local/share/ca-certificates/*.key", "/root/.mitmproxy/*"}
)

func trustedCAsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "trusted_cas", Doc: "certificate authorities that the system trusts", Row: TrustedCA{},
		Reads: scanner.Reads{Globs: concat(caPackaged, caAnchors, caStore, caBundles), Meta: caKeys},
		Needs: []string{"packages"}, Collect: collectTrustedCAs,
	}
}

// caReader gathers certificates, each once, those of packages first.
type caReader struct {
	*treeReader
	own      ownership
	packaged map[string]bool // digests of certificates in unchanged files of packages
	seen     map[string]bool // digests that have a row
	files    map[string]bool // link-free names that were read
	rows     []TrustedCA
}

func collectTrustedCAs(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &caReader{treeReader: newReader(in, &t), own: ownershipOf(in), packaged: map[string]bool{}, seen: map[string]bool{},
		files: map[string]bool{}, rows: []TrustedCA{}}
	for _, name := range r.glob(caPackaged...) {
		if r.own.pristine(r.fs, name, name) {
			for _, c := range r.certificates(name) {
				r.packaged[c.SHA256] = true
			}
		}
	}
	bundles := map[string]bool{}
	for _, name := range caBundles {
		if p, err := r.fs.Resolve(name); err == nil {
			bundles[p] = true
		}
	}
	for _, name := range r.glob(caAnchors...) {
		r.add(name, "anchor")
	}
	for _, name := range r.glob(caStore...) {
		if p, err := r.fs.Resolve(name); err == nil && !bundles[p] {
			r.add(name, "store")
		}
	}
	for _, name := range caBundles {
		r.bundle(name)
	}
	t.Rows = r.rows
	return t
}

// certificates reads the certificates of a file.
func (r *caReader) certificates(name string) []parse.Certificate {
	certs, _ := parse.Certificates(r.upTo(name, maxBundle))
	return certs
}

// fresh gives the file behind name, and reports whether it was not read yet, and marks it. It
// is read by its name in the store, which is what the collector declares.
func (r *caReader) fresh(name string) (string, bool) {
	p, err := r.fs.Resolve(name)
	if err != nil || r.files[p] {
		r.note(err)
		return p, false
	}
	r.files[p] = true
	return p, true
}

// add takes the certificates of one file.
func (r *caReader) add(name, kind string) {
	p, ok := r.fresh(name)
	if !ok {
		return
	}
	pristine := r.own.pristine(r.fs, p, name)
	certs, key := parse.Certificates(r.upTo(name, maxBundle))
	for _, c := range certs {
		if pristine {
			r.packaged[c.SHA256] = true
		}
		r.row(c, kind, name, key)
	}
}

// bundle takes the certificates of a bundle. One that a package brought and that was altered
// since is told as a whole where nothing says which certificates it should hold.
func (r *caReader) bundle(name string) {
	p, ok := r.fresh(name)
	if !ok {
		return
	}
	certs := r.certificates(name)
	_, owned, _ := r.own.of(p)
	pristine := owned && r.own.pristine(r.fs, p, name)
	if owned && !pristine && len(r.packaged) == 0 {
		sum, err := r.fs.Digest(name, scanner.SHA256)
		r.note(err)
		r.rows = append(r.rows, TrustedCA{SHA256: hex.EncodeToString(sum), Subject: path.Base(p), CA: true, Kind: "changed-bundle", Path: name, Where: name})
		return
	}
	for _, c := range certs {
		if pristine {
			r.packaged[c.SHA256] = true
		}
		r.row(c, "bundle", name, false)
	}
}

func (r *caReader) row(c parse.Certificate, kind, file string, key bool) {
	if r.seen[c.SHA256] {
		return
	}
	r.seen[c.SHA256] = true
	row := TrustedCA{SHA256: c.SHA256, Kind: kind, Packaged: r.packaged[c.SHA256], Path: file, Where: at(file, c.Line)}
	var ok bool
	if row.Subject, row.CA, ok = c.Describe(); !ok {
		row.Subject = "unreadable certificate"
		if !row.Packaged {
			row.MarkUnread("is_ca", file+": a certificate that cannot be read")
		}
	}
	if !row.Packaged && r.own.unknown != "" {
		row.MarkUnread("packaged", r.own.unknown)
	}
	row.PrivateKey = key || !row.Packaged && r.keyBeside(file)
	r.rows = append(r.rows, row)
}

// keyBeside reports whether a private key of the same name lies where such keys are kept.
func (r *caReader) keyBeside(file string) bool {
	stem := strings.TrimSuffix(path.Base(file), path.Ext(file))
	if strings.HasPrefix(stem, "mitmproxy-ca") && r.exists("/root/.mitmproxy/mitmproxy-ca.pem") {
		return true
	}
	return r.exists(path.Dir(file)+"/"+stem+".key", "/etc/ssl/private/"+stem+".key", "/etc/ssl/private/"+stem+".pem")
}
