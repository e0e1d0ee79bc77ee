package parse

import (
	"bytes"
	"strings"
)

// maxPsRows bounds a listing; a phone with all its threads has some five thousand.
const maxPsRows = 1 << 17

// commLength is where the kernel cuts the name of a thread.
const commLength = 15

// PsRow is a process or thread that ps listed.
type PsRow struct {
	User  string // as printed: root, u0_a12, 10012; the domain may be lost to a narrow column
	UID   int    // -1 where the listing has no user or its name is not one that Android gives out
	PID   int
	PPID  int // -1 where the listing does not say
	TID   int // equals PID for the process itself
	Label string
	Name  string
	Args  string // the whole command line where the listing has one
	State string // R, S, D, Z, T, t, I, X and modifiers; empty where the listing has none
	// Truncated: Name fills the 15 bytes that the kernel keeps of a thread's name. Android sets
	// the last 15 of a package's name there, so what is missing may be its start.
	Truncated bool
}

// Process says whether the row is a process and not one of its further threads.
func (r PsRow) Process() bool { return r.TID == r.PID }

// psColumns is what the header of a listing says of its lines.
type psColumns struct {
	names []string
	// toolbox lists have no title over the state, and leave out what they do not know: PCY and
	// WCHAN may be blank. So only the columns before those are counted from the left.
	toolbox bool
}

// Ps reads a listing of Android's ps: the toolbox of Android 4 to 7 (with -t, -p, -P, -Z) and
// toybox since 8 (with -A, -T, -Z, -O, -f, -o). threads says that the toolbox was told to list
// threads (-t): their rows differ from those of processes only in where they stand. Text before
// the header is passed over. The error says that there is no header.
func Ps(b []byte, threads bool, c *Complaints) ([]PsRow, error) {
	var out []PsRow
	var cols *psColumns
	var owner PsRow        // toolbox: the last process
	var ownerSize [2]int64 // its VSIZE and RSS
	users, labels := psUsers{}, interner{}
	eachLine(b, func(text []byte, line int) bool {
		text = bytes.TrimRight(text, " \t\r")
		if head := psHeader(text); head != nil {
			cols = head
			return true
		}
		if cols == nil || len(text) == 0 {
			return true
		}
		row, size, ok := cols.row(text, users, labels)
		switch {
		case !ok:
			c.Add(line, "not a line of ps")
			return true
		case len(out) >= maxPsRows:
			c.Add(line, "too many processes")
			return false
		}
		if threads && cols.toolbox {
			if row.PPID == owner.PID && owner.PID > 0 && size == ownerSize && size[0] > 0 && row.User == owner.User {
				row.PID, row.PPID = owner.PID, owner.PPID
			} else {
				owner, ownerSize = row, size
			}
		}
		out = append(out, row)
		return true
	})
	if cols == nil {
		return nil, &Error{Offset: 0, Msg: "no header of ps (USER, PID)"}
	}
	return out, nil
}

// psHeader reads a line of column titles, nil for any other line.
func psHeader(text []byte) *psColumns {
	if !bytes.Contains(text, []byte("PID")) {
		return nil
	}
	names := strings.Fields(string(text))
	if len(names) < 2 || len(names) > 64 {
		return nil
	}
	var pid, state, pc bool
	for _, n := range names {
		if strings.Trim(n, "ABCDEFGHIJKLMNOPQRSTUVWXYZ%+") != "" {
			return nil
		}
		pid = pid || n == "PID"
		state = state || n == "S" || n == "STAT"
		pc = pc || n == "PC"
	}
	if !pid {
		return nil
	}
	return &psColumns{names: names, toolbox: pc && !state}
}

// row reads a line under the header. size is what the line says of VSIZE and RSS.
func (h *psColumns) row(text []byte, users psUsers, labels interner) (r PsRow, size [2]int64, ok bool) {
	r = PsRow{UID: -1, PPID: -1}
	rest := text
	for i, col := range h.names {
		rest = bytes.TrimLeft(rest, " \t")
		if i == len(h.names)-1 {
			r.setName(col, h.names, rest)
			break
		}
		w, after := word(rest)
		if col == "PCY" && !isSchedPolicy(w) {
			continue // blank for what the system itself schedules
		}
		if rest = after; len(w) == 0 {
			return r, size, false
		}
		switch col {
		case "USER", "UID":
			r.User = labels.intern(w)
			r.UID = users.uid(r.User)
		case "PID", "PPID", "TID":
			n, numeric := number(w, 10)
			if !numeric || n > 1<<30 {
				return r, size, false
			}
			switch col {
			case "PID":
				r.PID = int(n)
			case "PPID":
				r.PPID = int(n)
			case "TID":
				r.TID = int(n)
			}
		case "LABEL":
			r.Label = labels.intern(w)
		case "S", "STAT":
			r.State = labels.intern(w)
		case "VSIZE":
			size[0], _ = number(w, 10)
		case "RSS":
			if size[1], ok = number(w, 10); !ok {
				return r, size, false
			}
			if h.toolbox {
				ok = r.toolboxEnd(rest, labels)
				r.TID = r.PID
				return r, size, ok
			}
		}
	}
	if r.TID == 0 {
		r.TID = r.PID
	}
	return r, size, r.PID > 0 && r.Name != ""
}

// isSchedPolicy knows the names of scheduling policies (AOSP libprocessgroup
// get_sched_policy_name).
func isSchedPolicy(w []byte) bool {
	switch string(w) {
	case "fg", "bg", "ta", "rt", "rs", "un", "--", "-", "??", "error":
		return true
	}
	return false
}

// toolboxEnd reads the program counter (eight hex digits or more), the state and the name, past
// scheduling columns that may be blank.
func (r *PsRow) toolboxEnd(rest []byte, labels interner) bool {
	for {
		var w []byte
		if w, rest = word(rest); len(w) == 0 {
			return false
		}
		if len(w) < 8 || len(bytes.Trim(w, "0123456789abcdef")) > 0 {
			continue
		}
		if state, name := word(rest); len(state) == 1 {
			r.State = labels.intern(state)
			r.Name = string(bytes.TrimLeft(name, " "))
			// The name is that of the thread when the process has no command line.
			r.Truncated = len(r.Name) == commLength && r.Name[0] != '/'
			return r.PID > 0 && r.Name != ""
		}
	}
}

// setName takes the last column, which reaches to the end of the line.
func (r *PsRow) setName(col string, all []string, text []byte) {
	args := col == "ARGS" || col == "CMDLINE"
	for _, n := range all {
		args = args || n == "STIME" && col == "CMD" // ps -f
	}
	r.Name = string(text)
	if args {
		first, _ := word(text)
		r.Name, r.Args = string(first), string(text)
	}
	r.Truncated = !args && (col == "CMD" || col == "COMM" || col == "COMMAND") && len(text) == commLength
}

// interner gives one string for equal bytes. It forgets everything when it holds too many.
type interner map[string]string

const maxInterned = 1 << 16

func (in interner) intern(b []byte) string {
	if s, ok := in[string(b)]; ok {
		return s
	}
	if len(in) >= maxInterned {
		clear(in)
	}
	s := string(b)
	in[s] = s
	return s
}
