package facts_test

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// observed is a device that writes down what is read through it, and by which collector.
type observed struct {
	scanner.Device
	log *readLog
}

type readLog struct {
	mu    sync.Mutex
	reads scanner.Reads
	homes []string
	bad   map[string]bool
}

func (o observed) FS() scanner.FS { return observedFS{o.Device.FS(), o.log} }

func (o observed) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	if !slices.Contains(o.log.reads.Probes, s) {
		o.log.complain("probe", string(s))
	}
	return o.Device.Probe(ctx, s)
}

func (l *readLog) complain(op, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bad) < 20 {
		l.bad[op+" "+name] = true
	}
}

// describe checks an operation that tells nothing of a file's content.
func (l *readLog) describe(op, name string) {
	if !l.covered(name, l.reads.Globs, true) && !l.covered(name, l.reads.Meta, true) {
		l.complain(op, name)
	}
}

func (l *readLog) content(op, name string) {
	if !l.covered(name, l.reads.Globs, false) {
		l.complain(op, name)
	}
}

func (l *readLog) fingerprint(op, name string) {
	if !l.covered(name, l.reads.Globs, false) && !l.covered(name, l.reads.Meta, false) {
		l.complain(op, name)
	}
}

// covered reports whether a pattern names the file or, for descriptions, a file below it.
func (l *readLog) covered(name string, globs []string, orAbove bool) bool {
	parts := components(path.Clean(name))
	for _, g := range globs {
		for _, g := range l.expand(g) {
			if matchPath(components(g), parts, orAbove) {
				return true
			}
		}
	}
	return false
}

func (l *readLog) expand(g string) []string {
	rest, ok := strings.CutPrefix(g, "~")
	if !ok {
		return []string{g}
	}
	var out []string
	for _, h := range l.homes {
		out = append(out, h+rest)
	}
	return out
}

func components(p string) []string {
	if p = strings.Trim(p, "/"); p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

func matchPath(pattern, parts []string, orAbove bool) bool {
	if len(parts) == 0 {
		return len(pattern) == 0 || orAbove || pattern[0] == "**" && len(pattern) == 1
	}
	if len(pattern) == 0 {
		return false
	}
	if pattern[0] == "**" {
		return matchPath(pattern[1:], parts, orAbove) || matchPath(pattern, parts[1:], orAbove)
	}
	return scanner.MatchName(pattern[0], parts[0]) && matchPath(pattern[1:], parts[1:], orAbove)
}

type observedFS struct {
	scanner.FS
	log *readLog
}

func (f observedFS) Lstat(n string) (scanner.Info, error) {
	f.log.describe("lstat", n)
	return f.FS.Lstat(n)
}
func (f observedFS) Stat(n string) (scanner.Info, error) {
	f.log.describe("stat", n)
	return f.FS.Stat(n)
}
func (f observedFS) ReadDir(n string) ([]scanner.Info, error) {
	f.log.describe("readdir", n)
	return f.FS.ReadDir(n)
}
func (f observedFS) Readlink(n string) (string, error) {
	f.log.describe("readlink", n)
	return f.FS.Readlink(n)
}
func (f observedFS) Resolve(n string) (string, error) {
	f.log.describe("resolve", n)
	return f.FS.Resolve(n)
}
func (f observedFS) Xattr(n, attr string) ([]byte, error) {
	f.log.describe("xattr", n)
	return f.FS.Xattr(n, attr)
}
func (f observedFS) Open(n string) (scanner.File, error) {
	f.log.content("open", n)
	return f.FS.Open(n)
}
func (f observedFS) Head(n string) ([]byte, error) {
	f.log.fingerprint("head", n)
	return f.FS.Head(n)
}
func (f observedFS) Digest(n string, a scanner.Algo) ([]byte, error) {
	f.log.fingerprint("digest", n)
	return f.FS.Digest(n, a)
}

// every ranges over all tables.
type every struct{}

func (every) Tables(string) []string {
	var out []string
	for _, c := range facts.Collectors() {
		out = append(out, c.Table)
	}
	return out
}

func (every) Judge(context.Context, *scanner.Facts) scanner.Verdict { return scanner.Verdict{} }

// observe scans a device and returns, by collector, what was read without being declared.
func observe(t *testing.T, dev scanner.Device) map[string][]string {
	t.Helper()
	declared := map[string]scanner.Reads{}
	for _, c := range facts.Collectors() {
		declared[c.Table] = c.Reads
	}
	logs := map[string]*readLog{}
	_, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Judge: every{}, Now: time.Now(), Digests: scanner.DigestsNone,
		View: func(c string, d scanner.Device) scanner.Device {
			logs[c] = &readLog{reads: declared[c], homes: homesOf(dev), bad: map[string]bool{}}
			return observed{d, logs[c]}
		}})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for c, l := range logs {
		for b := range l.bad {
			out[c] = append(out[c], b)
		}
		slices.Sort(out[c])
	}
	return out
}

// homesOf lists the home directories of a device's accounts.
func homesOf(dev scanner.Device) []string {
	b, _ := scanner.ReadFile(dev.FS(), "/etc/passwd", 1<<20)
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if f := strings.Split(line, ":"); len(f) >= 7 {
			out = append(out, path.Clean(f[5]))
		}
	}
	return out
}

func TestCollectorsReadNothingButWhatTheyDeclare(t *testing.T) {
	t.Parallel()
	devices := map[string]func() (scanner.Device, error){
		"live": func() (scanner.Device, error) { return device.Live(t.Context(), device.LiveOptions{}) },
	}
	fixtures, _ := filepath.Glob("testdata/*.txtar")
	phones, _ := filepath.Glob("../../agent/testdata/android/base/*.txtar")
	fixtures = append(fixtures, phones...)
	for _, f := range fixtures {
		devices[f] = func() (scanner.Device, error) {
			b, err := os.ReadFile(f)
			if err != nil {
				return nil, err
			}
			return device.Txtar(b)
		}
	}
	if len(fixtures) == 0 {
		t.Error("no fixture")
	}
	for name, open := range devices {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev, err := open()
			if err != nil {
				t.Fatal(err)
			}
			for c, bad := range observe(t, dev) {
				if len(bad) > 0 {
					t.Errorf("collector %s reads more than it declares:\n  %s", c, strings.Join(bad, "\n  "))
				}
			}
		})
	}
}

// TestEveryColumnIsDocumented also proves that every collector in the package is in the list.
func TestEveryColumnIsDocumented(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range facts.Collectors() {
		if seen[c.Table] {
			t.Errorf("two collectors fill %s", c.Table)
		}
		seen[c.Table] = true
		if c.Doc == "" || c.Row == nil || c.Collect == nil {
			t.Errorf("collector %s lacks a doc, a row or a function", c.Table)
			continue
		}
		for _, p := range undocumented(c.Row) {
			t.Errorf("table %s: %s", c.Table, p)
		}
		if len(c.Reads.Globs)+len(c.Reads.Meta)+len(c.Reads.Probes)+len(c.Needs) == 0 {
			t.Errorf("collector %s declares no reads", c.Table)
		}
	}
}

func TestEveryCollectorIsInTheList(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile("collectors.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			name, isFunc := strings.CutPrefix(line, "func ")
			name, isCollector := strings.CutSuffix(name, "() scanner.Collector {")
			if isFunc && isCollector && !strings.Contains(string(list), name+"()") {
				t.Errorf("%s: %s is not in Collectors", f, name)
			}
		}
	}
}
