package agent

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// infested are scenarios that are planted on one phone together.
var infested = []string{"banking-trojan", "unlocked", "old-patch", "wireless-adb", "play-protect", "root-magisk", "open-wifi", "gateway-mac", "selinux", "spyware-process", "no-lock",
	"frida", "downgrade", "hosts"}

// infestedPhone gives the phone with all of them on it: the lines about it, and its files.
func infestedPhone(t testing.TB, skip ...string) (about []string, parts []txtarFile) {
	t.Helper()
	about, parts = phone(t, "upside")
	for _, name := range infested {
		if slices.Contains(skip, name) {
			continue
		}
		s := readPhoneScenario(t, "testdata/android/scenarios/"+name+".txtar")
		if s.base != "upside" {
			t.Fatalf("%s is not on that phone", name)
		}
		parts = altered(t, parts, s.planted)
	}
	return about, parts
}

// TestOnePhoneInManyContainers takes one phone as every tool takes it. What a container shows
// leads to the same findings; what it cannot show is unknown, never passed.
func TestOnePhoneInManyContainers(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	about, parts := infestedPhone(t)
	opt := scanner.Options{Indicators: testIndicators(t)}
	whole := scanPhone(t, set, phoneDevice(t, about, parts), opt)
	if len(whole.Findings) < 15 {
		t.Errorf("the phone itself has %v", told(whole.Findings))
	}
	dir := t.TempDir()
	dump := dumpstateText(parts, "2024-05-16 10:02:00")
	for name, c := range map[string]struct {
		path string
		kind string
		// shows are rules that must not be lost in this container.
		shows []string
	}{
		"bugreport zip": {zipOf(t, dir, "report.zip", bugreportFiles(parts, dump)), "bugreport",
			[]string{"APP-038", "OS-003", "OS-017", "CFG-002", "CFG-008", "CFG-009", "OS-001", "NET-001b", "NET-008", "APP-001b"}},
		"bugreport text": {fileOf(t, dir, "report.txt", dump), "bugreport",
			[]string{"APP-038", "OS-003", "OS-017", "CFG-002", "CFG-008", "CFG-009", "OS-001", "NET-001b", "NET-008", "APP-001b"}},
		"AndroidQF folder": {folderOf(t, dir, "qf", qfFiles(t, parts, "")), "androidqf",
			[]string{"APP-038", "OS-003", "OS-005", "OS-017", "CFG-002", "CFG-008", "OS-001", "NET-001b", "APP-001b"}},
		"AndroidQF zip": {zipOf(t, dir, "qf.zip", qfFiles(t, parts, "0b6e5c1a-1111-4222-8333-444455556666/")), "androidqf",
			[]string{"APP-038", "OS-003", "OS-005", "OS-017", "CFG-002", "CFG-008", "OS-001", "NET-001b", "APP-001b"}},
		"properties":        {fileOf(t, dir, "props.txt", content(t, parts, "probe/getprop")), "getprop", []string{"OS-003"}},
		"package service":   {fileOf(t, dir, "package.txt", content(t, parts, "probe/dumpsys/package")), "dumpsys package", []string{"APP-028"}},
		"process list":      {fileOf(t, dir, "ps.txt", content(t, parts, "probe/ps")), "ps", []string{"APP-001b"}},
		"a folder of those": {folderOf(t, dir, "loose", map[string]string{"a.txt": content(t, parts, "probe/getprop"), "b.txt": content(t, parts, "probe/ps"), "c.txt": content(t, parts, "probe/dumpsys/package")}), "android-files", []string{"OS-003", "OS-001"}},
		"Picket recording":  {recordDevice(t, phoneDevice(t, about, parts)), "txtar", ruleIDs(whole.Findings)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev, err := openPhone(t, c.path)
			if err != nil {
				t.Fatal(err)
			}
			if id := dev.Identity(); id.Kind != c.kind || id.Platform != "android" {
				t.Errorf("recognised as %q on %q", id.Kind, id.Platform)
			}
			at := opt
			at.Now = whole.Facts.Ref // properties alone have no date
			r := scanPhone(t, set, dev, at)
			t.Logf("%d findings of %d: %v", len(r.Findings), len(whole.Findings), told(r.Findings))
			agrees(t, whole, r)
			got := ruleIDs(r.Findings)
			for _, id := range c.shows {
				if !slices.Contains(got, id) && !absorbedIn(r, id) {
					t.Errorf("%s is lost; coverage: %s", id, outcomeOf(r, id))
				}
			}
		})
	}
}

// TestCleanPhonesInBugreports sees that a clean phone of any age is clean in a bugreport too.
func TestCleanPhonesInBugreports(t *testing.T) {
	t.Parallel()
	set := catalogue(t)
	for _, name := range phones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			about, parts := phone(t, name)
			at := strings.NewReplacer("T", " ", "Z", "").Replace(aboutValue(about, "recorded-at"))
			dev, err := openPhone(t, zipOf(t, t.TempDir(), "report.zip", bugreportFiles(parts, dumpstateText(parts, at))))
			if err != nil {
				t.Fatal(err)
			}
			opt := scanner.Options{Indicators: testIndicators(t)}
			r := scanPhone(t, set, dev, opt)
			agrees(t, scanPhone(t, set, phoneDevice(t, about, parts), opt), r)
			if r.Level != scanner.Secured {
				tell(t, r)
				t.Errorf("level %v", r.Level)
			}
		})
	}
}

func aboutValue(about []string, key string) string {
	for _, line := range about {
		if rest, ok := strings.CutPrefix(line, key+": "); ok {
			return rest
		}
	}
	return ""
}

// agrees holds the report of a container against that of the phone itself.
func agrees(t *testing.T, whole, part *scanner.Report) {
	t.Helper()
	known := map[string]bool{}
	for _, f := range whole.Findings {
		known[f.Key] = true
		for _, a := range f.Absorbed {
			known[scanner.FindingKey(a.Rule, a.Subject)] = true
		}
	}
	for _, f := range part.Findings {
		if f.Severity > scanner.Informational && !known[f.Key] {
			t.Errorf("finds %s %s on %s %s, which the phone does not have: %v", f.Rule, f.Severity, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
		}
	}
	here := map[string]bool{}
	for _, f := range part.Findings {
		here[f.Key] = true
		for _, a := range f.Absorbed {
			here[scanner.FindingKey(a.Rule, a.Subject)] = true
		}
	}
	for _, f := range whole.Findings {
		if here[f.Key] || outcomeOf(part, f.Rule) == "unknown" {
			continue
		}
		// Without the dates of its installation, or with another rule at its side, one and the same
		// app may be told under another rule: what it absorbed there has to be here or be unknown.
		if len(f.Absorbed) > 0 && slices.ContainsFunc(f.Absorbed, func(a scanner.Absorbed) bool { return here[scanner.FindingKey(a.Rule, a.Subject)] }) {
			continue
		}
		t.Errorf("loses %s on %s %s: %s", f.Rule, f.Subject.Kind, f.Subject.Name, outcomeOf(part, f.Rule))
	}
}

func outcomeOf(r *scanner.Report, rule string) string {
	for _, c := range r.Coverage {
		if c.Rule == rule {
			return c.Outcome.String()
		}
	}
	return "no such rule"
}

func absorbedIn(r *scanner.Report, rule string) bool {
	return slices.ContainsFunc(r.Findings, func(f scanner.Finding) bool {
		return slices.ContainsFunc(f.Absorbed, func(a scanner.Absorbed) bool { return a.Rule == rule })
	})
}

func content(t testing.TB, parts []txtarFile, name string) string {
	t.Helper()
	for _, f := range parts {
		if f.name == name {
			return f.data
		}
	}
	t.Fatalf("the phone has no %s", name)
	return ""
}

// sections are commands of a bugreport by the source that they show.
var sections = map[string]string{
	"ps": "PROCESSES AND THREADS (ps -A -T -Z -O pri,nice,rtprio,sched,pcy,time)", "getprop": "SYSTEM PROPERTIES (getprop)", "netstat": "NETSTAT (netstat -nW)", "lsmod": "LSMOD (lsmod)",
	"ip/addr": "IPv4 ADDRESSES (ip -4 addr show)", "ip/route": "ROUTE TABLE IPv4 (ip -4 route show table 254)", "ip/rule": "IP RULES (ip rule show)", "ip/neigh": "ARP CACHE (ip -4 neigh show)",
}

const dumpRule = "-------------------------------------------------------------------------------\n"

// dumpstateText writes a phone as dumpstate does. What no bugreport has is left out.
func dumpstateText(parts []txtarFile, at string) string {
	var b strings.Builder
	const bar = "========================================================\n"
	fmt.Fprintf(&b, "%s== dumpstate: %s\n%s\nBuild: %s\nBuild fingerprint: '%s'\nBootloader: unknown\nRadio: unknown\nNetwork: Example\nUptime: up 0 weeks, 2 days, 1 hour, 0 minutes\nBugreport format version: 2.0\nDumpstate info: id=1 pid=4242 dry_run=0 parallel_run=1 args=/system/bin/dumpstate -S bugreport_mode=BUGREPORT_DEFAULT\n\n",
		bar, at, bar, property(parts, "ro.build.id"), property(parts, "ro.build.fingerprint"))
	for _, f := range parts {
		if title := sections[strings.TrimPrefix(f.name, "probe/")]; title != "" && strings.HasPrefix(f.name, "probe/") {
			name, _, _ := strings.Cut(title, " (")
			fmt.Fprintf(&b, "------ %s ------\n%s------ 0.021s was the duration of '%s' ------\n\n", title, f.data, name)
		}
	}
	fmt.Fprintf(&b, "%s== Android Framework Services\n%s------ DUMPSYS (/system/bin/dumpsys) ------\n", bar, bar)
	for _, s := range services(parts) {
		fmt.Fprintf(&b, "%sDUMP OF SERVICE %s:\n%s--------- 0.014s was the duration of dumpsys %s, ending at: %s\n", dumpRule, s.name, s.data, s.name, at)
	}
	fmt.Fprintf(&b, "%s------ 9.000s was the duration of 'DUMPSYS' ------\n%s== dumpstate: done (id 1)\n%s", dumpRule, bar, bar)
	return b.String()
}

// property gives a property of the phone.
func property(parts []txtarFile, name string) string {
	for _, f := range parts {
		if f.name == "probe/getprop" {
			_, rest, _ := strings.Cut(f.data, "["+name+"]: [")
			value, _, _ := strings.Cut(rest, "]")
			return value
		}
	}
	return ""
}

// services are the phone's services as dumpsys prints them, the settings among them.
func services(parts []txtarFile) []txtarFile {
	var out []txtarFile
	var settings strings.Builder
	for _, f := range parts {
		if name, ok := strings.CutPrefix(f.name, "probe/dumpsys/"); ok {
			if name == "package" {
				f.data = withoutFilters(f.data)
			}
			out = append(out, txtarFile{name: name, data: f.data})
		}
		table, ok := strings.CutPrefix(f.name, "probe/settings/")
		if !ok {
			continue
		}
		fmt.Fprintf(&settings, "%s SETTINGS (user 0)\nversion: 213\n", strings.ToUpper(table))
		n := 0
		for line := range strings.Lines(f.data) {
			key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
			n++
			fmt.Fprintf(&settings, "_id:%d name:%s pkg:android value:%s default:%s defaultSystemSet:true\n", n, key, value, value)
		}
		settings.WriteString("\n")
	}
	if settings.Len() > 0 {
		out = append(out, txtarFile{name: "settings", data: settings.String()})
	}
	return out
}

// withoutFilters leaves out of the package service's tables what is printed on demand only.
func withoutFilters(text string) string {
	tables, rest, _ := strings.Cut(text, "\nPackages:\n")
	var b strings.Builder
	for line := range strings.Lines(tables) {
		if !strings.HasPrefix(line, "          ") {
			before, _, filter := strings.Cut(line, " filter ")
			if filter {
				line = before + "\n"
			}
			b.WriteString(line)
		}
	}
	return b.String() + "\nPackages:\n" + rest
}

func bugreportFiles(parts []txtarFile, dump string) map[string]string {
	const name = "bugreport-shiba-AP1A.240505.004-2024-05-16-10-02-00.txt"
	out := map[string]string{name: dump, "main_entry.txt": name, "version.txt": "2.0"}
	for _, f := range parts {
		switch {
		case f.name == "probe/mountinfo":
			out["FS/proc/1/mountinfo"] = f.data
		case !strings.HasPrefix(f.name, "probe/") && f.attrs == "" && strings.HasPrefix(f.name, "data/tombstones/"):
			out["FS/"+f.name] = f.data
		}
	}
	return out
}

// qfFiles writes a phone as AndroidQF does.
func qfFiles(t testing.TB, parts []txtarFile, top string) map[string]string {
	t.Helper()
	out := map[string]string{
		"acquisition.json":   `{"uuid":"0b6e5c1a-1111-4222-8333-444455556666","androidqf_version":"1.8.0","started":"2024-05-16T10:02:00.1Z","completed":"2024-05-16T10:12:00.1Z","collector":{},"tmp_dir":"/data/local/tmp/","sdcard":"/sdcard/","cpu":"arm64-v8a"}`,
		"root_binaries.json": "[]", "env.txt": "PATH=/product/bin:/apex/com.android.runtime/bin:/system/bin\n",
	}
	var dump strings.Builder
	dump.WriteString("Currently running services:\n")
	for _, s := range services(parts) {
		dump.WriteString("  " + s.name + "\n")
	}
	for _, s := range services(parts) {
		fmt.Fprintf(&dump, "%sDUMP OF SERVICE %s:\n%s--------- 0.014s was the duration of dumpsys %s, ending at: 2024-05-16 10:05:00\n", dumpRule, s.name, s.data, s.name)
	}
	out["dumpsys.txt"] = dump.String()
	for _, f := range parts {
		switch f.name {
		case "probe/getprop":
			out["getprop.txt"] = f.data
		case "probe/settings/global", "probe/settings/secure", "probe/settings/system":
			out["settings_"+strings.TrimPrefix(f.name, "probe/settings/")+".txt"] = f.data
		case "probe/ps":
			out["processes.txt"] = f.data
		case "probe/getenforce":
			out["selinux.txt"] = f.data
		case "probe/mount":
			out["mounts.json"] = jsonLines(t, f.data)
		case "probe/pm/packages":
			out["packages.json"] = qfPackages(t, f.data, content(t, parts, "probe/dumpsys/package"))
		}
	}
	named := map[string]string{}
	for name, text := range out {
		named[top+name] = text
	}
	return named
}

func jsonLines(t testing.TB, text string) string {
	t.Helper()
	b, err := json.Marshal(strings.Split(strings.TrimSpace(text), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// qfPackages makes packages.json of what pm list packages prints.
func qfPackages(t testing.TB, list, dump string) string {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(list) {
		words := strings.Fields(strings.TrimPrefix(line, "package:"))
		i := strings.LastIndex(words[0], "=")
		path, name := words[0][:i], words[0][i+1:]
		_, entry, _ := strings.Cut(dump, "  Package ["+name+"] (")
		entry, _, _ = strings.Cut(entry, "  Package [")
		system := strings.Contains(entry, "flags=[ SYSTEM")
		out = append(out, map[string]any{"name": name, "installer": strings.TrimPrefix(words[1], "installer="), "uid": 0, "disabled": false, "system": system, "third_party": !system,
			"files": []map[string]any{{"path": path, "md5": "", "sha1": "", "sha256": "", "certificate": map[string]any{}, "certificate_error": "", "verified_certificate": false}}})
	}
	b, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fileOf(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func folderOf(t testing.TB, dir, name string, files map[string]string) string {
	t.Helper()
	for f, text := range files {
		fileOf(t, filepath.Join(dir, name), f, text)
	}
	return filepath.Join(dir, name)
}

func zipOf(t testing.TB, dir, name string, files map[string]string) string {
	t.Helper()
	var b strings.Builder
	z := zip.NewWriter(&b)
	for _, f := range sortedKeys(files) {
		w, err := z.Create(f)
		if err == nil {
			_, err = w.Write([]byte(files[f]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return fileOf(t, dir, name, b.String())
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// openPhone opens what the command would.
func openPhone(t testing.TB, path string) (scanner.Device, error) {
	t.Helper()
	all := facts.Collectors()
	return device.Open(t.Context(), path, device.OpenOptions{Keep: facts.Keep(all), Meta: facts.Fingerprinted(all), Sources: facts.Asked(all)})
}
