package report

import (
	"errors"
	"strings"

	"picket/scanner"
	"picket/scanner/facts"
)

type (
	ocsfDevice struct {
		UID         string  `json:"uid"`
		TypeID      int     `json:"type_id"`
		Type        string  `json:"type"`
		Model       string  `json:"model,omitempty"`
		OS          ocsfOS  `json:"os"`
		HW          *ocsfHW `json:"hw_info,omitempty"`
		RiskLevelID *int    `json:"risk_level_id,omitempty"`
		RiskLevel   string  `json:"risk_level,omitempty"`
	}
	ocsfOS struct {
		Name    string `json:"name"`
		TypeID  int    `json:"type_id"`
		Type    string `json:"type"`
		Version string `json:"version,omitempty"`
		Build   string `json:"build,omitempty"`
		Edition string `json:"edition,omitempty"`
		Patch   string `json:"sp_name,omitempty"`
		Kernel  string `json:"kernel_release,omitempty"`
	}
	ocsfHW struct {
		ArchID int    `json:"cpu_architecture_id"`
		Arch   string `json:"cpu_architecture"`
		Bits   int    `json:"cpu_bits,omitempty"`
	}
)

// device is the block that every event carries: nothing in it tells who the person is.
func (m *EventMeta) device(c *clipper) ocsfDevice {
	info := &m.Device.Info
	kind := deviceType(info.Profile)
	d := ocsfDevice{UID: c.text(m.Device.UID, 1), TypeID: kind.id, Type: c.text(kind.name, 1), OS: ocsfOS{Name: c.text(info.Platform, 1), Type: "Linux", TypeID: 200}}
	if info.Platform == "android" {
		d.OS.TypeID, d.OS.Type = 201, "Android"
	}
	os := info.OS
	if os == nil {
		return d
	}
	if os.Name != "" {
		d.OS.Name = c.text(os.Name, 1)
	}
	d.OS.Version, d.OS.Build, d.OS.Edition, d.OS.Kernel = c.text(os.Version, 1), c.text(os.Build, 1), c.text(os.Variant, 1), c.text(os.Kernel, 1)
	d.Model = c.text(os.Model, 1)
	d.HW = hardware(os.Arch)
	return d
}

// deviceType maps a profile; what OCSF has no type for keeps its own name.
func deviceType(profile string) caption {
	switch profile {
	case "":
		return caption{0, "Unknown"}
	case "server":
		return caption{1, "Server"}
	case "workstation":
		return caption{2, "Desktop"}
	case "phone", "handheld":
		return caption{5, "Mobile"}
	case "iot":
		return caption{7, "IOT"}
	case "router":
		return caption{12, "Router"}
	}
	return caption{99, profile}
}

// hardware tells the processor from the machine's name as uname prints it.
func hardware(arch string) *ocsfHW {
	hw := &ocsfHW{ArchID: 99, Arch: arch}
	switch {
	case arch == "":
		return nil
	case arch == "x86_64", arch == "amd64":
		hw.ArchID, hw.Arch, hw.Bits = 1, "x86", 64
	case len(arch) == 4 && arch[0] == 'i' && arch[2:] == "86", arch == "x86":
		hw.ArchID, hw.Arch, hw.Bits = 1, "x86", 32
	case strings.HasPrefix(arch, "aarch64"), strings.HasPrefix(arch, "arm64"):
		hw.ArchID, hw.Arch, hw.Bits = 2, "ARM", 64
	case strings.HasPrefix(arch, "arm"):
		hw.ArchID, hw.Arch, hw.Bits = 2, "ARM", 32
	case arch == "riscv64":
		hw.ArchID, hw.Arch, hw.Bits = 3, "RISC-V", 64
	}
	return hw
}

// DeviceState is what a whole scan said of the device.
type DeviceState struct {
	Level scanner.Level
	// SetBy are the keys of the findings that set the level.
	SetBy []string
	// Coverage is what became of the rules; nil leaves it out.
	Coverage []scanner.Coverage
}

type ocsfPlain struct{ ocsfHead }

// DeviceEvent encodes the device and its threat level as Device Inventory Info.
func DeviceEvent(m EventMeta, s DeviceState) (Event, error) {
	return m.encode(func(c *clipper) ocsfEvent {
		e := &ocsfPlain{m.newHead(c, ClassDevice, collected, severityCaption(scanner.Informational))}
		risk := riskOf(s.Level)
		e.Device.RiskLevelID, e.Device.RiskLevel = &risk.id, risk.name
		e.Message = "Threat level " + s.Level.String()
		info := &m.Device.Info
		e.Unmapped["level"] = s.Level.String()
		e.Unmapped["platform"] = c.text(info.Platform, 1)
		e.Unmapped["live"], e.Unmapped["root"] = info.Live, info.Root
		for name, value := range map[string]string{"profile": info.Profile, "recorded_at": info.RecordedAt, "modes_untrusted": info.ModesUntrusted} {
			if value != "" {
				e.Unmapped[name] = c.text(value, 1)
			}
		}
		if len(s.SetBy) > 0 {
			e.Unmapped["set_by"] = c.strings(s.SetBy)
		}
		if s.Coverage != nil {
			coverageRest(c, s.Coverage, e.Unmapped)
		}
		return e
	})
}

// coverageRest counts the rules by outcome and says what was not checked, and why.
func coverageRest(c *clipper, cs []scanner.Coverage, rest map[string]any) {
	counts := map[string]int{}
	for o, n := range outcomes(cs) {
		counts[o.String()] = n
	}
	rest["rules"] = counts
	type reason struct {
		Why   string   `json:"why"`
		Rules []string `json:"rules"`
	}
	var list []reason
	groups := unknowns(cs)
	for _, u := range groups[:c.list(len(groups))] {
		list = append(list, reason{c.text(u.Why, 1), u.Rules})
	}
	if list != nil {
		rest["not_checked"] = list
	}
}

// riskOf maps the threat level to OCSF's risk.
func riskOf(l scanner.Level) caption {
	switch l {
	case scanner.Secured:
		return caption{0, "Info"}
	case scanner.LevelLow:
		return caption{1, "Low"}
	case scanner.LevelMedium:
		return caption{2, "Medium"}
	case scanner.LevelHigh:
		return caption{3, "High"}
	}
	return caption{99, "Unknown"}
}

// Posture is a threat level and how many findings are open, by their class.
type Posture struct {
	Level scanner.Level
	// Detections and Faults count open Detection and Compliance Findings.
	Detections, Faults int
}

// PostureOf counts findings.
func PostureOf(level scanner.Level, open []scanner.Finding) Posture {
	p := Posture{Level: level}
	for i := range open {
		if FindingClass(open[i].Category) == ClassDetection {
			p.Detections++
		} else {
			p.Faults++
		}
	}
	return p
}

type (
	ocsfState struct {
		ocsfHead
		LevelID     int        `json:"security_level_id"`
		Level       string     `json:"security_level"`
		PrevLevelID int        `json:"prev_security_level_id"`
		PrevLevel   string     `json:"prev_security_level"`
		States      []ocsfFlag `json:"security_states,omitempty"`
		PrevStates  []ocsfFlag `json:"prev_security_states,omitempty"`
	}
	ocsfFlag struct {
		ID   int    `json:"state_id"`
		Name string `json:"state"`
	}
)

// PostureEvent encodes a change of the threat level as Device Config State Change.
func PostureEvent(m EventMeta, before, after Posture) (Event, error) {
	return m.encode(func(c *clipper) ocsfEvent {
		severity := [...]scanner.Severity{scanner.Unjudged: 0, scanner.Secured: scanner.Informational, scanner.LevelLow: scanner.Low,
			scanner.LevelMedium: scanner.Medium, scanner.LevelHigh: scanner.High}[min(after.Level, scanner.LevelHigh)]
		e := &ocsfState{ocsfHead: m.newHead(c, ClassConfigState, collected, severityCaption(severity)), States: after.states(), PrevStates: before.states()}
		now, was := securityLevel(after.Level), securityLevel(before.Level)
		e.LevelID, e.Level, e.PrevLevelID, e.PrevLevel = now.id, now.name, was.id, was.name
		e.Message = "Threat level " + before.Level.String() + " to " + after.Level.String()
		e.Unmapped["level"], e.Unmapped["prev_level"] = after.Level.String(), before.Level.String()
		e.Unmapped["detections"], e.Unmapped["faults"] = after.Detections, after.Faults
		return e
	})
}

func (p Posture) states() []ocsfFlag {
	var out []ocsfFlag
	if p.Detections > 0 {
		out = append(out, ocsfFlag{7, "Unremediated threat"})
	}
	if p.Faults > 0 {
		out = append(out, ocsfFlag{23, "Compliance failure"})
	}
	return out
}

func securityLevel(l scanner.Level) caption {
	switch l {
	case scanner.Secured:
		return caption{1, "Secure"}
	case scanner.LevelLow, scanner.LevelMedium:
		return caption{2, "At Risk"}
	case scanner.LevelHigh:
		return caption{3, "Compromised"}
	}
	return caption{0, "Unknown"}
}

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
		e.Message = strings.TrimSpace("Updates of " + e.Device.OS.Name + " " + e.Device.OS.Version)
		var rest []updateRest
		for i := range p.Updates[:c.list(len(p.Updates))] {
			u := &p.Updates[i]
			r := updateRest{c.text(u.Manager, 1), known(u.RefreshDays), known(u.InstallDays), known(u.Pending), u.Automatic, u.RebootRequired, u.Held}
			if u.Unread.Unread["pending"] != "" {
				r.Pending = nil
			}
			rest = append(rest, r)
			for _, name := range c.strings(u.PendingNames) {
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
		e.Unmapped["exploited"] = c.strings(a.Exploited)
	}
}

// known leaves out what is -1.
func known(n int) *int {
	if n < 0 {
		return nil
	}
	return &n
}
