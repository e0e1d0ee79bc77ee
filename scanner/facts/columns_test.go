package facts_test

import (
	"reflect"
)

// undocumented lists what is wrong with a row struct's columns.
func undocumented(row any) []string {
	var out []string
	typ := reflect.TypeOf(row)
	where := false
	for _, f := range reflect.VisibleFields(typ) {
		name := f.Tag.Get("expr")
		if f.Anonymous || name == "-" || !f.IsExported() {
			continue
		}
		where = where || name == "where"
		switch {
		case name == "":
			out = append(out, "field "+f.Name+" has no expr tag")
		case f.Tag.Get("doc") == "":
			out = append(out, "column "+name+" has no doc tag")
		case f.Tag.Get("json") == "":
			out = append(out, "column "+name+" has no json tag")
		}
	}
	if !where {
		out = append(out, "no column where")
	}
	return out
}
