package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"picket/agent/respond"
	"picket/scanner/report"
	"picket/transport/tuf"
)

const respondingPolicy = "format: picket.policy/1\nversion: %q\nposture: {max_level: low, block_after: 2h, wipe_after: 3h}\nresponses: {block: true, wipe: true%s}\n"

// declareResponses puts a declaration beside the bench's configuration, with work data and a hook that
// writes down what it is told.
func (b *bench) declareResponses(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name, text string) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o755), os.WriteFile(p, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("work/a", "a")
	write("work/sub/b", "b")
	write("other/c", "c")
	writeProgram(t, filepath.Join(dir, "hook"), []byte("#!/bin/sh\necho $PICKET_ACCESS $(head -c 20) >>"+dir+"/hooked\n"))
	write(declarationName, fmt.Sprintf("format: picket.responses/1\nblock: {hook: [%[1]s/hook], repeat: 24h}\nwipe: {delay: 4h, folders: [%[1]s/work]}\n", dir))
	b.load = func() (Config, Origins, error) {
		return b.config, Origins{File: filepath.Join(dir, "config.yaml")}, nil
	}
	return dir
}

func (b *bench) startResponding(t testing.TB) (d *daemon, stop func() error) {
	t.Helper()
	d, err := newDaemon(b.machine)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- d.run(ctx, actor{"updates", d.runUpdates}, actor{"posture", d.runPosture}, actor{"responses", d.runResponses})
	}()
	return d, func() error { cancel(); return <-done }
}

// TestResponsesOfADaemon takes a device from warned to wiped: what the hook is told, what health says,
// who confirms, what goes upstream, and what is gone.
func TestResponsesOfADaemon(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n") // no password
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		dir := b.declareResponses(t)
		f := newFleet(t)
		f.publish(nil, fmt.Sprintf(respondingPolicy, "1", ""))
		f.trust(b.config)
		d, stop := b.startResponding(t)
		hooked := func() string {
			b, _ := os.ReadFile(filepath.Join(dir, "hooked"))
			return strings.Join(strings.Fields(string(b)), " ")
		}
		work := func() bool {
			_, err := os.Stat(filepath.Join(dir, "work/sub/b"))
			return err == nil
		}
		until := func(at time.Duration) {
			time.Sleep(at)
			synctest.Wait()
		}
		until(3 * time.Hour)
		if got := hooked(); !strings.HasSuffix(got, `warned {"state":"warned","l blocked {"state":"blocked","`) {
			t.Fatalf("the hook was told %q\n%s", got, b.log)
		}
		if s := d.responseState(); s.Wipe != nil || s.Hook.Applied != respond.Blocked {
			t.Errorf("%+v", s)
		}
		until(3 * time.Hour) // five hours after it began
		s := d.responseState()
		if s.Wipe == nil || s.Earliest == nil || !d.warn.stands(warnWipe) || !work() {
			t.Fatalf("no wipe is announced: %+v\n%s", s, b.log)
		}
		if p := d.postureNow(); p.Next != accessWiped || !p.At.Equal(*s.Earliest) {
			t.Errorf("the posture says %+v", p)
		}
		if v, err := d.pageView(t.Context()); err != nil || v.Access.Next != accessWiped || !v.Access.At.Equal(*s.Earliest) {
			t.Errorf("the page says %+v, %v", v.Access, err)
		}
		var status bytes.Buffer
		if err := showStatus(&status, d.status(), time.Now()); err != nil || !strings.Contains(status.String(), "to be removed, not before "+timeText(*s.Earliest)) {
			t.Errorf("the status says %s, %v", status.String(), err)
		}
		if err := d.decideWipe(true, s.Wipe.ID, "anna", "found it"); err != nil {
			t.Error(err)
		}
		until(time.Minute)
		first := s.Wipe.ID
		if s = d.responseState(); s.Wipe == nil || s.Wipe.ID == first {
			t.Fatalf("after it was cancelled: %+v", s)
		}
		if err := stop(); err != nil { // it survives a restart
			t.Fatal(err)
		}
		d, stop = b.startResponding(t)
		until(5 * time.Hour)
		if got := d.responseState(); got.Wipe == nil || got.Wipe.ID != s.Wipe.ID || !work() {
			t.Fatalf("after its delay, without confirmation: %+v", got)
		}
		f.publish(nil, fmt.Sprintf(respondingPolicy, "2", ", confirmed: [{wipe: "+s.Wipe.ID+", why: lost}]"))
		until(7 * time.Hour)
		if got := d.responseState(); work() || got.Wipe == nil || got.Wipe.Ended.IsZero() || d.warn.stands(warnWipe) {
			t.Errorf("after it was confirmed: %+v\n%s", got, b.log)
		}
		if _, err := os.Stat(filepath.Join(dir, "other/c")); err != nil {
			t.Error(err)
		}
		if v, err := d.pageView(t.Context()); err != nil || v.Access.State != accessWiped {
			t.Errorf("the page says %+v, %v", v.Access, err)
		}
		_, exported := exportedBy(t, d)
		if !strings.Contains(exported, respond.WipeDone) || !strings.Contains(exported, "found it") {
			t.Errorf("what is kept says nothing of it: %s", exported)
		}
		replace(t, root, "/etc/shadow", "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n")
		if _, err := d.rescan(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		until(time.Minute)
		if got := d.responseState(); got.Wipe != nil || got.Hook.Applied != respond.Open || !strings.HasSuffix(hooked(), `open {"state":"open","lev`) {
			t.Errorf("put right: %+v, %q", got, hooked())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		var told []string
		for _, e := range b.news(t) {
			for _, want := range []string{"is to be removed after", "no work data is removed: found it", "confirmed by the organisation", "is being removed", "is gone", "ran for access"} {
				if strings.Contains(e, want) {
					told = append(told, want)
				}
			}
		}
		told = slices.DeleteFunc(told, func(s string) bool { return s == "ran for access" })
		if want := []string{"is to be removed after", "no work data is removed: found it", "is to be removed after", "confirmed by the organisation", "is being removed", "is gone"}; !slices.Equal(told, want) {
			t.Errorf("told: %q\n%q", told, b.news(t))
		}
		entries, err := os.ReadFile(filepath.Join(b.config.StateDir, "responses", "record.ndjson"))
		if err != nil || bytes.Count(entries, []byte("\n")) < 9 {
			t.Errorf("the record: %s, %v", entries, err)
		}
	})
}

// TestASecondScanBeganLaterAndFoundTheSame has a wipe that the device itself confirms: not by the scan that called for it,
// though its clock was ahead of that of the announcement, nor by one that could not look, before a restart or after.
func TestASecondScanBeganLaterAndFoundTheSame(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	const shadow = "root::19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n" // no password
	replace(t, root, "/etc/shadow", shadow)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.ScanInterval = 7 * day
		dir := b.declareResponses(t)
		if err := os.WriteFile(filepath.Join(dir, declarationName), fmt.Appendf(nil, "format: picket.responses/1\nwipe: {delay: 4h, confirm: device, folders: [%s/work]}\n", dir), 0o644); err != nil {
			t.Fatal(err)
		}
		set := b.setsClock()
		set(day)
		f := newFleet(t)
		f.publish(nil, fmt.Sprintf(respondingPolicy, "1", ""))
		f.trust(b.config)
		d, stop := b.startResponding(t)
		until := func(at time.Duration) {
			time.Sleep(at)
			synctest.Wait()
		}
		scan := func() {
			t.Helper()
			if _, err := d.rescan(t.Context(), true); err != nil {
				t.Fatal(err)
			}
			until(time.Minute)
		}
		waits := func(when string) {
			t.Helper()
			if p := d.responseState().Wipe; p == nil || p.Confirmed != "" || !p.Begun.IsZero() {
				t.Fatalf("%s: %+v\n%s", when, p, b.log)
			}
			if _, err := os.Stat(filepath.Join(dir, "work/sub/b")); err != nil {
				t.Fatal(err)
			}
		}
		until(3 * time.Hour)
		set(0)
		until(3 * time.Hour)
		waits("announced")
		until(5 * time.Hour)
		waits("after its delay")
		if err := errors.Join(os.Remove(root+"/etc/shadow"), os.Mkdir(root+"/etc/shadow", 0o755)); err != nil {
			t.Fatal(err)
		}
		scan()
		waits("after a scan that could not look")
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		d, stop = b.startResponding(t)
		until(time.Hour)
		waits("after a restart")
		if err := os.Remove(root + "/etc/shadow"); err != nil {
			t.Fatal(err)
		}
		replace(t, root, "/etc/shadow", shadow)
		scan()
		if p := d.responseState().Wipe; p == nil || p.Confirmed != "a second scan" || p.Ended.IsZero() {
			t.Errorf("after a second scan: %+v\n%s", p, b.log)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestWithoutAPolicyNothingIsDone has the declaration alone.
func TestWithoutAPolicyNothingIsDone(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 1)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\n")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		b.config.ScanInterval = day
		dir := b.declareResponses(t)
		d, stop := b.startResponding(t)
		time.Sleep(30 * day)
		synctest.Wait()
		if s := d.responseState(); s.Wipe != nil || s.Hook != (respond.Hook{}) {
			t.Errorf("%+v", s)
		}
		if _, err := os.Stat(filepath.Join(dir, "hooked")); err == nil {
			t.Error("the hook ran")
		}
		if _, err := os.Stat(filepath.Join(dir, "work/a")); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestEventsOfResponsesNameNoWorkFiles(t *testing.T) {
	t.Parallel()
	e := respond.Entry{Seq: 1, What: respond.WipeIncomplete, Text: "x", Wipe: "3f9a0c51d2e47b86", Steps: []respond.Step{{Kind: "folder", Name: "/srv/work", Removal: &respond.Removal{Files: 3, Left: 1, Why: map[string]string{"secret-plan.odt": "not permitted"}}}}}
	got, err := responseEvent(report.EventMeta{UID: "1", Time: time.Unix(1, 0), Version: "1", Device: report.DeviceRef{UID: "d"}}, e)
	if err != nil || bytes.Contains(got.Body, []byte("secret-plan")) || !bytes.Contains(got.Body, []byte("/srv/work")) || !bytes.Contains(got.Body, []byte("3f9a0c51d2e47b86")) {
		t.Errorf("%s, %v", got.Body, err)
	}
	if e.Steps[0].Removal.Why == nil {
		t.Error("the record has lost it")
	}
}

func TestKeptPlaces(t *testing.T) {
	t.Parallel()
	u := &upstream{CA: caPlace{URL: "https://ca.example.org:9000"}, OTLP: &otlpPlace{URL: "https://up.example.org/otlp"}, Updates: &updates{URL: "https://[fd00::1]/updates"}, Resolvers: []string{"192.0.2.53", "192.0.2.54:5353"}}
	if got, want := u.places(), []string{"192.0.2.53:53", "192.0.2.54:5353", "ca.example.org:9000", "up.example.org:443", "[fd00::1]:443"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	up := true
	lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
		if a, err := netip.ParseAddr(host); err == nil {
			return []netip.Addr{a}, nil
		}
		if !up {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, nil
	}
	var k keptPlaces
	want := []string{"192.0.2.53:53", "192.0.2.54:5353", "192.0.2.1:9000", "[2001:db8::1]:9000", "192.0.2.1:443", "[2001:db8::1]:443", "[fd00::1]:443"}
	for _, up = range []bool{true, false} { // what was found once is still known
		if got, err := k.find(t.Context(), u.places(), lookup); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q, %v", got, err)
		}
	}
	if got, err := new(keptPlaces).find(t.Context(), u.places(), lookup); err == nil {
		t.Errorf("%q of names that are not found", got)
	}
	u.Proxy = "http://proxy.example.org:3128"
	if got := u.places(); got[len(got)-1] != "proxy.example.org:3128" || len(got) != 3 {
		t.Errorf("behind a proxy: %q", got)
	}
}

// TestUpdatesOfAPinnedRootAreKept has updates come from where no enrolment names.
func TestUpdatesOfAPinnedRootAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1))
	f := newFleet(t)
	f.publish(nil, fmt.Sprintf(respondingPolicy, "1", ""))
	root, err := os.ReadFile(filepath.Join(f.Dir, "1.root.json"))
	f.must(err)
	d, err := newDaemon(b.machine)
	f.must(err)
	wants := func(when string, want ...string) {
		t.Helper()
		if got, err := d.keepWay(t.Context()); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", when, got, err)
		}
	}
	wants("nobody's updates")
	pin := func(from string, enrolled bool) {
		t.Helper()
		f.must(errors.Join(os.MkdirAll(b.config.StateDir, 0o700), tuf.Pin(updatesDir(b.config), root, from, enrolled, time.Now())))
	}
	pin(f.Dir, false)
	wants("from a folder")
	pin("file://"+f.Dir, false)
	wants("from a file address")
	pin("https://192.0.2.7:8443/updates", false)
	wants("not enrolled", "192.0.2.7:8443")
	up := upstream{CA: caPlace{URL: "https://192.0.2.1:9000"}, Resolvers: []string{"192.0.2.53"}, Proxy: "http://192.0.2.3:3128"}
	d.member.current.Store(&identity{enrolment: enrolment{Upstream: up}})
	wants("beside an enrolment, and not through its proxy", "192.0.2.53:53", "192.0.2.3:3128", "192.0.2.7:8443")
	up.Updates = &updates{URL: "https://192.0.2.8/updates"}
	d.member.current.Store(&identity{enrolment: enrolment{Upstream: up}})
	wants("the enrolment's instead", "192.0.2.53:53", "192.0.2.3:3128")
	d.member.current.Store(nil)
	pin("https://192.0.2.7:8443/updates", true)
	wants("of an enrolment that is gone")
	f.must(os.WriteFile(filepath.Join(updatesDir(b.config), "pinned.json"), []byte("{"), 0o600))
	if got, err := d.keepWay(t.Context()); err == nil {
		t.Errorf("%q where it cannot be read whose updates are trusted", got)
	}
}

// TestNothingIsBlockedWhileTheEnrolmentCannotBeUsed has a record at the start that does not say what must be reached.
func TestNothingIsBlockedWhileTheEnrolmentCannotBeUsed(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 3)
	replace(t, root, "/etc/shadow", "root::19000:0:99999:7:::\n")
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		dir := b.declareResponses(t)
		f := newFleet(t)
		f.publish(nil, fmt.Sprintf(respondingPolicy, "1", ""))
		f.trust(b.config)
		from, err := updatesSource(b.config, time.Now)
		f.must(err)
		_, err = fetchUpdates(t.Context(), b.config, from, time.Now)
		f.must(err)
		record := filepath.Join(b.config.StateDir, enrolmentName)
		f.must(os.WriteFile(record, []byte(`{"version":1,`), 0o600))
		d, stop := b.startResponding(t)
		hooked := func() string {
			b, _ := os.ReadFile(filepath.Join(dir, "hooked"))
			return string(b)
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		says := func(w Warning) bool {
			return w.Code == warnResponse && strings.Contains(w.Text, "nothing is blocked while the enrolment cannot be used")
		}
		if got := hooked(); d.postureNow().State != accessBlocked || !strings.HasPrefix(got, "warned") || strings.Contains(got, "blocked") || !slices.ContainsFunc(d.warn.all(), says) {
			t.Errorf("access %s, the hook was told %q, warnings %+v", d.postureNow().State, got, d.warn.all())
		}
		f.must(os.Remove(record))
		d.member.poll()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := hooked(); !strings.Contains(got, "blocked") {
			t.Errorf("not enrolled: the hook was told %q, warnings %+v", got, d.warn.all())
		}
		f.must(stop())
	})
}

// TestUninstallingOpensAccess has an agent gone that had access blocked.
func TestUninstallingOpensAccess(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSystem(t, 1))
	dir := b.declareResponses(t)
	_, from, err := b.load()
	if err != nil {
		t.Fatal(err)
	}
	if err := openAccess(t.Context(), b.config, from); err != nil { // nothing was done
		t.Fatal(err)
	}
	declared, err := declaration(b.config, from)
	if err != nil {
		t.Fatal(err)
	}
	r, err := respond.New(responsesDir(b.config), b.entropy)
	if err != nil {
		t.Fatal(err)
	}
	blocked := func() respond.Situation {
		return respond.Situation{Now: time.Now(), Access: respond.Blocked, Block: true, Declared: declared}
	}
	if _, err := r.Look(t.Context(), blocked); err != nil {
		t.Fatal(err)
	}
	if err := openAccess(t.Context(), b.config, from); err != nil {
		t.Fatal(err)
	}
	ended, stop := context.WithCancel(t.Context()) // as a service that is stopped while the hook runs
	if r, err = respond.New(responsesDir(b.config), b.entropy); err != nil {
		t.Fatal(err)
	}
	stop()
	if _, err := r.Look(ended, blocked); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := openAccess(t.Context(), b.config, from); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "hooked")); err != nil || strings.Join(strings.Fields(string(got)), " ") != "blocked open open" {
		t.Errorf("the hook was told %q, %v", got, err)
	}
}

// TestEventsOfResponsesFollowOCSF holds them against the published schema, where it is there.
func TestEventsOfResponsesFollowOCSF(t *testing.T) {
	t.Parallel()
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		data = filepath.Join("..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(data, "ocsf-1.8.0", "application_lifecycle.schema.json"))
	if err != nil {
		t.Skipf("PICKET_SHARED_DATA names no folder with ocsf-1.8.0: %v", err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("event.json", doc); err != nil {
		t.Fatal(err)
	}
	schema := c.MustCompile("event.json")
	for i, what := range []string{respond.HookApplied, respond.HookFailed, respond.WipeAnnounced, respond.WipeConfirmed, respond.WipeCancelled, respond.WipeBegun, respond.WipeResumed, respond.WipeDone, respond.WipeIncomplete} {
		e := respond.Entry{Seq: uint64(i + 1), At: time.Unix(1, 0), What: what, Text: "x", By: "anna", Access: respond.Blocked, Wipe: "3f9a0c51d2e47b86", Begin: time.Unix(2, 0),
			Steps: []respond.Step{{Kind: "folder", Name: "/srv/work", State: respond.StepDone, Tries: 1, Removal: &respond.Removal{Files: 3, Bytes: 4}}}}
		got, err := responseEvent(report.EventMeta{UID: "1", Time: time.Unix(1_800_000_000, 0), Version: "1", Device: report.DeviceRef{UID: "d"}}, e)
		if err != nil {
			t.Fatal(err)
		}
		event, err := jsonschema.UnmarshalJSON(bytes.NewReader(got.Body))
		if err == nil {
			err = schema.Validate(event)
		}
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
