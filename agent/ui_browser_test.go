package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"picket/agent/page/chromium"
	"picket/packaging/upstream/program"
	"picket/transport/tuf"
)

// agentProcess is a real `picket run` in a root of its own, the clean device of the planted threats.
type agentProcess struct {
	t    *testing.T
	root string
	log  string
	gone chan error // what its end came to
}

const agentConfig = `state_dir: /var/lib/picket
socket: /run/picket/picket.sock
sink_file: /var/log/picket/events.ndjson
watch: 1s
sample_interval: 1h
scan_interval: 1h
cpu_budget: 100%
network_probe: "off"
`

// startAgent starts it and waits until its first scan has ended.
func startAgent(t *testing.T, files []txtarFile, prepare func(root string)) *agentProcess {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a root of its own needs root")
	}
	p := &agentProcess{t: t, root: onDisk(t, files)}
	for name, content := range map[string]string{"/etc/picket/config.yaml": agentConfig, "/run/.keep": "", "/var/log/picket/.keep": "", "/var/lib/picket/.keep": ""} {
		replace(t, p.root, name, content)
	}
	picket := filepath.Join(p.root, "usr/local/bin/picket")
	if err := os.MkdirAll(filepath.Dir(picket), 0o755); err != nil {
		t.Fatal(err)
	}
	copyProgram(t, filepath.Join(builtPrograms(t), "picket"), picket)
	if prepare != nil {
		prepare(p.root)
	}
	p.log = filepath.Join(t.TempDir(), "log")
	log, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := p.picket("run", "--config", "/etc/picket/config.yaml")
	cmd.Stderr = log
	if err := program.StartWithUs(cmd); err != nil {
		t.Fatal(err)
	}
	p.gone = make(chan error, 1)
	go func() { p.gone <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := <-p.gone; err != nil {
			t.Errorf("the agent's end: %v: %s", err, read(t, p.log))
		}
		log.Close()
	})
	p.await("the first scan", func() bool {
		out, err := p.picket("status", "--json").Output()
		return err == nil && strings.Contains(string(out), `"last_scan"`)
	})
	return p
}

// picket is a command in that root.
func (p *agentProcess) picket(args ...string) *exec.Cmd {
	cmd := exec.Command("/usr/local/bin/picket", args...)
	cmd.Path, cmd.Dir, cmd.Env = "/usr/local/bin/picket", "/", []string{"PATH=/usr/local/bin:/usr/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: p.root}
	return cmd
}

func (p *agentProcess) await(what string, holds func() bool) {
	p.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) || len(p.gone) > 0 {
			p.t.Fatalf("%s does not come: %s", what, read(p.t, p.log))
		}
	}
}

// link is what `picket ui --print` gives.
func (p *agentProcess) link(lang string) string {
	p.t.Helper()
	cmd := p.picket("ui", "--print")
	cmd.Env = append(cmd.Env, "LANG="+lang+"_XX.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		p.t.Fatalf("picket ui: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// access is what the agent says of the organisation's requirements.
func (p *agentProcess) access() string {
	out, _ := p.picket("posture", "--json").Output() // its status tells the same
	var posture Posture
	if json.Unmarshal(out, &posture) != nil {
		return ""
	}
	return posture.State
}

// strangers shows that another user of the machine gets neither a link from the socket nor a page from the port,
// even where they know a session's path.
func (p *agentProcess) strangers(base string) {
	p.t.Helper()
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	cmd := p.picket("ui", "--print")
	cmd.SysProcAttr.Credential = nobody
	if out, err := cmd.CombinedOutput(); err == nil || strings.Contains(string(out), "http://") {
		p.t.Errorf("another user asks for a link and gets %s", out)
	}
	at, err := url.Parse(base)
	if err != nil {
		p.t.Fatal(err)
	}
	shell := exec.Command("bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/$1; printf 'GET %s HTTP/1.0\r\nHost: %s\r\nCookie: picket=AAAAAAAAAAAAAAAAAAAAAAAAAA\r\n\r\n' "$2" "127.0.0.1:$1" >&3; cat <&3`, "bash", at.Port(), at.Path)
	shell.Dir, shell.SysProcAttr = "/", &syscall.SysProcAttr{Credential: nobody}
	out, err := shell.CombinedOutput()
	if err != nil {
		p.t.Fatalf("bash: %v: %s", err, out)
	}
	if !strings.HasPrefix(string(out), "HTTP/1.0 403 ") || strings.Contains(string(out), "Debian") {
		p.t.Errorf("another user asks the port and gets %s", out)
	}
}

// sunk counts the events of findings of a rule in the sink.
func (p *agentProcess) sunk(rule, activity string) (n int) {
	p.t.Helper()
	b, err := os.ReadFile(filepath.Join(p.root, "var/log/picket/events.ndjson"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var e struct {
			Activity string `json:"activity_name"`
			Class    string `json:"class_name"`
		}
		if json.Unmarshal([]byte(line), &e) == nil && e.Activity == activity && strings.HasSuffix(e.Class, "Finding") && strings.Contains(line, `"`+rule+`"`) {
			n++
		}
	}
	return n
}

// onDisk writes a fixture's files into a folder, as they are on the device, and gives the folder.
func onDisk(t *testing.T, files []txtarFile) string {
	t.Helper()
	root := t.TempDir()
	from := fixture(t, files).FS()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(root, 0o755))
	var write func(dir string)
	write = func(dir string) {
		entries, err := from.ReadDir(dir)
		must(err)
		for _, e := range entries {
			name := filepath.Join(dir, e.Name)
			to := filepath.Join(root, name)
			switch {
			case e.Mode&fs.ModeSymlink != 0:
				text, err := from.Readlink(name)
				must(err)
				must(os.Symlink(text, to))
				continue
			case e.Mode.IsDir():
				must(os.Mkdir(to, 0o755))
				write(name)
			case e.Mode.IsRegular():
				f, err := from.Open(name)
				must(err)
				b, err := io.ReadAll(io.NewSectionReader(f, 0, e.Size))
				must(errors.Join(err, f.Close()))
				must(os.WriteFile(to, b, 0o600))
			default:
				continue
			}
			must(os.Lchown(to, max(e.UID, 0), max(e.GID, 0)))
			must(os.Chmod(to, e.Mode&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)))
			if !e.ModTime.IsZero() {
				must(os.Chtimes(to, e.ModTime, e.ModTime))
			}
		}
	}
	write("/")
	return root
}

// pressOn goes on by Tab until what has the focus says what is wanted, sees that the focus shows, and presses Enter.
func pressOn(t *testing.T, tab *chromium.Tab, label string) {
	t.Helper()
	const at = "(document.activeElement?.innerText || document.activeElement?.value || '').trim()"
	tab.Await("the page with its style", "document.readyState === 'complete'")
	var passed []string
	for range 60 {
		tab.Press(kb.Tab)
		text := chromium.Ask[string](tab, at)
		if text == label {
			if width := chromium.Ask[float64](tab, "(s => s.outlineStyle === 'none' ? 0 : parseFloat(s.outlineWidth))(getComputedStyle(document.activeElement))"); width < 2 {
				t.Errorf("the focus on %q does not show: %v pixels", label, width)
			}
			tab.Press(kb.Enter)
			return
		}
		passed = append(passed, text)
	}
	t.Fatalf("Tab does not come to %q but to %q", label, passed)
}

// policyOfWayBack lets no device in that is worse than Low, at once.
const policyOfWayBack = `format: picket.policy/1
version: "1"
organisation: {name: Example Works, email: support@example.org, phone: "+31 20 555 0100"}
posture: {max_level: low}
responses: {block: true}
`

// underPolicy has the agent in root find a policy when it starts.
func underPolicy(t *testing.T, root, policy string) {
	t.Helper()
	f := newFleet(t)
	f.publish(nil, policy)
	f.must(os.CopyFS(filepath.Join(root, "srv/updates"), os.DirFS(f.Dir)))
	pin, err := os.ReadFile(filepath.Join(f.Dir, "1.root.json"))
	f.must(err)
	f.must(tuf.Pin(updatesDir(Config{StateDir: filepath.Join(root, "var/lib/picket")}), pin, "/srv/updates", false, time.Now()))
}

// TestWayBack goes the way of a person who is told that their device does not meet the requirements: they open the page
// by the link, read what was found, fix it, have it checked again, and see that it is gone. All of it by the
// keyboard, in both languages, on a wide screen and on a narrow one, with a real agent over a real tree.
func TestWayBack(t *testing.T) {
	t.Parallel()
	browser := chromium.Start(t)
	s := readScenario(t, "testdata/planted/cron-download.txtar")
	p := startAgent(t, cleanDevice(t, false), func(root string) { underPolicy(t, root, policyOfWayBack) })
	if out, err := p.picket("update").CombinedOutput(); err != nil {
		t.Fatalf("picket update: %v: %s", err, out)
	}
	p.await("the policy", func() bool { return p.access() == accessOpen })
	words := map[string]struct{ high, first, blocked, open, title, evidence, again, gone, back, all string }{
		"en": {"High threat", "Start here", "Access to protected work is blocked", "This device meets the requirements of your organisation.", "Suspicious scheduled job", "198.51.100.7", "Check again", "it is gone", "Back to what is left", "Check the whole device again"},
		"nl": {"Hoog dreigingsniveau", "Begin hier", "De toegang tot beschermd werk is geblokkeerd", "Dit apparaat voldoet aan de eisen van uw organisatie.", "Verdachte geplande taak", "198.51.100.7", "Opnieuw controleren", "het is weg", "Terug naar wat er nog is", "Het hele apparaat opnieuw controleren"},
	}
	planted := s.planted[0]
	file := filepath.Join(p.root, planted.name)
	for i, l := range chromium.Looks() {
		w := words[l.Language]
		tab := browser.Tab(t, l)
		shoot := func(name string) { // for the README
			if pictured := name + "-" + l.Language; *update && !l.Dark && slices.Contains([]string{"page-blocked-en", "page-threat-en", "page-open-nl"}, pictured) {
				tab.Picture("../docs/img/"+pictured+".png", false)
			}
		}
		base := tab.Enter(p.link(l.Language))
		if i == 0 {
			p.strangers(base)
		}
		if text := tab.Text(); strings.Contains(text, w.high) || !strings.Contains(text, w.open) {
			t.Fatalf("%s: before anything is planted: %s", l, text)
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(planted.data), 0o600); err != nil {
			t.Fatal(err)
		}
		pressOn(t, tab, w.all)
		// What is watched may show while the check goes on; at its end the page is another.
		tab.Await("the level", fmt.Sprintf("document.readyState === 'complete' && !document.querySelector('#result').dataset.progress && document.querySelector('h1').innerText === %q", w.high))
		if text := tab.Text(); !strings.Contains(text, w.blocked) || !strings.Contains(text, "support@example.org") || p.access() != accessBlocked {
			t.Errorf("%s: blocked, the page says %s", l, text)
		}
		shoot("page-blocked")
		pressOn(t, tab, w.first)
		tab.Await("the threat", fmt.Sprintf("document.body.innerText.includes(%q)", w.again))
		if text := tab.Text(); !strings.Contains(text, w.title) || !strings.Contains(text, w.evidence) {
			t.Errorf("%s: the threat's page says %s", l, text)
		}
		shoot("page-threat")
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		pressOn(t, tab, w.again)
		tab.Await("the result", fmt.Sprintf("document.querySelector('#result').innerText.includes(%q)", w.gone))
		pressOn(t, tab, w.back)
		tab.Await("the overview", fmt.Sprintf("document.body.innerText.includes(%q)", w.all))
		if text := tab.Text(); strings.Contains(text, w.title) || !strings.Contains(text, w.open) || p.access() != accessOpen {
			t.Errorf("%s: after the fix: %s", l, text)
		}
		shoot("page-open")
		p.await("the sink", func() bool { return p.sunk("OS-037", "Create") == i+1 && p.sunk("OS-037", "Close") == i+1 })
	}
}
