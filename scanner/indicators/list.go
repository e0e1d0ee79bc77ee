package indicators

import "picket/scanner"

// Trouble is why a part of a list is not used.
type Trouble string

// The kinds of trouble.
const (
	NotUnderstood Trouble = "not understood" // a pattern or value that does not parse, or a property nobody knows
	NotSupported  Trouble = "not supported"  // understood, but it cannot be answered from one fact about a device
	NotApplicable Trouble = "not applicable" // understood, and about devices that Picket never looks at
	Rejected      Trouble = "rejected"       // it would match what is on every device: a public suffix, a private address
	Revoked       Trouble = "revoked"        // withdrawn by the list itself
)

// maxNotes bounds the notes that are kept of one list; all are counted.
const maxNotes = 2000

// Note names a part of a list that is not used.
type Note struct {
	ID    string  `json:"id,omitempty"`     // of the indicator, or the application it stands under
	At    int64   `json:"offset,omitempty"` // STIX: byte in the file where the indicator begins
	Line  int     `json:"line,omitempty"`   // other formats
	Value string  `json:"value,omitempty"`  // pattern or value, shortened
	What  Trouble `json:"what"`
	Why   string  `json:"why"`
}

// List says what one file holds.
type List struct {
	Name    string `json:"list"` // as matches call it: path below the folder that was given, or the file's name
	File    string `json:"file"`
	Format  string `json:"format"`            // stix, echap, csv, hosts
	Source  string `json:"source,omitempty"`  // who made it, when it says
	Licence string `json:"licence,omitempty"` // when it says, or the file beside it does
	// Indicators counts what the list offers: STIX indicators, or values of the other formats.
	Indicators int `json:"indicators"`
	// Entries counts what is matched with, by kind.
	Entries map[scanner.IndicatorKind]int `json:"entries"`
	// Duplicates counts entries that this or an earlier list has already.
	Duplicates int             `json:"duplicates"`
	Troubles   map[Trouble]int `json:"troubles,omitempty"`
	First      string          `json:"first,omitempty"` // earliest date of an entry, YYYY-MM-DD
	Last       string          `json:"last,omitempty"`
	Notes      []Note          `json:"notes,omitempty"` // the first 2,000 of what Troubles counts
}

// Total counts the entries of every kind.
func (l *List) Total() int {
	n := 0
	for _, c := range l.Entries {
		n += c
	}
	return n
}

func (l *List) trouble(n Note) {
	l.Troubles[n.What]++
	if len(l.Notes) < maxNotes {
		n.ID, n.Value, n.Why = clip(n.ID, 100), clip(n.Value, 160), clip(n.Why, 200)
		l.Notes = append(l.Notes, n)
	}
}
