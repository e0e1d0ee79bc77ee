package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"picket/scanner"
)

// ran is what a command on a phone did.
type ran struct {
	out       []byte
	complaint string // the first line that it wrote to its standard error, where that is known
	status    int    // exit status; 127 when there is no such program
}

// statusMissing is the exit status of a shell for a program that is not there.
const statusMissing = 127

// shellFunc runs a command line, the words of which mean nothing to a shell, and keeps up to
// maxPhoneOutput bytes of what it prints. The error says that it was not run to its end.
type shellFunc func(ctx context.Context, line string) (ran, error)

// maxPhoneAnswers bounds what all sources of a phone say together, in bytes: an app can make
// the answers of many services long.
const maxPhoneAnswers = 512 << 20

// phoneAsker asks a phone for sources: on the phone itself and over adb alike.
type phoneAsker struct {
	run  shellFunc
	kept atomic.Int64 // bytes of all answers
}

// probe asks for a source. What the error says begins with the source's name.
func (p *phoneAsker) probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	b, err := androidProbe(ctx, p.run, s)
	if n := p.kept.Add(int64(len(b))); n > maxPhoneAnswers {
		return nil, fmt.Errorf("%s: all answers together: %w", s, &scanner.TooLargeError{Size: n, Limit: maxPhoneAnswers})
	}
	return b, err
}

func androidProbe(ctx context.Context, run shellFunc, s scanner.Source) ([]byte, error) {
	cmd, ok := androidCommandFor(s)
	if !ok {
		return nil, fmt.Errorf("%s: %w", s, scanner.ErrUnavailable)
	}
	var failed error
	for _, line := range cmd.lines {
		b, err := cmd.try(ctx, run, androidBin+line)
		if err == nil {
			return b, nil
		}
		// What a refusal says is worth more than that an older form did not work either.
		if failed == nil || errors.Is(err, fs.ErrPermission) && !errors.Is(failed, fs.ErrPermission) {
			failed = err
		}
		var again *answerError
		if !errors.As(err, &again) {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil, fmt.Errorf("%s: %w", s, failed)
}

// answerError says that a command ran and did not print what it was asked for, so that
// another form of it may.
type answerError struct {
	line, why string
	kind      error
}

func (e *answerError) Error() string { return fmt.Sprintf("%s: %s: %v", e.line, e.why, e.kind) }
func (e *answerError) Unwrap() error { return e.kind }

// try runs one form of a command and looks at what it printed.
func (c *androidCommand) try(ctx context.Context, run shellFunc, line string) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, c.time)
	defer cancel()
	r, err := run(limited, line)
	switch {
	case err != nil && ctx.Err() == nil && limited.Err() != nil:
		return nil, fmt.Errorf("%s: cut off after %v: %w", line, c.time, context.DeadlineExceeded)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", line, err)
	}
	if why, kind := r.failure(c.rows); why != "" {
		return nil, &answerError{line, why, kind}
	}
	if why := dumpsysCutOff(r.out); why != "" {
		return nil, fmt.Errorf("%s: %s: %w", line, why, context.DeadlineExceeded)
	}
	return r.out, nil
}

// failure says why an answer is none, and as what it counts.
func (r *ran) failure(rows int) (string, error) {
	text := bytes.TrimSpace(r.out)
	first := firstLine(text[:min(len(text), 512)])
	complaint := r.complaint
	if complaint == "" {
		complaint = first
	}
	printed := 0
	if len(text) > 0 {
		printed = 1 + bytes.Count(text, []byte("\n"))
	}
	switch {
	case r.status == statusMissing:
		return "this Android has no such program", scanner.ErrUnavailable
	case r.status != 0 && refused(complaint):
		return complaint, fs.ErrPermission
	case r.status != 0:
		return fmt.Sprintf("exit status %d: %s", r.status, complaint), scanner.ErrUnavailable
	case strings.HasPrefix(first, "Permission Denial:"):
		return first, fs.ErrPermission
	case strings.HasPrefix(first, "Can't find service:"):
		return first, scanner.ErrUnavailable
	case printed < rows && refused(r.complaint):
		return r.complaint, fs.ErrPermission
	case printed < rows && printed > 0:
		return "printed its header alone", scanner.ErrUnavailable
	case printed < rows:
		return strings.TrimSuffix("printed nothing: "+r.complaint, ": "), scanner.ErrUnavailable
	}
	return "", nil
}

func refused(text string) bool {
	return strings.Contains(text, "ermission denied") || strings.Contains(text, "Permission Denial") || strings.Contains(text, "not permitted")
}

// dumpsysCutOff finds the line with which dumpsys ends the text of a service that did not
// finish in time. What stands before it is a part, and does not say of what.
func dumpsysCutOff(out []byte) string {
	const looked = 512
	tail := out[max(0, len(out)-looked):]
	i := bytes.LastIndex(tail, []byte("\n*** SERVICE '"))
	if i < 0 {
		return ""
	}
	line, _, _ := strings.Cut(string(tail[i+1:]), "\n")
	if !strings.Contains(line, "DUMP TIMEOUT") {
		return ""
	}
	return strings.Trim(line, "* ")
}

// phoneShell runs commands of the table on the phone that this process is on. dir is
// androidBin, or stands for it in tests.
func phoneShell(dir string, getenv func(string) string) shellFunc {
	return func(ctx context.Context, line string) (ran, error) {
		words := strings.Fields(line)
		path := dir + strings.TrimPrefix(words[0], androidBin)
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return ran{status: statusMissing}, nil
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		out := &limited{limit: maxPhoneOutput, full: cancel}
		complaint := &limited{limit: 4 << 10, full: func() {}}
		cmd := exec.CommandContext(ctx, path, words[1:]...)
		cmd.Env, cmd.Dir = phoneEnvironment(dir, getenv), "/"
		cmd.Stdout, cmd.Stderr = out, complaint
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		var exit *exec.ExitError
		switch {
		case out.over:
			return ran{}, &scanner.TooLargeError{Size: maxPhoneOutput, Limit: maxPhoneOutput}
		case ctx.Err() != nil:
			return ran{}, ctx.Err()
		case errors.As(err, &exit) && exit.ExitCode() >= 0:
			return ran{out.kept, firstLine(complaint.kept), exit.ExitCode()}, nil
		case err != nil:
			return ran{}, err
		}
		return ran{out.kept, firstLine(complaint.kept), 0}, nil
	}
}

// firstLine is the first line of what a command said, fit to be shown.
func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return shown(strings.TrimSpace(line), 200)
}

// shown is up to n characters of a phone's text for a person's terminal, which control
// characters could rule.
func shown(text string, n int) string {
	return fmt.Sprintf("%.*s", n, strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text))
}

// phoneEnvironment is what Android's own programs need: pm and settings are scripts, and on
// Android 7 and before start a virtual machine that finds its classes in the environment.
func phoneEnvironment(dir string, getenv func(string) string) []string {
	env := []string{"PATH=" + dir, "ANDROID_ROOT=/system", "ANDROID_DATA=/data"}
	for _, name := range []string{"ANDROID_ART_ROOT", "ANDROID_I18N_ROOT", "ANDROID_TZDATA_ROOT", "BOOTCLASSPATH",
		"DEX2OATBOOTCLASSPATH", "SYSTEMSERVERCLASSPATH"} {
		if v := getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// shellUID is the user that adb runs commands as.
const shellUID = 2000

// acquiredOnPhone says how a phone is read by a process on it with this effective user id.
func acquiredOnPhone(euid int) string {
	switch euid {
	case 0:
		return "root"
	case shellUID:
		return "adb"
	}
	return ""
}

// acquiredAsImage says how a tree was taken: nothing ran on a phone whose image this is.
func acquiredAsImage(platform string) string {
	if platform == "android" {
		return "image"
	}
	return ""
}
