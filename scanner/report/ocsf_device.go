package report

import (
	"cmp"
	"strings"

	"picket/scanner"
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

type (
	ocsfPlain struct{ ocsfHead }
	// ocsfReason is why some rules were not checked.
	ocsfReason struct {
		Why   string   `json:"why"`
		Rules []string `json:"rules"`
	}
)

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
			e.Unmapped["set_by"] = c.strings(s.SetBy, 4)
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
	var list []ocsfReason
	groups := unknowns(cs)
	for _, u := range groups[:c.list(len(groups), 4)] {
		list = append(list, ocsfReason{c.text(u.Why, 1), u.Rules[:min(len(u.Rules), 16*c.lists)]})
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
	// Access is what the organisation's requirements come to: open, warned, blocked; "" without any.
	Access string `json:",omitempty"`
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
		if after.Access != "" || before.Access != "" {
			e.Message += ", access " + cmp.Or(after.Access, "by no policy")
			e.Unmapped["access"], e.Unmapped["prev_access"] = after.Access, before.Access
		}
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
