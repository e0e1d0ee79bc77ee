package agent

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/store"
)

// rootEnv is root on Linux, with these variables (NAME=VALUE).
func rootEnv(vars ...string) Env { return envOf(0, vars...) }

func envOf(uid int, vars ...string) Env {
	return Env{UID: uid, Getenv: func(name string) string {
		for _, v := range vars {
			if rest, ok := strings.CutPrefix(v, name+"="); ok {
				return rest
			}
		}
		return ""
	}}
}

// parsed is the configuration of a text that must be right.
func parsed(t *testing.T, src string, set ...string) (Config, Origins) {
	t.Helper()
	env := rootEnv()
	env.Set = set
	c, from, err := parseConfig("c.yaml", []byte(src), true, env)
	if err != nil {
		t.Fatalf("%q: %v", src, err)
	}
	return c, from
}

func TestConfigDefaults(t *testing.T) {
	t.Parallel()
	want := Config{
		StateDir: "/var/lib/picket", Socket: "/run/picket/picket.sock", Digests: "all",
		ScanInterval: 6 * time.Hour, ScanJitter: 10, Watch: 250 * time.Millisecond, SampleInterval: 30 * time.Second, CPUBudget: 5,
		OutboxSize: 64 << 20, OutboxAge: 90 * 24 * time.Hour, SnapshotInterval: 24 * time.Hour,
		SinkFile: "/var/lib/picket/events.ndjson", SinkSize: 64 << 20, NetworkProbe: "upstream", LogLevel: "info",
	}
	for _, src := range []string{"", "\n", "# nothing\n", "---\n", "---\n# nothing\n...\n", "{}", "---\r\n# of Windows\r\n", "\xef\xbb\xbf# with a byte order mark\n"} {
		if c, from := parsed(t, src); !reflect.DeepEqual(c, want) || len(from.Keys) != 0 {
			t.Errorf("%q gives %+v, set %v", src, c, from.Keys)
		}
	}
}

// TestConfigKeys holds the tags to what the rest relies on.
func TestConfigKeys(t *testing.T) {
	t.Parallel()
	all := settings()
	if len(all) > 20 {
		t.Errorf("%d keys; at most 20", len(all))
	}
	seen := map[string]bool{}
	for _, s := range all {
		if s.key == "" || seen[s.key] || s.doc == "" || strings.HasSuffix(s.doc, ".") || strings.Contains(s.doc, "\n") {
			t.Errorf("key %q, %q", s.key, s.doc)
		}
		seen[s.key] = true
		if s.list() {
			continue
		}
		if _, err := s.parse(s.def); err != nil {
			t.Errorf("default of %s: %v", s.key, err)
		}
	}
}

func TestConfigValues(t *testing.T) {
	t.Parallel()
	src := `
state_dir: /srv/picket/
socket: "/srv/p.sock"
socket_group: 1000
profile: kiosk
rules_dir: /srv/rules
allow: [/srv/a.yaml, /srv/b.yaml]
indicators:
  - /srv/lists
digests: none
scan_interval: 1d12h
scan_jitter: 0.5%
watch: off
sample_interval: 1m30s
cpu_budget: 12%
outbox_size: 10MB
outbox_age: 7d
snapshot_interval: 12h
sink_file: /srv/out/e.ndjson
sink_size: 1GiB
network_probe: "[2001:db8::1]:8443"
log_level: debug
`
	want := Config{
		"/srv/picket", "/srv/p.sock", "1000", "kiosk", "/srv/rules", []string{"/srv/a.yaml", "/srv/b.yaml"}, []string{"/srv/lists"}, "none",
		36 * time.Hour, 0.5, 0, 90 * time.Second, 12, 10e6, 7 * 24 * time.Hour, 12 * time.Hour, "/srv/out/e.ndjson", 1 << 30, "[2001:db8::1]:8443", "debug",
	}
	c, from := parsed(t, src)
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if len(from.Keys) != len(settings()) || from.Keys["socket"] != (Origin{File: "c.yaml", Line: 3}) || from.Keys["indicators"].Line != 8 {
		t.Errorf("origins %v", from.Keys)
	}

	c, from = parsed(t, "watch: off\nscan_interval: 2h\nallow: [/a]\n", "watch=1s", "allow=", "indicators=/x,/y")
	if c.Watch != time.Second || c.ScanInterval != 2*time.Hour || len(c.Allow) != 0 || !slices.Equal(c.Indicators, []string{"/x", "/y"}) {
		t.Errorf("--set gives %+v", c)
	}
	if got := fmt.Sprint(from.Keys["watch"], from.Keys["scan_interval"], from.Keys["digests"]); got != "flag c.yaml:2 default" {
		t.Error(got)
	}
}

func TestConfigPlaces(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("s", 110)
	tests := []struct {
		name                string
		env                 Env
		state, socket, sink string
		src                 string
	}{
		{"root", rootEnv("HOME=/root"), "/var/lib/picket", "/run/picket/picket.sock", "/var/lib/picket/events.ndjson", ""},
		{"systemd", envOf(990, "STATE_DIRECTORY=/var/lib/private/picket:/x", "RUNTIME_DIRECTORY=/run/picket"), "/var/lib/private/picket", "/run/picket/picket.sock", "/var/lib/private/picket/events.ndjson", ""},
		{"user", envOf(1000, "HOME=/home/u", "XDG_RUNTIME_DIR=/run/user/1000"), "/home/u/.local/state/picket", "/run/user/1000/picket/picket.sock", "/home/u/.local/state/picket/events.ndjson", ""},
		{"user, XDG", envOf(1000, "HOME=/home/u", "XDG_STATE_HOME=/s"), "/s/picket", "/s/picket/picket.sock", "/s/picket/events.ndjson", ""},
		{"user, relative variables", envOf(1000, "HOME=/home/u", "XDG_STATE_HOME=s", "XDG_RUNTIME_DIR=r"), "/home/u/.local/state/picket", "/home/u/.local/state/picket/picket.sock", "/home/u/.local/state/picket/events.ndjson", ""},
		{"user without a home", envOf(1000), "/var/lib/picket", "/var/lib/picket/picket.sock", "/var/lib/picket/events.ndjson", ""},
		{"set", rootEnv(), "/srv", "/run/picket/picket.sock", "/srv/events.ndjson", "state_dir: /srv\nsink_file: \"\"\n"},
	}
	android := rootEnv("HOME=/")
	android.Android = true
	shell := envOf(2000, "HOME=/")
	shell.Android = true
	tests = append(tests, tests[0], tests[0])
	tests[7].name, tests[7].env, tests[7].state, tests[7].socket, tests[7].sink = "Android", android, "/data/adb/picket/state", "/data/adb/picket/picket.sock", "/data/adb/picket/state/events.ndjson"
	tests[8].name, tests[8].env, tests[8].state, tests[8].socket, tests[8].sink = "Android's shell", shell, "/data/local/tmp/picket", "/data/local/tmp/picket/picket.sock", "/data/local/tmp/picket/events.ndjson"
	for _, tt := range tests {
		c, _, err := parseConfig("c.yaml", []byte(tt.src), true, tt.env)
		if err != nil || c.StateDir != tt.state || c.Socket != tt.socket || c.SinkFile != tt.sink {
			t.Errorf("%s: %s, %s, %s, %v", tt.name, c.StateDir, c.Socket, c.SinkFile, err)
		}
	}
	if _, _, err := parseConfig("c.yaml", []byte("# a\nstate_dir: "+long), true, envOf(1000)); err == nil || !strings.HasPrefix(err.Error(), "c.yaml:2: socket: its path has") {
		t.Errorf("a socket below a long state_dir: %v", err)
	}
	if _, _, err := parseConfig("c.yaml", nil, false, envOf(1000, "XDG_RUNTIME_DIR="+long)); err == nil || !strings.HasPrefix(err.Error(), "socket: its path has") {
		t.Errorf("a socket below a long default: %v", err)
	}

	for _, tt := range []struct {
		flag, variable string
		android        bool
		want           string
		named          bool
	}{
		{"", "", false, "/etc/picket/config.yaml", false},
		{"", "", true, "/data/adb/picket/config.yaml", false},
		{"", "/v.yaml", true, "/v.yaml", true},
		{"/f.yaml", "/v.yaml", false, "/f.yaml", true},
	} {
		env := rootEnv("PICKET_CONFIG=" + tt.variable)
		env.Android = tt.android
		if got, named := configPath(tt.flag, env); got != tt.want || named != tt.named {
			t.Errorf("%+v: %s, %v", tt, got, named)
		}
	}
}

// TestConfigRoundTrip writes values and reads them back: show and example say what a file may.
func TestConfigRoundTrip(t *testing.T) {
	t.Parallel()
	src := map[string][]string{
		"scan_interval": {"1m", "61s", "1h", "1h5s", "90m", "25h", "1d1m", "31d"},
		"watch":         {"off", "10ms", "1s", "1.5s", "12345678ns"},
		"outbox_size":   {"1MiB", "10MB", "1048577B", "1500kB", "240MiB", "1025 KiB"},
		"scan_jitter":   {"0%", "0.125%", "50%"},
		"state_dir":     {"/a", `"/a b"`, `"/a: #b"`, `"/a'\"\\b"`, "/ä", "/-%"},
		"allow":         {"[]", "[/a]", `[/a, "/b,c", "/[d]"]`},
		"network_probe": {"off", "upstream", "example.org", "example.org:443", "router.", "192.0.2.1", "192.0.2.1:80", `"2001:db8::1"`, `"[2001:db8::1]"`, `"[2001:db8::1]:80"`},
		"socket_group":  {`""`, "0", "adm", "aid_shell", "sys$"},
		"profile":       {`""`, "container-image"},
	}
	for key, values := range src {
		for _, v := range values {
			c, _ := parsed(t, key+": "+v)
			again, _ := parsed(t, key+": "+settingOf(key).format(c))
			if !reflect.DeepEqual(c, again) {
				t.Errorf("%s: %s is written as %s", key, v, settingOf(key).format(c))
			}
		}
	}
}

// TestOutboxFitsTheStore: what the key allows is what the store can keep and still drop the least grave first.
func TestOutboxFitsTheStore(t *testing.T) {
	t.Parallel()
	c, _ := parsed(t, "outbox_size: "+settingOf("outbox_size").max)
	if int64(c.OutboxSize) != store.MaxOutbox {
		t.Errorf("%d bytes, and the store has room for %d", c.OutboxSize, int64(store.MaxOutbox))
	}
}

func TestSplitProbe(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"example.org": "example.org 0", "example.org:443": "example.org 443", "192.0.2.1:80": "192.0.2.1 80",
		"2001:db8::1": "2001:db8::1 0", "[2001:db8::1]": "2001:db8::1 0", "[2001:db8::1]:80": "2001:db8::1 80",
	} {
		if host, port, err := SplitProbe(text); err != nil || fmt.Sprint(host, " ", port) != want {
			t.Errorf("%s: %s %d, %v", text, host, port, err)
		}
	}
}

func TestConfigExample(t *testing.T) {
	t.Parallel()
	defaults, _ := parsed(t, "")
	var b bytes.Buffer
	if err := writeExample(&b, defaults); err != nil {
		t.Fatal(err)
	}
	if c, from := parsed(t, b.String()); !reflect.DeepEqual(c, defaults) || len(from.Keys) != 0 {
		t.Errorf("as it is printed: %+v, %v", c, from.Keys)
	}
	var live strings.Builder
	for line := range strings.Lines(b.String()) {
		if !strings.HasPrefix(line, "# ") && line != "#\n" {
			line = strings.TrimPrefix(line, "#")
		}
		if len(line) > 101 {
			t.Errorf("a long line: %s", line)
		}
		live.WriteString(line)
	}
	c, from := parsed(t, live.String())
	if len(Changes(c, defaults)) > 0 || len(from.Keys) != len(settings()) {
		t.Errorf("with every # taken away: %v; set %v", Changes(defaults, c), from.Keys)
	}
}

func TestConfigChanges(t *testing.T) {
	t.Parallel()
	a, _ := parsed(t, "")
	b, _ := parsed(t, "watch: off\nallow: [/a]\nstate_dir: /s\nscan_interval: 360m\n")
	want := []string{"state_dir: /var/lib/picket -> /s", "allow: [] -> [/a]", "watch: 250ms -> off", "sink_file: /var/lib/picket/events.ndjson -> /s/events.ndjson"}
	if got := Changes(a, b); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := Changes(b, b); len(got) != 0 {
		t.Errorf("no change is %q", got)
	}
	// Every field must count.
	for i := range reflect.TypeFor[Config]().NumField() {
		c := a
		switch f := reflect.ValueOf(&c).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString("other")
		case reflect.Slice:
			f.Set(reflect.ValueOf([]string{"/other"}))
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		case reflect.Float64:
			f.SetFloat(f.Float() + 1)
		default:
			t.Errorf("field %d is of an unknown kind", i)
		}
		if got := Changes(a, c); len(got) != 1 {
			t.Errorf("a change of field %d is %q", i, got)
		}
	}
}

// FuzzLoadConfig gives any bytes to Load as a file. Whatever is taken can be written, and read
// back to the same.
func FuzzLoadConfig(f *testing.F) {
	var example bytes.Buffer
	c, _, err := parseConfig("c.yaml", nil, false, rootEnv())
	if err != nil {
		f.Fatal(err)
	}
	if err := writeExample(&example, c); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{
		example.String(), strings.ReplaceAll(example.String(), "\n#", "\n"), "watch: off\nallow: [/a, \"/b c\"]\n",
		"a: &a [*a]\n", "<<: *x\n", "---\n---\n", "scan_interval: 1d12h\noutbox_size: 64 MB\ncpu_budget: 0.5%\n",
		"network_probe: \"[::1]:443\"\n", "? {a: b}\n: c\n", "watch: 'x\n", "\xff\n", "state_dir: |\n  /a\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, from, err := parseConfig("c.yaml", src, true, rootEnv())
		if err != nil {
			for _, p := range err.(*ConfigError).Problems {
				if p.File != "c.yaml" || p.Line < 1 || p.Line > 1+bytes.Count(src, []byte("\n")) || p.Message == "" {
					t.Errorf("problem %+v", p)
				}
			}
			return
		}
		var again strings.Builder
		for _, s := range settings() {
			if _, set := from.Keys[s.key]; set {
				fmt.Fprintf(&again, "%s: %s\n", s.key, s.format(c))
			}
		}
		b, _, err := parseConfig("c.yaml", []byte(again.String()), true, rootEnv())
		if err != nil || len(Changes(c, b)) > 0 {
			t.Errorf("%q is written as %q: %v, %v", src, again.String(), err, Changes(c, b))
		}
	})
}
