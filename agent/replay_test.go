package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// played is what a replay gave.
type played struct {
	story, events string
}

func play(t testing.TB, file string) played {
	t.Helper()
	s, err := loadScenario(file)
	if err != nil {
		t.Fatal(err)
	}
	var story, events bytes.Buffer
	show := &bothShown{storyLines{w: bufio.NewWriter(&story)}, eventLines{bufio.NewWriter(&events)}}
	err = errors.Join(playScenario(t.Context(), s, show), show.w.Flush(), show.events.w.Flush())
	if err != nil {
		t.Fatalf("%v\n%s", err, story.String())
	}
	return played{story.String(), events.String()}
}

// bothShown writes what happens for people, and the events as they are.
type bothShown struct {
	storyLines
	events eventLines
}

func (b *bothShown) event(at moment, body []byte) {
	b.storyLines.event(at, body)
	b.events.event(at, body)
}

func replayFixtures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/replay/*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	return files
}

// TestReplayScenarios compares what happens in each scenario with what is written beside it.
func TestReplayScenarios(t *testing.T) {
	t.Parallel()
	for _, file := range replayFixtures(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			got := play(t, file)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got.story), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if line, was, is := firstUnlike(read(t, golden), got.story); line > 0 {
				t.Errorf("%s:%d\n- %s\n+ %s", golden, line, was, is)
			}
			ids := map[string]string{}
			for _, e := range eventsIn(t, got.events) {
				if old, ok := ids[e.Metadata.UID]; ok && old != e.Message && filepath.Base(file) != "upstream.yaml" {
					t.Errorf("two events have the id %s", e.Metadata.UID)
				}
				ids[e.Metadata.UID] = e.Message
			}
		})
	}
}

func eventsIn(t testing.TB, text string) (out []event) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		out = append(out, e)
	}
	return out
}

// TestReplayGivesTheSameBytes plays scenarios again, with one and with more processors.
func TestReplayGivesTheSameBytes(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, name := range []string{"killed", "upstream"} {
		file := "testdata/replay/" + name + ".yaml"
		var first played
		for i, procs := range []int{1, 2} {
			runtime.GOMAXPROCS(procs)
			got := play(t, file)
			if i == 0 {
				first = got
			}
			if line, was, is := firstUnlike(first.events, got.events); line > 0 {
				t.Errorf("%s: with %d processors event %d is another\n- %s\n+ %s", file, procs, line, was, is)
			}
			if line, was, is := firstUnlike(first.story, got.story); line > 0 {
				t.Errorf("%s: with %d processors line %d is another\n- %s\n+ %s", file, procs, line, was, is)
			}
		}
	}
}

// TestReplaySeeds shows that another seed gives other ids and other times, and that nothing else
// hangs on it.
func TestReplaySeeds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := read(t, "testdata/replay/week.yaml")
	write(t, filepath.Join(dir, "server.txtar"), read(t, "testdata/replay/server.txtar"))
	messages := func(seed string) (ids []string, messages map[string]bool) {
		write(t, filepath.Join(dir, "week.yaml"), "seed: "+seed+"\n"+text)
		messages = map[string]bool{}
		for _, e := range eventsIn(t, play(t, filepath.Join(dir, "week.yaml")).events) {
			ids = append(ids, e.Metadata.UID)
			messages[e.Class+e.Activity+e.Message] = true
		}
		return ids, messages
	}
	idsA, a := messages("a")
	idsB, b := messages("b")
	for _, id := range idsA {
		if slices.Contains(idsB, id) {
			t.Errorf("both have the id %s", id)
		}
	}
	for m := range a {
		if !b[m] {
			t.Errorf("only one says %s", m)
		}
	}
}

func write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// offline writes a scenario of a device that is without a network for thirty days. On the first
// the root account loses its password; every day all of its packages are upgraded.
func offline(t testing.TB, packages int, outbox, end string) string {
	t.Helper()
	dir := t.TempDir()
	status := func(version int) string {
		var b strings.Builder
		for i := range packages {
			b.WriteString(stanza(fmt.Sprintf("pkg%03d", i), fmt.Sprintf("%d.0-1", version)))
		}
		return b.String()
	}
	base, _, _ := strings.Cut(read(t, "testdata/replay/server.txtar"), "-- var/lib/dpkg/status --")
	write(t, filepath.Join(dir, "device.txtar"), base+"-- var/lib/dpkg/status --\n"+status(0)+"-- var/lib/dpkg/info/ --\n")
	var steps strings.Builder
	for day := 1; day <= 30; day++ {
		name := fmt.Sprintf("day%d.txtar", day)
		write(t, filepath.Join(dir, name), "-- var/lib/dpkg/status --\n"+status(day))
		fmt.Fprintf(&steps, "  - at: %dd3h\n    change: %s\n", day, name)
	}
	write(t, filepath.Join(dir, "offline.yaml"), `start: 2026-03-02T06:00:00Z
device: device.txtar
end: `+end+`
config: {outbox_size: `+outbox+`, log_level: info, scan_interval: 1d, sample_interval: 1h}
steps:
  - {at: 1d, upstream: down}
  - at: 1d1h
    change: |
      -- etc/shadow mode=0640 gid=42 --
      root::19000:0:99999:7:::
      ann:*:19000:0:99999:7:::
`+steps.String()+"  - {at: 31d, upstream: up}\n")
	return filepath.Join(dir, "offline.yaml")
}

// allShown keeps what a replay shows.
type allShown struct {
	events []struct {
		event
		at moment
	}
	steps map[string]time.Duration // since boot, by what they do
	last  *Status
	logs  []string
}

func (a *allShown) step(at moment, what string) { a.steps[what] = at.boot }
func (a *allShown) log(_ moment, text string)   { a.logs = append(a.logs, text) }
func (a *allShown) end(_ moment, s *Status)     { a.last = s }
func (a *allShown) event(at moment, body []byte) {
	var e event
	if err := json.Unmarshal(body, &e); err != nil {
		a.logs = append(a.logs, err.Error())
	}
	a.events = append(a.events, struct {
		event
		at moment
	}{e, at})
}

func playAll(t testing.TB, file string) *allShown {
	t.Helper()
	s, err := loadScenario(file)
	if err != nil {
		t.Fatal(err)
	}
	a := &allShown{steps: map[string]time.Duration{}}
	if err := playScenario(t.Context(), s, a); err != nil {
		t.Fatal(err)
	}
	return a
}

// afterwards gives what is delivered after a step.
func (a *allShown) afterwards(step string) (out []event) {
	for _, e := range a.events {
		if e.at.boot > a.steps[step] {
			out = append(out, e.event)
		}
	}
	return out
}

func count(list []event, part string) (n int) {
	for _, e := range list {
		if strings.Contains(e.Class+" "+e.Activity+": "+e.Message, part) {
			n++
		}
	}
	return n
}

// TestReplayThirtyDaysOffline shows that with room nothing is lost in thirty days.
func TestReplayThirtyDaysOffline(t *testing.T) {
	t.Parallel()
	const packages = 30
	a := playAll(t, offline(t, packages, "64MiB", "32d"))
	for _, e := range a.events {
		if e.at.boot > a.steps["upstream down"] && e.at.boot < a.steps["upstream up"] {
			t.Fatalf("%s came through while there was no network", e.Message)
		}
	}
	late := a.afterwards("upstream up")
	if n := count(late, "Application Lifecycle Update: "); n != 30*packages {
		t.Errorf("%d upgrades were told, of %d", n, 30*packages)
	}
	if n := count(late, "Compliance Finding Create"); n != 1 {
		t.Errorf("the password was told %d times", n)
	}
	if n := count(a.afterwards(""), "were dropped"); n != 0 {
		t.Error("something was dropped")
	}
	if o := a.last.Outbox; o.Events != 0 || o.Dropped != 0 {
		t.Errorf("the outbox is %+v", o)
	}
}

// TestReplayThirtyDaysOfflineWithLittleRoom shows that the outbox keeps its bound, that what is grave
// and was found first is delivered, that what was dropped is counted to the last event, and
// that a snapshot makes up for it.
func TestReplayThirtyDaysOfflineWithLittleRoom(t *testing.T) {
	t.Parallel()
	const packages = 40
	before := playAll(t, offline(t, packages, "1MiB", "31d"))
	if o := before.last.Outbox; o.Bytes > 1<<20 || o.Bytes < 1<<19 || o.Dropped == 0 {
		t.Errorf("after thirty days the outbox is %+v", o)
	}
	if !slices.ContainsFunc(before.last.Warnings, func(w Warning) bool { return w.Code == warnOutboxDropping }) {
		t.Errorf("warnings %+v", before.last.Warnings)
	}
	a := playAll(t, offline(t, packages, "1MiB", "33d"))
	late := a.afterwards("upstream up")
	if n := count(late, "Compliance Finding Create"); n != 1 {
		t.Errorf("the password was told %d times", n)
	}
	told, dropped, snapshots := count(late, "Application Lifecycle Update: "), 0, 0
	for _, e := range late {
		var l struct {
			Dropped map[string]int `json:"dropped"`
		}
		if e.Unmapped.Losses != nil {
			if err := json.Unmarshal(e.Unmapped.Losses, &l); err != nil {
				t.Fatal(err)
			}
			dropped += l.Dropped["package_updated"]
		}
		var s struct{ Why string }
		if e.Unmapped.Snapshot != nil && json.Unmarshal(e.Unmapped.Snapshot, &s) == nil && s.Why == "dropped" {
			snapshots++
		}
	}
	if told+dropped != 30*packages || dropped == 0 || told == 0 {
		t.Errorf("%d upgrades were told and %d dropped, of %d", told, dropped, 30*packages)
	}
	if snapshots == 0 {
		t.Error("no snapshot makes up for what was dropped")
	}
	if o := a.last.Outbox; o.Events != 0 || o.Dropped != 0 {
		t.Errorf("in the end the outbox is %+v", o)
	}
}

func TestScenarioProblems(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink("/etc", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	const good = "device: \"-- etc/os-release --\"\nend: 1d\n"
	for text, want := range map[string]string{
		"":                           "s.yaml:1: there is nothing in this scenario",
		"end: 1d\n":                  "s.yaml:1: device is missing",
		good + "stepps: []\n":        "s.yaml:3: unknown key \"stepps\" (did you mean \"steps\"?)",
		good + "steps: {}\n":         "s.yaml:3: steps needs a list",
		good + "steps: [{at: 1h}]\n": "s.yaml:3: nothing happens in this step",
		good + "steps:\n- {at: 1h, sleep: 1h, rescan: yes}\n":                         "s.yaml:4: one step does one thing: this one has sleep already",
		good + "steps:\n- {at: 2h, rescan: yes}\n- {at: 1h, rescan: yes}\n":           "s.yaml:5: the step before ends at 2h",
		good + "steps:\n- {at: 2h, sleep: 1h}\n- {at: 2h, rescan: yes}\n":             "s.yaml:5: the step before ends at 3h",
		good + "steps:\n- {at: 2d, rescan: yes}\n":                                    "s.yaml:2: the end comes before the last step",
		good + "steps:\n- {at: 1h, after: 1h, rescan: yes}\n":                         "s.yaml:4: a step has at or after, not both",
		good + "steps:\n- {at: 1h, upstream: maybe}\n":                                "s.yaml:4: upstream: \"maybe\" is none of up, down, refuse, mute",
		good + "steps:\n- {at: 1h, clock: soon}\n":                                    "s.yaml:4: clock: \"soon\" is neither a time",
		good + "steps:\n- {at: 1h, change: ../x.txtar}\n":                             "s.yaml:4: change: \"../x.txtar\" is no path below the scenario's folder",
		good + "steps:\n- {at: 1h, change: out/passwd}\n":                             "leads out of the scenario's folder",
		good + "steps:\n- {at: 1h, change: none.txtar}\n":                             "s.yaml:4: change: \"none.txtar\" cannot be read: no such file or directory",
		good + "steps:\n- {at: 1h, rescan: yes, unnoticed: yes}\n":                    "s.yaml:4: unnoticed goes with change",
		good + "steps:\n- {at: 1h, ignore: {finding: X, for: 1d}}\n":                  "s.yaml:4: ignore needs why",
		good + "config: {state_dir: /tmp}\n":                                          "s.yaml:3: unknown key \"state_dir\"",
		good + "config:\n  scan_interval: 1s\n":                                       "s.yaml:4: scan_interval: ",
		good + "config: {allow: [../a.yaml]}\n":                                       "s.yaml:3: allow: \"../a.yaml\" is no path below",
		"device: adb:phone\nend: 1d\n":                                                "s.yaml:1: device: \"adb:phone\" cannot be read",
		"device: x\nend: 9999d\n":                                                     "s.yaml:2: end: \"9999d\" is no duration",
		"device: &a x\nend: 1d\n":                                                     "s.yaml:1: anchors (&a) are not taken here",
		"start: yesterday\ndevice: \"-- etc/os-release --\"\nend: 1d\n":               "s.yaml:1: start: \"yesterday\" is no time",
		good + "steps:\n" + strings.Repeat("- {rescan: yes}\n", maxSteps+1):           "there are more than 10000 steps",
		good + "steps:\n" + strings.Repeat("- {change: \"-- x --\"}\n", maxChanges+1): "one device may be changed 256 times",
		"device: \"-- etc/os-release --\"\nend: 1d\nend: 2d\n":                        "s.yaml:3: end is there already",
	} {
		file := filepath.Join(dir, "s.yaml")
		_, err := parseScenario(file, []byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.200q: %v, want %q", text, err, want)
		}
		if err != nil && !errors.As(err, new(*ConfigError)) {
			t.Errorf("%q: %T", text, err)
		}
	}
}

// TestReplayTellsWhereItFails shows the errors of scenarios that are right and cannot be played.
func TestReplayTellsWhereItFails(t *testing.T) {
	t.Parallel()
	const good = "device: |\n  -- etc/os-release --\n  ID=debian\nend: 1d\nsteps:\n"
	for text, want := range map[string]string{
		"device: \"-- probe/none --\"\nend: 1h\n":                          ":1: device: txtar: line 1: probe/none: unknown source",
		good + "- {at: 1h, change: \"-- etc/none gone --\"}\n":             ":6: change: txtar: line 1: /etc/none: gone",
		good + "- {at: 1h, agent: start}\n":                                ":6: agent: start: it is that already",
		good + "- {at: 1h, agent: stop}\n- {at: 2h, rescan: yes}\n":        ":7: rescan: the agent does not run",
		good + "- {at: 1h, unignore: CFG-999}\n":                           ":6: unignore: no open finding is called \"CFG-999\"",
		good + "- {at: 1h, ignore: {finding: x, for: 1d, why: because}}\n": ":6: ignore: no open finding is called",
	} {
		file := filepath.Join(t.TempDir(), "s.yaml")
		s, err := parseScenario(file, []byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if err := playTo(t.Context(), s, &bytes.Buffer{}, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzScenario(f *testing.F) {
	for _, file := range replayFixtures(f) {
		f.Add(read(f, file))
	}
	f.Add("device: \"-- a --\"\nend: 1d\nsteps:\n- {at: 1h, clock: +10m}\n- {after: 1s, sleep: 1h}\n- {ignore: {finding: x, for: 1d, why: y}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseScenario("testdata/replay/fuzz.yaml", []byte(text))
		if err != nil {
			return
		}
		last := time.Duration(0)
		for _, step := range s.steps {
			if step.at < last || step.at > s.end || step.do == "" || step.String() == "" {
				t.Errorf("step %+v of %v", step, s.end)
			}
			last = step.at
		}
		if s.end > maxSpan {
			t.Errorf("it goes on for %v", s.end)
		}
	})
}
