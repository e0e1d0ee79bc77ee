package parse

import (
	"slices"
	"strconv"
	"strings"
)

// AndroidSetting is one setting of one user.
type AndroidSetting struct {
	Table   string // global, secure, system, config; empty for "settings list" text
	User    int    // -1 when the output does not say
	Name    string
	Value   string // may hold line ends; empty when Private
	Set     bool   // the value is not null
	Package string // that set it; empty when not known
	Default string
	Private bool // the value is personal and was dropped
	Line    int  // 1-based
}

// personalSettings are settings whose value names a person or the device to others. No rule
// needs them.
var personalSettings = []string{"android_id", "bluetooth_address", "bluetooth_name", "device_name", "lock_screen_owner_info", "wifi_p2p_device_name",
	"contact_metadata_sync", "emergency_contact", "advertising_id", "autofill_user_data_max_user_data_size", "ssl_session_cache"}

// personalWords mark further settings of makers and apps as personal by their names.
var personalWords = []string{"account", "email", "e_mail", "phone_number", "phonenumber", "owner_info", "ssid", "nickname", "user_name", "username", "imei", "imsi", "iccid", "serial_number", "latitude", "longitude",
	"last_location", "location_history", "birthday", "password", "passwd", "token", "secret", "clipboard", "dictation", "contact", "bluetooth_device_name", "hotspot_name"}

// PersonalSetting tells settings whose value no rule may see.
func PersonalSetting(name string) bool {
	if slices.Contains(personalSettings, name) {
		return true
	}
	low := strings.ToLower(name)
	return low != "show_password" && slices.ContainsFunc(personalWords, func(w string) bool { return strings.Contains(low, w) })
}

// maxSettingValue bounds one value, in bytes.
const maxSettingValue = 64 << 10

// SettingsDump reads dumpsys settings (Android 6 to 16): a heading for each table and user,
// then "_id:1 name:n pkg:p value:v default:d defaultSystemSet:true" for each setting, whose
// value may go over several lines.
func SettingsDump(b []byte) ([]AndroidSetting, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []AndroidSetting
	table, user, known := "", -1, false
	var entry strings.Builder
	start := 0
	flush := func() {
		if start > 0 {
			if s, ok := settingEntry(entry.String()); ok {
				s.Table, s.User, s.Line = table, user, start
				all = append(all, s)
			}
		}
		start = 0
		entry.Reset()
	}
	serviceText(b, func(n int, line string) {
		name, number, heading := settingsHeading(line)
		switch {
		case heading:
			flush()
			table, user, known = name, number, true
		case strings.HasPrefix(line, "_id:") && known:
			flush()
			start = n
			entry.WriteString(line)
		case strings.HasPrefix(line, "Historical operations") || strings.HasPrefix(line, "Generation registry"):
			flush()
			known = false
		case start > 0 && entry.Len() < maxSettingValue:
			entry.WriteByte('\n')
			entry.WriteString(clip(line, maxSettingValue))
		}
	})
	flush()
	if table == "" {
		return nil, ErrOtherFormat
	}
	return all, nil
}

// settingsHeading reads "GLOBAL SETTINGS (user 0)".
func settingsHeading(line string) (table string, user int, ok bool) {
	name, rest, ok := strings.Cut(line, " SETTINGS (user ")
	if !ok || name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") != "" {
		return "", 0, false
	}
	user, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), ")"))
	return strings.ToLower(name), user, err == nil
}

func settingEntry(text string) (s AndroidSetting, ok bool) {
	_, rest, ok := strings.Cut(text, " name:")
	if !ok {
		return s, false
	}
	if s.Name, rest, ok = strings.Cut(rest, " pkg:"); ok {
		s.Package, rest, ok = strings.Cut(rest, " value:")
		if s.Package == "null" {
			s.Package = ""
		}
	} else {
		s.Name, rest, ok = strings.Cut(s.Name, " value:")
	}
	if !ok || s.Name == "" || len(s.Name) > 1000 {
		return s, false
	}
	// The value ends at the default, which Android prints only together with its owner.
	if at := strings.LastIndex(rest, " defaultSystemSet:"); at >= 0 {
		rest = rest[:at]
		if at := strings.LastIndex(rest, " default:"); at >= 0 {
			s.Default, rest = rest[at+len(" default:"):], rest[:at]
		}
	}
	s.Value = strings.TrimRight(rest, "\n")
	s.hide()
	return s, true
}

// hide bounds the value and drops it when it is personal.
func (s *AndroidSetting) hide() {
	s.Value = clip(s.Value, maxSettingValue)
	s.Set = s.Value != "null" && s.Value != "{null}"
	if PersonalSetting(s.Name) {
		s.Private, s.Value, s.Default = true, "", ""
	}
}

// SettingsList reads what "settings list TABLE" prints (Android 7 on; AndroidQF keeps it as
// settings_TABLE.txt): key=value, where a value may go over several lines. A line of a value
// that looks like key=value cannot be told from a setting.
func SettingsList(b []byte) ([]AndroidSetting, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []AndroidSetting
	var value strings.Builder
	flush := func() {
		if len(all) > 0 {
			s := &all[len(all)-1]
			s.Value = strings.TrimRight(value.String(), "\n")
			s.hide()
		}
		value.Reset()
	}
	lines(b, func(n int, line string) {
		key, first, ok := strings.Cut(line, "=")
		switch {
		case ok && isSettingName(key):
			flush()
			all = append(all, AndroidSetting{User: -1, Name: key, Line: n})
			value.WriteString(first)
		case len(all) > 0 && value.Len() < maxSettingValue:
			value.WriteByte('\n')
			value.WriteString(clip(line, maxSettingValue))
		}
	})
	flush()
	if len(all) == 0 && len(strings.TrimSpace(string(b))) > 0 {
		return nil, ErrOtherFormat
	}
	return all, nil
}

func isSettingName(s string) bool {
	return s != "" && len(s) <= 300 && !strings.ContainsAny(s, " \t\"'{}<>,;()[]&?%")
}
