package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServiceDefinitionsNameTheCommandsState: what a definition hands to the agent is where the commands look.
func TestServiceDefinitionsNameTheCommandsState(t *testing.T) {
	t.Parallel()
	usual := settingOf("state_dir").def
	for _, s := range initSystems() {
		text, err := s.definition(servicePlace{binary: usualBinary})
		if err != nil {
			t.Fatal(err)
		}
		agents := rootEnv()
		if state := definedState(text); state != "" {
			agents = rootEnv("STATE_DIRECTORY=" + state)
		} else if strings.Contains(text, "\nStateDirectory=") {
			if !strings.Contains(text, "\nStateDirectory=picket\n") {
				t.Errorf("%s: systemd hands over another folder than %s", s.name, usual)
			}
			agents = rootEnv("STATE_DIRECTORY=/var/lib/picket")
		}
		commands := rootEnv()
		commands.State = definedState(text)
		if a, b := agents.stateDir(), commands.stateDir(); a != b || a != s.state {
			t.Errorf("%s: the agent's state is in %s, the commands look in %s, and --purge in %s", s.name, a, b, s.state)
		}
	}
	// Android's start the agent as root with nothing in its environment: it and the commands have the same.
	for _, name := range []string{"android/module/service.sh", "android/picket.rc"} {
		b, err := os.ReadFile(filepath.Join("../packaging", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"STATE_DIRECTORY", "RUNTIME_DIRECTORY", "PICKET_CONFIG", "setenv"} {
			if strings.Contains(string(b), word) {
				t.Errorf("%s hands the agent a %s, of which the commands do not know", name, word)
			}
		}
	}
	if got := definedState("# STATE_DIRECTORY=/no\n\tenv STATE_DIRECTORY=/a/b X=1\n"); got != "/a/b" {
		t.Errorf("a folder of the state: %q", got)
	}
}

// policyStory publishes a policy and has the device accept it: `pack FILE`, `picket update`.
const policyStory = `
cd /root
picket publish keygen root.key >/dev/null
picket publish keygen online.key >/dev/null
picket publish root repo --root-key root.key.pub --threshold 1 --targets-key root.key.pub --online-key online.key.pub >/dev/null
picket publish sign repo/staged/root.json --key root.key >/dev/null
pack() {
	mkdir -p fleet && printf 'format: picket.policy/1\nuninstall: %s\n' "$1" >fleet/policy.yaml
	picket publish pack repo --from fleet --key root.key >/dev/null
	picket publish refresh repo --key online.key >/dev/null
}
`

// serviceCommandsKnowThePlace: the commands mean the agent that is the device's service, with its
// configuration and its state, before and after it is installed.
func serviceCommandsKnowThePlace(t *testing.T, built string) {
	for _, tt := range []struct{ init, config, state string }{
		{"procd", "", "/etc/picket/state"},
		{"systemd", "/etc/picket/kiosk.yaml", "/srv/kiosk/state"},
	} {
		t.Run(tt.init, func(t *testing.T) {
			t.Parallel()
			tools := fakeTools()
			delete(tools, "tools/update-rc.d")
			if tt.init == "procd" {
				tools["tools/procd"] = "#!/bin/sh\n"
			}
			r := newServiceRoot(t, built, tools)
			for _, dir := range []string{"etc/systemd/system", "etc/init.d", "etc/runlevels/default", "etc/rc.d", "etc/rc2.d"} {
				r.must(t, os.MkdirAll(filepath.Join(r.dir, dir), 0o755))
			}
			r.write(t, "etc/rc.common", fakeRCCommon)
			r.write(t, "etc/picket/kiosk.yaml", "state_dir: /srv/kiosk/state\nsocket: /run/kiosk/s\n")
			r.must(t, os.Chmod(filepath.Join(r.dir, "etc/picket/kiosk.yaml"), 0o600))
			flag := ""
			if tt.config != "" {
				flag = " --config " + tt.config
			}
			out := r.story(t, strings.NewReplacer("INIT", tt.init, "FLAG", flag, "STATE", tt.state).Replace(`PATH=/tools:/usr/bin:/bin
state() { picket config show | sed -n 's/^state_dir *\(\/[^ ]*\).*/\1/p'; }
echo == before; state
picket service install --init INITFLAG >/dev/null
mv /tools/procd /tools/procd.off 2>/dev/null
echo == after; state
echo == again; picket service install --init INIT; state
echo == named; PICKET_CONFIG=/etc/picket/none.yaml picket config show 2>&1 | grep -c none.yaml
`+policyStory+`
pack forbidden
mkdir -p -m 700 STATE && picket update --root repo/1.root.json --from repo >/dev/null
touch STATE/picket.db STATE/enrolment-00.key STATE/enrolment.lock
before=$(find STATE /etc/init.d /etc/systemd | sort)
echo == forbidden
picket uninstall --init INIT --yes
printf '' >/root/empty.yaml; chmod 600 /root/empty.yaml
picket uninstall --init INIT --yes --config /root/empty.yaml
picket service uninstall --init INIT
picket service uninstall --init INIT --purge --config /root/empty.yaml
[ "$before" = "$(find STATE /etc/init.d /etc/systemd | sort)" ] && echo nothing was touched indeed
pack allowed
picket update >/dev/null
echo == enrolled
echo broken >STATE/enrolment.json; chmod 600 STATE/enrolment.json
picket service uninstall --init INIT --purge
[ -e STATE/enrolment-00.key ] && picket service status --init INIT | grep -o '^picket is stopped'
picket unenrol --force >/dev/null
echo == plan
picket uninstall --init INIT --dry-run --json | grep '"path": "STATE'
echo == purge
picket service uninstall --init INIT --purge >/dev/null
ls -d STATE 2>&1; true
`))
			section := func(name string) string {
				_, rest, _ := strings.Cut(out, "== "+name+"\n")
				text, _, _ := strings.Cut(rest, "== ")
				return text
			}
			before := tt.state + "\n"
			if tt.config != "" {
				before = "/var/lib/picket\n"
			}
			if got := section("before"); got != before {
				t.Errorf("before it is installed: %q", got)
			}
			if got := section("after"); got != tt.state+"\n" {
				t.Errorf("once it is installed: %q", got)
			}
			if got := section("again"); !strings.Contains(got, "is up to date; ") || !strings.HasSuffix(got, "\n"+tt.state+"\n") || strings.Contains(got, "keeps") != (tt.config != "") {
				t.Errorf("installed again, with no configuration named: %q", got)
			}
			if got := section("named"); got != "1\n" {
				t.Errorf("another configuration that is named: %q", got)
			}
			no := "picket: error: the policy of your organisation forbids removing Picket; nothing was touched\n"
			if got := section("forbidden"); strings.Count(got, no) != 4 || strings.Count(got, "[4]\n") != 4 || !strings.HasSuffix(got, "nothing was touched indeed\n") {
				t.Errorf("where the policy forbids it: %s", got)
			}
			if got := section("enrolled"); !strings.Contains(got, "error: this device is enrolled: --purge would take its key away") || !strings.Contains(got, "[1]\npicket is stopped\n") {
				t.Errorf("where the device is enrolled: %s", got)
			}
			want := tt.state + `"` // the default folder goes whole
			if tt.config != "" {
				want = tt.state + `/picket.db"`
			}
			if got := section("plan"); !strings.Contains(got, want) {
				t.Errorf("the plan lacks %s: %s", want, got)
			}
			if got := section("purge"); !strings.Contains(got, "No such file") {
				t.Errorf("what --purge leaves: %s", got)
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}
