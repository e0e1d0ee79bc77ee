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
