package rules_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

func catalogue(t *testing.T) *rules.Set {
	t.Helper()
	set, err := rules.Catalogue(facts.Collectors())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// judgeAndroid judges a device that shows these tables and no others.
func judgeAndroid(set *rules.Set, tables map[string]any) []scanner.Finding {
	f := &scanner.Facts{Tables: map[string]*scanner.Table{}, Ref: time.Date(2024, 5, 2, 0, 0, 0, 0, time.UTC), Device: scanner.DeviceInfo{Platform: "android"}}
	for name, rows := range tables {
		f.Tables[name] = &scanner.Table{Name: name, Rows: rows}
	}
	return set.Judge(context.Background(), f).Findings
}

// spied is an app with all that a spying or stealing program has.
func spied(traits facts.AppTraits) facts.App {
	return facts.App{AppTraits: traits, HasCode: true, OnData: true, SDK: 34, TargetSDK: 33, Groups: []string{"sms", "call_log", "contacts", "microphone", "location", "storage", "camera", "phone"},
		SMSReceiver: true, BootReceiver: true, Accessibility: true, Overlay: true, Notifications: true, InstallsApps: true, BatteryExempt: true,
		SpyScore: 90, SpySigns: []string{"no icon"}, Takeover: 5, TakeoverSign: []string{"accessibility", "overlay"}, Where: "dumpsys package"}
}

// around gives the rows that other tables have of an app.
func around(app facts.AppTraits) map[string]any {
	return map[string]any{
		"apps":                   []facts.App{spied(app)},
		"accessibility_services": []facts.AccessibilityService{{AppTraits: app, Service: "x", Enabled: true, Reads: true, Acts: true}},
		"notification_listeners": []facts.NotificationListener{{AppTraits: app, Service: "x"}},
		"device_admins":          []facts.DeviceAdmin{{AppTraits: app, Kind: "admin", Policies: []string{"wipe-data"}}},
		"app_ops":                []facts.AppOp{{AppTraits: app, Op: "RECORD_AUDIO", Background: true, BackMinutes: 5}, {AppTraits: app, Op: "SEND_SMS", UsedMinutes: 9}},
	}
}

func rulesOf(fs []scanner.Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, f.Rule)
	}
	slices.Sort(out)
	return out
}

func TestOneStalkerwareAppIsOneDiscreetFinding(t *testing.T) {
	t.Parallel()
	app := facts.AppTraits{Package: "com.thetruth", Source: "browser", Sideloaded: true, AgeDays: 3}
	hit := func(kind, value, subject, seen string) facts.IndicatorHit {
		return facts.IndicatorHit{AppTraits: app, Kind: kind, Value: value, Subject: subject, Class: "stalkerware", Name: "TheTruthSpy", List: "list", Installed: true, Seen: seen}
	}
	tables := around(app)
	hits := []facts.IndicatorHit{hit("package", app.Package, app.Package, "app"), hit("certificate", "31A6", app.Package, "app")}
	for _, host := range []string{"a.example", "b.example", "c.example"} {
		h := hit("domain", host, host, "network")
		h.AppTraits = facts.AppTraits{}
		hits = append(hits, h)
	}
	tables["indicator_hits"] = hits
	found := judgeAndroid(catalogue(t), tables)
	if got := rulesOf(found); !slices.Equal(got, []string{"APP-002"}) {
		t.Fatalf("told by %v, want APP-002 alone", got)
	}
	f := found[0]
	if !f.Discreet || f.Severity != scanner.Critical || len(f.Evidence) != 2 || !strings.HasPrefix(f.Fix, "Safety first") {
		t.Errorf("got %+v", f)
	}
	for _, rule := range []string{"APP-006", "APP-009", "APP-010b", "APP-046", "NET-022b"} {
		if !slices.ContainsFunc(f.Absorbed, func(a scanner.Absorbed) bool { return a.Rule == rule }) {
			t.Errorf("%s is not told under it: %+v", rule, f.Absorbed)
		}
	}
}

func TestBankingTrojanIsToldOnce(t *testing.T) {
	t.Parallel()
	found := judgeAndroid(catalogue(t), around(facts.AppTraits{Package: "com.x.chrome.update", Source: "messenger", Sideloaded: true, AgeDays: 1}))
	if got := rulesOf(found); !slices.Equal(got, []string{"APP-038"}) || found[0].Severity != scanner.Critical {
		t.Fatalf("told by %v, want APP-038 alone", got)
	}
}

// TestAppsOfTrustedOriginAreNotAccused: the same powers in the hands of who may have them.
func TestAppsOfTrustedOriginAreNotAccused(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, c := range []struct {
		app   facts.AppTraits
		worst scanner.Severity // that may be told
	}{
		{facts.AppTraits{Package: "com.google.android.gms", Source: "system", System: true}, 0},
		{facts.AppTraits{Package: "com.miui.securitycenter", Source: "preload", Preload: true}, 0},
		{facts.AppTraits{Package: "com.corp.agent", Source: "mdm"}, 0},
		{facts.AppTraits{Package: "com.google.android.marvin.talkback", Source: "system", System: true, Known: "assistive"}, 0},
		{facts.AppTraits{Package: "com.x8bit.bitwarden", Source: "store", Known: "password_manager"}, scanner.Informational},
		{facts.AppTraits{Package: "com.truecaller", Source: "store"}, scanner.Low},
		{facts.AppTraits{Package: "com.samsung.android.app.watchmanager", Source: "oem_store", Known: "companion"}, scanner.Informational},
	} {
		for _, f := range judgeAndroid(set, around(c.app)) {
			if f.Severity > c.worst {
				t.Errorf("%s: %s says %s of it", c.app.Package, f.Rule, f.Severity)
			}
		}
	}
}

// TestWhatTellsOfStalkerwareIsDiscreet: no rule may announce openly what a person who watches
// must not read.
func TestWhatTellsOfStalkerwareIsDiscreet(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, class := range []string{"stalkerware", "watchware"} {
		for _, kind := range []string{"package", "certificate", "file-hash", "domain", "url", "ip", "process", "file-name", "file-path", "property", "email"} {
			for _, seen := range []string{"app", "history", "process", "file", "network", "message", "setting"} {
				for variant := range 8 {
					hit := facts.IndicatorHit{Kind: kind, Seen: seen, Class: class, Value: "v", Subject: "s", Name: "n", List: "l",
						Weak: variant&1 != 0, Installed: variant&2 != 0}
					if variant&4 != 0 {
						hit.AppTraits = facts.AppTraits{Package: "s", System: true, Source: "system"}
					}
					found := judgeAndroid(set, map[string]any{"indicator_hits": []facts.IndicatorHit{hit}})
					for _, f := range found {
						if !f.Discreet {
							t.Errorf("%s announces %+v", f.Rule, hit)
						}
					}
					gone := class == "watchware" && !hit.Installed && (kind == "package" || kind == "certificate" || kind == "file-hash")
					if len(found) != 1 && !gone {
						t.Errorf("%d findings for %+v", len(found), hit)
					}
				}
			}
		}
	}
}
