package parse

import "strings"

// YAMLScalars reads the plain settings of a YAML file as settings of services have them: nested
// mappings by indentation, with "." between the keys, all in lower case. Lists, anchors and
// texts of several lines are passed over.
func YAMLScalars(b []byte) map[string]string {
	type level struct {
		indent int
		prefix string
	}
	out := map[string]string{}
	stack := []level{{-1, ""}}
	lines(b, func(_ int, line string) {
		text := strings.TrimLeft(line, " ")
		indent := len(line) - len(text)
		k, v, ok := strings.Cut(text, ":")
		if !ok || text[0] == '#' || text[0] == '-' || len(out) >= maxSettings || len(k) > 200 {
			return
		}
		for len(stack) > 1 && stack[len(stack)-1].indent >= indent {
			stack = stack[:len(stack)-1]
		}
		key := strings.ToLower(strings.Trim(k, `"' `))
		if p := stack[len(stack)-1].prefix; p != "" {
			key = p + "." + key
		}
		v = strings.TrimSpace(v)
		if i := strings.Index(v, " #"); i >= 0 {
			v = strings.TrimSpace(v[:i])
		}
		if v == "" && len(stack) < 16 {
			stack = append(stack, level{indent, key})
			return
		}
		out[key] = unquote(v)
	})
	return out
}
