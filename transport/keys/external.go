package keys

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// External is a key that another program holds, such as an Android app with a key in its Keystore.
// The program listens on a Unix socket; docs/enrol.md has the protocol.
type External struct {
	Socket string `json:"socket"`
	UID    uint32 `json:"uid"`    // whose program it was when the key was taken up
	Public []byte `json:"public"` // SubjectPublicKeyInfo
}

const (
	externalVersion = 1
	externalTime    = 30 * time.Second
	externalMax     = 4096 // bytes of an answer
)

// externalRequest is one line of JSON; the answer is one line too.
type externalRequest struct {
	V      int    `json:"v"`
	Op     string `json:"op"`               // public, sign
	Hash   string `json:"hash,omitempty"`   // sign: sha256
	Digest []byte `json:"digest,omitempty"` // sign
}

type externalAnswer struct {
	V         int    `json:"v"`
	Public    []byte `json:"public,omitempty"`    // SubjectPublicKeyInfo of a key of P-256
	Signature []byte `json:"signature,omitempty"` // of ECDSA, in ASN.1
	Error     string `json:"error,omitempty"`
}

// NewExternal asks the program on a socket for its key. From then on it must be of the same user.
func NewExternal(socket string) (*External, error) {
	e := &External{Socket: socket}
	a, uid, err := e.ask(externalRequest{Op: "public"})
	if err != nil {
		return nil, err
	}
	if _, err := parsePublic(a.Public); err != nil {
		return nil, fmt.Errorf("the signer on %s: %w", socket, err)
	}
	e.UID, e.Public = uid, a.Public
	return e, nil
}

// Open gives the signer. The program is asked when something is to be signed.
func (e *External) Open() (crypto.Signer, error) {
	public, err := parsePublic(e.Public)
	if err != nil {
		return nil, err
	}
	return &externalSigner{e, public}, nil
}

type externalSigner struct {
	e      *External
	public *ecdsa.PublicKey
}

func (s *externalSigner) Public() crypto.PublicKey { return s.public }

// Sign has a digest signed, and takes no signature that the key does not bear out.
func (s *externalSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("an external signer signs digests of SHA-256 alone")
	}
	a, _, err := s.e.ask(externalRequest{Op: "sign", Hash: "sha256", Digest: digest})
	switch {
	case err != nil:
		return nil, err
	case !ecdsa.VerifyASN1(s.public, digest, a.Signature):
		return nil, fmt.Errorf("the signer on %s signed with another key than the enrolled one", s.e.Socket)
	}
	return a.Signature, nil
}

// ask asks once, and says whose program answered.
func (e *External) ask(r externalRequest) (a externalAnswer, uid uint32, err error) {
	r.V = externalVersion
	fail := func(err error) (externalAnswer, uint32, error) {
		return externalAnswer{}, 0, fmt.Errorf("asking the signer on %s: %w", e.Socket, err)
	}
	conn, err := net.DialTimeout("unix", e.Socket, externalTime)
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(externalTime))
	if uid, err = peerUID(conn.(*net.UnixConn)); err != nil {
		return fail(err)
	}
	if e.Public != nil && uid != e.UID { // before it hears anything
		return fail(fmt.Errorf("it is of user %d, and was of user %d at enrolment", uid, e.UID))
	}
	b, err := json.Marshal(r)
	if err != nil {
		return fail(err)
	}
	if _, err := conn.Write(append(b, '\n')); err != nil {
		return fail(err)
	}
	line, err := bufio.NewReader(io.LimitReader(conn, externalMax)).ReadBytes('\n')
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return fail(fmt.Errorf("no answer within %v", externalTime))
		}
		return fail(errors.New("its answer is no whole line"))
	}
	if a, err = parseExternal(line); err != nil {
		return fail(err)
	}
	return a, uid, nil
}

// parseExternal reads an answer. What the program says went wrong is an error.
func parseExternal(line []byte) (externalAnswer, error) {
	var a externalAnswer
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&a); err != nil || len(bytes.TrimSpace(line[dec.InputOffset():])) > 0 {
		return externalAnswer{}, errors.New("its answer is no JSON as it should be")
	}
	if a.V != externalVersion {
		return externalAnswer{}, fmt.Errorf("its answer is of version %d, not %d", a.V, externalVersion)
	}
	if a.Error != "" {
		text := strings.Map(func(r rune) rune {
			if !unicode.IsPrint(r) {
				return ' '
			}
			return r
		}, a.Error)
		return externalAnswer{}, fmt.Errorf("it says: %s", strings.ToValidUTF8(text[:min(len(text), 200)], ""))
	}
	return a, nil
}

// peerUID asks the kernel whose program listens.
func peerUID(c *net.UnixConn) (uint32, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	if ctl := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); ctl != nil {
		return 0, ctl
	}
	if err != nil {
		return 0, err
	}
	return cred.Uid, nil
}
