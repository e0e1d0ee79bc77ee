package report

import (
	"errors"
	"strings"

	"picket/scanner"
	"picket/scanner/facts"
)

// PatchState is what is known of a device's updates.
type PatchState struct {
	// Android is the row of the table "android", nil elsewhere.
	Android *facts.AndroidSystem
	// Updates are the rows of the table "updates".
	Updates []facts.UpdateState
	// Unread says what could not be read; "" when all was.
	Unread string
}

// ErrNoOSVersion says that a system names no version, which OS Patch State must have.
var ErrNoOSVersion = errors.New("the system names no version")

type (
	ocsfPatch struct {
		ocsfHead
		Articles []ocsfArticle `json:"kb_article_list,omitempty"`
	}
	ocsfArticle struct {
		UID     string `json:"uid"`
		StateID int    `json:"install_state_id"`
		State   string `json:"install_state"`
	}
	updateRest struct {
		Manager     string `json:"manager,omitempty"`
		RefreshDays *int   `json:"refresh_days,omitempty"`
		InstallDays *int   `json:"install_days,omitempty"`
		Pending     *int   `json:"pending,omitempty"`
		Automatic   bool   `json:"automatic"`
		Reboot      bool   `json:"reboot_required,omitempty"`
		Held        bool   `json:"held,omitempty"`
	}
)

// PatchEvent encodes how far a device's updates are as Operating System Patch State. Numbers
// that are not known are left out. A system without any version is ErrNoOSVersion.
func PatchEvent(m EventMeta, p PatchState) (Event, error) {
	if os := m.Device.Info.OS; os == nil || os.Version+os.Build == "" {
		if p.Android == nil || p.Android.Release+p.Android.Patch == "" {
			return Event{}, ErrNoOSVersion
		}
	}
	return m.encode(func(c *clipper) ocsfEvent {
		e := &ocsfPatch{ocsfHead: m.newHead(c, ClassPatch, collected, severityCaption(scanner.Informational))}
		e.StatusID, e.Status = 1, "Success"
		if why := p.unread(); why != "" {
			e.StatusID, e.Status, e.StatusDetail = 99, "Partial", c.text(why, 1)
		}
		if e.Device.OS.Version == "" {
			e.Device.OS.Version = e.Device.OS.Build
		}
		if p.Android != nil {
			androidPatch(c, p.Android, e)
		}
		e.Message = "Updates of " + e.Device.OS.Name
		var rest []updateRest
		for i := range p.Updates[:c.list(len(p.Updates), 1)] {
			u := &p.Updates[i]
			r := updateRest{c.text(u.Manager, 1), known(u.RefreshDays), known(u.InstallDays), known(u.Pending), u.Automatic, u.RebootRequired, u.Held}
			if u.Unread.Unread["pending"] != "" {
				r.Pending = nil
			}
			rest = append(rest, r)
			for _, name := range c.strings(u.PendingNames, 1) {
				e.Articles = append(e.Articles, ocsfArticle{name, 2, "Not Installed"})
			}
		}
		if rest != nil {
			e.Unmapped["updates"] = rest
		}
		return e
	})
}

// unread joins what the tables and their rows could not tell.
func (p *PatchState) unread() string {
	var why []string
	if p.Unread != "" {
		why = append(why, p.Unread)
	}
	if p.Android != nil && p.Android.Unread.Unread["patch"] != "" {
		why = append(why, "patch: "+p.Android.Unread.Unread["patch"])
	}
	for i := range p.Updates {
		if w := p.Updates[i].Unread.Unread["pending"]; w != "" {
			why = append(why, "pending: "+w)
		}
	}
	return strings.Join(why, "; ")
}

func androidPatch(c *clipper, a *facts.AndroidSystem, e *ocsfPatch) {
	os := &e.Device.OS
	if os.Version == "" {
		os.Version = c.text(a.Release, 1)
	}
	os.Patch = c.text(a.Patch, 1)
	for name, value := range map[string]string{"vendor_patch": a.VendorPatch, "mainline": a.Mainline} {
		if value != "" {
			e.Unmapped[name] = c.text(value, 1)
		}
	}
	if len(a.Exploited) > 0 {
		e.Unmapped["exploited"] = c.strings(a.Exploited, 8)
	}
}

// known leaves out what is -1.
func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}
