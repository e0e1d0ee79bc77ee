package parse

import (
	"strings"
)

const (
	maxShellDepth    = 12    // command substitutions within one another
	maxShellCommands = 20000 // of one text
)

// ShellPipeline is one pipeline of a shell text: commands that feed one another.
type ShellPipeline struct {
	Commands []ShellCommand
	Text     string // as written
	Line     int    // 1-based, where it starts
}

// ShellCommand is a simple command. Quotes are taken off words; expansions stay as written.
type ShellCommand struct {
	// Function is set instead of all else when the text defines a function of that name.
	Function  string
	Assign    []string // NAME=value before the command
	Words     []string // the command and its arguments
	Redirects []ShellRedirect
	// Inner are the pipelines whose output, or whose pipe, the words stand for: $(...),
	// `...`, <(...).
	Inner []ShellPipeline

	start, end int
}

// ShellRedirect is one redirection: its operator (">", "<&", "&>", "<<<", ...) and target.
type ShellRedirect struct{ Op, Target string }

// Shell reads shell text (POSIX sh and what bash adds) into the pipelines that stand at command
// position, in order: those of loops, conditions, groups and functions are there, one after
// the other; comments, here-documents, patterns of case and lists of for are not. It never
// fails: of text that no shell would take it gives what looks like commands.
func Shell(src string) []ShellPipeline {
	budget := maxShellCommands
	p := &shellParser{src: src, line: 1, budget: &budget}
	p.list(false)
	return p.out
}

type shellParser struct {
	src    string
	pos    int
	line   int
	depth  int
	budget *int

	out      []ShellPipeline
	pipe     []ShellCommand // the pipeline being read
	pipeLine int
	cur      ShellCommand
	started  bool // cur has something in it

	groups    int  // open subshells
	cases     int  // open case statements
	patterns  bool // a pattern of case comes next
	skipping  bool // words of a for list, of a case head
	testing   bool // between [[ and ]]
	heredocs  []heredoc
	afterPipe bool
}

type heredoc struct {
	end  string
	tabs bool
}

// list reads commands to the end of the text or, when nested, to the bracket that closes it.
func (p *shellParser) list(nested bool) {
	for p.pos < len(p.src) && *p.budget > 0 {
		if p.patterns && !p.started {
			p.pattern()
			continue
		}
		c := p.src[p.pos]
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			p.pos++
		case c == '\\' && p.pos+1 < len(p.src) && p.src[p.pos+1] == '\n':
			p.pos += 2
			p.line++
		case c == '\n':
			p.pos++
			p.line++
			p.endCommand(p.afterPipe && !p.started)
			p.skipHeredocs()
		case c == '#':
			p.skipTo('\n')
		case p.testing:
			p.word()
		case c == ';':
			p.endCommand(false)
			p.pos++
			if p.cases > 0 && p.pos < len(p.src) && (p.src[p.pos] == ';' || p.src[p.pos] == '&') {
				p.pos++
				p.patterns = true
			}
		case c == '&':
			p.ampersand()
		case c == '|':
			p.bar()
		case c == '(':
			p.open()
		case c == ')':
			if p.groups > 0 {
				p.groups--
				p.endCommand(false)
				p.pos++
				continue
			}
			if nested {
				p.endCommand(false)
				p.pos++
				return
			}
			p.pos++ // a stray bracket: what stood before it is a pattern of case
			p.cur, p.started, p.pipe = ShellCommand{}, false, nil
		case c == '<' || c == '>':
			p.redirect()
		default:
			p.word()
		}
	}
	p.endCommand(false)
}

func (p *shellParser) peek(i int) byte {
	if p.pos+i < len(p.src) {
		return p.src[p.pos+i]
	}
	return 0
}

func (p *shellParser) skipTo(c byte) {
	if i := strings.IndexByte(p.src[p.pos:], c); i >= 0 {
		p.pos += i
		return
	}
	p.pos = len(p.src)
}

func (p *shellParser) ampersand() {
	switch p.peek(1) {
	case '>':
		p.pos += 2
		op := "&>"
		if p.peek(0) == '>' {
			p.pos++
			op = "&>>"
		}
		p.target(op)
	case '&':
		p.pos += 2
		p.endCommand(false)
	default:
		p.pos++
		p.endCommand(false)
	}
}

func (p *shellParser) bar() {
	if p.peek(1) == '|' {
		p.pos += 2
		p.endCommand(false)
		return
	}
	p.pos++
	if p.peek(0) == '&' {
		p.pos++
	}
	p.endCommand(true)
}

// open handles "(": arithmetic, a function's brackets, or a subshell.
func (p *shellParser) open() {
	switch {
	case !p.started && p.peek(1) == '(':
		p.skipNested("((", "))")
	case p.started && len(p.cur.Words) == 1 && strings.HasPrefix(strings.TrimLeft(p.src[p.pos+1:], " \t"), ")"):
		p.skipTo(')')
		p.pos++
		p.define(p.cur.Words[0])
	default:
		p.pos++
		p.groups++
		if p.started {
			p.endCommand(false)
		}
	}
}

// define notes a function.
func (p *shellParser) define(name string) {
	p.endPipeline()
	p.cur = ShellCommand{Function: name, start: p.cur.start, end: p.pos}
	p.started = true
	p.endCommand(false)
}

// skipNested passes over balanced brackets.
func (p *shellParser) skipNested(open, end string) {
	level := 0
	for p.pos < len(p.src) {
		switch rest := p.src[p.pos:]; {
		case strings.HasPrefix(rest, open):
			level++
			p.pos += len(open)
		case strings.HasPrefix(rest, end):
			level--
			p.pos += len(end)
			if level <= 0 {
				return
			}
		default:
			if rest[0] == '\n' {
				p.line++
			}
			p.pos++
		}
	}
}

// pattern passes over one pattern list of case, with its bracket, or over esac.
func (p *shellParser) pattern() {
	for p.pos < len(p.src) {
		switch c := p.src[p.pos]; {
		case c == '\n':
			p.line++
			p.pos++
		case c == ' ' || c == '\t' || c == '\r':
			p.pos++
		case c == '#':
			p.skipTo('\n')
		default:
			p.patterns = false
			rest := p.src[p.pos:]
			if strings.HasPrefix(rest, "esac") && (len(rest) == 4 || strings.IndexByte(" \t\r\n;|&)", rest[4]) >= 0) {
				p.pos += 4
				p.cases--
				return
			}
			p.pos++ // also an opening bracket before the pattern
			p.patternEnd(c)
			return
		}
	}
}

// patternEnd goes behind the bracket that ends a pattern whose first byte was c.
func (p *shellParser) patternEnd(c byte) {
	for {
		switch c {
		case '\\':
			p.pos++
		case '\'', '"':
			p.skipTo(c)
			p.pos++
		case '\n':
			p.line++
		case ')':
			return
		}
		if p.pos >= len(p.src) {
			p.pos = len(p.src)
			return
		}
		c = p.src[p.pos]
		p.pos++
	}
}

func (p *shellParser) begin() {
	if !p.started {
		p.started = true
		p.cur.start = p.pos
		if len(p.pipe) == 0 {
			p.pipeLine = p.line
		}
	}
}

// endCommand closes the command being read. Unless piped says that its output feeds the next
// one, the pipeline ends too.
func (p *shellParser) endCommand(piped bool) {
	if p.started {
		*p.budget--
		if p.cur.end < p.cur.start {
			p.cur.end = p.pos
		}
		if p.skipping {
			p.skipping = false
			inner := p.cur.Inner
			p.cur, p.started = ShellCommand{}, false
			p.endPipeline()
			p.out = append(p.out, inner...)
			return
		}
		if len(p.cur.Words)+len(p.cur.Assign)+len(p.cur.Redirects) > 0 || p.cur.Function != "" {
			p.pipe = append(p.pipe, p.cur)
		}
		p.cur, p.started, p.testing = ShellCommand{}, false, false
	}
	p.afterPipe = piped
	if !piped {
		p.endPipeline()
	}
}

func (p *shellParser) endPipeline() {
	if len(p.pipe) == 0 {
		return
	}
	text := p.src[p.pipe[0].start:max(p.pipe[len(p.pipe)-1].end, p.pipe[0].start)]
	p.out = append(p.out, ShellPipeline{Commands: p.pipe, Text: strings.TrimSpace(text), Line: p.pipeLine})
	p.pipe = nil
}

func (p *shellParser) skipHeredocs() {
	for _, h := range p.heredocs {
		for p.pos < len(p.src) {
			line, _, _ := strings.Cut(p.src[p.pos:], "\n")
			p.pos = min(p.pos+len(line)+1, len(p.src))
			p.line++
			line = strings.TrimSuffix(line, "\r")
			if h.tabs {
				line = strings.TrimLeft(line, "\t")
			}
			if line == h.end {
				break
			}
		}
	}
	p.heredocs = nil
}
