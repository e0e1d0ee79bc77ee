package parse

import (
	"encoding/base64"
	"encoding/xml"
	"strconv"
	"strings"
	"unicode/utf16"
)

// RedactUserXML writes the file of a user (UserXML) anew, with nothing but what UserXML reads: no
// name, no account. The result is text, whatever form the file had. Of a damaged file its first
// bytes are left, so that it stays damaged.
func RedactUserXML(b []byte) []byte {
	u, err := UserXML(b)
	if err != nil {
		return b[:min(len(b), 4)]
	}
	var w xmlWriter
	w.open("user")
	for _, n := range []struct {
		name  string
		value int64
	}{{"id", int64(u.ID)}, {"serialNumber", int64(u.Serial)}, {"flags", int64(u.Flags)}, {"created", u.Created}, {"lastLoggedIn", u.LastLoggedIn}, {"profileGroupId", int64(u.Parent)}} {
		if n.value >= 0 {
			w.attr(n.name, strconv.FormatInt(n.value, 10))
		}
	}
	if u.Type != "" {
		w.attr("type", u.Type)
	}
	if u.Partial {
		w.attr("partial", "true")
	}
	if u.Removing {
		w.attr("guestToRemove", "true")
	}
	w.b.WriteString(">\n")
	for _, list := range []struct {
		name         string
		restrictions []string
	}{{"restrictions", u.Restrictions}, {"device_policy_restrictions", u.Policy}} {
		w.open(list.name)
		for _, r := range list.restrictions {
			if isOpName(strings.ToUpper(r)) { // the name of an attribute
				w.attr(r, "true")
			}
		}
		w.b.WriteString(" />\n")
	}
	w.b.WriteString("</user>\n")
	return []byte(w.b.String())
}

// RedactSettingsXML writes a file of settings (SettingsXML) anew, without the values of personal
// ones. The result is text; of a damaged file its first bytes are left.
func RedactSettingsXML(b []byte) []byte {
	list, err := SettingsXML(b)
	if err != nil {
		return b[:min(len(b), 4)]
	}
	var w xmlWriter
	w.open("settings")
	w.attr("version", "1000000") // since settingsNewNull, null is a missing value
	w.b.WriteString(">\n")
	for _, s := range list {
		w.open("setting")
		w.attr("name", s.Name)
		if PersonalSetting(s.Name) {
			s.Value, s.Default = "x", ""
		}
		if s.Set {
			w.value("value", s.Value)
		}
		if s.Default != "" {
			w.value("defaultValue", s.Default)
		}
		if s.Package != "" {
			w.attr("package", s.Package)
		}
		if s.FromSystem {
			w.attr("defaultSysSet", "true")
		}
		w.b.WriteString(" />\n")
	}
	w.b.WriteString("</settings>\n")
	return []byte(w.b.String())
}

// xmlWriter writes XML.
type xmlWriter struct{ b strings.Builder }

func (w *xmlWriter) open(name string) { w.b.WriteString("<" + name) }

func (w *xmlWriter) attr(name, value string) {
	w.b.WriteString(" " + name + `="`)
	_ = xml.EscapeText(&w.b, []byte(value)) // a strings.Builder does not fail
	w.b.WriteByte('"')
}

// value writes a value as SettingsState does: in base64, two bytes for a character, when XML
// might not give it back as it was.
func (w *xmlWriter) value(name, value string) {
	plain := true
	for _, r := range value {
		plain = plain && r >= ' ' && r < 0x7f
	}
	if plain {
		w.attr(name, value)
		return
	}
	units := utf16.Encode([]rune(value))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = append(b, byte(u>>8), byte(u))
	}
	w.attr(name+"Base64", base64.StdEncoding.EncodeToString(b))
}
