package facts

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// redactProbe takes what is personal out of what a source of Android said.
func redactProbe(source string, content []byte) []byte {
	if source == string(scanner.SourceGetprop) {
		return redactProperties(content)
	}
	return parse.RedactAndroid(source, content)
}

// redactProperties hides the values of properties that name the device or its line. A value may
// go over several lines, up to the bracket that closes it.
func redactProperties(content []byte) []byte {
	out := make([]byte, 0, len(content))
	hidden := false
	for line := range strings.Lines(string(content)) {
		body := strings.TrimRight(line, "\r\n")
		name, value, ok := strings.Cut(body, "]: [")
		switch {
		case ok && strings.HasPrefix(name, "["):
			hidden = false
			if privateProperty(name[1:]) {
				hidden = !strings.HasSuffix(value, "]")
				body = name + "]: [x]"
			}
		case hidden:
			hidden = !strings.HasSuffix(body, "]")
			body = ""
		}
		out = append(append(out, body...), line[len(strings.TrimRight(line, "\r\n")):]...)
	}
	return out
}

// Elements and attributes of Android's XML files that hold what is personal, and that no
// collector reads.
var (
	wifiSecret   = regexp.MustCompile(`(?s)(<string name="(?:PreSharedKey|Password|Identity|AnonIdentity|DefaultGwMacAddress|ConfigKey|Passphrase)">)(.*?)(</string>)`)
	wifiNetwork  = regexp.MustCompile(`(?s)(<string name="SSID">)(.*?)(</string>)`)
	wifiKeys     = regexp.MustCompile(`(?s)<string-array name="WEPKeys".*?</string-array>`)
	wifiKey      = regexp.MustCompile(`(<item value=")[^"]+(")`)
	supplicantID = regexp.MustCompile(`(?m)^(\s*(?:ssid|identity|anonymous_identity|bssid)=)(.*)$`)
)

// redactAndroidFile takes what is personal out of a file of Android's services.
func redactAndroidFile(name string, content []byte) []byte {
	base := path.Base(name)
	switch {
	case path.Dir(name) == "/data/system/users" && base != path.Base(userListFile) && path.Ext(base) == ".xml":
		content = parse.RedactUserXML(content)
	case strings.HasPrefix(base, "settings_") && strings.HasPrefix(name, "/data/system/users/"):
		content = parse.RedactSettingsXML(content)
	case base == "WifiConfigStore.xml":
		content = redactSavedNetworks(content)
	case name == androidSupplicant:
		content = parse.RedactSettings(supplicantID.ReplaceAll(content, []byte(`${1}"x"`)))
	}
	return content
}

// redactSavedNetworks hides secrets, and the names of networks but those that a proxy is set for,
// which the table of proxies names.
func redactSavedNetworks(content []byte) []byte {
	if bytes.HasPrefix(content, []byte("ABX")) { // no Android writes this file so: nobody knows what is in it
		return content[:min(len(content), 4)]
	}
	content = wifiSecret.ReplaceAllFunc(content, func(m []byte) []byte {
		part := wifiSecret.FindSubmatch(m)
		if v := strings.Trim(strings.ReplaceAll(string(part[2]), "&quot;", ""), "\" \n"); v == "" || strings.EqualFold(v, "null") {
			return m
		}
		return slices.Concat(part[1], []byte("x"), part[3])
	})
	content = wifiKeys.ReplaceAllFunc(content, func(m []byte) []byte { return wifiKey.ReplaceAll(m, []byte(`${1}x$2`)) })
	parts := strings.SplitAfter(string(content), "</Network>")
	for i, p := range parts {
		if !strings.Contains(p, "<string name=\"ProxyHost\">") && !strings.Contains(p, "<string name=\"ProxyPac\">") {
			parts[i] = wifiNetwork.ReplaceAllString(p, `${1}&quot;x&quot;$3`)
		}
	}
	return []byte(strings.Join(parts, ""))
}
