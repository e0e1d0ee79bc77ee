package agent

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/transport/stepca/fakeca"
)

func TestRevokedTokens(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	ca := fakeca.New(t, clock.now)
	s := newSpeaker(t, ca, clock.now)
	token := s.sign(t, s.id.key, s.head(), s.claims("0123456789"))
	file := filepath.Join(t.TempDir(), "crl")
	v := s.verifier(clock.now)
	v.revoked = &revocations{path: file, now: clock.now}
	asPEM := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}) }
	next := clock.now().Add(time.Hour)
	none := ca.RevocationList(t, next, false)
	old := ca.RevocationList(t, clock.now().Add(-time.Second), false)
	foreign := ca.RevocationList(t, next, true)
	ca.Lock()
	ca.Revoked[s.id.leaf().SerialNumber.String()] = true
	ca.Unlock()
	all := ca.RevocationList(t, next, false)
	oldAndRevoked := ca.RevocationList(t, clock.now().Add(-time.Second), false)
	for _, c := range []struct {
		name string
		file []byte // nil is none
		want string // "" is let in
	}{
		{"none", nil, "no such file"},
		{"not revoked", none, ""},
		{"revoked", all, "is revoked"},
		{"revoked, past its time", oldAndRevoked, "is revoked"},
		{"past its time", old, "the revocation list ended at"},
		{"of another authority", foreign, "no revocation list of the authority"},
		{"of two, in PEM", slices.Concat(asPEM(foreign), asPEM(all)), "is revoked"},
		{"of two that allow it, in PEM", slices.Concat(asPEM(foreign), asPEM(none)), ""},
		{"cut", all[:len(all)-1], "list 1"},
		{"a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.id.leaf().Raw}), "it holds a"},
		{"empty", []byte{}, "list 1"},
		{"without a list", []byte("-----BEGIN nothing"), "no revocation list"},
		{"too long", make([]byte, crlMax+1), "reading the revocation list"},
	} {
		os.Remove(file)
		if c.file != nil {
			if err := os.WriteFile(file+".new", c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}
		_, err := v.verify(token, wants("0123456789"))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
