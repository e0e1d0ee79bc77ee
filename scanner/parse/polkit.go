package parse

import (
	"slices"
	"strings"
)

// PolkitRule is what can be told of a polkit rule file (polkit(8)) without running it.
type PolkitRule struct {
	Yes     bool     // some path returns YES
	Tested  bool     // the subject is looked at: a group, a user, or whether the session is local and active
	Actions []string // action ids that the text names, 10 at most
	Line    int      // of the first YES, 1-based; 1 when there is none
}

// PolkitJS looks through a JavaScript rule file. Comments are passed over.
func PolkitJS(b []byte) PolkitRule {
	r := PolkitRule{Line: 1}
	inComment := false
	lines(b, func(n int, line string) {
		var code string
		code, inComment = stripComments(line, inComment)
		if !r.Yes && (strings.Contains(code, "polkit.Result.YES") || strings.Contains(code, `"yes"`) || strings.Contains(code, "'yes'")) {
			r.Yes, r.Line = true, n
		}
		for _, s := range []string{"isInGroup", "subject.user", "subject.groups", "isInNetGroup", "subject.local", "subject.active", "subject.seat"} {
			r.Tested = r.Tested || strings.Contains(code, s)
		}
		for _, q := range quoted(code) {
			if strings.Count(q, ".") >= 2 && !strings.ContainsAny(q, " /") && len(r.Actions) < 10 && !slices.Contains(r.Actions, q) {
				r.Actions = append(r.Actions, q)
			}
		}
	})
	return r
}

// stripComments takes // and /* */ out of a line of code; inside says whether a block comment
// is open. Quotes are heeded.
func stripComments(line string, inside bool) (string, bool) {
	var out strings.Builder
	var quote byte
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case inside:
			if strings.HasPrefix(line[i:], "*/") {
				inside = false
				i++
			}
			continue
		case quote != 0:
			if c == '\\' && i+1 < len(line) {
				out.WriteByte(c)
				i++
				c = line[i]
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case strings.HasPrefix(line[i:], "//"):
			return out.String(), false
		case strings.HasPrefix(line[i:], "/*"):
			inside = true
			i++
			continue
		}
		out.WriteByte(c)
	}
	return out.String(), inside
}

// quoted gives the texts between quotes.
func quoted(code string) []string {
	var out []string
	for {
		i := strings.IndexAny(code, `"'`)
		if i < 0 {
			return out
		}
		j := strings.IndexByte(code[i+1:], code[i])
		if j < 0 {
			return out
		}
		out = append(out, code[i+1:i+1+j])
		code = code[i+j+2:]
	}
}

// PklaSection is one section of a local authority file (pklocalauthority(8)).
type PklaSection struct {
	Everybody bool   // Identity names all users
	Action    string // as written
	Yes       bool   // one of the results is yes
	Line      int    // of the section's head, 1-based
}

// Pkla reads a local authority file.
func Pkla(b []byte) []PklaSection {
	var out []PklaSection
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			out = append(out, PklaSection{Line: n})
			return
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || len(out) == 0 || strings.HasPrefix(line, "#") {
			return
		}
		s := &out[len(out)-1]
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "Identity":
			for _, id := range strings.Split(value, ";") {
				s.Everybody = s.Everybody || id == "unix-user:*" || id == "unix-group:*" || id == "*"
			}
		case "Action":
			s.Action = value
		case "ResultAny", "ResultInactive", "ResultActive":
			s.Yes = s.Yes || value == "yes"
		}
	})
	return out
}
