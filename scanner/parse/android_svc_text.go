package parse

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
)

// ErrOtherFormat is what a parser of a service's or a command's output gives for text in which it
// finds nothing of its format: another one's output, or none. It is not "there are none".
var ErrOtherFormat = errors.New("not the output of this service or command")

// refusals start a line with which a service, or dumpsys itself, says that it gives nothing.
var refusals = []string{"Can't find service", "Permission Denial", "Permission denial", "Security exception", "java.lang.SecurityException",
	"Error dumping service", "Failure while dumping", "cmd: Can't find service", "cmd: Failure calling service", "Service dump permission denied"}

// ServiceRefusal says why the output of dumpsys SERVICE or cmd SERVICE holds nothing: the
// service is not there, or did not let itself be read. Nil when neither is said.
func ServiceRefusal(b []byte) error {
	if len(b) > 4096 {
		b = b[:4096]
	}
	var err error
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		for _, r := range refusals {
			if err == nil && n <= 5 && strings.HasPrefix(line, r) { // further down it may be an app's words
				err = &Error{Offset: -1, Line: n, Msg: "the service refused: " + clip(line, 200)}
			}
		}
	})
	return err
}

// ServiceCut reports that dumpsys or dumpstate gave up before the service had written all, so
// that what is missing from the output says nothing.
func ServiceCut(b []byte) bool {
	if len(b) > 2048 {
		b = b[len(b)-2048:]
	}
	for _, mark := range []string{"DUMP TIMEOUT", "' timed out after ", "Got an exception while dumping", "*** command '"} {
		if bytes.Contains(b, []byte(mark)) {
			return true
		}
	}
	return false
}

// serviceText hands the lines of a service's output to f, without those that dumpsys and dumpstate
// write below a section. It does not end at them: a text of an app could look like one, and hide
// what comes behind it.
func serviceText(b []byte, f func(n int, line string)) {
	lines(b, func(n int, line string) {
		if !belowSection(line) {
			f(n, line)
		}
	})
}

func belowSection(line string) bool {
	return strings.HasPrefix(line, "------") && (strings.Contains(line, "was the duration of") || strings.Trim(line, "-") == "" && len(line) > 60)
}

// maxBadLines bounds the complaints about one input; what is wrong with more lines is not told.
const maxBadLines = 1000

func badLine(bad []error, line int, msg string) []error {
	if len(bad) >= maxBadLines {
		return bad
	}
	return append(bad, &Error{Offset: -1, Line: line, Msg: msg})
}

// clip keeps the start of s, cut between characters.
func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// indent counts the blanks a line starts with.
func indent(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }

// between gives what stands in s after the first open up to the next end. ok is false when
// either is missing.
func between(s, open, end string) (in string, ok bool) {
	_, s, ok = strings.Cut(s, open)
	if !ok {
		return "", false
	}
	in, _, ok = strings.Cut(s, end)
	return in, ok
}

// valueOf gives the value of key= in a line of blank-separated key=value words.
func valueOf(line, key string) string {
	for at := 0; ; {
		i := strings.Index(line[at:], key+"=")
		if i < 0 {
			return ""
		}
		at += i
		if at == 0 || strings.IndexByte(" \t,{[(;", line[at-1]) >= 0 {
			v := line[at+len(key)+1:]
			if strings.HasPrefix(v, `"`) {
				v, _, _ = strings.Cut(v[1:], `"`)
				return v
			}
			if end := strings.IndexAny(v, " \t,;]})"); end >= 0 {
				v = v[:end]
			}
			return v
		}
		at += len(key) + 1
	}
}

// AndroidUID reads a uid as Android prints it: a number, or u0a12 (app 12 of user 0), u0i3
// (isolated), u10ai2 (isolated by an app zygote), u10s1000 (a system uid of user 10).
func AndroidUID(s string) (uid int, ok bool) {
	if !strings.HasPrefix(s, "u") {
		n, ok := Decimal([]byte(s))
		return int(n), ok && n <= 1<<31-1
	}
	i := 1
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	user, err := strconv.Atoi(s[1:i])
	if err != nil || user > 20000 || i == len(s) {
		return 0, false
	}
	kind, base := s[i:], 0
	switch {
	case strings.HasPrefix(kind, "ai"):
		kind, base = kind[2:], 90000
	case kind[0] == 'a':
		kind, base = kind[1:], 10000
	case kind[0] == 'i':
		kind, base = kind[1:], 99000
	case kind[0] == 's':
		kind = kind[1:]
	default:
		return 0, false
	}
	n, err := strconv.Atoi(kind)
	if err != nil || n < 0 || base+n >= 100000 {
		return 0, false
	}
	return user*100000 + base + n, true
}

// androidDuration reads a duration as android.util.TimeUtils writes it: +1d2h3m4s5ms, -277ms,
// 0. ok is false for another form.
func androidDuration(s string) (d time.Duration, ok bool) {
	sign := time.Duration(1)
	switch {
	case s == "0":
		return 0, true
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	case strings.HasPrefix(s, "-"):
		s, sign = s[1:], -1
	}
	if s == "" {
		return 0, false
	}
	for s != "" {
		i := 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(s[:i], 10, 64)
		if err != nil {
			return 0, false
		}
		j := i
		for j < len(s) && s[j] >= 'a' && s[j] <= 'z' {
			j++
		}
		unit, known := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second, "ms": time.Millisecond}[s[i:j]]
		if !known || n > int64(100*365*24*time.Hour/unit) {
			return 0, false
		}
		if d += time.Duration(n) * unit; d > 200*365*24*time.Hour {
			return 0, false
		}
		s = s[j:]
	}
	return sign * d, true
}

// wallClock reads a time that Android printed without a zone. It is the device's local time,
// given here as if it were UTC: who knows the device's zone moves it.
func wallClock(s string) (time.Time, bool) {
	for _, layout := range []string{"2006-01-02 15:04:05.000", "2006-01-02 15:04:05", "2006-01-02-15-04-05"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// flatComponent reads package/class in its forms: short (com.x/.Y), in braces, and as
// ComponentInfo{...}. Give is package/full.class.
func flatComponent(s string) (string, bool) {
	s = strings.TrimSpace(s)
	s = strings.TrimPrefix(s, "ComponentInfo")
	s = strings.Trim(s, "{}")
	pkg, class, ok := strings.Cut(s, "/")
	if !ok || class == "" || !isPackage(pkg) || !strings.Contains(pkg, ".") && pkg != "android" || strings.ContainsAny(class, "/ \t\r\n{}=,") {
		return "", false
	}
	if class[0] == '.' {
		class = pkg + class
	}
	return pkg + "/" + class, true
}

// isPackage reports that s can be the name of an Android package.
func isPackage(s string) bool {
	if s == "" || len(s) > 255 || s[0] == '.' || s[0] == '-' || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
