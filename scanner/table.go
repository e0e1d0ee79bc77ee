package scanner

import (
	"context"
	"reflect"
	"slices"
)

// Table is one kind of fact: rows of one Go struct type whose fields are the columns (named
// by the `expr` tag, described by the `doc` tag).
//
// A table that could not be read is absent with a reason, never empty: a rule over it ends
// Unknown.
type Table struct {
	Name string
	// Rows is a []T. It is nil when Absent is set.
	Rows any
	// Absent says why the table could not be read at all.
	Absent string
	// Inapplicable says why this device cannot have such a table (no Wi-Fi profiles on a
	// container image); rules over it end NotApplicable.
	Inapplicable string
	// Partial says what part could not be read. A rule that fires on the rest has failed; one
	// that does not is Unknown, not passed.
	Partial []string
	// Notes are remarks for the reader that change no verdict: what lies outside this device's
	// own system (the storage of its containers) and was not looked into.
	Notes []string
	// Unknown says, by column, why a column means nothing on this device (modes of a tree
	// that came through git). A rule that uses such a column ends Unknown.
	Unknown map[string]string
	// Deviations means that the rows are only what is not as it should be. A column that is
	// unknown then hides rows, and a rule that uses it ends Unknown even without any.
	Deviations bool
	// Aux is what this collector shares with later ones (an index, a parsed file).
	Aux any
}

// Info sums the table up for a report.
func (t *Table) Info() TableInfo {
	i := TableInfo{Table: t.Name, Absent: t.Absent, Inapplicable: t.Inapplicable, Partial: t.Partial, Notes: t.Notes}
	if t.Rows != nil {
		i.Rows = reflect.ValueOf(t.Rows).Len()
	}
	return i
}

// Unread is embedded in rows some of whose columns could not be read for some rows (the
// program of another user's process). A rule that needs such a column of such a row is Unknown
// for that row.
type Unread struct {
	// Unread maps a column to the reason.
	Unread map[string]string `expr:"-" json:"unread,omitempty"`
}

// UnreadColumns gives the columns that this row could not tell, with reasons.
func (u Unread) UnreadColumns() map[string]string { return u.Unread }

// MarkUnread notes that column could not be read.
func (u *Unread) MarkUnread(column, why string) {
	if u.Unread == nil {
		u.Unread = map[string]string{}
	}
	u.Unread[column] = why
}

// Reads declares all that a collector looks at. The list drives what is recorded, what is
// watched, what is collected again after a change, and the privacy page.
type Reads struct {
	// Probes are live sources.
	Probes []Source
	// Globs are absolute path patterns: * within a component, ** for any number of
	// components, a leading ~ for every account's home directory. Reading a matched file's
	// content, listing it as a directory, or describing it is covered by its glob.
	Globs []string
	// Meta are patterns of which only the description (type, mode, owner, size, times,
	// xattrs), first bytes and digests are read, never the content.
	Meta []string
}

// Collector fills one table.
type Collector struct {
	// Table is the table's name and the collector's.
	Table string
	// Doc says in one line what a row is.
	Doc string
	// Row is a zero row, for the columns' names and types.
	Row any
	// Platforms are those that have such a table; nil is linux alone. Elsewhere the table is
	// inapplicable and nothing is read.
	Platforms []string
	// Reads declares what Collect looks at.
	Reads Reads
	// Needs names tables that must have been collected first.
	Needs []string
	// Collect fills the table. It does not fail: what could not be read is said in the table.
	Collect func(ctx context.Context, in *Input) Table
}

// On reports whether the platform has such a table.
func (c *Collector) On(platform string) bool {
	if c.Platforms == nil {
		return platform == "linux"
	}
	return slices.Contains(c.Platforms, platform)
}

// Input is what a collector works on.
type Input struct {
	Device Device
	// Tables are those named in Needs, collected before.
	Tables map[string]*Table
	// Options of the scan that collectors heed.
	Options *Options
}

// Rows gives a needed table's rows as []T, or nil with the reason when it is absent.
func Rows[T any](in *Input, table string) ([]T, string) {
	t := in.Tables[table]
	if t == nil {
		return nil, "table " + table + " was not collected"
	}
	if t.Absent != "" {
		return nil, t.Absent
	}
	rows, _ := t.Rows.([]T)
	return rows, ""
}

// Aux gives what a needed table's collector shares, or the zero value.
func Aux[T any](in *Input, table string) T {
	var zero T
	if t := in.Tables[table]; t != nil {
		if v, ok := t.Aux.(T); ok {
			return v
		}
	}
	return zero
}
