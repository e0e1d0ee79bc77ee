package parse

import (
	"regexp"
	"strconv"
	"strings"
)

// RedactAndroid takes what is personal out of the text that an Android service or command printed:
// words of notifications, names of people, networks and devices, numbers and accounts. source is
// "dumpsys/notification", "settings/secure" and so on. What the parsers of this package make of
// the text stays the same, down to the numbers of lines.
func RedactAndroid(source string, b []byte) []byte {
	var line func(n int, line string) string
	switch source {
	case "settings/global", "settings/secure", "settings/system":
		line = redactSettingsList()
	case "dumpsys/settings":
		line = redactSettingsDump()
	case "dumpsys/notification":
		line = redactNotifications()
	case "dumpsys/activity":
		line = redactActivity()
	case "dumpsys/wifi":
		line = redactWiFi()
	case "dumpsys/connectivity":
		line = redactConnectivity()
	case "dumpsys/device_policy":
		line = redactPolicy
	case "dumpsys/user":
		line = redactUser
	case "dumpsys/trust":
		line = redactTrust
	case "dumpsys/input_method":
		line = redactInputMethod
	case "dumpsys/batterystats":
		line = redactBattery()
	case "dumpsys/package":
		line = redactPackages()
	case "dumpsys/dbinfo":
		line = redactDatabases
	case "dumpsys/usagestats":
		line = redactUsage
	case "dumpsys/telephony.registry", "dumpsys/isub", "dumpsys/iphonesubinfo", "dumpsys/phone", "dumpsys/telecom":
		line = redactNumbers
	default:
		return b
	}
	refused := ServiceRefusal(b) != nil
	out := make([]byte, 0, len(b))
	n := 0
	for text := range strings.Lines(string(b)) {
		n++
		body := strings.TrimRight(text, "\r\n")
		switch {
		case belowSection(body), n <= 5 && refused:
			out = append(out, body...)
		default:
			out = append(out, line(n, body)...)
		}
		out = append(out, text[len(body):]...)
	}
	return sameEnd(b, out)
}

// sameEnd keeps what tells whether the output was cut off: marks in its last bytes.
func sameEnd(old, redacted []byte) []byte {
	switch was, is := ServiceCut(old), ServiceCut(redacted); {
	case was && !is:
		return append(redacted, "\n*** command 'x' timed out after 1s\n"...)
	case !was && is:
		return append(redacted, strings.Repeat("\n", 2049)...)
	}
	return redacted
}

// hideText puts x in the place of letters and digits. What stands between them, and so the form
// of a line, stays.
func hideText(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f {
			return 'x'
		}
		return r
	}, s)
}

// redactSettingsList hides the values of personal settings, over as many lines as they take.
func redactSettingsList() func(int, string) string {
	personal := false
	return func(_ int, line string) string {
		key, _, ok := strings.Cut(line, "=")
		if ok && isSettingName(key) {
			if personal = PersonalSetting(key); personal {
				return key + "=x"
			}
			return line
		}
		if personal {
			return ""
		}
		return line
	}
}

// redactSettingsDump does so in the dump of the settings' service, and leaves out its log.
func redactSettingsDump() func(int, string) string {
	personal, known, valued := false, true, false
	return func(_ int, line string) string {
		_, _, heading := settingsHeading(line)
		switch {
		case heading:
			personal, known = false, true
		case strings.HasPrefix(line, "Historical operations"), strings.HasPrefix(line, "Generation registry"):
			personal, known = false, false
		case !known:
			return ""
		case strings.HasPrefix(line, "_id:"):
			_, rest, _ := strings.Cut(line, " name:")
			name, _, _ := strings.Cut(rest, " ")
			if personal = PersonalSetting(name); personal {
				var head string
				if head, _, valued = strings.Cut(line, " value:"); valued {
					head += " value:x"
				}
				return head
			}
		case personal && !valued && strings.Contains(line, " value:"):
			valued = true
			return "x value:x"
		case personal:
			return ""
		}
		return line
	}
}

// redactNotifications leaves who reads notifications, and nothing of these.
func redactNotifications() func(int, string) string {
	inside, at := false, 0
	return func(_ int, line string) string {
		text, depth := strings.TrimSpace(line), indent(line)
		switch low := strings.ToLower(text); {
		case low == "notification listeners:" || low == "notification assistant services:" || low == "notification assistants:":
			inside, at = true, depth
			return line
		case text == "" || !inside:
			return ""
		case depth <= at:
			inside = false
			return ""
		}
		return line
	}
}

var macAddress = regexp.MustCompile(`, MAC: [0-9A-Fa-f:]{17}`)

// redactWiFi leaves the network in use, and of those that are kept how they are joined.
func redactWiFi() func(int, string) string {
	saved := false
	return func(_ int, line string) string {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "Wi-Fi is "), strings.HasPrefix(text, "Wifi is enabled"), strings.HasPrefix(text, "Wifi is disabled"):
			return line
		case strings.HasPrefix(text, "mWifiInfo SSID:"), strings.HasPrefix(text, "mWifiInfo [SSID:"), strings.HasPrefix(text, "WifiInfo: SSID:"):
			if end := strings.LastIndex(line, ", BSSID: "); end >= 0 { // the name before it may hold anything
				return line[:end] + macAddress.ReplaceAllString(line[end:], ", MAC: 02:00:00:00:00:00")
			}
			return "mWifiInfo SSID:"
		case strings.Contains(text, "Configured networks Begin"), text == "Latest configured networks:", text == "Configured networks":
			saved = true
			return line
		case strings.Contains(text, "Configured networks End"):
			saved = false
			return line
		case saved:
			return savedWiFiLine(text)
		}
		return ""
	}
}

func savedWiFiLine(text string) string {
	bare := strings.TrimLeft(text, "* ")
	bare = strings.TrimPrefix(strings.TrimPrefix(bare, "- "), "DSBLE ")
	if rest, ok := strings.CutPrefix(bare, "ID: "); ok {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		hidden := "false"
		if strings.HasSuffix(bare, "HIDDEN: true") || strings.Contains(hideQuoted(bare), "HIDDEN: true") {
			hidden = "true"
		}
		return "ID: " + rest[:i] + " HIDDEN: " + hidden
	}
	for _, key := range []string{"WEP Keys:", "WEPKey", "wepTxKeyIndex"} {
		if strings.HasPrefix(bare, key) {
			return key
		}
	}
	if strings.HasPrefix(bare, "KeyMgmt: ") || strings.HasPrefix(bare, "Proxy settings: ") {
		return text
	}
	return ""
}

// redactConnectivity leaves the networks in use, without what the service noted of earlier ones.
func redactConnectivity() func(int, string) string {
	current := false
	return func(_ int, line string) string {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "Active default network:"):
			return line
		case strings.HasPrefix(text, "Current Networks:"), strings.HasPrefix(text, "Current network agents:"):
			current = true
			return line
		case current && strings.HasPrefix(text, "NetworkAgentInfo"):
			return line
		case current && indent(line) == 0 && text != "":
			current = false
			return "-"
		}
		return ""
	}
}

// policyKeys are what DevicePolicies reads, none of which is personal.
var policyKeys = map[string]bool{"admin": true, "package": true, "isOrganizationOwnedDevice": true, "uid": true, "testOnlyAdmin": true, "passwordQuality": true, "minimumPasswordLength": true,
	"passwordComplexity": true, "mPasswordComplexity": true, "requiredPasswordComplexity": true, "mRequiredPasswordComplexity": true, "maximumTimeToUnlock": true, "maximumFailedPasswordsForWipe": true,
	"encryptionRequested": true, "disableCamera": true, "isNetworkLoggingEnabled": true, "specifiesGlobalProxy": true, "mCrossProfilePackages": true, "crossProfilePackages": true}

// redactPolicy hides the values of everything else that a line names, and sentences.
func redactPolicy(_ int, line string) string {
	key, value, ok := strings.Cut(line, "=")
	if ok && !policyKeys[strings.TrimSpace(key)] {
		return key + "=" + hideText(value)
	}
	text := strings.TrimSpace(line)
	if ok || !strings.ContainsAny(text, " \t") {
		return line
	}
	for _, known := range []string{"Current Device Policy Manager state", "Device Policy Manager state", "Device Owner:", "Profile Owner ", "Enabled Device Admins ", "User ID:"} {
		if strings.HasPrefix(text, known) {
			return line
		}
	}
	return hideText(line)
}

// redactUser hides the names of users, and of their accounts.
func redactUser(_ int, line string) string {
	text := strings.TrimSpace(line)
	if at := strings.Index(text, "UserInfo{"); at >= 0 {
		head := strings.Repeat(" ", indent(line)) + hideText(text[:at]) + "UserInfo{"
		u, ok := androidUser(text[at:])
		if !ok {
			return head + "x}"
		}
		head += strconv.Itoa(u.ID) + ":x:" + strconv.FormatInt(u.Flags, 16) + "}"
		if u.Serial >= 0 {
			head += " serialNo=" + strconv.Itoa(u.Serial)
		}
		if u.Running {
			head += " running"
		}
		return head
	}
	key, value, ok := strings.Cut(line, ":")
	if low := strings.ToLower(key); ok && (strings.Contains(low, "account") || strings.HasSuffix(low, "name")) {
		return key + ":" + hideText(value)
	}
	return line
}

// redactTrust hides the names of users and what agents say.
func redactTrust(_ int, line string) string {
	text := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(text, "User ") && strings.Contains(text, "(id="):
		return strings.Repeat(" ", indent(line)) + `User "x" ` + text[strings.LastIndex(text, "(id="):]
	case strings.HasPrefix(text, "Trust manager state"), strings.HasPrefix(text, "Enabled agents"), strings.HasPrefix(text, "bound="):
		return line
	}
	if _, ok := flatComponent(text); ok {
		return line
	}
	return hideText(line)
}

// redactInputMethod leaves the keyboards. The service prints of what is being written too.
func redactInputMethod(_ int, line string) string {
	text := strings.TrimSpace(line)
	kept := ""
	for _, head := range []string{"Current Input Method Manager state", "Input Methods:", "Input method client state"} {
		if strings.HasPrefix(text, head) {
			kept = head + " "
		}
	}
	if rest, ok := strings.CutPrefix(text, "mId="); ok {
		id, _, _ := strings.Cut(rest, " ")
		return "mId=" + id
	}
	for _, key := range []string{"mCurMethodId", "mSelectedMethodId", "mCurrentMethodId"} {
		if v := valueOf(text, key); v != "" {
			if c, ok := flatComponent(v); ok {
				kept += key + "=" + c + " "
			}
		}
	}
	return strings.TrimSpace(kept)
}

// redactBattery leaves the changes of packages by day. Names of jobs hold accounts.
func redactBattery() func(int, string) string {
	daily := false
	return func(_ int, line string) string {
		text := strings.TrimSpace(line)
		switch {
		case text == "Daily stats:":
			daily = true
			return line
		case strings.HasPrefix(text, "Battery History"), strings.HasPrefix(text, "Statistics since"), strings.HasPrefix(text, "Daily stats:"):
			if indent(line) == 0 {
				daily = false
			}
			return line[:indent(line)] + clip(text, 60)
		case indent(line) == 0 && text != "":
			daily = false
			return "-"
		case daily:
			return line
		}
		return ""
	}
}

var sessionAddress = regexp.MustCompile(`(originatingUri|referrerUri)=\S+`)

// redactPackages hides addresses that apps came from, which go on in the next line where the
// service broke them. Lines keep their length, by which the parts are put together again.
func redactPackages() func(int, string) string {
	open := false
	return func(_ int, line string) string {
		start := indent(line)
		if open {
			end := start
			for end < len(line) && line[end] != ' ' {
				end++
			}
			open = end == len(line) && end >= 118
			line = line[:start] + strings.Repeat("x", end-start) + line[end:]
		}
		if !strings.Contains(line, "Uri=") {
			return line
		}
		return sessionAddress.ReplaceAllStringFunc(line, func(m string) string {
			key, value, _ := strings.Cut(m, "=")
			if value == "null" {
				return m
			}
			open = strings.HasSuffix(line, m) && len(line) >= 118
			return key + "=" + strings.Repeat("x", len(value))
		})
	}
}

// redactDatabases leaves which databases are open, without what was asked of them.
func redactDatabases(_ int, line string) string {
	text := strings.TrimSpace(line)
	if strings.HasPrefix(text, "Applications Database Info") || strings.HasPrefix(text, "** Database info for pid ") {
		return line
	}
	if rest, ok := strings.CutPrefix(text, "Connection pool for "); ok && strings.HasSuffix(rest, ":") {
		return strings.Repeat(" ", indent(line)) + "Connection pool for " + impersonal(strings.TrimSuffix(rest, ":")) + ":"
	}
	return ""
}

// redactUsage leaves which app was used when, without where in it.
func redactUsage(_ int, line string) string {
	text := strings.TrimSpace(line)
	if strings.HasPrefix(text, "user=") || strings.HasPrefix(text, "package=") {
		return line
	}
	if !strings.HasPrefix(text, "time=") {
		return ""
	}
	out := strings.Repeat(" ", indent(line)) + `time="` + valueOf(text, "time") + `"`
	for _, key := range []string{"type", "package"} {
		if v := valueOf(text, key); v != "" {
			out += " " + key + "=" + v
		}
	}
	return out
}

var longNumber = regexp.MustCompile(`\d{5,}`)

// redactNumbers hides numbers that are long enough for a telephone, a card or a cell.
func redactNumbers(_ int, line string) string {
	return longNumber.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat("0", len(s)) })
}
