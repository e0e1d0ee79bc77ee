package parse

import "strings"

// redirect reads a redirection, or a process substitution, which is a word.
func (p *shellParser) redirect() {
	if p.peek(1) == '(' {
		p.begin()
		p.pos += 2
		start := p.pos - 2
		p.nested()
		p.addWord(p.src[start:p.pos], true)
		return
	}
	c := p.src[p.pos]
	op := string(c)
	p.pos++
	for len(op) < 3 && p.pos < len(p.src) && strings.IndexByte("<>&|-", p.src[p.pos]) >= 0 {
		if n := p.src[p.pos]; n == '-' && op != "<<" {
			break
		}
		op += string(p.src[p.pos])
		p.pos++
	}
	p.target(op)
}

// target reads the word that a redirection goes to.
func (p *shellParser) target(op string) {
	p.begin()
	for p.peek(0) == ' ' || p.peek(0) == '\t' {
		p.pos++
	}
	word, _ := p.rawWord()
	p.cur.end = p.pos
	if op == "<<" || op == "<<-" {
		if len(p.heredocs) < 16 && word != "" {
			p.heredocs = append(p.heredocs, heredoc{word, op == "<<-"})
		}
		return
	}
	p.cur.Redirects = append(p.cur.Redirects, ShellRedirect{op, word})
}

// word reads one word and gives it its meaning at this place.
func (p *shellParser) word() {
	p.begin()
	from := p.pos
	word, quoted := p.rawWord()
	if p.pos == from { // nothing that a word can start with: do not stand still
		p.pos++
		return
	}
	if next := p.peek(0); (next == '<' || next == '>') && !quoted && isDigits(word) {
		return // a file descriptor before a redirection
	}
	p.addWord(word, quoted)
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func (p *shellParser) addWord(word string, quoted bool) {
	p.cur.end = p.pos
	switch {
	case p.skipping:
		if p.cases > 0 && word == "in" && len(p.cur.Words) > 0 && p.cur.Words[0] == "case" {
			inner := p.cur.Inner
			p.cur, p.started, p.skipping = ShellCommand{}, false, false
			p.out = append(p.out, inner...)
			p.patterns = true
		}
		return
	case p.testing:
		p.cur.Words = append(p.cur.Words, word)
		p.testing = word != "]]"
		return
	case len(p.cur.Words) > 0:
		if p.cur.Words[0] == "function" && len(p.cur.Words) == 1 {
			p.define(word)
			if rest := strings.TrimLeft(p.src[p.pos:], " \t"); strings.HasPrefix(rest, "()") {
				p.pos = len(p.src) - len(rest) + 2
			}
			return
		}
		p.cur.Words = append(p.cur.Words, word)
		return
	case !quoted && len(p.cur.Assign) == 0 && p.keyword(word):
		return
	case isAssignment(word):
		p.cur.Assign = append(p.cur.Assign, word)
		if strings.HasSuffix(word, "=") && p.peek(0) == '(' {
			p.skipNested("(", ")")
			p.cur.end = p.pos
		}
		return
	}
	p.cur.Words = append(p.cur.Words, word)
	p.testing = word == "[["
}

// keyword handles a reserved word at command position.
func (p *shellParser) keyword(word string) bool {
	switch word {
	case "if", "then", "else", "elif", "do", "while", "until", "!", "{", "}", "time", "fi", "done":
		p.cur, p.started = ShellCommand{}, false
	case "esac":
		p.cases = max(p.cases-1, 0)
		p.cur, p.started = ShellCommand{}, false
	case "for", "select":
		p.skipping = true
	case "case":
		p.skipping = true
		p.cases++
		p.cur.Words = append(p.cur.Words, word)
	default:
		return false
	}
	return true
}

// isAssignment reports whether a word is NAME=value or NAME+=value.
func isAssignment(w string) bool {
	for i := range len(w) {
		c := w[i]
		switch {
		case c == '=' && i > 0:
			return true
		case c == '+' && i > 0 && i+1 < len(w) && w[i+1] == '=':
		case c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || i > 0 && '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return false
}

// rawWord reads a word, quotes off. quoted says that some of it was in quotes.
func (p *shellParser) rawWord() (word string, quoted bool) {
	var b strings.Builder
	for p.pos < len(p.src) {
		c := p.src[p.pos]
		switch {
		case c == '\\':
			if p.peek(1) == '\n' {
				p.line++
			} else if p.pos+1 < len(p.src) {
				b.WriteByte(p.src[p.pos+1])
				quoted = true
			}
			p.pos = min(p.pos+2, len(p.src))
		case c == '\'':
			p.pos++
			start := p.pos
			p.skipTo('\'')
			b.WriteString(p.src[start:p.pos])
			p.line += strings.Count(p.src[start:p.pos], "\n")
			p.pos = min(p.pos+1, len(p.src))
			quoted = true
		case c == '"':
			p.doubleQuoted(&b)
			quoted = true
		case c == '$' && p.peek(1) == '\'':
			p.pos += 2
			p.ansiQuoted(&b)
			quoted = true
		case c == '$' || c == '`':
			p.expansion(&b)
		case p.testing && c != ' ' && c != '\t' && c != '\n' && c != '\r',
			strings.IndexByte(" \t\r\n;&|()<>", c) < 0:
			b.WriteByte(c)
			p.pos++
		default:
			return b.String(), quoted
		}
	}
	return b.String(), quoted
}

func (p *shellParser) doubleQuoted(b *strings.Builder) {
	p.pos++
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; c {
		case '"':
			p.pos++
			return
		case '\\':
			if n := p.peek(1); n == '\n' {
				p.line++
			} else if n != 0 {
				if strings.IndexByte("$`\"\\", n) < 0 {
					b.WriteByte('\\')
				}
				b.WriteByte(n)
			}
			p.pos = min(p.pos+2, len(p.src))
		case '$', '`':
			p.expansion(b)
		default:
			if c == '\n' {
				p.line++
			}
			b.WriteByte(c)
			p.pos++
		}
	}
}

// ansiQuoted reads the inside of $'...'; of its escapes those that name bytes are undone.
func (p *shellParser) ansiQuoted(b *strings.Builder) {
	for p.pos < len(p.src) && p.src[p.pos] != '\'' {
		c := p.src[p.pos]
		p.pos++
		if c != '\\' || p.pos >= len(p.src) {
			b.WriteByte(c)
			continue
		}
		e := p.src[p.pos]
		p.pos++
		switch {
		case e == 'x' && p.pos+1 < len(p.src) && hexDigit(p.src[p.pos]) >= 0 && hexDigit(p.src[p.pos+1]) >= 0:
			b.WriteByte(byte(hexDigit(p.src[p.pos])<<4 | hexDigit(p.src[p.pos+1])))
			p.pos += 2
		case e == 'n':
			b.WriteByte('\n')
		case e == 't':
			b.WriteByte('\t')
		case '0' <= e && e <= '7':
			n := int(e - '0')
			for i := 0; i < 2 && p.pos < len(p.src) && '0' <= p.src[p.pos] && p.src[p.pos] <= '7'; i++ {
				n = n<<3 | int(p.src[p.pos]-'0')
				p.pos++
			}
			b.WriteByte(byte(n))
		default:
			b.WriteByte(e)
		}
	}
	p.pos = min(p.pos+1, len(p.src))
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// expansion copies $name, ${...}, $((...)), $(...) and `...` as written, and reads the
// commands inside.
func (p *shellParser) expansion(b *strings.Builder) {
	start := p.pos
	switch {
	case p.src[p.pos] == '`':
		p.backquoted()
	case strings.HasPrefix(p.src[p.pos:], "$(("):
		p.pos++
		p.skipNested("((", "))")
	case p.peek(1) == '(':
		p.pos += 2
		p.nested()
	case p.peek(1) == '{':
		p.pos++
		p.skipNested("{", "}")
	default:
		p.pos++
	}
	b.WriteString(p.src[start:p.pos])
}

// nested reads the commands of $( or <( up to the closing bracket.
func (p *shellParser) nested() {
	if p.depth >= maxShellDepth {
		p.pos--
		p.skipNested("(", ")")
		return
	}
	sub := &shellParser{src: p.src, pos: p.pos, line: p.line, depth: p.depth + 1, budget: p.budget}
	sub.list(true)
	p.pos, p.line = sub.pos, sub.line
	p.cur.Inner = append(p.cur.Inner, sub.out...)
}

func (p *shellParser) backquoted() {
	p.pos++
	var text strings.Builder
	for p.pos < len(p.src) && p.src[p.pos] != '`' {
		if p.src[p.pos] == '\\' && strings.IndexByte("$`\\", p.peek(1)) >= 0 && p.peek(1) != 0 {
			p.pos++
		}
		text.WriteByte(p.src[p.pos])
		p.pos++
	}
	p.pos = min(p.pos+1, len(p.src))
	if p.depth < maxShellDepth {
		sub := &shellParser{src: text.String(), line: p.line, depth: p.depth + 1, budget: p.budget}
		sub.list(false)
		p.cur.Inner = append(p.cur.Inner, sub.out...)
	}
	p.line += strings.Count(text.String(), "\n")
}
