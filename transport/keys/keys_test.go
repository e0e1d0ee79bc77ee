package keys

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// checkSigner signs with a key and holds the signature against the public one.
func checkSigner(t *testing.T, k crypto.Signer) {
	t.Helper()
	sum := sha256.Sum256([]byte("text"))
	sig, err := k.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.VerifyASN1(k.Public().(*ecdsa.PublicKey), sum[:], sig) {
		t.Error("the signature is not the key's")
	}
}

func TestFileKey(t *testing.T) {
	t.Parallel()
	made, text, err := NewFile()
	if err != nil {
		t.Fatal(err)
	}
	read, err := ParseFile(text)
	if err != nil || !read.Public().(*ecdsa.PublicKey).Equal(made.Public()) {
		t.Fatalf("read again: %v", err)
	}
	checkSigner(t, read)
	for name, bad := range map[string][]byte{
		"empty": nil, "cut": text[:len(text)/2], "another kind": bytes.ReplaceAll(text, []byte("PRIVATE KEY"), []byte("CERTIFICATE")),
		"changed": bytes.Replace(text, []byte("MIG"), []byte("AAA"), 1),
	} {
		if _, err := ParseFile(bad); err == nil || strings.Contains(err.Error(), "MIG") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// answers is a program that gives one answer to everything.
func answers(t *testing.T, do func(net.Conn, externalRequest)) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var r externalRequest
			if line, err := bufio.NewReader(c).ReadBytes('\n'); err == nil && json.Unmarshal(line, &r) == nil {
				do(c, r)
			}
			c.Close()
		}
	}()
	return socket
}

func TestExternalKey(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	honest := func(signer *ecdsa.PrivateKey) func(net.Conn, externalRequest) {
		return func(c net.Conn, r externalRequest) {
			a := externalAnswer{V: 1}
			if r.Op == "public" {
				a.Public = public
			} else {
				a.Signature, _ = signer.Sign(rand.Reader, r.Digest, crypto.SHA256)
			}
			json.NewEncoder(c).Encode(a)
		}
	}
	socket := answers(t, honest(key))
	e, err := NewExternal(socket)
	if err != nil || int(e.UID) != os.Geteuid() {
		t.Fatalf("%+v, %v", e, err)
	}
	k, err := e.Open()
	if err != nil {
		t.Fatal(err)
	}
	checkSigner(t, k)
	sum := sha256.Sum256(nil)
	if _, err := k.Sign(rand.Reader, sum[:], crypto.SHA512); err == nil {
		t.Error("signed a digest of another kind")
	}

	asked := false
	for name, c := range map[string]struct {
		do   func(net.Conn, externalRequest)
		uid  uint32
		want string
	}{
		"another key":  {honest(other), e.UID, "with another key than the enrolled one"},
		"another user": {func(net.Conn, externalRequest) { asked = true }, e.UID + 1, "was of user"},
		"an error":     {func(c net.Conn, _ externalRequest) { fmt.Fprintln(c, `{"v":1,"error":"the screen\u001b is locked"}`) }, e.UID, "it says: the screen  is locked"},
		"no line":      {func(c net.Conn, _ externalRequest) { fmt.Fprint(c, `{"v":1}`) }, e.UID, "no whole line"},
		"endless":      {func(c net.Conn, _ externalRequest) { c.Write(bytes.Repeat([]byte("x"), 1<<20)) }, e.UID, "no whole line"},
		"nothing":      {func(net.Conn, externalRequest) {}, e.UID, "no whole line"},
		"version":      {func(c net.Conn, _ externalRequest) { fmt.Fprintln(c, `{"v":2}`) }, e.UID, "of version 2"},
		"more":         {func(c net.Conn, _ externalRequest) { fmt.Fprintln(c, `{"v":1} {}`) }, e.UID, "no JSON"},
		"unknown":      {func(c net.Conn, _ externalRequest) { fmt.Fprintln(c, `{"v":1,"key":"x"}`) }, e.UID, "no JSON"},
	} {
		bad := External{Socket: answers(t, c.do), UID: c.uid, Public: public}
		k, err := bad.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Sign(rand.Reader, sum[:], crypto.SHA256); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if asked {
		t.Error("a program of another user was asked")
	}
	if _, err := NewExternal(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a signer that is not there")
	}
}

func FuzzExternalAnswer(f *testing.F) {
	f.Add([]byte(`{"v":1,"public":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"}` + "\n"))
	f.Add([]byte(`{"v":1,"signature":"MEUCIQ=="}` + "\n"))
	f.Add([]byte(`{"v":1,"error":"locked"}` + "\n"))
	f.Add([]byte(`{"v":1,"error":"` + strings.Repeat("é", 300) + `"}` + "\n"))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, err := parseExternal(line)
		if err == nil {
			parsePublic(a.Public)
		} else if len(err.Error()) > 400 || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("error %q", err)
		}
	})
}

func FuzzTPMKey(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{0, 2, 0, 35}, []byte{0, 0})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	area := signingKey()
	area.Unique = tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: point[1:33]}, Y: tpm2.TPM2BECCParameter{Buffer: point[33:]}})
	whole := tpm2.Marshal(tpm2.New2B(area))
	if s, err := (&TPM{Public: whole}).Open(); err != nil || !key.PublicKey.Equal(s.Public()) {
		f.Fatalf("the seed is no key: %v", err)
	}
	f.Add(whole, []byte{0, 0})
	f.Fuzz(func(t *testing.T, public, private []byte) {
		k := &TPM{Device: "/nonexistent", Public: public, Private: private}
		if s, err := k.Open(); err == nil {
			if _, ok := s.Public().(*ecdsa.PublicKey); !ok {
				t.Error("no key of P-256")
			}
		}
	})
}

func TestTPMKey(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("swtpm")
	if err != nil {
		t.Skip("swtpm is not here (Debian's package swtpm)")
	}
	start := func() string {
		dir := t.TempDir()
		socket := filepath.Join(dir, "tpm")
		cmd := exec.Command(program, "socket", "--tpm2", "--tpmstate", "dir="+dir, "--server", "type=unixio,path="+socket, "--flags", "not-need-init,startup-clear")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		for range 15_000 {
			if c, err := net.Dial("unix", socket); err == nil {
				c.Close()
				return socket
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Fatal("swtpm does not listen")
		return ""
	}
	k, err := NewTPM(start())
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	var again TPM
	if err := json.Unmarshal(b, &again); err != nil {
		t.Fatal(err)
	}
	s, err := again.Open()
	if err != nil {
		t.Fatal(err)
	}
	for range 5 { // nothing is left behind in the TPM, which has room for three
		checkSigner(t, s)
	}
	stolen := TPM{Device: start(), Public: k.Public, Private: k.Private}
	s, err = stolen.Open()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	if _, err := s.Sign(rand.Reader, sum[:], crypto.SHA256); err == nil || !strings.Contains(err.Error(), "this TPM may not have made") {
		t.Errorf("another TPM signed with the key: %v", err)
	}
	if _, err := NewTPM(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a TPM that is not there")
	}
}
