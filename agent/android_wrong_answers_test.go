package agent

import (
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
)

// TestKnownWrongAnswers holds answers that other tools are known to give and that are wrong.
func TestKnownWrongAnswers(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	opt := scanner.Options{Indicators: testIndicators(t)}
	scan := func(t *testing.T, name string, over ...txtarFile) *scanner.Report {
		t.Helper()
		s := phoneScenario{base: name}
		return scanPhone(t, set, s.on(t, over), opt)
	}
	scenario := func(t *testing.T, name string, planted bool) *scanner.Report {
		t.Helper()
		s := readPhoneScenario(t, "testdata/android/scenarios/"+name+".txtar")
		over := s.benign
		if planted {
			over = s.planted
		}
		return scanPhone(t, set, s.on(t, over), opt)
	}
	silent := func(t *testing.T, r *scanner.Report, rules ...string) {
		t.Helper()
		for _, f := range r.Findings {
			if slices.Contains(rules, f.Rule) {
				t.Errorf("%s %s on %s %s: %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
			}
		}
	}
	passes := func(t *testing.T, r *scanner.Report, rules ...string) {
		t.Helper()
		silent(t, r, rules...)
		for _, id := range rules {
			if got := outcomeOf(r, id); got != "passed" {
				t.Errorf("%s: %s %s, want passed", id, got, unsure(r, id))
			}
		}
	}

	t.Run("overlays that are mounted rw over a read-only file system", func(t *testing.T) {
		t.Parallel()
		r := scan(t, "baklava")
		passes(t, r, "OS-001", "OS-001b", "OS-007")
		rw := 0
		for _, m := range r.Facts.Tables["android_mounts"].Rows.([]facts.AndroidMount) {
			if m.FSType == "overlay" && slices.Contains(m.Options, "rw") {
				rw++
				if m.Writable || !m.SuperRO {
					t.Errorf("%s: %+v", m.Target, m)
				}
			}
		}
		if rw != 3 {
			t.Errorf("%d overlays mounted rw, want the phone's 3", rw)
		}
		// The same mount over a file system that can be written to is another thing.
		if got := ruleIDs(scenario(t, "system-writable", true).Findings); !slices.Contains(got, "OS-007") {
			t.Errorf("a writable partition: %v", got)
		}
	})
	t.Run("a vendor's preload on the data partition", func(t *testing.T) {
		t.Parallel()
		for name, pkg := range map[string]string{"pie": "com.evenwell.example.care", "eleven": "com.samsung.android.voc", "upside": "com.google.example.setup", "baklava": "com.miui.example.notes"} {
			r := scan(t, name)
			apps := r.Facts.Tables["apps"].Rows.([]facts.App)
			i := slices.IndexFunc(apps, func(a facts.App) bool { return a.Package == pkg })
			if i < 0 || !apps[i].OnData || apps[i].Installer != "" {
				t.Fatalf("%s: no such preload", name)
			}
			if a := apps[i]; !a.Preload || a.Sideloaded || a.Source != "preload" {
				t.Errorf("%s: %s comes from %s, preload %v, sideloaded %v", name, pkg, a.Source, a.Preload, a.Sideloaded)
			}
			silent(t, r, "APP-004", "APP-005", "APP-013", "APP-015", "APP-016", "APP-050", "OS-032")
		}
	})
	t.Run("unknown sources on an Android where the setting means nothing", func(t *testing.T) {
		t.Parallel()
		r := scan(t, "eleven")
		if !strings.Contains(phoneSource(t, "eleven"), "install_non_market_apps=1") {
			t.Fatal("the phone does not have the setting")
		}
		passes(t, r, "CFG-006")
		if got := ruleIDs(scenario(t, "unknown-sources", true).Findings); !slices.Contains(got, "CFG-006") {
			t.Errorf("where it means something: %v", got)
		}
	})
	t.Run("a package whose name holds another's", func(t *testing.T) {
		t.Parallel()
		passes(t, scenario(t, "stalkerware-listed", false), "APP-001", "APP-002", "APP-003")
		if got := ruleIDs(scenario(t, "stalkerware-listed", true).Findings); !slices.Contains(got, "APP-002") {
			t.Errorf("the name itself: %v", got)
		}
	})
	t.Run("busybox that the vendor left", func(t *testing.T) {
		t.Parallel()
		for _, list := range []string{"/system/xbin/busybox\n", "/system/bin/busybox\n/vendor/bin/busybox\n"} {
			r := scan(t, "upside", txtarFile{name: "system/xbin/busybox", attrs: "elf mode=755", data: "x\n"}, txtarFile{name: "probe/root-binaries", data: list})
			passes(t, r, "OS-001", "OS-001b", "OS-002")
		}
	})
	t.Run("a custom system on a locked boot loader", func(t *testing.T) {
		t.Parallel()
		graphene := scenario(t, "unlocked", false)
		passes(t, graphene, "OS-001", "OS-003", "OS-004", "OS-024")
		if graphene.Level != scanner.Secured {
			t.Errorf("GrapheneOS: level %v", graphene.Level)
		}
		calyx := scenario(t, "verity", false)
		passes(t, calyx, "OS-001", "OS-003", "OS-024")
		if calyx.Level > scanner.LevelLow {
			t.Errorf("CalyxOS, whose key is not known here: level %v", calyx.Level)
		}
		if got := scenario(t, "unlocked", true); got.Level != scanner.LevelHigh {
			t.Errorf("unlocked: level %v", got.Level)
		}
	})
	t.Run("one stalkerware app, one alert", func(t *testing.T) {
		t.Parallel()
		r := scan(t, "upside", everyPower(t, "com.spyone.app")...)
		var loud []string
		for _, f := range r.Findings {
			if f.Severity > scanner.Informational {
				loud = append(loud, f.Rule)
				if f.Subject.Name == "com.spyone.app" && (!f.Discreet || f.Severity != scanner.Critical) {
					t.Errorf("%s is %s, discreet %v", f.Rule, f.Severity, f.Discreet)
				}
				if len(f.Absorbed) < 8 {
					t.Errorf("%s accounts for %v only", f.Rule, f.Absorbed)
				}
			}
		}
		if !slices.Equal(loud, []string{"APP-002"}) {
			t.Errorf("told by %v, want APP-002 alone", loud)
		}
	})
	t.Run("the age of a patch in a recording made years ago", func(t *testing.T) {
		t.Parallel()
		for _, name := range phones {
			s := phoneScenario{base: name}
			late := opt
			late.Now = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
			r := scanPhone(t, set, s.on(t, nil), late)
			silent(t, r, "OS-016", "OS-017", "OS-017b", "OS-018", "OS-019", "OS-020", "OS-023")
			if !strings.HasPrefix(r.Device.JudgedAsOf, strings.TrimSuffix(aboutOf(t, name, "recorded-at"), "Z")) {
				t.Errorf("%s: judged as of %s", name, r.Device.JudgedAsOf)
			}
		}
		if got := ruleIDs(scenario(t, "end-of-life", true).Findings); !slices.Contains(got, "OS-017") {
			t.Errorf("the same phone seen five years later: %v", got)
		}
	})
	t.Run("indicators that are not understood", func(t *testing.T) {
		t.Parallel()
		code, out, stderr := picket("indicators", "check", "--verbose", "testdata/android/indicators")
		if code != 0 || !strings.Contains(out, "not supported") && !strings.Contains(out, "not applicable") && !strings.Contains(out, "not understood") || !strings.Contains(out, "windows-registry-key") {
			t.Errorf("%d %s %s", code, out, stderr)
		}
	})
	t.Run("app operations of the shell, which reading the phone leaves", func(t *testing.T) {
		t.Parallel()
		r := scenario(t, "microphone", false)
		for _, f := range r.Findings {
			if f.Severity > scanner.Informational {
				t.Errorf("%s %s on %s", f.Rule, f.Severity, f.Subject.Name)
			}
		}
	})
	t.Run("a network that asks for a sign-in", func(t *testing.T) {
		t.Parallel()
		about, parts := phone(t, "upside")
		for i := range parts {
			if parts[i].name == "probe/dumpsys/connectivity" {
				parts[i].data = strings.NewReplacer("&VALIDATED&", "&CAPTIVE_PORTAL&", "everValidated lastValidated", "everCaptivePortalDetected lastCaptivePortalDetected", "EVER_VALIDATED&IS_VALIDATED", "").Replace(parts[i].data)
			}
		}
		r := scanPhone(t, set, phoneDevice(t, about, parts), opt)
		if got := told(r.Findings); !slices.Contains(got, "NET-007 info") || r.Level != scanner.Secured {
			t.Errorf("level %v, finds %v, NET-007 %s %s", r.Level, got, outcomeOf(r, "NET-007"), unsure(r, "NET-007"))
		}
	})
	t.Run("a bugreport without a main entry", func(t *testing.T) {
		t.Parallel()
		_, parts := infestedPhone(t)
		files := bugreportFiles(parts, dumpstateText(parts, "2024-05-16 10:02:00"))
		delete(files, "main_entry.txt")
		dev, err := openPhone(t, zipOf(t, t.TempDir(), "report.zip", files))
		if err != nil {
			t.Fatal(err)
		}
		if r := scanPhone(t, set, dev, opt); r.Level != scanner.LevelHigh || len(r.Findings) < 10 {
			t.Errorf("level %v, %d findings", r.Level, len(r.Findings))
		}
	})
	t.Run("a dump that holds nothing", func(t *testing.T) {
		t.Parallel()
		r := scan(t, "upside", txtarFile{name: "probe/dumpsys/package", data: "Can't find service: package\n"}, txtarFile{name: "probe/pm/packages", attrs: "gone"})
		if why := r.Facts.Tables["packages"].Absent; why == "" {
			t.Error("an inventory without a package is not said to be absent")
		}
		for _, id := range []string{"APP-002", "APP-004", "APP-016", "APP-028", "APP-038"} {
			if got := outcomeOf(r, id); got != "unknown" {
				t.Errorf("%s: %s without a list of apps", id, got)
			}
		}
	})
}

func phoneSource(t *testing.T, name string) string {
	t.Helper()
	about, parts := phone(t, name)
	return string(phoneBytes(about, parts))
}

func aboutOf(t *testing.T, name, key string) string {
	t.Helper()
	about, _ := phone(t, name)
	return aboutValue(about, key)
}

// everyPower puts an app on the phone that has all there is to have: it is the trojan of another
// scenario under another name, and more.
func everyPower(t *testing.T, pkg string) []txtarFile {
	t.Helper()
	s := readPhoneScenario(t, "testdata/android/scenarios/banking-trojan.txtar")
	over := slices.Clone(s.planted)
	for i := range over {
		over[i].data = strings.ReplaceAll(over[i].data, "com.video.codec", pkg)
	}
	add := func(name, how, data string) {
		over = append(over, txtarFile{name: name, attrs: how, data: data})
	}
	add("probe/dumpsys/device_policy", "after Enabled Device Admins (User 0", "    "+pkg+"/.Admin:\n      uid=10155\n      testOnlyAdmin=false\n      policies:\n        wipe-data\n        reset-password\n        force-lock\n")
	add("probe/settings/secure", "set", "enabled_notification_listeners="+pkg+"/.L\ndefault_input_method="+pkg+"/.Ime\nsms_default_application="+pkg+"\n")
	add("probe/dumpsys/notification", "after Allowed notification listeners:", "      "+pkg+"/.L (user: 0 isPrimary: true)\n")
	add("probe/dumpsys/role", "instead holders=com.google.android.apps.messaging", "        holders="+pkg+"\n")
	add("probe/dumpsys/deviceidle", "after Whitelist user apps:", "    "+pkg+"\n")
	add("probe/dumpsys/media_projection", "instead null", "("+pkg+", uid=10155): TYPE_SCREEN_CAPTURE\n")
	add("probe/dumpsys/appops", "append", "  Uid u0a155:\n    state=cch\n    Package "+pkg+":\n      RECORD_AUDIO (allow):\n        null=[\n          Access: [bg-s] 2024-05-16 03:04:05.678 (-6h57m54s322ms) duration=+4m30s0ms\n        ]\n      SEND_SMS (allow):\n        null=[\n          Access: [bg-s] 2024-05-16 03:04:05.678 (-6h57m54s322ms)\n        ]\n")
	add("probe/netstat", "append", "tcp6       0      0 :::4444                 :::*                    LISTEN      10155      99999      -\ntcp        0      0 192.168.178.31:43999    198.51.100.7:443        ESTABLISHED 10155      21010      -\n")
	add("probe/ps", "append", "u0_a155        5000   300   12000    900 S u:r:untrusted_app:s0:c155,c256  "+pkg+"             "+pkg+"\n")
	return over
}
