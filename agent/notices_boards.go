package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	ui "picket/agent/page"
	"picket/scanner"
)

// console is the terminals of people who are logged in, and what those read who log in later.
type console struct {
	sessions string // of systemd-logind
	utmp     string
	dev      string
	motd     string // a file in a folder that exists only where it is read
}

func hostConsole() console {
	return console{"/run/systemd/sessions", "/run/utmp", "/dev", motdFile}
}

// hostBoards are the boards of this device.
func hostBoards(env Env) []board {
	if env.UID != 0 {
		return nil // the terminals and messages of others are not this user's to write on
	}
	if env.Android {
		const cmd = "/system/bin/cmd"
		return []board{{name: "android", language: androidLanguage, show: func(ctx context.Context, language string, n notice) error { return postAndroid(ctx, cmd, language, n) }}}
	}
	c, lang := hostConsole(), func() string { return systemLanguage(os.Getenv, "/etc") }
	return []board{
		{name: "consoles", language: lang, show: c.show},
		{name: "login", language: lang, keep: c.leave},
	}
}

// words of a notice: a line that says what, and one that says where to read on.
func (n notice) lines(w ui.Words) (what, then string) {
	if n.More > 0 {
		return w.Say("notice.more", n.More), w.Say("notice.console")
	}
	return w.Say("notice.title", n.Title) + " (" + w.Say("severity."+n.Severity.String()) + ")", w.Say("notice.console")
}

// consoleMax is the longest text that is written on a terminal, in bytes.
const consoleMax = 2 << 10

// show writes on the terminals of those who are logged in and take messages (mesg(1)).
func (c console) show(_ context.Context, language string, n notice) error {
	w, err := wordsIn(language)
	if err != nil {
		return err
	}
	what, then := n.lines(w)
	text := "\r\n" + what + "\r\n" + then + "\r\n"
	if len(text) > consoleMax {
		text = strings.ToValidUTF8(text[:consoleMax], "") + "\r\n"
	}
	shown := 0
	for _, name := range c.terminals() {
		if c.write(name, text) == nil {
			shown++
		}
	}
	if shown == 0 {
		return errNobody
	}
	return nil
}

// terminalName are the terminals of people: consoles and what ssh and terminal programs give.
var terminalName = regexp.MustCompile(`^(pts/[0-9]{1,6}|tty[0-9]{1,3})$`)

// Bounds of what is read about who is logged in.
const (
	maxTerminals = 64
	maxUtmp      = 384 << 10 // 1024 records
)

// terminals lists those of the people who are logged in, as systemd-logind and utmp have them.
func (c console) terminals() []string {
	var out []string
	add := func(name string) {
		name = strings.TrimPrefix(name, "/dev/")
		if terminalName.MatchString(name) && !slices.Contains(out, name) && len(out) < maxTerminals {
			out = append(out, name)
		}
	}
	files, _ := filepath.Glob(filepath.Join(globQuote(c.sessions), "*")) // none is no error
	for _, file := range files[:min(len(files), 4*maxTerminals)] {
		b, err := readSmall(file)
		if err != nil {
			continue
		}
		fields := map[string]string{}
		for line := range strings.Lines(string(b[:min(len(b), 8<<10)])) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			fields[name] = value
		}
		if t := fields["TYPE"]; t != "x11" && t != "wayland" && t != "mir" { // nobody sees what is behind a desktop
			add(fields["TTY"])
		}
	}
	b, err := readSmall(c.utmp)
	if err != nil {
		return out
	}
	const record, userProcess = 384, 7
	for b = b[:min(len(b), maxUtmp)]; len(b) >= record; b = b[record:] {
		line, _, _ := bytes.Cut(b[8:40], []byte{0})
		if int16(binary.NativeEndian.Uint16(b)) == userProcess {
			add(string(line))
		}
	}
	return out
}

// write writes on one terminal, if it takes messages, and never waits for it.
func (c console) write(name, text string) error {
	f, err := os.OpenFile(filepath.Join(c.dev, name), os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("opening terminal %s: %w", name, err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("looking at terminal %s: %w", name, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Mode&unix.S_IWGRP == 0 {
		return fmt.Errorf("terminal %s takes no messages", name)
	}
	if _, err := unix.Write(int(f.Fd()), []byte(text)); err != nil {
		return fmt.Errorf("writing on terminal %s: %w", name, err)
	}
	return nil
}

// leave says what is open to those who log in, where that is read from a folder.
func (c console) leave(language string, open []threat) error {
	if _, err := os.Stat(filepath.Dir(c.motd)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if len(open) == 0 {
		if err := os.Remove(c.motd); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("taking away what people read when they log in: %w", err)
		}
		return nil
	}
	w, err := wordsIn(language)
	if err != nil {
		return err
	}
	counts := map[scanner.Severity]int{}
	for _, t := range open {
		counts[t.Severity]++
	}
	var parts []string
	for v := scanner.Critical; v >= scanner.Informational; v-- {
		if counts[v] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[v], w.Say("severity."+v.String())))
		}
	}
	text := w.Say("motd", strings.Join(parts, ", ")) + "\n"
	if old, err := readSmall(c.motd); err == nil && string(old) == text {
		return nil
	}
	if err := writeFileMode(c.motd, text, 0o644); err != nil {
		return fmt.Errorf("writing what people read when they log in: %w", err)
	}
	return nil
}

// androidTime is how long Android's service manager may take.
const androidTime = 20 * time.Second

// postAndroid has Android show a notice, which takes root or the shell. No text of the device's
// passes through a shell.
func postAndroid(ctx context.Context, cmd, language string, n notice) error {
	w, err := wordsIn(language)
	if err != nil {
		return err
	}
	title, body, tag := w.Say("notice.title", n.Title), n.Subject+". "+w.Say("notice.console"), "picket-"+n.Key
	if n.More > 0 {
		title, body, tag = w.Say("notice.more", n.More), w.Say("notice.more.body"), "picket-more"
	}
	ctx, cancel := context.WithTimeout(ctx, androidTime)
	defer cancel()
	_, err = toolOutputWithin(ctx, cmd, "notification", "post", "-S", "bigtext", "-t", title, tag, body)
	return err
}

// androidLanguage is the language that Android is set to.
func androidLanguage() string {
	for _, property := range []string{"persist.sys.locale", "ro.product.locale"} {
		if text, err := toolOutput("/system/bin/getprop", property); err == nil && len(text) >= 2 {
			return strings.ToLower(text[:2])
		}
	}
	return ""
}

// systemLanguage is that of the device, for texts that are nobody's in particular.
func systemLanguage(getenv func(string) string, etc string) string {
	if code := language(getenv); code != "" {
		return code
	}
	for _, name := range []string{"locale.conf", "default/locale"} {
		b, err := readSmall(filepath.Join(etc, name))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b[:min(len(b), 4<<10)])) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "LANG="); ok {
				return language(func(name string) string {
					if name == "LANG" {
						return strings.Trim(value, `"'`)
					}
					return ""
				})
			}
		}
	}
	return ""
}

// hostZone is the time zone of the device as it is now; a process has that of its start.
func hostZone(android bool) func() *time.Location {
	return func() *time.Location {
		if android {
			text, err := toolOutput("/system/bin/date", "+%z")
			if t, bad := time.Parse("-0700", text); err == nil && bad == nil {
				_, offset := t.Zone()
				return time.FixedZone("device", offset)
			}
			return time.Local
		}
		if b, err := readSmall("/etc/localtime"); err == nil {
			if zone, err := time.LoadLocationFromTZData("device", b); err == nil {
				return zone
			}
		}
		return time.Local
	}
}
