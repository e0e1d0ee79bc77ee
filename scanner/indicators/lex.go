package indicators

import (
	"fmt"
	"strings"
)

// tokenKind is the kind of a token of the STIX pattern language.
type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokName             // a property, object type or keyword
	tokString           // '...', escapes undone
	tokOther            // a number, or a typed literal: b'..', h'..', t'..'
	tokSymbol           // one of [ ] ( ) , . : * and the comparison signs
)

type token struct {
	kind tokenKind
	text string
	at   int // byte offset in the pattern
}

// lexer cuts a pattern into tokens (STIX 2.1, part 9: patterning).
type lexer struct {
	src string
	pos int
}

func (l *lexer) next() (token, error) {
	if err := l.skip(); err != nil {
		return token{}, err
	}
	if l.pos >= len(l.src) {
		return token{kind: tokEnd, at: l.pos}, nil
	}
	start, c := l.pos, l.src[l.pos]
	switch {
	case c == '\'':
		s, err := l.quoted()
		return token{tokString, s, start}, err
	case (c == 't' || c == 'b' || c == 'h') && strings.HasPrefix(l.src[l.pos+1:], "'"):
		l.pos++
		s, err := l.quoted()
		return token{tokOther, s, start}, err
	case isLetter(c):
		for l.pos < len(l.src) && (isLetter(l.src[l.pos]) || isDigit(l.src[l.pos]) || l.src[l.pos] == '-') {
			l.pos++
		}
		return token{tokName, l.src[start:l.pos], start}, nil
	case isDigit(c) || (c == '-' || c == '+') && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1]):
		l.pos++
		for l.pos < len(l.src) && (isDigit(l.src[l.pos]) || l.src[l.pos] == '.' && l.pos+1 < len(l.src) && isDigit(l.src[l.pos+1])) {
			l.pos++
		}
		return token{tokOther, l.src[start:l.pos], start}, nil
	}
	for _, sym := range [...]string{"==", "!=", "<>", "<=", ">=", "=", "<", ">", "[", "]", "(", ")", ",", ".", ":", "*"} {
		if strings.HasPrefix(l.src[l.pos:], sym) {
			l.pos += len(sym)
			return token{tokSymbol, sym, start}, nil
		}
	}
	return token{}, fmt.Errorf("unexpected %q at byte %d", c, start)
}

// skip goes past blanks and comments.
func (l *lexer) skip() error {
	for l.pos < len(l.src) {
		rest := l.src[l.pos:]
		switch {
		case strings.IndexByte(" \t\r\n\v\f", rest[0]) >= 0:
			l.pos++
		case strings.HasPrefix(rest, "\u00a0") || strings.HasPrefix(rest, "\u0085"):
			l.pos += 2
		case strings.HasPrefix(rest, "//"):
			n := strings.IndexByte(rest, '\n')
			if n < 0 {
				n = len(rest)
			}
			l.pos += n
		case strings.HasPrefix(rest, "/*"):
			n := strings.Index(rest[2:], "*/")
			if n < 0 {
				return fmt.Errorf("a comment without an end at byte %d", l.pos)
			}
			l.pos += n + 4
		default:
			return nil
		}
	}
	return nil
}

// quoted reads a string between single quotes, in which a backslash keeps the next byte.
func (l *lexer) quoted() (string, error) {
	start := l.pos
	l.pos++
	body := l.pos
	var undone *strings.Builder
	for ; l.pos < len(l.src); l.pos++ {
		switch c := l.src[l.pos]; {
		case c == '\'':
			s := l.src[body:l.pos]
			l.pos++
			if undone != nil {
				undone.WriteString(s)
				s = undone.String()
			}
			return s, nil
		case c == '\\' && l.pos+1 < len(l.src):
			if undone == nil {
				undone = &strings.Builder{}
			}
			undone.WriteString(l.src[body:l.pos])
			l.pos++
			body = l.pos
		}
	}
	return "", fmt.Errorf("a string without an end at byte %d", start)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
