package agent

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"picket/transport"
	"picket/transport/keys"
	"picket/transport/stepca"
)

// enroller makes this device a member of a fleet, and ends that.
type enroller struct {
	dir string // the state folder
	now func() time.Time
}

// enrolOrder is what is asked for.
type enrolOrder struct {
	place upstream
	token string // secret
	key   string // file, tpm, tpm:DEVICE, unix:SOCKET; "": where that of the enrolment is that is there, else file
	again bool   // in place of an enrolment that is there
}

// enrolRefused says that the CA, or what it was shown, rules the enrolment out: trying again with
// the same changes nothing.
type enrolRefused struct{ err error }

func (e *enrolRefused) Error() string { return e.err.Error() }
func (e *enrolRefused) Unwrap() error { return e.err }

func refused(hint, format string, args ...any) error {
	return &hinted{&enrolRefused{fmt.Errorf(format, args...)}, hint}
}

// enrol gets the device a key and a certificate, and writes the record when both are right. Until
// then an older enrolment stays as it is; it is given back, to be revoked.
func (e enroller) enrol(ctx context.Context, order enrolOrder) (now, before *identity, err error) {
	token, err := e.checkToken(&order)
	if err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("making the state folder: %w", err)
	}
	unlock, err := lockEnrolment(e.dir)
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	old, err := loadIdentity(e.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case order.again: // also in place of a record that cannot be read
		if err := e.inherit(&order); err != nil {
			return nil, nil, err
		}
	case err != nil:
		return nil, nil, &hinted{err, "put it right, or enrol anew in its place with --again"}
	default:
		return nil, nil, &hinted{fmt.Errorf("the device is enrolled already, as %s", old.Device), "enrol anew in its place with --again, or end the enrolment with 'picket unenrol'"}
	}
	if err := e.fetchRoot(ctx, &order.place); err != nil {
		return nil, nil, err
	}
	id, err := e.obtain(ctx, token, order)
	if err != nil {
		return nil, nil, err
	}
	if err := saveEnrolment(e.dir, id.enrolment); err != nil {
		removeKey(e.dir, id.Key)
		return nil, nil, err
	}
	e.sweep(id.Key.File)
	return id, old, nil
}

// inherit completes an order from the enrolment that it is to stand in for, where that is with the same CA. Else a token
// alone would end reports, updates and policy without a word.
func (e enroller) inherit(order *enrolOrder) error {
	const hint = "give an enrolment document, or --otlp; to have nothing of the former, end it with 'picket unenrol' and enrol anew"
	place := &order.place
	named := place.OTLP != nil || place.Updates != nil
	b, err := readPrivate(filepath.Join(e.dir, enrolmentName), enrolmentMax)
	var before *identity
	if err == nil {
		before, err = parseEnrolment(b) // its key may be gone
	}
	if err != nil {
		if named {
			return nil
		}
		return refused(hint, "where the events go and the updates come from is not known, as the enrolment that is there cannot be read: %w", err)
	}
	order.key = cmp.Or(order.key, before.Key.order())
	old := before.Upstream
	if old.CA.Fingerprint != place.CA.Fingerprint {
		if named || old.OTLP == nil && old.Updates == nil {
			return nil
		}
		return refused(hint, "the CA is another than that of the enrolment that is there, and where the events go and the updates come from is not said")
	}
	place.Organisation = cmp.Or(place.Organisation, old.Organisation)
	place.Support = cmp.Or(place.Support, old.Support)
	place.OTLP = cmp.Or(place.OTLP, old.OTLP)
	place.Updates = cmp.Or(place.Updates, old.Updates)
	place.Proxy = cmp.Or(place.Proxy, old.Proxy)
	if len(place.Resolvers) == 0 {
		place.Resolvers = old.Resolvers
	}
	return nil
}

// checkToken reads the token, and completes from it what the order does not say.
func (e enroller) checkToken(order *enrolOrder) (stepca.Token, error) {
	const ask = "ask for a new token"
	token, err := stepca.ParseToken(order.token)
	if err != nil {
		return token, refused(ask, "%w", err)
	}
	ca := &order.place.CA
	if ca.URL == "" {
		ca.URL = token.URL
	}
	ca.URL = strings.TrimSuffix(ca.URL, "/")
	if ca.Fingerprint == "" {
		ca.Fingerprint = token.Fingerprint
	}
	if ca.URL == "" || ca.Fingerprint == "" {
		return token, usagef("the CA is not known: name it with --url and its root with --fingerprint, for the token does not say")
	}
	if ca.Fingerprint, err = stepca.ParseFingerprint(ca.Fingerprint); err != nil {
		return token, &usageError{err}
	}
	if token.Fingerprint != "" && token.Fingerprint != ca.Fingerprint {
		return token, refused("see which of the two is right, and ask for a new token if need be", "the token is for a CA whose root has the fingerprint %s, not %s", token.Fingerprint, ca.Fingerprint)
	}
	if err := order.place.check(); err != nil {
		return token, &usageError{err}
	}
	now := e.now()
	switch {
	case !token.NotAfter.IsZero() && now.After(token.NotAfter):
		return token, refused(ask+"; if this device's clock is wrong, set it", "the token ended at %s, and it is %s", stamp(token.NotAfter), stamp(now))
	case now.Add(time.Minute).Before(token.NotBefore):
		return token, refused("set this device's clock", "the token begins at %s, and it is %s by this device's clock", stamp(token.NotBefore), stamp(now))
	}
	return token, nil
}

// fetchRoot gets the CA's root by its fingerprint.
func (e enroller) fetchRoot(ctx context.Context, place *upstream) error {
	o, err := place.options()
	if err != nil {
		return err
	}
	o.Now = e.now
	client := transport.NewUnverifiedClient(o)
	defer client.CloseIdleConnections()
	root, err := stepca.CA{URL: place.CA.URL, Client: client}.Root(ctx, place.CA.Fingerprint)
	switch {
	case errors.Is(err, stepca.ErrFingerprint):
		return refused("compare the fingerprint and the URL with what your organisation gave you; if they are right, somebody stands between", "%s: %w", place.CA.URL, err)
	case err != nil:
		return e.explain(fmt.Errorf("%s: %w", place.CA.URL, err), tokenLasts)
	}
	place.CA.Roots = string(stepca.EncodeChain(root))
	return nil
}

// obtain makes a key and spends the token on a certificate for it.
func (e enroller) obtain(ctx context.Context, token stepca.Token, order enrolOrder) (*identity, error) {
	ref, key, err := e.makeKey(cmp.Or(order.key, "file"))
	if err != nil {
		return nil, err
	}
	id := &identity{enrolment: enrolment{
		Version: enrolmentVersion, Device: token.Device, Account: token.Account, Enrolled: e.now().UTC().Truncate(time.Second), Upstream: order.place, Key: ref,
	}, key: key, roots: x509.NewCertPool()}
	id.roots.AppendCertsFromPEM([]byte(order.place.CA.Roots))
	if err := e.sign(ctx, token, id); err != nil {
		removeKey(e.dir, ref)
		return nil, err
	}
	return id, nil
}

func (e enroller) sign(ctx context.Context, token stepca.Token, id *identity) error {
	ca, err := id.ca(false, e.now)
	if err != nil {
		return err
	}
	defer ca.Client.CloseIdleConnections()
	chain, err := ca.Sign(ctx, token, id.key)
	if no := (*stepca.Refusal)(nil); errors.As(err, &no) && no.Final() {
		return e.refusal(no)
	}
	if err != nil {
		return e.explain(fmt.Errorf("%s: %w", ca.URL, err), tokenLasts)
	}
	err = stepca.Check(chain, id.roots, id.key.Public(), id.Device, id.Account)
	if errors.Is(err, stepca.ErrUsage) {
		return refused("give the CA's provisioner the template in packaging/upstream/step-ca, and ask for a new token: this one is spent", "%w", err)
	}
	if err != nil {
		return refused("tell who runs the CA, and ask for a new token: this one is spent", "the CA gave a certificate that is not right: %w", err)
	}
	id.chain, id.Certificate = chain, string(stepca.EncodeChain(chain...))
	return nil
}

// refusal says what a CA's no means.
func (e enroller) refusal(no *stepca.Refusal) error {
	now := e.now()
	if off := now.Sub(no.Date); !no.Date.IsZero() && off.Abs() > 2*time.Minute {
		return refused("set this device's clock, and ask for a new token if this one is spent", "%w; and this device's clock says %s, the CA's %s", no, stamp(now), stamp(no.Date))
	}
	return refused("a token works once, for a few minutes, and with the CA that it was made for: ask for a new one", "the token was not taken: %w", no)
}

// tokenLasts is what to do about a CA that was not reached with a token.
const tokenLasts = "see that this device reaches the CA; the token is good for another try as long as it lasts"

// explain adds what helps to an error on the way to the CA, otherwise where it is no error of trust.
func (e enroller) explain(err error, otherwise string) error {
	var (
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return &hinted{fmt.Errorf("%w (it is %s by this device's clock)", err, stamp(e.now())), "if that is not the time, set this device's clock; else the CA's own certificate has ended"}
	case errors.As(err, &unknown):
		return refused("somebody may stand between: compare the URL with what your organisation gave you", "%w", err)
	case errors.As(err, &name):
		return &hinted{err, "use the CA's own name in --url"}
	}
	return &hinted{err, otherwise}
}

// makeKey makes a private key where kind says. The file of one has a name of its own, so that the
// one in use stays until the record names the new one.
func (e enroller) makeKey(kind string) (keyRef, crypto.Signer, error) {
	where, at, _ := strings.Cut(kind, ":")
	switch {
	case kind == "file":
		key, text, err := keys.NewFile()
		if err != nil {
			return keyRef{}, nil, err
		}
		var id [8]byte
		rand.Read(id[:]) // never fails
		ref := keyRef{File: keyPrefix + hex.EncodeToString(id[:]) + keySuffix}
		return ref, key, savePrivate(filepath.Join(e.dir, ref.File), text)
	case where == "tpm":
		k, err := keys.NewTPM(at)
		if err != nil {
			return keyRef{}, nil, &hinted{err, "use --key file on a machine without a TPM 2.0"}
		}
		key, err := k.Open()
		return keyRef{TPM: k}, key, err
	case where == "unix" && at != "":
		k, err := keys.NewExternal(at)
		if err != nil {
			return keyRef{}, nil, err
		}
		key, err := k.Open()
		return keyRef{External: k}, key, err
	}
	return keyRef{}, nil, usagef("--key %s is none of file, tpm, tpm:DEVICE, unix:SOCKET", quoted(kind))
}

// Names of the files of private keys.
const (
	keyPrefix = "enrolment-"
	keySuffix = ".key"
)

// removeKey takes away the file of a key. What a TPM or another program holds stays with them.
func removeKey(dir string, ref keyRef) error {
	if ref.File == "" {
		return nil
	}
	err := os.Remove(filepath.Join(dir, ref.File))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep takes away the files of keys other than keep, those of an older enrolment or of a try that
// was killed.
func (e enroller) sweep(keep string) {
	names, _ := filepath.Glob(filepath.Join(e.dir, keyPrefix+"*"+keySuffix))
	for _, name := range names {
		if filepath.Base(name) != keep {
			os.Remove(name)
		}
	}
}

// revoke has a certificate revoked. One that has ended is tried too: the CA's clock is the one that counts.
func (e enroller) revoke(ctx context.Context, id *identity, reason string) error {
	ca, err := id.ca(true, e.now)
	if err != nil {
		return err
	}
	defer ca.Client.CloseIdleConnections()
	if err := ca.Revoke(ctx, id.leaf(), reason); err != nil {
		return fmt.Errorf("revoking the certificate %x: %w", id.leaf().SerialNumber, err)
	}
	return nil
}

// unenrol revokes the certificate and forgets the enrolment. With force, or where the certificate has ended by this
// device's clock, it forgets in any case; then left says why it was not revoked.
func (e enroller) unenrol(ctx context.Context, force bool) (id *identity, left error, err error) {
	unlock, err := lockEnrolment(e.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, errNotEnrolled()
	}
	if err != nil {
		return nil, nil, err
	}
	defer unlock()
	id, err = loadIdentity(e.dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.Is(statRecord(e.dir), fs.ErrNotExist):
		return nil, nil, errNotEnrolled()
	case err != nil && !force:
		return nil, nil, &hinted{err, "'picket unenrol --force' forgets it as it is, without revoking"}
	case err != nil:
		left = err
	default:
		left = e.revoke(ctx, id, "unenrolled")
	}
	if ended := id != nil && e.now().After(id.leaf().NotAfter); left != nil && !force && !ended {
		return nil, nil, &hinted{left, "try again when the CA can be reached, or forget without revoking by 'picket unenrol --force'"}
	}
	if err := os.Remove(filepath.Join(e.dir, enrolmentName)); err != nil {
		return nil, nil, fmt.Errorf("forgetting the enrolment: %w", err)
	}
	e.sweep("")
	return id, left, syncDir(e.dir)
}

func statRecord(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, enrolmentName))
	return err
}

func errNotEnrolled() error {
	return &hinted{errors.New("this device is not enrolled"), "'picket enrol --help' tells how it becomes so"}
}
