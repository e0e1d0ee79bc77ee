package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/sys/unix"

	ui "picket/agent/page"
)

// qrPicture is a QR code as a program draws it.
func qrPicture(t testing.TB, text string, size int) image.Image {
	t.Helper()
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, size, size, nil)
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewGray(image.Rect(0, 0, m.GetWidth(), m.GetHeight()))
	for y := range m.GetHeight() {
		for x := range m.GetWidth() {
			if !m.Get(x, y) {
				out.SetGray(x, y, color.Gray{Y: 0xff})
			}
		}
	}
	return out
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestInvitations: a token, a document, and pictures with a QR code of these or of a link.
func TestInvitations(t *testing.T) {
	t.Parallel()
	document := `{"version":1,"organisation":"Voorbeeld BV","ca":{"url":"https://ca.example.org","fingerprint":"` + strings.Repeat("5f", 32) + `"},"token":"t"}`
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/picture" {
			w.Write(asPNG(t, qrPicture(t, "https://example.org", 200)))
			return
		}
		io.WriteString(w, document)
	}))
	t.Cleanup(s.Close)
	roots := s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	token := "eyJhbGciOiJFUzI1NiJ9." + strings.Repeat("QUJD", 180) + ".c2ln"
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, qrPicture(t, token, 600), &jpeg.Options{Quality: 60}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		file  []byte
		token string
		org   string
		err   string
	}{
		"a token":                      {[]byte(token + "\n"), token, "", ""},
		"a document":                   {[]byte(document), "t", "Voorbeeld BV", ""},
		"a photo of a token":           {photo.Bytes(), token, "", ""},
		"a picture of a document":      {asPNG(t, qrPicture(t, document, 500)), "t", "Voorbeeld BV", ""},
		"a picture of a link":          {asPNG(t, qrPicture(t, s.URL+"/x", 300)), "t", "Voorbeeld BV", ""},
		"a link to another picture":    {asPNG(t, qrPicture(t, s.URL+"/picture", 300)), "", "", "a picture behind a QR code"},
		"a picture of something else":  {asPNG(t, qrPicture(t, "WIFI:S:guests;;", 300)), "", "", "no JSON"},
		"a link without https":         {asPNG(t, qrPicture(t, "http://example.org/", 300)), "", "", "no JSON"},
		"a picture without a QR code":  {asPNG(t, image.NewGray(image.Rect(0, 0, 300, 300))), "", "", "no QR code"},
		"a picture of one pixel":       {asPNG(t, image.NewGray(image.Rect(0, 0, 1, 1))), "", "", "QR code"},
		"a picture that is cut off":    {asPNG(t, qrPicture(t, token, 300))[:400], "", "", "reading the picture"},
		"a picture of great claims":    {pngHead(60000, 60000), "", "", "more than are read"},
		"a document that is too large": {bytes.Repeat([]byte(" "), documentMax+1), "", "", "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "invitation")
			if err := os.WriteFile(file, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := readDocument(t.Context(), file, nil, roots, time.Now)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("%+v, %v; want %q", d, err, tt.err)
				}
				return
			}
			if err != nil || d.Token != tt.token || d.Organisation != tt.org {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

// pngHead is a PNG that says how large it is, and nothing more.
func pngHead(w, h uint32) []byte {
	chunk := binary.BigEndian.AppendUint32([]byte("IHDR"), w)
	chunk = append(binary.BigEndian.AppendUint32(chunk, h), 8, 0, 0, 0, 0)
	b := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

// FuzzQR: no picture brings the reader down, or keeps it for long.
func FuzzQR(f *testing.F) {
	f.Add(asPNG(f, qrPicture(f, "eyJ.a.b", 60)))
	f.Add(asPNG(f, image.NewGray(image.Rect(0, 0, 3, 3))))
	f.Add(pngHead(1<<30, 1))
	f.Add([]byte("\xff\xd8\xff\xe0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if !isPicture(b) {
			return
		}
		if text, err := readQR(b); err == nil && (text == "" || len(text) > qrTextMax) {
			t.Errorf("%d bytes of text", len(text))
		}
	})
}

// TestOwnWordsAreComplete: both languages have every text, with the same to put in.
func TestOwnWordsAreComplete(t *testing.T) {
	t.Parallel()
	all, err := ui.LoadWords(wordFiles)
	if err != nil || len(all) < 2 {
		t.Fatal(all, err)
	}
	holes := regexp.MustCompile(`\{[0-9]\}`)
	for lang, words := range all {
		if a, b := slices.Sorted(maps.Keys(all["en"])), slices.Sorted(maps.Keys(words)); !slices.Equal(a, b) {
			t.Errorf("%s has %v, English %v", lang, b, a)
		}
		for name, text := range all["en"] {
			a, b := holes.FindAllString(text, -1), holes.FindAllString(words[name], -1)
			slices.Sort(a)
			slices.Sort(b)
			if !slices.Equal(a, b) || strings.TrimSpace(words[name]) == "" {
				t.Errorf("%s: %s puts in %v, English %v", lang, name, b, a)
			}
		}
	}
	src := ""
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		src += string(b)
	}
	said := 0
	for _, m := range regexp.MustCompile(`words\.Say\("([a-z.]+[a-z])"`).FindAllStringSubmatch(src, -1) {
		said++
		if all["en"][m[1]] == "" {
			t.Errorf("there is no text %s", m[1])
		}
	}
	if said < 20 {
		t.Errorf("%d texts are said: the test does not find them", said)
	}
}

// TestAsking: what a person may answer, and what counts where nobody is asked.
func TestAsking(t *testing.T) {
	t.Parallel()
	words, err := wordsIn("nl")
	if err != nil {
		t.Fatal(err)
	}
	given := false
	for _, tt := range []struct {
		typed    string
		quiet    bool
		wanted   *bool
		standard bool
		yes, bad bool
	}{
		{"ja\n", false, nil, false, true, false},
		{"Y\n", false, nil, false, true, false},
		{"\n", false, nil, true, true, false},
		{"\n", false, nil, false, false, false},
		{"misschien\nnee\n", false, nil, true, false, false},
		{"", false, nil, true, false, true},
		{"", true, nil, true, true, false},
		{"ja\n", false, &given, true, false, false},
		{strings.Repeat("x", answerMax+1), false, nil, true, false, true},
	} {
		var out bytes.Buffer
		a := asker{in: strings.NewReader(tt.typed), out: &out, words: words, quiet: tt.quiet}
		yes, err := a.yes(t.Context(), "Mag het?", tt.wanted, tt.standard)
		if yes != tt.yes || (err != nil) != tt.bad {
			t.Errorf("%.20q: %v, %v", tt.typed, yes, err)
		}
		if strings.HasPrefix(tt.typed, "misschien") && !strings.Contains(out.String(), "Antwoord met ja of nee.\nMag het? [J/n] ") {
			t.Errorf("asked: %s", out.String())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never, _ := io.Pipe()
	a := asker{in: never, out: io.Discard, words: words}
	if _, err := a.yes(ctx, "?", nil, true); !errors.Is(err, context.Canceled) {
		t.Errorf("leaving: %v", err)
	}
	never.Close()
}

// terminal opens a pair of pseudo terminals.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("/dev/pts/%d", n)
	if slave, err = os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Skipf("no pseudo terminals here: %v", err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// TestTokenIsNotShown: on a terminal what is pasted is not echoed, and the terminal is as before after.
func TestTokenIsNotShown(t *testing.T) {
	t.Parallel()
	words, err := wordsIn("en")
	if err != nil {
		t.Fatal(err)
	}
	master, slave := terminal(t)
	a := asker{in: slave, out: slave, words: words}
	type end struct {
		text string
		err  error
	}
	done := make(chan end, 1)
	go func() {
		text, err := a.secret(t.Context(), "paste: ")
		done <- end{text, err}
	}()
	shown := make([]byte, 0, 100)
	for quietly := false; !quietly; { // until the terminal no longer echoes
		st, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		quietly = st.Lflag&unix.ECHO == 0
	}
	if _, err := io.WriteString(master, "eyJtoken.a.b\n"); err != nil {
		t.Fatal(err)
	}
	if e := <-done; e.text != "eyJtoken.a.b" || e.err != nil {
		t.Fatalf("%+v", e)
	}
	if _, err := io.WriteString(slave, "end"); err != nil {
		t.Fatal(err)
	}
	for !bytes.Contains(shown, []byte("end")) {
		b := make([]byte, 64)
		n, err := master.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		shown = append(shown, b[:n]...)
	}
	if bytes.Contains(shown, []byte("eyJ")) {
		t.Errorf("shown: %q", shown)
	}
	st, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
	if err != nil || st.Lflag&unix.ECHO == 0 {
		t.Errorf("the terminal does not echo any more: %v", err)
	}
}

// TestSetupAndGoodbyeLeaveNothing: on a device of its own with systemd's places, all that setup makes,
// uninstall takes away: the tree is as before, and what the dry run lists is what went.
func TestSetupAndGoodbyeLeaveNothing(t *testing.T) {
	t.Parallel()
	tools := fakeTools()
	tools["tools/systemctl"] = strings.Replace(tools["tools/systemctl"], "touch /run/active ;;", "touch /run/active && { [ \"$1\" = start ] || $0 stop; touch /run/active; /opt/picket/picket run >/tools/agent 2>&1 & echo $! >/tools/pid; } ;;", 1)
	tools["tools/systemctl"] = strings.Replace(tools["tools/systemctl"], "stop) rm -f /run/active ;;", "stop) [ -e /run/active ] || exit 0; rm -f /run/active; kill $(cat /tools/pid); while kill -0 $(cat /tools/pid) 2>/dev/null; do sleep 0.1; done ;;", 1)
	r := newServiceRoot(t, buildService(t), tools)
	for _, dir := range []string{"etc/systemd/system", "etc/xdg/autostart", "run/systemd/system"} {
		r.must(t, os.MkdirAll(filepath.Join(r.dir, dir), 0o755))
	}
	r.write(t, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:100::/:/bin/sh\n")
	r.write(t, "etc/group", "root:x:0:\nalice:x:1000:\nusers:x:100:carol\n")
	r.write(t, "etc/nsswitch.conf", "passwd: files\ngroup: files\n")
	before := r.tree(t)
	const paths = "PATH=/tools:/usr/bin:/bin\nexport PATH SUDO_USER=alice\n"
	out := r.story(t, paths+`
picket setup --init systemd --kernel yes --scan no --yes
echo == again
picket setup --init systemd --scan no --yes --json
echo == bob
rm /etc/picket/config.yaml
SUDO_USER=bob picket setup --init systemd --service no --scan no --yes
picket setup --init systemd --scan no --yes
stat -c '%G %a' /run/picket/picket.sock
echo == list
picket uninstall --init systemd --purge --dry-run --json
echo == kept
ls /etc/picket/config.yaml /etc/systemd/system/picket.service.d/picket-setup.conf /etc/xdg/autostart/picket.desktop
echo == gone
picket uninstall --init systemd --purge --yes
ls /opt/picket
`)
	section := func(from, to string) string {
		_, rest, _ := strings.Cut(out, "== "+from+"\n")
		text, _, _ := strings.Cut(rest, "== "+to+"\n")
		return text
	}
	for _, want := range []string{"alice may see the result.", "Picket starts with the device (systemd).", "Picket may list the kernel's BPF programs.", "alice 660", "group users of bob has other members"} {
		if !strings.Contains(out, want) {
			t.Errorf("the story lacks %q", want)
		}
	}
	var again setupResult
	if err := json.Unmarshal([]byte(section("again", "bob")), &again); err != nil {
		t.Errorf("setting up again: %v", err)
	}
	for _, step := range again.Steps {
		want := map[string]string{"person": stepAlready, "service": stepAlready, "kernel": stepAlready, "scan": stepDeclined, "enrolment": stepDeclined, "rights": stepDone}[step.Name]
		if step.State != want {
			t.Errorf("setting up again: %+v, want %s", step, want)
		}
	}
	var plan struct {
		Removes []removal
		Done    bool
	}
	if err := json.Unmarshal([]byte(section("list", "kept")), &plan); err != nil || plan.Done {
		t.Fatalf("the list: %v\n%s", err, out)
	}
	var listed []string
	for _, one := range plan.Removes {
		listed = append(listed, one.Path)
	}
	for _, want := range []string{"/etc/systemd/system/picket.service", "/etc/systemd/system/multi-user.target.wants/picket.service", kernelDropIn, autostartFile, "/var/lib/picket", "/run/picket", systemConfig, "/opt/picket/picket"} {
		if !slices.Contains(listed, want) {
			t.Errorf("the list lacks %s: %v", want, listed)
		}
	}
	if after := r.tree(t); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	if b, err := os.ReadDir(filepath.Join(r.dir, "opt/picket")); err != nil || len(b) != 1 || b[0].Name() != "standin" {
		t.Errorf("the program: %v, %v", b, err)
	}
	if t.Failed() {
		t.Log(out)
	}
}
