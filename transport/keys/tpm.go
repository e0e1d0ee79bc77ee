package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// TPM is a key that a TPM 2.0 made and that no other TPM can use. What is kept of it is wrapped by
// the TPM's storage key, and is of use to nobody without that chip.
type TPM struct {
	Device  string `json:"device"`  // /dev/tpmrm0, or a Unix socket of an emulator
	Public  []byte `json:"public"`  // TPM2B_PUBLIC
	Private []byte `json:"private"` // TPM2B_PRIVATE, encrypted by the TPM
}

// tpmTime is how long a TPM behind a socket may take for one use.
const tpmTime = 30 * time.Second

// tpmDevices are looked for in this order: the first has the kernel's resource manager before it,
// so that others may use the TPM at the same time.
func tpmDevices() []string { return []string{"/dev/tpmrm0", "/dev/tpm0"} }

// NewTPM makes a key in the TPM at device, or in this machine's for "".
func NewTPM(device string) (*TPM, error) {
	if device == "" {
		for _, name := range tpmDevices() {
			if _, err := os.Stat(name); err == nil {
				device = name
				break
			}
		}
	}
	if device == "" {
		return nil, errors.New("this machine shows no TPM: neither /dev/tpmrm0 nor /dev/tpm0 is there")
	}
	k := &TPM{Device: device}
	err := k.use(func(t transport.TPM, parent tpm2.NamedHandle) error {
		made, err := tpm2.Create{ParentHandle: tpm2.AuthHandle{Handle: parent.Handle, Name: parent.Name, Auth: tpm2.PasswordAuth(nil)}, InPublic: tpm2.New2B(signingKey())}.Execute(t)
		if err != nil {
			return fmt.Errorf("making a key: %w", err)
		}
		k.Public, k.Private = tpm2.Marshal(made.OutPublic), tpm2.Marshal(made.OutPrivate)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("TPM %s: %w", device, err)
	}
	return k, nil
}

// signingKey is a key that signs digests of SHA-256 by ECDSA, made in the TPM and fixed to it.
func signingKey() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
	}
}

// Open gives the signer. The TPM itself is opened for each signature, and closed again.
func (k *TPM) Open() (crypto.Signer, error) {
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return nil, fmt.Errorf("the TPM's key: %w", err)
	}
	area, err := public.Contents()
	if err != nil {
		return nil, fmt.Errorf("the TPM's key: %w", err)
	}
	if area.Type != tpm2.TPMAlgECC {
		return nil, errors.New("the TPM's key is none of P-256")
	}
	params, err := area.Parameters.ECCDetail()
	if err != nil || params.CurveID != tpm2.TPMECCNistP256 {
		return nil, errors.New("the TPM's key is none of P-256")
	}
	point, err := area.Unique.ECC()
	if err != nil {
		return nil, fmt.Errorf("the TPM's key: %w", err)
	}
	raw := make([]byte, 65)
	raw[0] = 4 // uncompressed
	if len(point.X.Buffer) > 32 || len(point.Y.Buffer) > 32 {
		return nil, errors.New("the TPM's key is none of P-256")
	}
	copy(raw[33-len(point.X.Buffer):], point.X.Buffer)
	copy(raw[65-len(point.Y.Buffer):], point.Y.Buffer)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw)
	if err != nil {
		return nil, fmt.Errorf("the TPM's key: %w", err)
	}
	return &tpmSigner{k: k, public: key}, nil
}

// tpmSigner signs with a key in a TPM, one signature at a time.
type tpmSigner struct {
	k      *TPM
	public *ecdsa.PublicKey
	mu     sync.Mutex
}

func (s *tpmSigner) Public() crypto.PublicKey { return s.public }

func (s *tpmSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 || len(digest) != crypto.SHA256.Size() {
		return nil, errors.New("a key in a TPM signs digests of SHA-256 alone")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []byte
	err := s.k.use(func(t transport.TPM, parent tpm2.NamedHandle) (err error) {
		out, err = s.k.sign(t, parent, digest)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("TPM %s: %w", s.k.Device, err)
	}
	return out, nil
}

func (k *TPM) sign(t transport.TPM, parent tpm2.NamedHandle, digest []byte) ([]byte, error) {
	public, err := tpm2.Unmarshal[tpm2.TPM2BPublic](k.Public)
	if err != nil {
		return nil, err
	}
	private, err := tpm2.Unmarshal[tpm2.TPM2BPrivate](k.Private)
	if err != nil {
		return nil, err
	}
	loaded, err := tpm2.Load{ParentHandle: tpm2.AuthHandle{Handle: parent.Handle, Name: parent.Name, Auth: tpm2.PasswordAuth(nil)}, InPrivate: *private, InPublic: *public}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("loading the key, which this TPM may not have made or which was cleared: %w", err)
	}
	defer tpm2.FlushContext{FlushHandle: loaded.ObjectHandle}.Execute(t)
	signed, err := tpm2.Sign{
		KeyHandle:  tpm2.AuthHandle{Handle: loaded.ObjectHandle, Name: loaded.Name, Auth: tpm2.PasswordAuth(nil)},
		Digest:     tpm2.TPM2BDigest{Buffer: digest},
		InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
		Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck},
	}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	sig, err := signed.Signature.Signature.ECDSA()
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig.SignatureR.Buffer), new(big.Int).SetBytes(sig.SignatureS.Buffer)})
}

// use opens the TPM and has it make its storage key, which is the same each time.
func (k *TPM) use(do func(t transport.TPM, parent tpm2.NamedHandle) error) error {
	conn, err := openTPM(k.Device)
	if err != nil {
		return err
	}
	defer conn.Close()
	t := transport.FromReadWriter(conn)
	parent, err := tpm2.CreatePrimary{PrimaryHandle: tpm2.TPMRHOwner, InPublic: tpm2.New2B(tpm2.ECCSRKTemplate)}.Execute(t)
	if err != nil {
		return fmt.Errorf("making the storage key (the owner hierarchy must have no password): %w", err)
	}
	defer tpm2.FlushContext{FlushHandle: parent.ObjectHandle}.Execute(t)
	return do(t, tpm2.NamedHandle{Handle: parent.ObjectHandle, Name: parent.Name})
}

// openTPM opens a character device, or the Unix socket of an emulator.
func openTPM(name string) (io.ReadWriteCloser, error) {
	st, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case st.Mode()&fs.ModeCharDevice != 0:
		return os.OpenFile(name, os.O_RDWR, 0)
	case st.Mode()&fs.ModeSocket == 0:
		return nil, errors.New("it is neither a device nor a socket")
	}
	c, err := net.DialTimeout("unix", name, tpmTime)
	if err != nil {
		return nil, err
	}
	c.SetDeadline(time.Now().Add(tpmTime))
	return c, nil
}
