package facts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

// testRoot makes the certificate of an authority of that name, in PEM.
func testRoot(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(1.5e9, 0), NotAfter: time.Unix(2e9, 0)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestSystemAuthoritiesThatDoNotBelong(t *testing.T) {
	t.Parallel()
	const etc, apex, spare = "system/etc/security/cacerts", "apex/com.android.conscrypt/cacerts", "apex/com.android.conscrypt@34/cacerts"
	var own []string
	for i := range 12 {
		own = append(own, testRoot(t, fmt.Sprintf("Root %d", i)))
	}
	foreign, burp := testRoot(t, "Quiet Root"), testRoot(t, "PortSwigger CA")
	store := func(dir, mtime string, certs ...string) string {
		var b strings.Builder
		for i, c := range certs {
			fmt.Fprintf(&b, "-- %s/%08x.0 mtime=%s --\n%s", dir, i, mtime, c)
		}
		return b.String()
	}
	const image, later = "2009-01-01T00:00:00Z", "2024-05-01T00:00:00Z"
	mounted := func(targets ...string) *scanner.Table {
		rows := []AndroidMount{{Target: "/"}}
		for _, m := range targets {
			rows = append(rows, AndroidMount{Target: m, FSType: "tmpfs"})
		}
		return &scanner.Table{Name: "android_mounts", Rows: rows}
	}
	user := "-- data/misc/keep --\n"
	for name, tc := range map[string]struct {
		tree    string
		mounts  *scanner.Table
		want    []string
		partial string
	}{
		"untouched":          {user + store(etc, image, own...), mounted(), nil, ""},
		"a newer file":       {user + store(etc, image, own...) + "-- " + etc + "/added.0 mtime=" + later + " --\n" + foreign, mounted(), []string{"Quiet Root true "}, ""},
		"an interceptor":     {user + store(etc, image, append(slices.Clone(own), burp)...), mounted(), []string{"PortSwigger CA false Burp"}, ""},
		"one store has less": {user + store(etc, image, own...) + store(apex, image, own[:10]...), mounted(), nil, ""},
		"mounted over, the module's version is not": {user + store(etc, image, own...) + store(apex, later, append(slices.Clone(own), foreign)...) + store(spare, image, own...),
			mounted("/apex/com.android.conscrypt/cacerts"), []string{"Quiet Root true "}, ""},
		"mounted over, the other store is not": {user + store(etc, later, append(slices.Clone(own), foreign)...) + store(apex, image, own...),
			mounted("/system/etc/security/cacerts"), []string{"Quiet Root true "}, ""},
		"mounted over, nothing to compare": {user + store(etc, later, append(slices.Clone(own), foreign)...), mounted("/system/etc/security/cacerts"), nil, "no other to compare"},
		"users' stores cannot be seen":     {store(etc, image, own...), mounted(), nil, "authorities that people added"},
	} {
		table := collectFrom(t, androidCAsCollector(), "platform: android\n\n"+tc.tree, tc.mounts)
		var got []string
		for _, r := range table.Rows.([]AndroidCA) {
			got = append(got, fmt.Sprint(r.Subject, " ", r.Foreign, " ", r.Interceptor))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
		if partial := strings.Join(table.Partial, "; "); tc.partial == "" && partial != "" || !strings.Contains(partial, tc.partial) {
			t.Errorf("%s: partial %q, want %q", name, partial, tc.partial)
		}
	}
	if table := collectFrom(t, androidCAsCollector(), "platform: android\n\n-- x --\n", mounted()); table.Absent == "" {
		t.Error("nothing to look at passes for nothing there")
	}
}
