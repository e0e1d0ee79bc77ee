package agent

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/rules"
)

// TestPlanted proves, one small change at a time, that what is planted on a clean device is
// found by exactly the rules that the scenario names, and that its benign twin is not.
//
// testdata/planted/base holds the clean device: its tree, and what a running kernel adds. Each
// file beside it is a scenario: its comment holds `fires: ID, ID` and at will `profile: NAME` and
// `live: yes`; its files stand below planted/ and benign/ and are laid over the clean device
// or, with `gone` behind the name, taken out of it.
func TestPlanted(t *testing.T) {
	t.Parallel()
	set, err := builtIn()
	if err != nil {
		t.Fatal(err)
	}
	for _, live := range []bool{false, true} {
		if got := firing(t, set, cleanDevice(t, live), scenario{}); len(got) > 0 {
			t.Fatalf("the clean device (live: %v) is not clean: %s", live, strings.Join(got, ", "))
		}
	}
	files, err := filepath.Glob("testdata/planted/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := readScenario(t, file)
			base := cleanDevice(t, s.live)
			if got := firing(t, set, overlay(base, s.planted), s); !slices.Equal(got, s.fires) {
				t.Errorf("planted: fires %v, want %v", got, s.fires)
			}
			if got := firing(t, set, overlay(base, s.benign), s); len(got) > 0 {
				t.Errorf("benign twin: fires %v", got)
			}
		})
	}
	if len(files) < 30 {
		t.Errorf("%d scenarios, want 30 at least", len(files))
	}
}

// txtarFile is a file of a fixture: its marker's name, the attributes behind it, the content.
type txtarFile struct {
	name, attrs string
	data        string
}

type scenario struct {
	fires           []string
	profile         string
	live            bool
	planted, benign []txtarFile
}

// cleanDevice gives the files of the clean device.
func cleanDevice(t *testing.T, live bool) []txtarFile {
	t.Helper()
	_, parts := splitParts(t, "testdata/planted/base/tree.txtar")
	if live {
		_, more := splitParts(t, "testdata/planted/base/live.txtar")
		parts = append(parts, more...)
	}
	return parts
}

// splitParts cuts a fixture at its marker lines.
func splitParts(t testing.TB, file string) (comment []string, parts []txtarFile) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, start, at := string(b), 0, 0
	for line := range strings.Lines(text) {
		at += len(line)
		trimmed := strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(trimmed, "-- "); ok && strings.HasSuffix(rest, " --") {
			name, attrs, _ := strings.Cut(strings.TrimSuffix(rest, " --"), " ")
			parts = append(parts, txtarFile{name: name, attrs: attrs})
			start = at
			continue
		}
		if len(parts) == 0 {
			comment = append(comment, trimmed)
		} else {
			parts[len(parts)-1].data = text[start:at]
		}
	}
	return comment, parts
}

// twins divides the files of a scenario into those of its device and those of the clean one.
func twins(t testing.TB, file string, parts []txtarFile) (planted, benign []txtarFile) {
	t.Helper()
	for _, p := range parts {
		if name, ok := strings.CutPrefix(p.name, "planted/"); ok {
			p.name = name
			planted = append(planted, p)
		} else if name, ok := strings.CutPrefix(p.name, "benign/"); ok {
			p.name = name
			benign = append(benign, p)
		} else {
			t.Fatalf("%s: %s is neither planted nor benign", file, p.name)
		}
	}
	return planted, benign
}

func readScenario(t *testing.T, file string) scenario {
	t.Helper()
	comment, parts := splitParts(t, file)
	var s scenario
	for _, line := range comment {
		key, value, _ := strings.Cut(line, ":")
		switch key {
		case "fires":
			for _, id := range strings.Split(value, ",") {
				s.fires = append(s.fires, strings.TrimSpace(id))
			}
			slices.Sort(s.fires)
		case "profile":
			s.profile = strings.TrimSpace(value)
		case "live":
			s.live = strings.TrimSpace(value) == "yes"
		default:
			if line != "" && !strings.HasPrefix(line, "#") {
				t.Fatalf("%s: unknown line %q", file, line)
			}
		}
	}
	s.planted, s.benign = twins(t, file, parts)
	if len(s.fires) == 0 || len(s.planted) == 0 || len(s.benign) == 0 {
		t.Fatalf("%s: a scenario has fires, planted and benign", file)
	}
	return s
}

// overlay lays files over a base: the same name replaces, `gone` takes away.
func overlay(base, over []txtarFile) []txtarFile {
	out := slices.Clone(base)
	for _, f := range over {
		out = slices.DeleteFunc(out, func(b txtarFile) bool { return b.name == f.name })
		if f.attrs != "gone" {
			out = append(out, f)
		}
	}
	return out
}

// firing scans a fixture and lists the rules that found something above informational.
func firing(t *testing.T, set *rules.Set, files []txtarFile, s scenario) []string {
	t.Helper()
	r, err := scanner.Scan(t.Context(), fixture(t, files), scanner.Options{
		Collectors: facts.Collectors(), Judge: set, Tables: []string{"packages"}, Profile: s.profile,
		Now: time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC), Digests: scanner.DigestsAll,
	})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range r.Findings {
		for column, text := range f.Words {
			if text == "" {
				t.Errorf("%s has a hole in its text: {%s} is empty", f.Rule, column)
			}
		}
		if f.Severity > scanner.Informational && !slices.Contains(out, f.Rule) {
			out = append(out, f.Rule)
			t.Logf("%s on %s %s: %v", f.Rule, f.Subject.Kind, f.Subject.Name, f.Evidence[0])
		}
	}
	for _, c := range r.Coverage {
		if c.Outcome == scanner.Unknown {
			t.Logf("%s unknown: %s", c.Rule, c.Why)
		}
	}
	slices.Sort(out)
	return out
}

// fixture makes a device of files. Those marked `owned` belong to a package of a dpkg
// database that is written here, so that digests and lists are right; those marked `altered`
// do too, but are not what the package brought.
func fixture(t *testing.T, files []txtarFile) scanner.Device {
	t.Helper()
	var owned []string
	altered := map[string]bool{}
	var tree bytes.Buffer
	tree.WriteString("recorded-at: 2026-01-15T00:00:00Z\n")
	write := func(f txtarFile) {
		fmt.Fprintf(&tree, "-- %s --\n%s", strings.TrimSpace(f.name+" "+f.attrs), f.data)
	}
	for _, f := range files {
		mark, rest, _ := strings.Cut(f.attrs, " ")
		if mark == "owned" || mark == "altered" {
			f.attrs = rest
			owned = append(owned, "/"+f.name)
			altered["/"+f.name] = mark == "altered"
		}
		write(f)
	}
	dev := openTxtar(t, tree.Bytes())
	var list, sums, conf strings.Builder
	list.WriteString("/.\n")
	seen := map[string]bool{}
	for _, p := range owned {
		for d := filepath.Dir(p); d != "/" && !seen[d]; d = filepath.Dir(d) {
			seen[d] = true
			list.WriteString(d + "\n")
		}
		list.WriteString(p + "\n")
		info, err := dev.FS().Lstat(p)
		if err != nil || !info.Mode.IsRegular() {
			continue
		}
		sum, err := dev.FS().Digest(p, scanner.MD5)
		if err != nil {
			t.Fatal(err)
		}
		if altered[p] {
			sum[0] ^= 0xff
		}
		if strings.HasPrefix(p, "/etc/") {
			fmt.Fprintf(&conf, " %s %s\n", p, hex.EncodeToString(sum))
		} else {
			fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum), p[1:])
		}
	}
	const installed = "mtime=2026-01-10T00:00:00Z"
	for _, f := range []txtarFile{
		{name: "var/lib/dpkg/status", attrs: installed, data: "Package: base\nStatus: install ok installed\nPriority: required\nSection: admin\nInstalled-Size: 1024\nMaintainer: Debian Base <base@lists.debian.org>\nArchitecture: amd64\nVersion: 1.0-1\nConffiles:\n" + conf.String() + "Description: everything on this device\n"},
		{name: "var/lib/dpkg/info/base.list", attrs: installed, data: list.String()},
		{name: "var/lib/dpkg/info/base.md5sums", data: sums.String()},
		{name: "var/lib/dpkg/arch", data: "amd64\n"},
	} {
		write(f)
	}
	return openTxtar(t, tree.Bytes())
}

func openTxtar(t testing.TB, b []byte) scanner.Device {
	t.Helper()
	dev, err := device.Txtar(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return dev
}
