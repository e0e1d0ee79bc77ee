package facts

import (
	"slices"
	"strings"
	"time"

	"picket/scanner/parse"
)

// What speaks for an app can be had cheaply: the short hash of a certificate in dumps has 32 bits
// that whoever makes a certificate chooses, the published test keys are everybody's, a reason of
// installation is what the installer says, and lines of the dump can be imitated. Each is believed
// only as long as nothing speaks against it.

const (
	setUpTime  = 48 * time.Hour // within which what comes with a device is there
	updateTime = 24 * time.Hour // that an update of the system takes to bring its apps
)

// arrivals are the times at which apps came onto the device.
type arrivals struct {
	first  time.Time   // of the first app on the data partition; zero unknown
	system []time.Time // of apps that are part of the system, where they are no time of its making
}

func (r *appReader) arrive() {
	for i := range r.apps.rows {
		a := &r.apps.rows[i]
		t, err := time.Parse(time.RFC3339, a.FirstInstalled)
		switch {
		case err != nil:
		case inSystem(a.CodePath):
			r.came.system = append(r.came.system, t)
		case a.OnData && !a.System && (r.came.first.IsZero() || t.Before(r.came.first)):
			r.came.first = t
		}
	}
	slices.SortFunc(r.came.system, time.Time.Compare)
}

// late reports whether an app came long after the device was set up, and not with an update of
// the system either.
func (r *appReader) late(a *App) bool {
	t, err := time.Parse(time.RFC3339, a.FirstInstalled)
	if err != nil || r.came.first.IsZero() || t.Sub(r.came.first) <= setUpTime {
		return false
	}
	i, _ := slices.BinarySearchFunc(r.came.system, t.Add(-updateTime), time.Time.Compare)
	return i == len(r.came.system) || r.came.system[i].After(t.Add(updateTime))
}

func byShell(pkg string) bool { return pkg == "com.android.shell" || pkg == "shell" || pkg == "root" }

// suspect reports whether anything speaks against that an app is of the device's maker.
func (r *appReader) suspect(a *App) bool {
	if r.raw[a.Package].doubt || a.Debuggable || a.TestOnly || byShell(a.Installer) || byShell(a.Initiator) {
		return true
	}
	switch knownApps[a.Installer] {
	case "store", "oem_store", "mdm":
		return false
	}
	return r.late(a)
}

// signedLike reports whether one of an app's signers is known. Where it is so by a short hash alone,
// or its key is one that everybody has, the app must be of the system or let nothing speak against it.
func (r *appReader) signedLike(a *App, known func(signer string) bool) bool {
	const sha256Digits = 64
	weak := false
	for _, s := range r.raw[a.Package].signers {
		if !known(s) {
			continue
		}
		if len(s) == sha256Digits && keyKind(s, "", "") == "" {
			return true
		}
		weak = true
	}
	return weak && (a.System || !r.suspect(a))
}

// doubtful reports whether the lines of a package can be its own text: some stand twice or out of
// place, or all that the service prints behind the version are gone.
func doubtful(d *parse.PackageDump, i int) bool {
	p := &d.Packages[i]
	if len(p.Conflicts) > 0 {
		return true
	}
	return p.Says("versionName") && i < len(d.Packages)-1 && !slices.ContainsFunc([]string{"splits", "flags", "timeStamp", "signatures", "pkgFlags"}, p.Says)
}

// partOfSystem reports whether the flags that make a package part of the system are believed. Of
// one on the data partition the system's own version is among the hidden packages, where the dump
// goes on behind these.
func partOfSystem(d *parse.PackageDump, p *parse.DumpedPackage, hidden map[string]bool, doubt bool) bool {
	flagged := p.AppFlags.Has("SYSTEM") || p.PkgFlags.Has("SYSTEM")
	switch told := slices.Index(d.Sections, "Hidden system packages"); {
	case !strings.HasPrefix(p.CodePath, "/data/"):
		return flagged && !doubt || inSystem(p.CodePath)
	case hidden[p.Name]:
		return flagged
	case told >= 0 && told < len(d.Sections)-1, doubt:
		return false
	}
	return flagged
}
