package rules

import (
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"picket/scanner"
)

// rowType is a table's row struct with its columns.
type rowType struct {
	typ     reflect.Type
	columns map[string][]int // column name -> field index
	names   []string         // sorted
}

func newRowType(row any) *rowType {
	rt := &rowType{typ: reflect.TypeOf(row), columns: map[string][]int{}}
	for _, f := range reflect.VisibleFields(rt.typ) {
		if name := f.Tag.Get("expr"); name != "" && name != "-" {
			rt.columns[name] = f.Index
			rt.names = append(rt.names, name)
		}
	}
	sort.Strings(rt.names)
	return rt
}

// value gives a column of a row as text.
func (rt *rowType) value(row reflect.Value, column string) string {
	return text(row.FieldByIndex(rt.columns[column]))
}

// values gives a column's text, one for each part of a list.
func (rt *rowType) values(row reflect.Value, column string) []string {
	v := row.FieldByIndex(rt.columns[column])
	if v.Kind() != reflect.Slice {
		return []string{text(v)}
	}
	parts := make([]string, v.Len())
	for i := range parts {
		parts[i] = text(v.Index(i))
	}
	return parts
}

// text writes a value as people read it: lists with commas, nothing quoted.
func text(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case reflect.Slice, reflect.Array:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = text(v.Index(i))
		}
		return strings.Join(parts, ", ")
	case reflect.Map:
		parts := make([]string, 0, v.Len())
		for _, k := range v.MapKeys() {
			parts = append(parts, text(k)+"="+text(v.MapIndex(k)))
		}
		sort.Strings(parts)
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v.Interface())
}

// unread gives the columns that this row could not tell, with reasons.
func unread(row reflect.Value) map[string]string {
	if u, ok := row.Interface().(interface{ UnreadColumns() map[string]string }); ok {
		return u.UnreadColumns()
	}
	return nil
}

// decode makes a row from YAML. An unknown column is an error at its line.
func (rt *rowType) decode(n *yaml.Node) (reflect.Value, error) {
	row := reflect.New(rt.typ).Elem()
	if n.Kind != yaml.MappingNode {
		return row, errAt(n, "a row is a mapping of column to value")
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		var to any
		if key.Value == "unread" {
			u, ok := row.Addr().Interface().(interface{ MarkUnread(column, why string) })
			if !ok {
				return row, errAt(key, "rows of this table have no unread columns")
			}
			cols := map[string]string{}
			if err := val.Decode(&cols); err != nil {
				return row, errAt(val, "unread: %v", err)
			}
			for c, why := range cols {
				u.MarkUnread(c, why)
			}
			continue
		}
		idx, ok := rt.columns[key.Value]
		if !ok {
			return row, errAt(key, "unknown column %q%s", key.Value, DidYouMean(key.Value, rt.names))
		}
		to = row.FieldByIndex(idx).Addr().Interface()
		if err := val.Decode(to); err != nil {
			return row, errAt(val, "column %s: %s", key.Value, strings.TrimPrefix(err.Error(), "yaml: "))
		}
	}
	return row, nil
}

// Column describes one column of a table.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
	Doc  string `json:"doc"`
}

// Columns describes a table's columns in the order of its row struct.
func Columns(c scanner.Collector) []Column {
	var out []Column
	for _, f := range reflect.VisibleFields(reflect.TypeOf(c.Row)) {
		if name := f.Tag.Get("expr"); name != "" && name != "-" {
			out = append(out, Column{name, f.Type.String(), f.Tag.Get("doc")})
		}
	}
	return out
}

// longestName bounds what is compared with names: got comes from files, and may be of any length.
const longestName = 40

// DidYouMean gives a hint when one of the names is near to got.
func DidYouMean(got string, names []string) string {
	if len(got) > longestName {
		return ""
	}
	best, bestDist := "", 1+len(got)/2
	for _, n := range names {
		if d := editDistance(got, n); d < bestDist {
			best, bestDist = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// editDistance is Levenshtein's, for names of a few dozen bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, cost)
		}
	}
	return row[len(b)]
}
