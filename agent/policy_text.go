package agent

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"picket/scanner"
)

// policyRows says what a policy sets, a line each; what it leaves open is left out.
func policyRows(p *Policy) [][2]string { return structRows(reflect.ValueOf(p).Elem(), "") }

func structRows(v reflect.Value, path string) (out [][2]string) {
	for i := range v.NumField() {
		key := join(path, v.Type().Field(i).Tag.Get("key"))
		switch x := v.Field(i).Interface().(type) {
		case []PolicyRule:
			for _, r := range x {
				out = append(out, [2]string{"rule " + r.Rule, overrideText(r.Action, r.Match, r.Why, r.Expires)})
			}
		case []PolicyAllow:
			for _, a := range x {
				out = append(out, [2]string{"allow " + a.Rule, overrideText("off", a.Match, a.Why, a.Expires)})
			}
		case []PolicyWipe:
			for _, w := range x {
				out = append(out, [2]string{"wipe " + w.ID, "confirmed: " + w.Why})
			}
		default:
			if v.Field(i).Kind() == reflect.Struct {
				out = append(out, structRows(v.Field(i), key)...)
			} else if text := policyValue(x); text != "" {
				out = append(out, [2]string{key, text})
			}
		}
	}
	return out
}

func policyValue(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case bool:
		return map[bool]string{true: "on", false: "off"}[x]
	case scanner.Severity:
		return x.String()
	case Size:
		return formatSize(x)
	case time.Duration:
		if x > 0 {
			return formatDuration(x)
		}
	}
	return ""
}

func overrideText(action string, match map[string]string, why, expires string) string {
	text := "accepted"
	if action != "off" {
		text = "graded " + action
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(match)) {
		parts = append(parts, k+" = "+match[k])
	}
	if len(parts) > 0 {
		text += " where " + strings.Join(parts, ", ")
	}
	text += ": " + why
	if expires != "" {
		text += fmt.Sprintf(" (until %s)", expires)
	}
	return text
}
