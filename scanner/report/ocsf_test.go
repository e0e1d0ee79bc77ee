package report_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
)

var seenAt = time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC)

func phone() report.DeviceRef {
	return report.DeviceRef{UID: "0f8fad5b-d9cb-469f-a165-70867728950e", Info: scanner.DeviceInfo{
		Origin: "live CANARY-origin", Platform: "android", Live: true, Root: true, Profile: "phone", Notes: []string{"CANARY-note"},
		OS: &scanner.OS{ID: "android", Name: "Android 14", Version: "14", Build: "UP1A.231005.007", Kernel: "5.15.94-android13", Arch: "aarch64", Model: "Pixel 6"}}}
}

func meta() report.EventMeta {
	return report.EventMeta{UID: "018f3a4e-7d5c-7c3b-9d2e-111111111111", Time: seenAt, Device: phone(), Version: "1.2.3"}
}

func seen(a report.Activity) report.FindingState {
	return report.FindingState{Activity: a, FirstSeen: seenAt.Add(-time.Hour), LastSeen: seenAt}
}

// plain reads an event back.
func plain(t testing.TB, e report.Event) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(e.Body, &v); err != nil {
		t.Fatalf("%v in %s", err, e.Body)
	}
	return v
}

// at follows keys and indices into an event; nil where it ends.
func at(v any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[p]
		case int:
			l, _ := v.([]any)
			if p >= len(l) {
				return nil
			}
			v = l[p]
		}
	}
	return v
}

func want(t *testing.T, e report.Event, value any, path ...any) {
	t.Helper()
	wantIn(t, plain(t, e), value, path...)
}

func wantIn(t *testing.T, event map[string]any, value any, path ...any) {
	t.Helper()
	if got := at(event, path...); !reflect.DeepEqual(got, value) {
		t.Errorf("%v is %#v, want %#v in %v", path, got, value, event)
	}
}

func mustFinding(t testing.TB, m report.EventMeta, s report.FindingState, f *scanner.Finding) report.Event {
	t.Helper()
	e, err := report.FindingEvent(m, s, f)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// consistent checks what holds for every event whatever it tells.
func consistent(t testing.TB, e report.Event) {
	t.Helper()
	if len(e.Body) > report.MaxEvent || bytes.ContainsAny(e.Body, "\n\r") || bytes.Contains(e.Body, []byte(`\u003c`)) {
		t.Fatalf("%d bytes, or no single line: %.200s", len(e.Body), e.Body)
	}
	v := plain(t, e)
	class, activity := at(v, "class_uid").(float64), at(v, "activity_id").(float64)
	if class != float64(e.Class) || at(v, "type_uid") != class*100+activity || at(v, "category_uid") != float64(e.Class/1000) {
		t.Fatalf("numbers of class %d disagree: %s", e.Class, e.Body)
	}
	if at(v, "metadata", "uid") != e.UID || at(v, "metadata", "version") != "1.8.0" || at(v, "severity_id") != float64(e.Severity) || at(v, "device", "uid") == "" {
		t.Fatalf("the event and its body disagree: %s", e.Body)
	}
}

func TestFindingSaysWhatItIs(t *testing.T) {
	t.Parallel()
	f := sample().Findings[0]
	f.Discreet, f.Category, f.MoreEvidence = true, "os", 7
	e := mustFinding(t, meta(), seen(report.Created), &f)
	want(t, e, float64(report.ClassDetection), "class_uid")
	want(t, e, float64(200401), "type_uid")
	want(t, e, float64(seenAt.UnixMilli()), "time")
	want(t, e, float64(seenAt.Add(-time.Hour).UnixMilli()), "finding_info", "first_seen_time")
	want(t, e, float64(seenAt.UnixMilli()), "finding_info", "last_seen_time")
	want(t, e, "New", "status")
	want(t, e, "High", "confidence")
	want(t, e, true, "is_alert")
	want(t, e, map[string]any{"technique": map[string]any{"uid": "T1136"}, "sub_technique": map[string]any{"uid": "T1136.001"}}, "finding_info", "attacks", 0)
	want(t, e, map[string]any{"name": "passwd", "path": "/etc/passwd", "type_id": 0.0}, "evidences", 0, "file")
	want(t, e, "/etc/passwd:3", "evidences", 0, "data", "source")
	want(t, e, "0", "evidences", 0, "data", "fields", "uid")
	want(t, e, map[string]any{"rule": "CFG-025", "kind": "account", "name": "support"}, "unmapped", "absorbed", 0)
	want(t, e, 7.0, "unmapped", "more_evidence")
	want(t, e, "low", "unmapped", "false_positive_risk")
	want(t, e, "CFG-028", "metadata", "event_code")
	want(t, e, "Pixel 6", "device", "model")
	want(t, e, "ARM", "device", "hw_info", "cpu_architecture")
	want(t, e, 5.0, "device", "type_id")
	want(t, e, 201.0, "device", "os", "type_id")
	want(t, e, nil, "unmapped", "clock_wrong")
	want(t, e, nil, "metadata", "is_truncated")

	ignored := seen(report.Updated)
	ignored.Ignored = "ours until June"
	e = mustFinding(t, meta(), ignored, &f)
	want(t, e, "Suppressed", "status")
	want(t, e, "ours until June", "comment")
	want(t, e, false, "is_alert")
	e = mustFinding(t, meta(), seen(report.Closed), &f)
	want(t, e, 4.0, "status_id")
	want(t, e, false, "is_alert")

	f.Category = "config"
	e = mustFinding(t, meta(), seen(report.Created), &f)
	want(t, e, float64(report.ClassCompliance), "class_uid")
	want(t, e, "Fail", "compliance", "status")
	want(t, e, nil, "is_alert")
	want(t, mustFinding(t, meta(), seen(report.Closed), &f), "Pass", "compliance", "status")

	f.FalsePositives, f.Category = "high", "app"
	e = mustFinding(t, meta(), seen(report.Created), &f)
	want(t, e, "Low", "confidence")
	want(t, e, false, "is_alert")
}

func TestHostileFindingsAreBounded(t *testing.T) {
	t.Parallel()
	for name, filler := range map[string]string{"text": "é", "controls": "\x01", "no UTF-8": "\xff", "half a rune": "\x80", "markup": "<&>", "line ends": "\n\u2028"} {
		huge := strings.Repeat(filler, 200_000)
		f := scanner.Finding{Key: "k", Rule: "X-1", Title: huge, Category: "os", Severity: scanner.High, FalsePositives: "low",
			Subject: scanner.Subject{Kind: huge, Name: huge}, Means: huge, Fix: huge}
		for range 20 {
			e := scanner.Evidence{Source: "/" + huge, Fields: map[string]string{}}
			for i := range 30 {
				e.Fields[fmt.Sprint("column", i)] = huge
			}
			f.Evidence = append(f.Evidence, e)
		}
		for range 1000 {
			f.Attack = append(f.Attack, huge)
			f.Absorbed = append(f.Absorbed, scanner.Absorbed{Rule: huge, Subject: f.Subject})
		}
		e := mustFinding(t, meta(), seen(report.Created), &f)
		consistent(t, e)
		want(t, e, true, "metadata", "is_truncated")
		evidences, absorbed := len(at(plain(t, e), "evidences").([]any)), len(at(plain(t, e), "unmapped", "absorbed").([]any))
		want(t, e, float64(20-evidences), "unmapped", "more_evidence")
		want(t, e, float64(1000-absorbed), "unmapped", "more_absorbed")
		if evidences == 0 || absorbed == 0 {
			t.Errorf("%s: %d evidences and %d absorbed are left", name, evidences, absorbed)
		}
	}
}

func TestClock(t *testing.T) {
	t.Parallel()
	early, late := seenAt.Add(-24*time.Hour), seenAt.Add(24*time.Hour)
	for _, c := range []struct {
		name             string
		at               time.Time
		wrong            bool
		earliest, latest time.Time
		sent             time.Time
		marked           bool
	}{
		{"right", seenAt, false, early, late, seenAt, false},
		{"no bounds", seenAt, false, time.Time{}, time.Time{}, seenAt, false},
		{"known to be wrong", seenAt, true, time.Time{}, time.Time{}, seenAt, true},
		{"ten years ahead", seenAt.AddDate(10, 0, 0), false, early, late, late, true},
		{"before the program was built", time.Unix(0, 1), true, early, time.Time{}, early, true},
	} {
		m := meta()
		m.Time, m.ClockWrong, m.Earliest, m.Latest = c.at, c.wrong, c.earliest, c.latest
		s := report.FindingState{Activity: report.Created, FirstSeen: c.at, LastSeen: c.at}
		e := mustFinding(t, m, s, &sample().Findings[0])
		want(t, e, float64(c.sent.UnixMilli()), "time")
		want(t, e, float64(c.sent.UnixMilli()), "finding_info", "first_seen_time")
		if c.marked {
			want(t, e, true, "unmapped", "clock_wrong")
			want(t, e, c.at.UTC().Format(time.RFC3339Nano), "metadata", "original_time")
		} else {
			want(t, e, nil, "unmapped", "clock_wrong")
			want(t, e, nil, "metadata", "original_time")
		}
	}
}

func TestEventsNeedTheirIdentity(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*report.EventMeta){
		"a uid": func(m *report.EventMeta) { m.UID = "" }, "a device's uid": func(m *report.EventMeta) { m.Device.UID = "" }, "a time": func(m *report.EventMeta) { m.Time = time.Time{} },
	} {
		m := meta()
		spoil(&m)
		_, err := report.FindingEvent(m, seen(report.Created), &sample().Findings[0])
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		err = report.InventoryEvents(m, report.Inventory{Absent: "x"}, func(report.Event) error { return nil })
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("inventory without %s: %v", name, err)
		}
	}
	for _, a := range []report.Activity{0, 4} {
		if _, err := report.FindingEvent(meta(), seen(a), &sample().Findings[0]); err == nil {
			t.Errorf("activity %d was accepted", a)
		}
	}
}

func TestDevicePostureAndPatchEvents(t *testing.T) {
	t.Parallel()
	r := sample()
	e, err := report.DeviceEvent(meta(), report.DeviceState{Level: r.Level, SetBy: r.SetBy, Coverage: r.Coverage})
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, e)
	want(t, e, "High", "device", "risk_level")
	want(t, e, 3.0, "device", "risk_level_id")
	want(t, e, map[string]any{"failed": 3.0, "unknown": 2.0, "passed": 1.0, "not_applicable": 1.0}, "unmapped", "rules")
	want(t, e, map[string]any{"why": "needs a live device", "rules": []any{"OS-012", "OS-034"}}, "unmapped", "not_checked", 0)
	want(t, e, r.SetBy[0], "unmapped", "set_by", 0)
	e, _ = report.DeviceEvent(meta(), report.DeviceState{})
	want(t, e, 99.0, "device", "risk_level_id")
	want(t, e, "Unknown", "unmapped", "level")

	e, err = report.PostureEvent(meta(), report.Posture{Level: scanner.Secured}, report.PostureOf(scanner.LevelHigh, r.Findings))
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, e)
	want(t, e, 3.0, "security_level_id")
	want(t, e, 1.0, "prev_security_level_id")
	want(t, e, []any{map[string]any{"state": "Unremediated threat", "state_id": 7.0}, map[string]any{"state": "Compliance failure", "state_id": 23.0}}, "security_states")
	want(t, e, nil, "prev_security_states")
	want(t, e, 1.0, "unmapped", "detections")
	want(t, e, 2.0, "unmapped", "faults")
	want(t, e, 4.0, "severity_id")

	android := facts.AndroidSystem{Release: "14", Patch: "2024-01-05", VendorPatch: "2023-12-05", Exploited: []string{"CVE-2024-1"}}
	e, err = report.PatchEvent(meta(), report.PatchState{Android: &android})
	if err != nil {
		t.Fatal(err)
	}
	consistent(t, e)
	want(t, e, "2024-01-05", "device", "os", "sp_name")
	want(t, e, []any{"CVE-2024-1"}, "unmapped", "exploited")
	want(t, e, "Success", "status")
	android = facts.AndroidSystem{Release: "14"}
	android.MarkUnread("patch", "no property")
	e, _ = report.PatchEvent(meta(), report.PatchState{Android: &android, Unread: "x"})
	want(t, e, "x; patch: no property", "status_detail")
	want(t, e, "Partial", "status")

	m := meta()
	m.Device.Info.OS = &scanner.OS{Name: "Arch Linux", Build: "rolling"}
	updates := facts.UpdateState{Manager: "pacman", RefreshDays: 3, InstallDays: -1, Pending: 5, PendingNames: []string{"openssl"}}
	updates.MarkUnread("pending", "a list was cut short")
	e, err = report.PatchEvent(m, report.PatchState{Updates: []facts.UpdateState{updates}})
	if err != nil {
		t.Fatal(err)
	}
	want(t, e, "rolling", "device", "os", "version")
	want(t, e, map[string]any{"manager": "pacman", "refresh_days": 3.0, "automatic": false}, "unmapped", "updates", 0)
	want(t, e, "Not Installed", "kb_article_list", 0, "install_state")
	want(t, e, "pending: a list was cut short", "status_detail")
	m.Device.Info.OS = nil
	if _, err := report.PatchEvent(m, report.PatchState{}); !errors.Is(err, report.ErrNoOSVersion) {
		t.Errorf("a system without a version: %v", err)
	}
}

func TestDeviceKinds(t *testing.T) {
	t.Parallel()
	for profile, id := range map[string]float64{"": 0, "server": 1, "workstation": 2, "phone": 5, "handheld": 5, "iot": 7, "router": 12, "kiosk": 99, "container-image": 99} {
		for arch, want := range map[string]float64{"x86_64": 1, "i686": 1, "aarch64": 2, "armv7l": 2, "riscv64": 3, "mips": 99} {
			m := meta()
			m.Device.Info.Profile, m.Device.Info.OS.Arch = profile, arch
			e, err := report.DeviceEvent(m, report.DeviceState{})
			if err != nil {
				t.Fatal(err)
			}
			v := plain(t, e)
			if at(v, "device", "type_id") != id || at(v, "device", "hw_info", "cpu_architecture_id") != want {
				t.Errorf("%s, %s: %v", profile, arch, at(v, "device"))
			}
		}
	}
}

func TestEventsTellNobodysName(t *testing.T) {
	t.Parallel()
	for _, e := range allEvents(t) {
		if bytes.Contains(e.Body, []byte("CANARY")) || bytes.Contains(e.Body, []byte("alice")) {
			t.Errorf("class %d holds what concerns nobody else: %s", e.Class, e.Body)
		}
	}
}

func TestScanAsEvents(t *testing.T) {
	t.Parallel()
	write := func(r *scanner.Report, version string) []byte {
		var b bytes.Buffer
		if err := report.OCSF(&b, r, version); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	body := write(sample(), "1.2.3")
	golden(t, "events.ndjson", body)
	elsewhere := sample()
	elsewhere.Device.Origin = "recording"
	if !bytes.Equal(write(elsewhere, "1.2.3"), body) {
		t.Error("the same report from elsewhere gives other events")
	}
	uids := map[string]bool{}
	newer := sample()
	newer.Findings[0].Title = "Another"
	for _, events := range [][]byte{body, write(newer, "1.2.3"), write(sample(), "1.2.4")} {
		for line := range bytes.Lines(events) {
			uid := at(plain(t, report.Event{Body: line}), "metadata", "uid").(string)
			if uids[uid] {
				t.Errorf("uid %s stands for two events", uid)
			}
			uids[uid] = true
		}
	}
	bad := sample()
	bad.Device.JudgedAsOf = "yesterday"
	if err := report.OCSF(&bytes.Buffer{}, bad, "v"); err == nil {
		t.Error("a report without a time was accepted")
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if err := report.OCSF(full, sample(), "v"); err == nil {
		t.Error("a write error was lost")
	}
}

func FuzzFindingEvent(f *testing.F) {
	f.Add("CFG-028", "Second account", "config", "T1136.001", "account", "support", "/etc/passwd:3", "shell", "/bin/sh\x1b[31m\u202e\xff<", uint8(5), uint8(1))
	f.Add("", "", "", "", "", "", "", "", "", uint8(0), uint8(3))
	f.Fuzz(func(t *testing.T, rule, title, category, attack, kind, name, source, column, value string, severity, activity uint8) {
		subject := scanner.Subject{Kind: kind, Name: name}
		finding := scanner.Finding{Key: scanner.FindingKey(rule, subject), Rule: rule, Title: title, Category: category, Severity: scanner.Severity(severity), FalsePositives: kind, Subject: subject,
			Evidence: []scanner.Evidence{{Source: source, Fields: map[string]string{column: value}}}, Means: value, Fix: value, Attack: []string{attack}, Absorbed: []scanner.Absorbed{{Rule: rule, Subject: subject}}}
		e := mustFinding(t, meta(), seen(report.Activity(activity%3+1)), &finding)
		consistent(t, e)
	})
}

func BenchmarkFindingEvent(b *testing.B) {
	findings := catalogueFindings(b)
	total, i := 0, 0
	for b.Loop() {
		total += len(mustFinding(b, meta(), seen(report.Created), &findings[i%len(findings)]).Body)
		i++
	}
	b.ReportMetric(float64(total)/float64(b.N), "bytes/event")
}
