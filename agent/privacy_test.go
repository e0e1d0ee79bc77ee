package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"picket/scanner/facts"
	"picket/scanner/rules"
	"picket/store"
)

// TestStatementSaysWhatIsDeclared: every collector with every path, and modes that differ.
func TestStatementSaysWhatIsDeclared(t *testing.T) {
	t.Parallel()
	p := privacyNow(privacyInputs{mode: sendFull, config: Config{StateDir: "/s", SinkFile: "/s/events.ndjson", NetworkProbe: "upstream"}})
	var text bytes.Buffer
	if err := showPrivacy(&text, p, func(string) bool { return true }); err != nil {
		t.Fatal(err)
	}
	shown := strings.Join(strings.Fields(text.String()), " ")
	if len(p.Read) != len(facts.Collectors()) {
		t.Fatalf("%d tables of %d", len(p.Read), len(facts.Collectors()))
	}
	for i, c := range facts.Collectors() {
		r := p.Read[i]
		if r.Table != c.Table || !slices.Equal(r.Content, c.Reads.Globs) && len(r.Content) > 0 || !slices.Equal(r.Described, c.Reads.Meta) && len(r.Described) > 0 ||
			len(r.Probes) != len(c.Reads.Probes) || !reflect.DeepEqual(r.Columns, rules.Columns(c)) {
			t.Errorf("%s: %+v", c.Table, r)
		}
		for _, path := range slices.Concat(c.Reads.Globs, c.Reads.Meta) {
			if !strings.Contains(shown, path) {
				t.Errorf("%s: %s is not shown", c.Table, path)
			}
		}
	}
	if len(p.Goes) != 0 || !strings.Contains(shown, "goes to: nobody") {
		t.Errorf("a device without an organisation sends to %+v", p.Goes)
	}
	enrolled := privacyNow(privacyInputs{mode: sendLevelOnly, policy: "7", config: Config{NetworkProbe: "upstream"},
		enrolment: EnrolmentState{Enrolled: true, Organisation: "Example BV", Device: "d1", Account: "ann", OTLP: "https://otlp.example.org", CA: "https://ca.example.org", Updates: "https://u.example.org"}})
	if len(enrolled.Goes) != 4 || enrolled.Mode.By != "policy 7 of Example BV" || enrolled.Goes[0].Who != "Example BV" {
		t.Errorf("%+v %+v", enrolled.Mode, enrolled.Goes)
	}
	for _, c := range enrolled.Sent {
		if sent := c.Sent == "no"; sent != (c.Class == 2003 || c.Class == 2004 || c.Class == 5020 || c.Class == 5004) || sent != (len(c.Fields) == 0) {
			t.Errorf("level-only: %s: %s with %d fields", c.Name, c.Sent, len(c.Fields))
		}
		if slices.ContainsFunc(c.Fields, func(f string) bool { return strings.Contains(f, "package.") || strings.Contains(f, "set_by") }) {
			t.Errorf("level-only: %s has %q", c.Name, c.Fields)
		}
	}
}

// What is kept is said once, with one bound and one way to have it erased.
func TestWhatIsKeptIsSaidOnce(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range keptThings(Config{StateDir: "/s", SinkFile: "/s/e"}) {
		if seen[k.Name] {
			t.Errorf("%s is said twice", k.Name)
		}
		seen[k.Name] = true
	}
}

// TestAgentSaysAll looks at the sources for what the agent tells of itself.
func TestAgentSaysAll(t *testing.T) {
	t.Parallel()
	said, found := agentSays(), 0
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			kv, ok := n.(*ast.KeyValueExpr)
			if !ok || fmt.Sprint(kv.Key) != "Rest" {
				return true
			}
			lit, ok := kv.Value.(*ast.CompositeLit)
			if !ok {
				t.Errorf("%s: what is told is not written out: %v", name, kv.Value)
				return true
			}
			for _, e := range lit.Elts {
				key, err := strconv.Unquote(e.(*ast.KeyValueExpr).Key.(*ast.BasicLit).Value)
				if _, ok := said[key]; err != nil || !ok {
					t.Errorf("%s: unmapped.%s is told, and agentSays does not have it", name, key)
				}
				found++
			}
			return true
		})
	}
	if found < 6 {
		t.Errorf("%d keys were found", found)
	}
}

// keepingAll is a device that has some of everything that is kept.
func keepingAll(t *testing.T, policy string) (b *bench, d *daemon, stop func() error) {
	t.Helper()
	root := smallSystem(t, 2)
	replace(t, root, "/etc/shadow", noPassword)
	b = newBench(t, root)
	if policy != "" {
		f := newFleet(t)
		f.publish(nil, policy)
		f.trust(b.config)
		f.fetch(b.config)
	}
	b.upstream = func(Config) Sink { return keeping{errNoStore} }
	d, stop = b.start(t)
	time.Sleep(time.Hour)
	synctest.Wait()
	err := d.change(func(st *store.Store, encode store.Encode) error {
		open, err := st.Findings()
		if err != nil || len(open) == 0 {
			t.Fatal("nothing was found", err)
		}
		if err := st.SetIgnore(store.Ignore{Key: open[0].Key, Why: "canary-why", By: "ann", Until: time.Now().Add(day)}, encode); err != nil {
			return err
		}
		if err := st.Remember(probeTable, "canary-host", []byte(`{"best":"1.3"}`), keepHosts); err != nil {
			return err
		}
		return st.Remember(networksTable, "canary-net", []byte(`{"id":"canary-net","first":"2000-01-01T00:00:00Z","last":"2000-01-01T01:00:00Z"}`), facts.MaxNetworks)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := networkKeyOf(d); err != nil {
		t.Fatal(err)
	}
	return b, d, stop
}

func networkKeyOf(d *daemon) (string, error) {
	h, err := d.networkHistory()
	return h.Key, err
}

// exportedBy collects an export by section.
func exportedBy(t *testing.T, d *daemon) (sections map[string][]json.RawMessage, text string) {
	t.Helper()
	sections = map[string][]json.RawMessage{}
	last := ""
	var b strings.Builder
	err := d.export(func(x exported) error {
		if x.Section != last && sections[x.Section] != nil {
			t.Errorf("section %s comes in pieces", x.Section)
		}
		last = x.Section
		v, err := encodeJSON(x.Value)
		if err != nil {
			return err
		}
		sections[x.Section] = append(sections[x.Section], v)
		b.Write(v)
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sections, b.String()
}

func TestExportHasAllAndEraseTakesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, d, stop := keepingAll(t, "")
		sections, text := exportedBy(t, d)
		for _, s := range []string{"about", "findings", "packages", "waiting", "history", "ignores", "notes agent", "notes networks", "notes network-probe", "delivered"} {
			if len(sections[s]) == 0 {
				t.Errorf("nothing of %s", s)
			}
		}
		// Every byte that waits is in it as it would be sent.
		pending, err := fromStore(d.vault, func(st *store.Store) ([]store.Event, error) { return st.Pending(0, 1000) })
		if err != nil || len(pending) != len(sections["waiting"]) {
			t.Errorf("%d wait, %d are exported, %v", len(pending), len(sections["waiting"]), err)
		}
		for _, e := range pending {
			for _, line := range strings.Split(string(e.Body), "\n") {
				if !strings.Contains(text, line) {
					t.Errorf("not as it would be sent: %s", line)
				}
			}
		}
		key, err := networkKeyOf(d)
		if err != nil || key == "" || strings.Contains(text, key) {
			t.Errorf("the key of the networks is told, %v", err)
		}
		for _, note := range noteNames(t, d) {
			if !slices.Contains(knownNotes, note) {
				t.Errorf("note %s is not known to this test: does the statement tell of it?", note)
			}
		}
		done, err := d.erase(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range done {
			if e.Failed != "" || e.Held != "" || e.Gone == 0 && e.Name != "refused" && e.Name != "damaged" {
				t.Errorf("%+v", e)
			}
		}
		if again, err := networkKeyOf(d); err != nil || again == key {
			t.Errorf("the networks have the same key, %v", err)
		}
		raw, err := os.ReadFile(filepath.Join(b.config.StateDir, storeName))
		if err != nil || bytes.Contains(raw, []byte("canary")) {
			t.Errorf("the store's file still has it, %v", err)
		}
		// That the ignore ended may be told by now, and nothing else.
		after, text := exportedBy(t, d)
		if len(after["delivered"])+len(after["waiting"]) > 1 || strings.Contains(text, "canary") {
			t.Errorf("events are still there: %s %s", after["delivered"], after["waiting"])
		}
		for _, s := range []string{"history", "ignores", "notes networks", "notes network-probe"} {
			if len(after[s]) > 0 {
				t.Errorf("%s is still there: %s", s, after[s])
			}
		}
		if len(after["findings"]) != len(sections["findings"]) || len(after["packages"]) != len(sections["packages"]) {
			t.Error("what is open or installed was erased")
		}
		// It goes on, and tells whole what is so.
		time.Sleep(7 * time.Hour)
		synctest.Wait()
		if len(b.delivered(t)) == 0 {
			t.Errorf("nothing is told after it\n%s", b.log)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// slowFile is a file on a disk that takes its time.
type slowFile struct{ Sink }

func (s slowFile) Send(ctx context.Context, events []store.Event) Receipt {
	time.Sleep(time.Second)
	return s.Sink.Send(ctx, events)
}

// TestErasedIsNotWrittenAgain erases what is on its way to the file, with an upstream and without one.
func TestErasedIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, up := range []Sink{nil, keeping{errNoStore}} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, smallSystem(t, 1))
			b.upstream = func(Config) Sink { return up }
			b.sink = func(c Config) Sink { return slowFile{newFileSink(c.SinkFile, c.SinkSize)} }
			d, stop := b.start(t)
			time.Sleep(time.Hour)
			queue(t, d.vault, "canary")
			d.ship.more()
			synctest.Wait() // it is being written
			if _, err := d.erase(nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if text, err := os.ReadFile(b.config.SinkFile); bytes.Contains(text, []byte("canary")) || err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("upstream %v: it is in the file: %s, %v", up, text, err)
			}
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// knownNotes are the notes that the statement's "notes", "networks" and "network-probe" stand for.
var knownNotes = []string{"agent access", "agent responses", "agent device", "agent device_uid", "agent filed", "agent member", "agent network_key", "agent patch", "agent posture", "agent privacy_salt", "agent run", "agent snapshot",
	"networks canary-net", "network-probe canary-host"}

func noteNames(t *testing.T, d *daemon) (out []string) {
	t.Helper()
	tables, err := fromStore(d.vault, (*store.Store).NoteTables)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		notes, err := fromStore(d.vault, func(st *store.Store) ([]store.Note, error) { return st.Notes(table) })
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range notes {
			out = append(out, table+" "+n.Name)
		}
	}
	return out
}

func TestEraseLeavesWhatPolicyHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, d, stop := keepingAll(t, "format: picket.policy/1\nuninstall: forbidden\n")
		done, err := d.erase([]string{"waiting", "history"})
		if err != nil || len(done) != 2 {
			t.Fatal(done, err)
		}
		for _, e := range done {
			if held := e.Name == "waiting"; held != strings.Contains(e.Held, "the policy forbids it") || held != (e.Gone == 0) {
				t.Errorf("%+v", e)
			}
		}
		if err := notErased(done, true); err == nil || err.Error() != "not erased: waiting" {
			t.Error(err)
		}
		sections, _ := exportedBy(t, d)
		if len(sections["waiting"]) == 0 || len(sections["history"]) != 0 {
			t.Errorf("%d wait, history %s", len(sections["waiting"]), sections["history"])
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, d, stop := keepingAll(t, "format: picket.policy/1\nretention: 2d\n")
		began, all := time.Now(), 0
		for range 4 {
			time.Sleep(day)
			synctest.Wait()
			all += len(b.delivered(t))
			for _, e := range b.delivered(t) {
				if age := time.Since(time.UnixMilli(e.Time)); age > 2*day {
					t.Fatalf("an event of %v ago is still there", age)
				}
			}
		}
		sections, _ := exportedBy(t, d)
		if len(sections["history"]) != 0 || len(sections["notes networks"]) != 0 {
			t.Errorf("after %v: %s %s", time.Since(began), sections["history"], sections["notes networks"])
		}
		if all == 0 {
			t.Error("there never was an event")
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
