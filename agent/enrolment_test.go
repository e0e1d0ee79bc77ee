package agent

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picket/store/forktest"
	"picket/transport/stepca/fakeca"
)

func TestDocumentIsStrict(t *testing.T) {
	t.Parallel()
	good := `{"version":1,"organisation":"Example","support":"it@example.org","ca":{"url":"https://ca.example.org","fingerprint":"ab"},
		"otlp":{"url":"https://otlp.example.org"},"updates":{"url":"https://tuf.example.org","root":{"signed":{}}},"resolvers":["192.0.2.1","[2001:db8::1]:53"],"proxy":"http://proxy:3128"}`
	if d, err := parseDocument([]byte(good)); err != nil || d.OTLP.URL != "https://otlp.example.org" || d.Organisation != "Example" {
		t.Errorf("%+v, %v", d, err)
	}
	for old, c := range map[string][2]string{
		`"version":1`:                 {`"version":2`, "version"},
		`"organisation":"Example"`:    {`"organization":"Example"`, "unknown field"},
		`"Example"`:                   {`"Ex\u001bample"`, "organisation"},
		`"https://ca.example.org"`:    {`"http://ca.example.org"`, "ca.url"},
		`"https://otlp.example.org"`:  {`"https://user:pw@otlp.example.org"`, "otlp.url"},
		`{"signed":{}}`:               {`"root"`, "updates.root"},
		`"192.0.2.1"`:                 {`"ns.example.org"`, "resolvers"},
		`"http://proxy:3128"`:         {`"socks://proxy"`, "proxy"},
		`"fingerprint":"ab"`:          {`"roots":"x"`, "ca.roots"},
		`"proxy":"http://proxy:3128"`: {`"proxy":""} {`, "something follows"},
	} {
		text := strings.Replace(good, old, c[0], 1)
		if _, err := parseDocument([]byte(text)); text == good || err == nil || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", c[0], err)
		}
	}
}

func TestDocumentBehindALink(t *testing.T) {
	t.Parallel()
	const secret = "/enrol/7c1e-secret"
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case secret:
			w.Write([]byte(`{"version":1,"ca":{"url":"https://ca.example.org"}}`))
		case "/large":
			w.Write(make([]byte, documentMax+1))
		case "/elsewhere":
			http.Redirect(w, r, secret, http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer s.Close()
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	d, err := readDocument(t.Context(), s.URL+secret, nil, roots, time.Now)
	if err != nil || d.CA.URL != "https://ca.example.org" {
		t.Errorf("%+v, %v", d, err)
	}
	for link, want := range map[string]string{"/large": "longer than", "/elsewhere": "302", "/gone-secret": "404"} {
		if _, err := readDocument(t.Context(), s.URL+link, nil, roots, time.Now); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", link, err)
		}
	}
	if _, err := readDocument(t.Context(), s.URL+secret, nil, nil, time.Now); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a link that nobody vouches for: %v", err)
	}
}

// TestRecordOfOthersIsRefused: whoever may write the record says where findings go.
func TestRecordOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	ca := fakeca.New(t, clock.now)
	e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: clock.now}
	id, _, err := e.enrol(t.Context(), orderOf(ca))
	if err != nil {
		t.Fatal(err)
	}
	record, key := filepath.Join(e.dir, enrolmentName), filepath.Join(e.dir, id.Key.File)
	text := read(t, record)
	for name, c := range map[string]struct {
		do   func() error
		want string
	}{
		"readable key": {func() error { return os.Chmod(key, 0o640) }, "may be read or written by others"},
		"writable":     {func() error { return os.Chmod(record, 0o622) }, "may be read or written by others"},
		"a link":       {func() error { return errors.Join(os.Rename(record, record+".x"), os.Symlink(record+".x", record)) }, "symbolic link"},
		"newer":        {func() error { return os.WriteFile(record, []byte(`{"version":2,"new":1}`), 0o600) }, "is of version 2"},
		"long":         {func() error { return os.WriteFile(record, make([]byte, enrolmentMax+1), 0o600) }, "longer than"},
		"another's key": {func() error {
			return os.WriteFile(record, []byte(strings.Replace(text, id.Key.File, "../x", 1)), 0o600)
		}, "no file of the state folder"},
		"another name": {func() error {
			return os.WriteFile(record, []byte(strings.Replace(text, `"device": "`, `"device": "x`, 1)), 0o600)
		}, "the certificate is for"},
		"no key": {func() error { return os.Remove(key) }, "reading the private key"},
	} {
		pem := read(t, key)
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if _, err := loadIdentity(e.dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(record)
		if err := errors.Join(os.WriteFile(record, []byte(text), 0o600), os.WriteFile(key, []byte(pem), 0o600), os.Chmod(key, 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := loadIdentity(e.dir); err != nil {
			t.Fatalf("%s: set right again: %v", name, err)
		}
	}
	if err := os.Remove(record); err != nil {
		t.Fatal(err)
	}
	if _, err := loadIdentity(e.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a record: %v", err)
	}
}

// TestLockIsNotInherited: what another goroutine starts meanwhile does not go on holding the lock.
func TestLockIsNotInherited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lockEnrolment(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockEnrolment(dir); err == nil {
		t.Error("locked twice")
	}
	forktest.Hold(t, filepath.Join(dir, enrolmentLock))
	unlock()
	unlock, err = lockEnrolment(dir)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

func FuzzEnrolment(f *testing.F) {
	f.Add([]byte(`{"version":1,"device":"d","enrolled":"2026-05-01T12:00:00Z","upstream":{"ca":{"url":"https://ca","roots":"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----"}},"key":{"file":"k"},"certificate":""}`))
	f.Add([]byte(`{"version":1,"token":"a.b.c","ca":{"url":"https://ca","fingerprint":"ab"},"resolvers":["::1"],"proxy":"http://[::1]:1"}`))
	f.Add([]byte(`{"version":1,"key":{"tpm":{"device":"/dev/tpm0","public":"AAA=","private":""}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := parseEnrolment(b); err == nil {
			if id.Upstream.check() != nil || len(id.chain) == 0 {
				t.Errorf("%+v", id.enrolment)
			}
			id.state(time.Unix(0, 0))
		}
		if d, err := parseDocument(b); err == nil && d.CA.URL != "" && d.check() != nil {
			t.Errorf("%+v", d.upstream)
		}
	})
}
