package agent

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/store"
)

// toStore makes a report's findings what the store compares with what it knows. known are the rules of
// open findings: a rule that is no more takes its findings with it.
func toStore(r *scanner.Report, known []string) (store.Scan, error) {
	s := store.Scan{Whole: wholeOf(r)}
	for _, rule := range known {
		if _, judged := s.Whole[rule]; !judged {
			s.Whole[rule] = true
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		body, err := json.Marshal(f)
		if err != nil {
			return s, fmt.Errorf("keeping finding %s: %w", f.Key, err)
		}
		s.Findings = append(s.Findings, store.Finding{Key: f.Key, Rule: f.Rule, Title: f.Title + ": " + f.Subject.Name, Severity: uint8(f.Severity),
			Digest: findingDigest(f), Body: body})
	}
	return s, nil
}

// wholeOf says of each rule of a report whether all that it judges was looked at: what it found before and
// did not find again is gone.
func wholeOf(r *scanner.Report) map[string]bool {
	whole := map[string]bool{}
	for _, c := range r.Coverage {
		// What is not applicable was looked at: there is nothing of the kind any more. With a
		// reason beside a failure, part of the table could not be read.
		whole[c.Rule] = c.Outcome == scanner.NotApplicable || c.Outcome != scanner.Unknown && c.Why == ""
	}
	return whole
}

// toInventory gives nil where no package manager could be read: no inventory is not an empty one.
func toInventory(r *scanner.Report) (*store.Inventory, error) {
	i := slices.IndexFunc(r.Tables, func(t scanner.TableInfo) bool { return t.Table == "packages" })
	if i < 0 || r.Tables[i].Absent != "" || r.Tables[i].Inapplicable != "" {
		return nil, nil
	}
	list := packagesOf(r)
	inv := &store.Inventory{Whole: len(r.Tables[i].Partial) == 0 && len(list) > 0}
	var err error
	inv.Packages, err = toPackages(list)
	return inv, err
}

func toPackages(list []facts.Package) ([]store.Package, error) {
	out := make([]store.Package, 0, len(list))
	seen := map[string]int{}
	for i := range list {
		p := &list[i]
		body, err := json.Marshal(p)
		if err != nil {
			return nil, fmt.Errorf("keeping package %s: %w", p.ID, err)
		}
		out = append(out, store.Package{ID: packageKey(p, seen), Digest: packageDigest(p), Body: body})
	}
	return out, nil
}

// packageKey is a package's identity over time: its id is its manager's, for one scope. A
// second one of the same name is told apart by its place in the list.
func packageKey(p *facts.Package, seen map[string]int) string {
	key := p.Manager + " " + p.ID
	if p.Scope != "system" && p.Scope != "" {
		key += " " + p.Scope
	}
	if len(key) > 1000 {
		sum := sha256.Sum256([]byte(key))
		key = fmt.Sprintf("%s %x", key[:200], sum[:16])
	}
	seen[key]++
	if n := seen[key]; n > 1 {
		key = fmt.Sprintf("%s #%d", key, n)
	}
	return key
}

// packageDigest is of what makes a package another one when it changes: not what its state
// folders have grown to, nor its age.
func packageDigest(p *facts.Package) []byte {
	steady := []any{p.Version, p.Arch, p.Installer, p.Origin, p.Signer, p.Scope, p.Status, p.InstallTime, p.BundleSize}
	if a := p.App; a != nil {
		steady = append(steady, a.VersionCode, a.Source, a.Disabled, a.Signature, a.CodePath, a.Users, a.LastUpdated)
	}
	return digestOf(steady)
}

// findingDigest is of what makes a finding worth telling again: not its texts, which are the
// rule's, nor numbers that go on by themselves.
func findingDigest(f *scanner.Finding) []byte {
	evidence := make([]string, len(f.Evidence))
	for i, e := range f.Evidence {
		evidence[i] = steadyEvidence(e)
	}
	slices.Sort(evidence)
	told := make([]string, len(f.Absorbed))
	for i, a := range f.Absorbed {
		told[i] = a.Rule + " " + a.Subject.Kind + " " + a.Subject.Name
	}
	slices.Sort(told)
	steady := []any{f.Severity, f.Title, f.Category, f.FalsePositives, f.Discreet, slices.Compact(evidence), slices.Compact(told)}
	if f.Policy != nil {
		steady = append(steady, f.Policy)
	}
	return digestOf(steady)
}

func steadyEvidence(e scanner.Evidence) string {
	var parts []string
	for name, value := range e.Fields {
		if !passing(name) {
			parts = append(parts, name+"="+value)
		}
	}
	slices.Sort(parts)
	// Lines move when others are added; /proc/123 is the same process's next life.
	source := strings.TrimRight(e.Source, "0123456789")
	if !strings.HasSuffix(source, ":") {
		source = e.Source
	}
	if strings.HasPrefix(source, "/proc/") {
		source = "/proc"
	}
	return source + " " + strings.Join(parts, " ")
}

// passing names columns that change while nothing has: ids that the kernel gives, ages, counters.
func passing(column string) bool {
	switch column {
	case "pid", "pids", "ppid", "parent", "tracer", "started", "mtime", "size", "seen", "last", "looked", "time", "days", "seconds", "fds",
		"memory", "local_port", "clients", "tty", "observed", "newest", "line":
		return true
	}
	for _, end := range []string{"_days", "_hours", "_minutes", "_seconds"} {
		if strings.HasSuffix(column, end) {
			return true
		}
	}
	return false
}

func digestOf(v []any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // cannot be, of texts and numbers; if it is, the whole body counts
		return nil
	}
	sum := sha256.Sum256(b)
	return sum[:16]
}
