package agent

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net"
	"path/filepath"
	"testing"
)

// startSigner is a program that holds a key, as docs/enrol.md describes it.
func startSigner(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
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
			line, _ := bufio.NewReader(c).ReadBytes('\n')
			var ask struct {
				V        int
				Op, Hash string
				Digest   []byte
			}
			answer := map[string]any{"v": 1}
			switch err := json.Unmarshal(line, &ask); {
			case err != nil || ask.V != 1:
				answer["error"] = "no request"
			case ask.Op == "public":
				answer["public"] = public
			case ask.Op == "sign" && ask.Hash == "sha256":
				answer["signature"], _ = key.Sign(rand.Reader, ask.Digest, crypto.SHA256)
			default:
				answer["error"] = "no such thing"
			}
			json.NewEncoder(c).Encode(answer)
			c.Close()
		}
	}()
	return "unix:" + socket
}
