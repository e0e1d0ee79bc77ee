package parse

import "bytes"

// Bounds of a list of Android properties. A device has about a thousand.
const (
	maxProperties    = 1 << 14
	maxPropertyKey   = 512
	maxPropertyValue = 64 << 10
)

// Property is one Android system property.
type Property struct {
	Key, Value string
	Line       int // 1-based
}

// Getprop reads what getprop prints: "[key]: [value]", a line each, in the order of the text.
// A value may hold line ends and brackets; it reaches to the next line that starts a property.
// Such a value can imitate further properties, so the first of two with one key is kept and the
// second is complained about.
func Getprop(b []byte, c *Complaints) []Property {
	var out []Property
	seen := map[string]bool{}
	var open Property // the one whose value is still being read
	var value []byte
	flush := func() {
		if open.Line == 0 {
			return
		}
		if seen[open.Key] {
			c.Add(open.Line, "the property "+open.Key+" stands twice")
			open.Line = 0
			return
		}
		text := bytes.TrimRight(value, "\r\n\t ")
		end := len(text) - 1
		if end < 0 || text[end] != ']' {
			c.Add(open.Line, "the property "+open.Key+" has no end")
			end = len(text)
		}
		open.Value = string(text[:end])
		seen[open.Key] = true
		out = append(out, open)
		open.Line = 0
	}
	eachLine(b, func(text []byte, line int) bool {
		text = bytes.TrimRight(text, "\r")
		key, rest, ok := getpropKey(text)
		switch {
		case ok:
			flush()
			if len(out) >= maxProperties {
				c.Add(line, "too many properties")
				return false
			}
			open, value = Property{Key: string(key), Line: line}, append(value[:0], rest...)
		case open.Line == 0:
			if len(bytes.TrimSpace(text)) > 0 {
				c.Add(line, "not a property")
			}
		case len(value)+len(text) < maxPropertyValue:
			value = append(append(value, '\n'), text...)
		default:
			c.Add(open.Line, "the value of "+open.Key+" is too long")
			open.Line = 0
		}
		return true
	})
	flush()
	return out
}

// getpropKey takes the start "[key]: [" off a line.
func getpropKey(text []byte) (key, rest []byte, ok bool) {
	if len(text) < 6 || text[0] != '[' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text, ']')
	if end < 2 || end > maxPropertyKey || !isPropertyName(text[1:end]) || !bytes.HasPrefix(text[end:], []byte("]: [")) {
		return nil, nil, false
	}
	rest = text[end+4:]
	return text[1:end], rest, len(rest) < maxPropertyValue
}

// isPropertyName says whether init would take name for one of a property (init's
// IsLegalPropertyName).
func isPropertyName(name []byte) bool {
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.' || c == '-' || c == '_' || c == '@' || c == ':':
		default:
			return false
		}
	}
	return len(name) > 0
}

// PropImport is an import line of a property file: the file it names, and the key or key prefix
// ("ro.foo.*") that limits what is taken from it.
type PropImport struct {
	File, Filter string
	Line         int
}

// BuildProp reads build.prop, default.prop and prop.default as init does (LoadProperties in
// AOSP system/core/init/property_service.cpp): "key=value" lines, blanks around both dropped,
// # comments, and import lines. Values may hold "=" and "#". A key that stands twice is given
// twice: init takes the first for ro. keys and the last for others.
func BuildProp(b []byte, c *Complaints) (props []Property, imports []PropImport) {
	eachLine(b, func(text []byte, line int) bool {
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] == '#' {
			return true
		}
		if len(props)+len(imports) >= maxProperties {
			c.Add(line, "too many properties")
			return false
		}
		if first, rest := word(text); string(first) == "import" {
			file, filter := word(rest)
			imports = append(imports, PropImport{File: string(file), Filter: string(bytes.TrimSpace(filter)), Line: line})
			return true
		}
		key, value, ok := bytes.Cut(text, []byte{'='})
		key = bytes.TrimSpace(key)
		switch {
		case !ok:
			c.Add(line, "neither a property nor an import")
		case len(key) > maxPropertyKey || !isPropertyName(key):
			c.Add(line, "not the name of a property")
		case len(value) > maxPropertyValue:
			c.Add(line, "the value is too long")
		default:
			props = append(props, Property{Key: string(key), Value: string(bytes.TrimSpace(value)), Line: line})
		}
		return true
	})
	return props, imports
}
