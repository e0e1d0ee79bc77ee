package parse

import (
	"encoding/base64"
	"unicode/utf16"
)

// SettingEntry is one setting of settings_global.xml, settings_secure.xml or
// settings_system.xml of a user.
type SettingEntry struct {
	Name       string
	Value      string
	Set        bool   // the value is not null
	Package    string // that set it; "android" for the system; "" unknown
	Default    string
	FromSystem bool // the default was set by the system itself
}

// SettingsXML reads /data/system/users/N/settings_*.xml of Android 6 to 16 (SettingsState).
// Values that XML cannot carry come in base64, two bytes for a character.
func SettingsXML(b []byte) ([]SettingEntry, error) {
	x := newXMLReader(b)
	var out []SettingEntry
	if x.root("settings") {
		version := x.int("version", 0)
		for name := range x.children() {
			if name == "setting" {
				out = keepXML(x, out, settingElement(x, version))
			}
		}
	}
	return out, x.end()
}

// settingsNewNull is the version of the file from which null is a missing value; before, it is "null".
const settingsNewNull = 121

func settingElement(x *xmlReader, version int64) SettingEntry {
	s := SettingEntry{Name: x.attr("name"), Package: x.attr("package"), FromSystem: x.bool("defaultSysSet", false)}
	s.Value, s.Set = settingText(x, "value", version)
	s.Default, _ = settingText(x, "defaultValue", version)
	return s
}

func settingText(x *xmlReader, name string, version int64) (string, bool) {
	if a := x.find(name + "Base64"); a != nil {
		b, err := base64.StdEncoding.DecodeString(a.value())
		if err != nil || len(b)%2 != 0 {
			x.complain(a.at, "value of a setting is not base64")
			return "", true
		}
		if x.work += len(b); x.work > maxAndroidXML {
			x.fail(a.at, "attributes decode to more than 32 MiB")
			return "", true
		}
		units := make([]uint16, len(b)/2)
		for i := range units {
			units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
		}
		return string(utf16.Decode(units)), true
	}
	v := x.attr(name)
	if !x.has(name) || v == "null" && version < settingsNewNull {
		return "", false
	}
	return v, true
}
