package parse

// maxComplaints is how many complaints about one input are kept; the rest are counted.
const maxComplaints = 8

// Complaints gathers what a parser had to skip. A nil Complaints takes none.
type Complaints struct {
	List []*Error // the first ones, in input order
	More int      // how many more there were
}

// Add notes a complaint about a line.
func (c *Complaints) Add(line int, msg string) {
	if c == nil {
		return
	}
	if len(c.List) >= maxComplaints {
		c.More++
		return
	}
	c.List = append(c.List, &Error{Offset: -1, Line: line, Msg: msg})
}
