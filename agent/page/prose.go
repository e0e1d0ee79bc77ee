package page

import (
	"regexp"
	"strings"
)

// span is a piece of a text: words, or something to be typed or read letter by letter.
type span struct {
	Code bool
	Text string
}

// spans cuts a text where `backticks` are. A backtick without a second is one.
func spans(text string) []span {
	var out []span
	for {
		before, rest, found := strings.Cut(text, "`")
		code, after, closed := strings.Cut(rest, "`")
		if !found || !closed {
			if text != "" {
				out = append(out, span{Text: text})
			}
			return out
		}
		if before != "" {
			out = append(out, span{Text: before})
		}
		out = append(out, span{Code: true, Text: code})
		text = after
	}
}

// paragraphs cuts a text at empty lines; within one, lines go on.
func paragraphs(text string) [][]span {
	var out [][]span
	for _, p := range strings.Split(text, "\n\n") {
		if p = strings.Join(strings.Fields(p), " "); p != "" {
			out = append(out, spans(p))
		}
	}
	return out
}

// sentenceEnd is where a sentence ends and another begins.
var sentenceEnd = regexp.MustCompile(`[.!?]\)? +[A-Z"]`)

// sentences cuts each paragraph into its sentences, so that steps can be read one by one.
func sentences(text string) [][][]span {
	var out [][][]span
	for _, p := range strings.Split(text, "\n\n") {
		p = strings.Join(strings.Fields(p), " ")
		var one [][]span
		for from := 0; p != ""; {
			at := sentenceEnd.FindStringIndex(p[from:])
			if at == nil {
				one = append(one, spans(p))
				break
			}
			end := from + at[1] - 1
			if strings.Count(p[:end], "`")%2 == 1 {
				from = end // inside code
				continue
			}
			one, p, from = append(one, spans(strings.TrimSpace(p[:end]))), p[end:], 0
		}
		if len(one) > 0 {
			out = append(out, one)
		}
	}
	return out
}
