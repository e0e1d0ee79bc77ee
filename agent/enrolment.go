package agent

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"picket/transport"
	"picket/transport/flock"
	"picket/transport/keys"
	"picket/transport/stepca"
)

// The record of the enrolment, in the state folder; docs/enrol.md describes it.
const (
	enrolmentName    = "enrolment.json"
	enrolmentLock    = "enrolment.lock"
	enrolmentVersion = 1
	enrolmentMax     = 256 << 10 // bytes
)

// enrolment is who the device is upstream, and where that is. Nothing in it is secret.
type enrolment struct {
	Version     int       `json:"version"`
	Device      string    `json:"device"`            // id in the fleet: the certificate's common name
	Account     string    `json:"account,omitempty"` // whose it is, as the certificate says
	Enrolled    time.Time `json:"enrolled"`
	Upstream    upstream  `json:"upstream"`
	Key         keyRef    `json:"key"`
	Certificate string    `json:"certificate"` // PEM: the device's, then those up to the root
}

// keyRef says where the private key is. One of its fields is set.
type keyRef struct {
	File     string         `json:"file,omitempty"` // name in the state folder
	TPM      *keys.TPM      `json:"tpm,omitempty"`
	External *keys.External `json:"external,omitempty"`
}

// kind names where the key is, for people.
func (k keyRef) kind() string {
	switch {
	case k.TPM != nil:
		return "tpm"
	case k.External != nil:
		return "external"
	}
	return "file"
}

// order is how a key of its kind is asked for.
func (k keyRef) order() string {
	switch {
	case k.TPM != nil:
		return "tpm:" + k.TPM.Device
	case k.External != nil:
		return "unix:" + k.External.Socket
	}
	return "file"
}

// identity is an enrolment as it is used.
type identity struct {
	enrolment
	chain []*x509.Certificate
	key   crypto.Signer
	roots *x509.CertPool // of the CA
}

func (id *identity) leaf() *x509.Certificate { return id.chain[0] }

// certificate is what TLS shows.
func (id *identity) certificate() (*tls.Certificate, error) {
	out := &tls.Certificate{PrivateKey: id.key, Leaf: id.leaf()}
	for _, c := range id.chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

// ca is the CA of the enrolment; show says whether the device shows its certificate there.
func (id *identity) ca(show bool, now func() time.Time) (stepca.CA, error) {
	o, err := id.Upstream.options()
	if err != nil {
		return stepca.CA{}, err
	}
	o.Roots, o.Now = id.roots, now
	if show {
		o.Identity = id.certificate
	}
	return stepca.CA{URL: id.Upstream.CA.URL, Client: transport.NewClient(o)}, nil
}

// loadIdentity reads the enrolment of a state folder. It is an fs.ErrNotExist where there is none.
func loadIdentity(dir string) (*identity, error) {
	b, err := readPrivate(filepath.Join(dir, enrolmentName), enrolmentMax)
	if err != nil {
		return nil, fmt.Errorf("reading the enrolment: %w", err)
	}
	id, err := parseEnrolment(b)
	if err == nil {
		id.key, err = openKey(dir, id.Key)
	}
	if err == nil {
		err = stepca.Check(id.chain, id.roots, id.key.Public(), id.Device, id.Account)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, enrolmentName), err)
	}
	return id, nil
}

// parseEnrolment reads a record, and all in it but the key.
func parseEnrolment(b []byte) (*identity, error) {
	id := &identity{}
	var which struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(b, &which) == nil && which.Version > enrolmentVersion {
		return nil, &hinted{fmt.Errorf("it is of version %d, and this Picket knows %d", which.Version, enrolmentVersion), "update Picket"}
	}
	if err := strictJSON(b, &id.enrolment); err != nil {
		return nil, err
	}
	if id.Version != enrolmentVersion {
		return nil, fmt.Errorf("version: %d is not %d", id.Version, enrolmentVersion)
	}
	if err := id.Upstream.check(); err != nil {
		return nil, err
	}
	roots, err := stepca.ParseChain([]byte(id.Upstream.CA.Roots))
	if err != nil {
		return nil, fmt.Errorf("upstream.ca.roots: %w", err)
	}
	id.roots = x509.NewCertPool()
	for _, r := range roots {
		id.roots.AddCert(r)
	}
	if id.chain, err = stepca.ParseChain([]byte(id.Certificate)); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return id, nil
}

// strictJSON reads one value and nothing after it, without fields that are not known.
func strictJSON(b []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("it is no JSON as it should be: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

// openKey opens the private key. One in a TPM or with another program is not used before it signs.
func openKey(dir string, ref keyRef) (crypto.Signer, error) {
	switch {
	case ref.TPM != nil:
		return ref.TPM.Open()
	case ref.External != nil:
		return ref.External.Open()
	case ref.File == "" || ref.File != filepath.Base(ref.File) || ref.File == "..":
		return nil, errors.New("key: it names no file of the state folder")
	}
	b, err := readPrivate(filepath.Join(dir, ref.File), enrolmentMax)
	if err != nil {
		return nil, fmt.Errorf("reading the private key: %w", err)
	}
	k, err := keys.ParseFile(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref.File, err)
	}
	return k, nil
}

// saveEnrolment writes the record as a whole.
func saveEnrolment(dir string, e enrolment) error {
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the enrolment: %w", err)
	}
	return savePrivate(filepath.Join(dir, enrolmentName), append(b, '\n'))
}

// savePrivate replaces a file that its owner alone may read, and is done when the disk has it.
func savePrivate(name string, b []byte) error {
	err := writeFile(name, func(w io.Writer) error { // mode 0600
		_, err := w.Write(b)
		return err
	})
	if err == nil {
		err = syncDir(filepath.Dir(name))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// readPrivate reads a file that nobody else may read or replace: whoever could would be the
// device, or would say where its findings go.
func readPrivate(name string, most int64) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, &fs.PathError{Op: "fstat", Path: name, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("%s is no regular file", name)
	case int64(st.Uid) != int64(os.Geteuid()):
		return nil, fmt.Errorf("%s belongs to user %d, not to the agent's own", name, st.Uid)
	case st.Mode&0o077 != 0:
		return nil, &hinted{fmt.Errorf("%s may be read or written by others (mode %04o)", name, st.Mode&0o7777), "chmod 600 " + name}
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s is longer than %d bytes", name, most)
	}
	return b, err
}

// lockEnrolment keeps every other process from changing the enrolment until unlock.
func lockEnrolment(dir string) (unlock func(), err error) {
	unlock, err = flock.Take(filepath.Join(dir, enrolmentLock))
	switch {
	case errors.Is(err, flock.ErrHeld):
		return nil, &hinted{errors.New("another process is changing the enrolment"), "try again when it is done"}
	case err != nil:
		return nil, fmt.Errorf("locking the enrolment: %w", err)
	}
	return unlock, nil
}
