package report

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"picket/scanner"
)

// ClassFields is a class of events with every field that an event of it can have.
type ClassFields struct {
	Class int    `json:"class_uid"`
	Name  string `json:"class_name"`
	When  string `json:"when"`
	// Fields are paths in the JSON: a.b, a[] for each of a list, a.* for names that are data.
	Fields []string `json:"fields"`
}

// Classes lists what events can hold, from the types that they are encoded from. rest is what the
// agent says of itself in unmapped, by name, each with a value of its type.
func Classes(rest map[string]any) []ClassFields {
	finding := map[string]any{"false_positive_risk": "", "discreet": true, "policy": scanner.PolicyNote{}, "more_evidence": 0, "absorbed": []ocsfSubject{}, "more_absorbed": 0}
	list := []struct {
		class    int
		when     string
		of       any
		unmapped map[string]any
	}{
		{ClassCompliance, "a setting, or the agent, is not as it should be: opened, changed, resolved", ocsfFinding{}, finding},
		{ClassDetection, "something hostile or foreign is there: opened, changed, resolved", ocsfFinding{}, finding},
		{ClassDevice, "the device and its threat level, with each full snapshot", ocsfPlain{}, map[string]any{"level": "", "platform": "", "live": true, "root": true,
			"profile": "", "recorded_at": "", "modes_untrusted": "", "set_by": []string{}, "rules": map[string]int{}, "not_checked": []ocsfReason{}}},
		{ClassPatch, "how far the system's updates are, with each full snapshot and when it changed", ocsfPatch{}, map[string]any{"updates": []updateRest{}, "vendor_patch": "", "mainline": "", "exploited": []string{}}},
		{ClassConfigState, "the threat level changed", ocsfState{}, map[string]any{"level": "", "prev_level": "", "detections": 0, "faults": 0}},
		{ClassInventory, "the installed packages, with each full snapshot", ocsfInventory{}, map[string]any{"packages": []packageRest{}, "packages_total": 0, "last": true}},
		{ClassLifecycle, "a package came, went or changed; what the agent says of itself", ocsfLifecycle{}, map[string]any{"manager": "", "package": packageRest{},
			"purl": "", "prev_version": "", "prev_package": packageRest{}, "agent": true}},
	}
	var out []ClassFields
	for _, c := range list {
		unmapped := map[string]any{"clock_wrong": true, "snapshot": SnapshotPart{}}
		maps.Copy(unmapped, c.unmapped)
		if c.class == ClassLifecycle {
			maps.Copy(unmapped, rest)
		}
		fields := FieldsOf(c.of)
		fields = slices.DeleteFunc(fields, func(f string) bool { return f == "unmapped.*" })
		for name, v := range unmapped {
			fields = append(fields, fieldsOf(reflect.TypeOf(v), "unmapped."+name)...)
		}
		slices.Sort(fields)
		out = append(out, ClassFields{c.class, ocsfClasses[c.class].name, c.when, slices.Compact(fields)})
	}
	return out
}

// FieldsOf lists the paths of what a value's type is encoded as in JSON, in its order.
func FieldsOf(v any) []string { return fieldsOf(reflect.TypeOf(v), "") }

func fieldsOf(t reflect.Type, path string) []string {
	switch {
	case t.Kind() == reflect.Pointer:
		return fieldsOf(t.Elem(), path)
	case t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		return fieldsOf(t.Elem(), path+"[]")
	case t.Kind() == reflect.Map:
		return fieldsOf(t.Elem(), path+".*")
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]():
		return []string{path}
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case name == "":
			out = append(out, fieldsOf(f.Type, path)...)
		case path == "":
			out = append(out, fieldsOf(f.Type, name)...)
		default:
			out = append(out, fieldsOf(f.Type, path+"."+name)...)
		}
	}
	return out
}
