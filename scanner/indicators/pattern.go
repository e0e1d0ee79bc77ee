package indicators

import (
	"errors"
	"fmt"
)

const (
	maxPattern = 1 << 20 // bytes of one pattern
	maxTerms   = 4096    // comparisons in one pattern, a value of IN counted as one
	maxDepth   = 32      // parentheses within each other
)

var (
	errPatternLong  = fmt.Errorf("longer than %d bytes", maxPattern)
	errPatternTerms = fmt.Errorf("more than %d comparisons", maxTerms)
	errPatternDeep  = fmt.Errorf("more than %d parentheses within each other", maxDepth)
)

// nodeOp is what a node of a pattern's tree does.
type nodeOp uint8

const (
	opCompare   nodeOp = iota // a comparison
	opAnd                     // all of the kids, of one observed object
	opOr                      // any of the kids
	opObserveBy               // the kids together but on several objects, or bound to a time: AND, FOLLOWEDBY, qualifiers
)

// node is a part of a pattern.
type node struct {
	op   nodeOp
	kids []node
	cmp  comparison
	why  string // of opObserveBy: which operator
}

// comparison is one test of a property: file:name = 'x'.
type comparison struct {
	object string   // type of the object: file
	path   []string // properties below it; "[]" for an index
	op     string   // =, !=, <, >, <=, >=, IN, LIKE, MATCHES, ISSUBSET, ISSUPERSET, EXISTS
	not    bool
	values []string
	typed  bool // a value is no string
}

// parsePattern reads a pattern of the STIX 2 language, the whole grammar of it. What of it can
// be matched is for compile to say. An error names the byte.
func parsePattern(src string) (node, error) {
	if len(src) > maxPattern {
		return node{}, errPatternLong
	}
	p := &patternParser{lex: lexer{src: src}}
	p.advance()
	n := p.observations(0)
	if p.err == nil && p.tok.kind != tokEnd {
		p.unexpected("the end")
	}
	return n, p.err
}

// patternParser is a recursive descent; after the first error it goes on with nothing.
type patternParser struct {
	lex   lexer
	tok   token
	terms int
	err   error
}

func (p *patternParser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.tok = token{kind: tokEnd}
}

func (p *patternParser) unexpected(want string) {
	if p.tok.kind == tokEnd {
		p.fail(fmt.Errorf("ends where %s was expected", want))
		return
	}
	p.fail(fmt.Errorf("%q at byte %d where %s was expected", clip(p.tok.text, 40), p.tok.at, want))
}

func (p *patternParser) advance() {
	if p.err != nil {
		return
	}
	t, err := p.lex.next()
	if err != nil {
		p.fail(err)
		return
	}
	p.tok = t
}

// take goes past the given symbol or keyword when it is next.
func (p *patternParser) take(text string) bool {
	if (p.tok.kind == tokSymbol || p.tok.kind == tokName) && p.tok.text == text {
		p.advance()
		return p.err == nil
	}
	return false
}

func (p *patternParser) need(text string) {
	if !p.take(text) {
		p.unexpected("'" + text + "'")
	}
}

// observations reads observations that FOLLOWEDBY, OR and AND join, from loose to tight.
func (p *patternParser) observations(depth int) node {
	return p.joined("FOLLOWEDBY", opObserveBy, func() node {
		return p.joined("OR", opOr, func() node {
			return p.joined("AND", opObserveBy, func() node { return p.observation(depth) })
		})
	})
}

// joined reads one or more of each, with the keyword between them.
func (p *patternParser) joined(word string, op nodeOp, each func() node) node {
	first := each()
	if p.err != nil || p.tok.kind != tokName || p.tok.text != word {
		return first
	}
	n := node{op: op, kids: []node{first}}
	if op == opObserveBy {
		n.why = word + " between observations"
	}
	for p.take(word) {
		n.kids = append(n.kids, each())
	}
	return n
}

func (p *patternParser) observation(depth int) node {
	var n node
	switch {
	case depth > maxDepth:
		p.fail(errPatternDeep)
	case p.take("["):
		n = p.comparisons(depth)
		p.need("]")
	case p.take("("):
		n = p.observations(depth + 1)
		p.need(")")
	default:
		p.unexpected("'['")
	}
	for p.err == nil {
		word := p.tok.text
		switch {
		case p.take("WITHIN"):
			p.literal()
			p.need("SECONDS")
		case p.take("REPEATS"):
			p.literal()
			p.need("TIMES")
		case p.take("START"):
			p.literal()
			p.need("STOP")
			p.literal()
		default:
			return n
		}
		n = node{op: opObserveBy, kids: []node{n}, why: "the qualifier " + word}
	}
	return n
}

// comparisons reads what stands between brackets: AND binds tighter than OR.
func (p *patternParser) comparisons(depth int) node {
	return p.joined("OR", opOr, func() node {
		return p.joined("AND", opAnd, func() node {
			if depth > maxDepth {
				p.fail(errPatternDeep)
				return node{}
			}
			if p.take("(") {
				n := p.comparisons(depth + 1)
				p.need(")")
				return n
			}
			return node{cmp: p.comparison()}
		})
	})
}

func (p *patternParser) comparison() (c comparison) {
	if p.take("NOT") {
		c.not = true
	}
	exists := p.take("EXISTS")
	p.objectPath(&c)
	if exists {
		c.op = "EXISTS"
		p.count()
		return c
	}
	if p.take("NOT") {
		c.not = !c.not
	}
	c.op = p.tok.text
	switch {
	case p.tok.kind == tokSymbol && (c.op == "=" || c.op == "=="):
		c.op = "="
		p.advance()
	case p.tok.kind == tokSymbol && (c.op == "!=" || c.op == "<>"):
		c.op, c.not = "=", !c.not
		p.advance()
	case p.tok.kind == tokSymbol && (c.op == "<" || c.op == ">" || c.op == "<=" || c.op == ">="),
		p.tok.kind == tokName && (c.op == "LIKE" || c.op == "MATCHES" || c.op == "ISSUBSET" || c.op == "ISSUPERSET"):
		p.advance()
	case p.take("IN"):
		p.set(&c)
		return c
	default:
		p.unexpected("a comparison sign")
		return c
	}
	p.value(&c)
	return c
}

// set reads the values of IN.
func (p *patternParser) set(c *comparison) {
	p.need("(")
	p.value(c)
	for p.take(",") {
		p.value(c)
	}
	p.need(")")
}

func (p *patternParser) value(c *comparison) {
	c.typed = c.typed || p.tok.kind != tokString
	c.values = append(c.values, p.literal())
	p.count()
}

func (p *patternParser) count() {
	if p.terms++; p.terms > maxTerms {
		p.fail(errPatternTerms)
	}
}

func (p *patternParser) literal() string {
	s := p.tok.text
	if p.tok.kind == tokString || p.tok.kind == tokOther || p.tok.kind == tokName && (s == "true" || s == "false") {
		p.advance()
		return s
	}
	p.unexpected("a value")
	return ""
}

// objectPath reads type:property.property[index]."quoted property".
func (p *patternParser) objectPath(c *comparison) {
	if p.tok.kind != tokName {
		p.unexpected("an object type")
		return
	}
	c.object = p.tok.text
	p.advance()
	p.need(":")
	for p.err == nil {
		if p.tok.kind != tokName && p.tok.kind != tokString {
			p.unexpected("a property")
			return
		}
		c.path = append(c.path, p.tok.text)
		p.advance()
		for p.take("[") {
			if p.tok.text != "*" && p.tok.kind != tokOther {
				p.unexpected("an index")
				return
			}
			p.advance()
			p.need("]")
			c.path = append(c.path, "[]")
		}
		if len(c.path) > maxDepth {
			p.fail(errors.New("a property path of too many parts"))
		}
		if !p.take(".") {
			return
		}
	}
}

// clip shortens text for a message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}
