package report

import (
	"errors"
	"fmt"
	"strings"

	"picket/scanner"
	"picket/scanner/facts"
)

// chunkPackages is how many packages one event of an inventory holds at most.
const chunkPackages = 100

// Inventory is the table of packages, whole or not.
type Inventory struct {
	Packages []facts.Package
	// Partial says what could not be read besides.
	Partial []string
	// Absent says why there is none. An empty inventory without a reason is an error.
	Absent string
}

type (
	ocsfInventory struct {
		ocsfHead
		SBOM *ocsfSBOM `json:"sbom,omitempty"`
	}
	ocsfSBOM struct {
		UID        string          `json:"uid"`
		TypeID     int             `json:"type_id"`
		Type       string          `json:"type"`
		Created    int64           `json:"created_time"`
		Package    ocsfPackage     `json:"package"`
		Product    ocsfProduct     `json:"product"`
		Components []ocsfComponent `json:"software_components"`
	}
	ocsfPackage struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		TypeID  int    `json:"type_id"`
		Type    string `json:"type"`
	}
	ocsfComponent struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		PURL    string `json:"purl,omitempty"`
		Author  string `json:"author,omitempty"`
		TypeID  int    `json:"type_id"`
		Type    string `json:"type"`
	}
	// packageRest is what OCSF has no place for.
	packageRest struct {
		ID           string       `json:"id"`
		ShortVersion string       `json:"short_version,omitempty"`
		Arch         string       `json:"arch,omitempty"`
		Source       string       `json:"source,omitempty"`
		BundleSize   *int64       `json:"bundle_size,omitempty"`
		DynamicSize  *int64       `json:"dynamic_size,omitempty"`
		Installer    string       `json:"installer,omitempty"`
		Origin       string       `json:"origin,omitempty"`
		Signer       string       `json:"signer,omitempty"`
		InstallTime  string       `json:"install_time,omitempty"`
		Scope        string       `json:"scope,omitempty"`
		Status       string       `json:"status,omitempty"`
		Android      *androidRest `json:"android,omitempty"`
	}
	androidRest struct {
		From       string `json:"from,omitempty"`
		System     bool   `json:"system,omitempty"`
		Sideloaded bool   `json:"sideloaded,omitempty"`
		Disabled   bool   `json:"disabled,omitempty"`
		Signature  string `json:"signature,omitempty"`
		TargetSDK  int    `json:"target_sdk,omitempty"`
	}
)

// InventoryEvents encodes an inventory as Software Inventory Info and hands the events to emit,
// one after the other. Each holds up to 100 packages and has a uid of its own, m.UID and its
// number; metadata.correlation_uid and sbom.uid are m.UID, metadata.sequence counts from 1,
// unmapped.packages_total is the whole, and the last one has unmapped.last. An error of emit ends it.
func InventoryEvents(m EventMeta, inv Inventory, emit func(Event) error) error {
	if err := m.check(); err != nil {
		return err
	}
	if len(inv.Packages) == 0 {
		if inv.Absent == "" {
			return errors.New("an empty inventory needs a reason")
		}
		e, err := m.encode(func(c *clipper) ocsfEvent { return m.inventory(c, &inv, 1, 0, 0) })
		if err != nil {
			return err
		}
		return emit(e)
	}
	from := 0
	for sequence := 1; from < len(inv.Packages); sequence++ {
		e, n, err := m.chunk(&inv, sequence, from)
		if err != nil {
			return err
		}
		if err := emit(e); err != nil {
			return err
		}
		from += n
	}
	return nil
}

// chunk encodes as many packages as fit, and gives their number.
func (m *EventMeta) chunk(inv *Inventory, sequence, from int) (Event, int, error) {
	for n := min(chunkPackages, len(inv.Packages)-from); ; n = (n + 1) / 2 {
		c := &clipper{texts: 256, lists: 20} // the longest package is then well below MaxEvent
		e, err := seal(c, m.inventory(c, inv, sequence, from, n))
		if err != nil || len(e.Body) <= MaxEvent || n == 1 {
			return e, n, err
		}
	}
}

func (m *EventMeta) inventory(c *clipper, inv *Inventory, sequence, from, n int) *ocsfInventory {
	e := &ocsfInventory{ocsfHead: m.newHead(c, ClassInventory, collected, severityCaption(scanner.Informational))}
	e.Metadata.UID = fmt.Sprintf("%s-%d", m.UID, sequence)
	e.Metadata.Correlation, e.Metadata.Sequence = m.UID, sequence
	switch {
	case inv.Absent != "":
		e.StatusID, e.Status, e.StatusDetail = 2, "Failure", c.text(inv.Absent, 4)
	case len(inv.Partial) > 0:
		e.StatusID, e.Status, e.StatusDetail = 99, "Partial", c.text(strings.Join(c.strings(inv.Partial, 1), "; "), 4)
	default:
		e.StatusID, e.Status = 1, "Success"
	}
	if n == 0 {
		e.Message = "No inventory"
		return e
	}
	e.Message = fmt.Sprintf("Packages %d to %d of %d", from+1, from+n, len(inv.Packages))
	e.SBOM = &ocsfSBOM{UID: m.UID, TypeID: 99, Type: "Picket inventory", Created: m.clamp(m.Time).UnixMilli(), Product: m.product(),
		Package: ocsfPackage{e.Device.OS.Name, e.Device.OS.Version, 2, "Operating System"}}
	rest := make([]packageRest, n)
	for i := range n {
		p := &inv.Packages[from+i]
		e.SBOM.Components = append(e.SBOM.Components, ocsfComponent{c.text(p.Name, 1), c.text(p.Version, 1), c.text(p.PURL, 2), author(c, p), 99, c.text(p.Manager, 1)})
		rest[i] = restOf(c, p)
	}
	e.Unmapped["packages"], e.Unmapped["packages_total"] = rest, len(inv.Packages)
	if from+n == len(inv.Packages) {
		e.Unmapped["last"] = true
	}
	return e
}

// author is who made a package, without a mail address: one who builds their own has theirs there.
func author(c *clipper, p *facts.Package) string {
	name, _, _ := strings.Cut(p.Maintainer, "<")
	if name = strings.TrimSpace(name); name == "" || strings.Contains(name, "@") {
		name = withoutLogin(p.Origin)
	}
	return c.text(name, 1)
}

func restOf(c *clipper, p *facts.Package) packageRest {
	r := packageRest{ID: c.text(p.ID, 1), Arch: c.text(p.Arch, 1), Source: c.text(p.Source, 1), BundleSize: knownSize(p.BundleSize), DynamicSize: knownSize(p.DynamicSize),
		Installer: c.text(withoutLogin(p.Installer), 1), Origin: c.text(withoutLogin(p.Origin), 1), Signer: c.text(p.Signer, 1), InstallTime: c.text(p.InstallTime, 1)}
	if p.ShortVersion != p.Version {
		r.ShortVersion = c.text(p.ShortVersion, 1)
	}
	if kind, _, _ := strings.Cut(p.Scope, ":"); kind != "system" {
		r.Scope = c.text(kind, 1) // not whose: that is the name of an account
	}
	if p.Status != "installed" {
		r.Status = c.text(p.Status, 1)
	}
	if a := p.App; a != nil {
		// Source is of both AppTraits and Package; here it is where the app came from.
		r.Android = &androidRest{c.text(a.Source, 1), a.System, a.Sideloaded, a.Disabled, c.text(a.Signature, 1), a.TargetSDK}
	}
	return r
}

// withoutLogin cuts what may let somebody in off what is a URL.
func withoutLogin(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return facts.WithoutLogin(s)
}

// knownSize leaves out what is -1.
func knownSize(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

type ocsfLifecycle struct {
	ocsfHead
	App ocsfProduct `json:"app"`
}

// PackageEvent encodes that a package came (before is nil), went (after is nil) or changed as
// Application Lifecycle.
func PackageEvent(m EventMeta, before, after *facts.Package) (Event, error) {
	p, activity, what := after, caption{8, "Update"}, "updated"
	switch {
	case before == nil && after == nil:
		return Event{}, errors.New("a package event needs a package")
	case before == nil:
		activity, what = caption{1, "Install"}, "installed"
	case after == nil:
		p, activity, what = before, caption{2, "Remove"}, "removed"
	}
	return m.encode(func(c *clipper) ocsfEvent {
		e := &ocsfLifecycle{ocsfHead: m.newHead(c, ClassLifecycle, activity, severityCaption(scanner.Informational))}
		e.StatusID, e.Status = 1, "Success"
		e.App = ocsfProduct{c.text(p.Name, 1), c.text(p.ID, 1), author(c, p), c.text(p.Version, 1)}
		e.Message = strings.TrimSpace(c.text(p.Name, 1)+" "+c.text(p.Version, 1)) + " " + what
		e.Unmapped["manager"], e.Unmapped["package"] = c.text(p.Manager, 1), restOf(c, p)
		if p.PURL != "" {
			e.Unmapped["purl"] = c.text(p.PURL, 1)
		}
		if before != nil && after != nil {
			e.Unmapped["prev_version"], e.Unmapped["prev_package"] = c.text(before.Version, 1), restOf(c, before)
		}
		return e
	})
}
