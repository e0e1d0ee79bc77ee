package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	ui "picket/agent/page"
)

// asker asks a person in plain lines of text, which work over ssh and read well aloud.
type asker struct {
	in    io.Reader
	out   io.Writer
	words ui.Words
	quiet bool // nobody is asked: the default answer counts
}

// answerMax is the longest line that is read, in bytes. A terminal gives no more than 4096.
const answerMax = 8 << 10

func (a *asker) say(format string, args ...any) { fmt.Fprintf(a.out, format+"\n", args...) }

// yes asks a question until it is answered. wanted is an answer that was given beforehand, nil
// for none; standard is that of an empty line.
func (a *asker) yes(ctx context.Context, question string, wanted *bool, standard bool) (bool, error) {
	if wanted != nil {
		return *wanted, nil
	}
	if a.quiet {
		return standard, nil
	}
	choice := "yesno.no"
	if standard {
		choice = "yesno.yes"
	}
	for {
		fmt.Fprintf(a.out, "%s %s ", question, a.words.Say(choice))
		line, err := unlessLeft(ctx, a.line)
		if err != nil {
			return false, err
		}
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "":
			return standard, nil
		case "y", "yes", "j", "ja":
			return true, nil
		case "n", "no", "nee":
			return false, nil
		}
		a.say("%s", a.words.Say("again"))
	}
}

// secret reads a line that is not shown, where a terminal can be told so.
func (a *asker) secret(ctx context.Context, question string) (string, error) {
	fmt.Fprint(a.out, question)
	f, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return unlessLeft(ctx, a.line)
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("asking without showing the answer: %w", err)
	}
	defer term.Restore(int(f.Fd()), before) // also when the person leaves in the middle
	text, err := unlessLeft(ctx, func() (string, error) {
		b, err := term.ReadPassword(int(f.Fd()))
		return string(b), err
	})
	fmt.Fprintln(a.out)
	if err != nil {
		return "", fmt.Errorf("reading the answer: %w", err)
	}
	return strings.TrimSpace(text), nil
}

// unlessLeft leaves a read alone when ctx ends: a terminal's cannot be ended, and the process ends next.
func unlessLeft(ctx context.Context, read func() (string, error)) (string, error) {
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		return a.text, a.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// line reads one line and nothing after it: what follows may be for a question that is not shown.
func (a *asker) line() (string, error) {
	var b []byte
	one := make([]byte, 1)
	for len(b) < answerMax {
		n, err := a.in.Read(one)
		if n == 1 && one[0] == '\n' || errors.Is(err, io.EOF) && len(b) > 0 {
			return strings.TrimSpace(string(b)), nil
		}
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		b = append(b, one[:n]...)
	}
	return "", fmt.Errorf("reading the answer: it is longer than %d bytes", answerMax)
}

// onTerminal tells whether there is somebody to ask.
func onTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
