package parse

import (
	"strconv"
	"strings"
)

// RadioState is the mobile network of one slot. Operator, cell, number and calls are dropped.
type RadioState struct {
	Phone   int
	Voice   string // IN_SERVICE, OUT_OF_SERVICE, EMERGENCY_ONLY, POWER_OFF
	Data    string
	VoiceRT string // radio technology: GSM, UMTS, LTE, ...; empty when unknown
	DataRT  string // GPRS, EDGE, HSPA, LTE, NR, ...
	Roaming bool
	Line    int // 1-based
}

// RadioStates reads the last known state in dumpsys telephony.registry of Android 4.4 to 16.
func RadioStates(b []byte) ([]RadioState, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []RadioState
	known, state, phone := false, false, 0
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "last known state"):
			known, state = true, true
		case indent(line) == 0 && text != "" && text != "}":
			state = false
		case !state:
		case strings.HasPrefix(text, "Phone Id="):
			phone, _ = strconv.Atoi(strings.TrimPrefix(text, "Phone Id="))
		case strings.HasPrefix(text, "mServiceState=") && len(all) < 16:
			r := radioState(text)
			r.Phone, r.Line = phone, n
			all = append(all, r)
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}

func radioState(text string) (r RadioState) {
	r.Voice, r.Data = namedNumber(text, "mVoiceRegState"), namedNumber(text, "mDataRegState")
	r.VoiceRT, r.DataRT = radioName(namedNumber(text, "RilVoiceRadioTechnology")), radioName(namedNumber(text, "RilDataRadioTechnology"))
	for _, key := range []string{"mVoiceRoamingType", "mDataRoamingType"} {
		if t := valueOf(text, key); t != "" && t != "home" && t != "unknown" {
			r.Roaming = true
		}
	}
	// Registrations name the technology of each domain from Android 9 on, also the new radio.
	for _, reg := range strings.Split(text, "domain=")[1:] {
		tech := radioName(valueOf("accessNetworkTechnology="+after(reg, "accessNetworkTechnology="), "accessNetworkTechnology"))
		switch {
		case tech == "" || strings.HasPrefix(reg, "UNKNOWN") || tech == "IWLAN":
		case strings.HasPrefix(reg, "PS") && r.DataRT == "":
			r.DataRT = tech
		case strings.HasPrefix(reg, "CS") && r.VoiceRT == "":
			r.VoiceRT = tech
		}
	}
	return r
}

func after(s, mark string) string {
	_, s, _ = strings.Cut(s, mark)
	return s
}

// namedNumber gives the name in key=1(NAME).
func namedNumber(text, key string) string {
	_, rest, ok := strings.Cut(text, key+"=")
	if !ok {
		return ""
	}
	i := 0
	for i < len(rest) && (rest[i] == '-' || rest[i] >= '0' && rest[i] <= '9') {
		i++
	}
	if i == len(rest) || rest[i] != '(' {
		return ""
	}
	name, _, _ := strings.Cut(rest[i+1:], ")")
	return clip(name, 40)
}

func radioName(s string) string {
	if s == "Unknown" || s == "UNKNOWN" || s == "null" || len(s) > 20 {
		return ""
	}
	return s
}

// SIMs is how many subscriptions a device has. Numbers, operators and card numbers are dropped.
type SIMs struct {
	Active   int
	Known    int // ever used, as far as the service remembers
	Embedded int // active ones that are no card
	Cards    int // active ones whose card number the device knows
}

// Subscriptions reads dumpsys isub of Android 5.1 to 16.
func Subscriptions(b []byte) (SIMs, error) {
	if err := ServiceRefusal(b); err != nil {
		return SIMs{}, err
	}
	var s SIMs
	known, list := false, ""
	serviceText(b, func(_ int, line string) {
		text := strings.TrimSpace(line)
		low := strings.ToLower(strings.ReplaceAll(text, " ", ""))
		switch {
		case strings.HasPrefix(low, "subscriptioncontroller:"), strings.HasPrefix(low, "subscriptionmanagerservice:"):
			known = true
			return
		case strings.HasPrefix(low, "activesubinfolist"), strings.HasPrefix(low, "activesubscriptions"):
			known, list = true, "active"
			return
		case strings.HasPrefix(low, "allsubinfolist"), strings.HasPrefix(low, "allsubscriptions"):
			known, list = true, "all"
			return
		case strings.HasPrefix(text, "++++"), text == "":
			list = ""
			return
		}
		if !strings.HasPrefix(text, "{id=") && !strings.Contains(text, "SubscriptionInfo") {
			return
		}
		switch list {
		case "all":
			s.Known++
		case "active":
			s.Active++
			if strings.Contains(text, "isEmbedded true") || strings.Contains(text, "isEmbedded=true") || strings.Contains(text, "isEmbedded=1") {
				s.Embedded++
			}
			if card := after(text, "iccId="); card != "" && card[0] >= '0' && card[0] <= '9' || strings.HasPrefix(card, "[") {
				s.Cards++
			}
		}
	})
	if !known {
		return s, ErrOtherFormat
	}
	return s, nil
}
