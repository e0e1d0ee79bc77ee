package respond

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// maxOutput is how much is kept of what a command says: its end.
const maxOutput = 2048

// Run runs a program that root alone can write, without a shell, with an environment of its own
// and stdin as given, and gives the end of what it says. One that takes too long ends with all that
// it started.
func Run(ctx context.Context, args []string, limit time.Duration, env []string, stdin []byte) (output string, err error) {
	where, err := program(args[0])
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out tail
	cmd := exec.CommandContext(ctx, where, args[1:]...)
	cmd.Args[0] = args[0]
	cmd.Env = append([]string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/system/bin:/vendor/bin", "LC_ALL=C", "HOME=/"}, env...)
	cmd.Dir = "/"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("%s: stopped after %v", args[0], limit)
	case err != nil:
		err = fmt.Errorf("%s: %w", args[0], err)
	}
	return out.text(), err
}

// tail keeps the end of what is written.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxOutput; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

// text is what shows, on one line.
func (t *tail) text() string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(string(t.b), "?"))
	return strings.Join(strings.Fields(clean), " ")
}
