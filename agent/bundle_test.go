package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"filippo.io/age"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/report"
)

func TestBundleWords(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, w := range strings.Fields(bundleWords) {
		if seen[w] || len(w) < 3 || len(w) > 8 || strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") != "" {
			t.Errorf("%q", w)
		}
		seen[w] = true
	}
	if len(seen) != 256 {
		t.Errorf("%d words", len(seen))
	}
	id, err := newBundleID(bytes.NewReader([]byte{0, 1, 254, 255}))
	if err != nil || id != "acorn-actor-yogurt-zebra" {
		t.Errorf("%q, %v", id, err)
	}
}

// Whoever may write to the system's log moves no cursor of who looks at a bundle first.
func TestBundleLogIsInert(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := writeLog(&out, []byte("picket: one\x1b]0;owned\a two\x9b2J\u202e\rthree\npicket: four\tfive\n")); err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%q is in %q", r, out.String())
		}
	}
	if !strings.HasSuffix(out.String(), "\npicket: four five\n") {
		t.Errorf("%q", out.String())
	}
}

// unpack reads a bundle that is not encrypted.
func unpack(t *testing.T, r io.Reader) map[string]string {
	t.Helper()
	z, err := gzip.NewReader(r)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for files := tar.NewReader(z); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(b)
	}
}

// personalBundle has what a bundle of a device full of canaries would have, with canaries in the log too.
func personalBundle(t *testing.T, archive []byte, mode string) *bundle {
	t.Helper()
	dev, err := device.Txtar(archive)
	if err != nil {
		t.Fatal(err)
	}
	source := sourceFlags{digests: "none"}
	opts, err := source.options()
	if err != nil {
		t.Fatal(err)
	}
	opts.Judge, opts.Tables = catalogue(t), []string{"packages"}
	whole, err := scanner.Scan(t.Context(), dev, opts)
	if err != nil {
		t.Fatal(err)
	}
	r, err := restrict(whole, mode)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{id: "acorn-actor-yogurt-zebra"}
	b.add("report.json", func(w io.Writer) error { return report.JSON(w, r) })
	b.add("report.html", func(w io.Writer) error { return report.HTML(w, r) })
	b.add("log.txt", func(w io.Writer) error {
		return writeLog(w, []byte("level=WARN msg=\"opening /home/ann/Documents/CANARY-divorce.odt\" password=CANARYlog\nsent to https://ann:CANARYlog@example.org for CANARY@example.org\n"+
			"level=INFO token=CANARYlog user=ann of \"CANARY full name\"\n-----BEGIN PRIVATE KEY-----\nCANARYpem\n-----END PRIVATE KEY-----\n"))
	})
	b.add("status.json", func(io.Writer) error { return errors.New("no agent is running: /home/ann/CANARY/s") })
	b.add("broken.json", func(io.Writer) error { return fmt.Errorf("%s", []string{}[len(b.parts)]) })
	passwd, err := scanner.ReadFile(dev.FS(), "/etc/passwd", 1<<20)
	if err != nil {
		passwd = []byte("ann:x:1000:1000:CANARY full name:/home/ann:/bin/sh\n") // a phone has none
	}
	b.redact(newRedactor(bytes.NewReader(passwd), "annslaptop"))
	return b
}

func TestBundleHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	for name, archive := range personalDevices(t) {
		for _, mode := range []string{sendFull, sendNoPersonal, sendLevelOnly} {
			t.Run(name+" "+mode, func(t *testing.T) {
				t.Parallel()
				b := personalBundle(t, archive, mode)
				var shown bytes.Buffer
				if err := b.preview(&shown); err != nil {
					t.Fatal(err)
				}
				for _, leak := range leaks(shown.Bytes()) {
					t.Errorf("%q", leak)
				}
				for _, text := range []string{"/home/ann", "user=ann"} {
					if strings.Contains(shown.String(), text) {
						t.Errorf("it has %s", text)
					}
				}
				if rules := strings.Contains(shown.String(), `"rule":`); rules == (mode == sendLevelOnly) {
					t.Errorf("findings in it: %v", rules)
				}
				for _, want := range []string{"==> status.json.error.txt", "no agent is running", "==> broken.json.error.txt", "a fault in Picket"} {
					if !strings.Contains(shown.String(), want) {
						t.Errorf("no %q", want)
					}
				}
			})
		}
	}
}

func TestBundleOpensWithAge(t *testing.T) {
	t.Parallel()
	b := personalBundle(t, personalDevices(t)["linux"], sendFull)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	_, to, err := bundleKey("", key.Recipient().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	var sealed, again, plain bytes.Buffer
	for w, to := range map[*bytes.Buffer]age.Recipient{&sealed: to, &again: nil, &plain: nil} {
		if err := b.seal(w, to); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(again.Bytes(), plain.Bytes()) {
		t.Error("the same parts give other bytes")
	}
	if bytes.Contains(sealed.Bytes(), []byte("acorn")) || bytes.HasPrefix(sealed.Bytes(), []byte("\x1f\x8b")) {
		t.Error("it is not encrypted")
	}
	opened, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), key)
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, opened)
	// What the preview shows is what is inside.
	var shown, inside strings.Builder
	if err := b.preview(&shown); err != nil {
		t.Fatal(err)
	}
	for _, p := range b.parts {
		body, ok := files["picket-acorn-actor-yogurt-zebra/"+p.name]
		if !ok {
			t.Errorf("%s is not inside", p.name)
		}
		fmt.Fprintf(&inside, "==> %s (%d bytes)\n%s\n", p.name, len(body), body)
	}
	if len(files) != len(b.parts) || shown.String() != inside.String() {
		t.Errorf("%d files, %d shown, or other content", len(files), len(b.parts))
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := age.Decrypt(bytes.NewReader(sealed.Bytes()), other); err == nil {
		t.Error("another key opens it")
	}
	program, err := exec.LookPath("age")
	if err != nil {
		t.Skip("the program age is not here")
	}
	dir := t.TempDir()
	for name, text := range map[string][]byte{"key": []byte(key.String() + "\n"), "bundle.age": sealed.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(program, "--decrypt", "--identity", filepath.Join(dir, "key"), filepath.Join(dir, "bundle.age")).Output()
	if err != nil || !bytes.Equal(out, plain.Bytes()) {
		t.Errorf("age gives %d bytes of %d, %v", len(out), plain.Len(), err)
	}
}

func TestBundleKey(t *testing.T) {
	t.Parallel()
	const good = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	for _, c := range []struct {
		to, support string
		plain       bool
		want, err   string
	}{
		{good, "", false, good, ""},
		{"", good, false, good, ""},
		{"", good, true, "", ""},
		{good, "", true, "", "do not go together"},
		{"", "", false, "", "no policy names a support key"},
		{good[:len(good)-1] + "q", "", false, "", "is no age key"},
		{"AGE-SECRET-KEY-1", "", false, "", "is no age key"},
	} {
		got, r, err := bundleKey(c.to, c.support, c.plain)
		if got != c.want || (r != nil) != (c.want != "") || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %q, %v, %v", c, got, r, err)
		}
	}
}

// TestRestrictHoldsPersonalApps has a bundle name no more than events do.
func TestRestrictHoldsPersonalApps(t *testing.T) {
	t.Parallel()
	own := facts.Package{ID: "com.example.dating", Name: "Dating", App: &facts.App{OnData: true}}
	r := &scanner.Report{Packages: []facts.Package{own, {ID: "base", Name: "base"}}, Findings: []scanner.Finding{
		{Key: "k1", Rule: "APP-001", Title: "An app", Subject: scanner.Subject{Kind: "app", Name: own.ID}, Evidence: []scanner.Evidence{{Source: "/data/app/" + own.ID}}},
		{Key: "k2", Rule: "OS-030", Title: "A system", Subject: scanner.Subject{Kind: "device", Name: "device"}}}}
	out, err := restrict(r, sendNoPersonal)
	if err != nil {
		t.Fatal(err)
	}
	if text := fmt.Sprintf("%+v", *out); strings.Contains(text, "dating") || strings.Contains(text, "Dating") || len(out.Findings) != 2 || len(packagesOf(out)) != 1 {
		t.Errorf("%s", text)
	}
	if len(packagesOf(r)) != 2 || r.Findings[0].Subject.Name != own.ID {
		t.Error("the person's own report was changed")
	}
}
