package agent

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"picket/scanner/parse"
)

// redactor takes names of people and of the device, and secrets, out of texts.
type redactor struct {
	names []redaction // the longest first
}

type redaction struct {
	find *regexp.Regexp
	as   string
}

// nobody are names of accounts that tell of nobody, and stand in reports with another meaning.
var nobody = []string{"user", "users", "admin", "guest", "test", "root", "phone", "mobile", "kiosk", "debian", "ubuntu", "device", "system", "service", "account", "app", "name", "file"}

// newRedactor reads who has an account on the device, from passwd, and knows the device's name.
func newRedactor(passwd io.Reader, device string) *redactor {
	r, texts, n := &redactor{}, map[string]string{}, 0
	lines := bufio.NewScanner(io.LimitReader(passwd, 1<<20))
	for lines.Scan() {
		f := strings.Split(lines.Text(), ":")
		if len(f) < 7 {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		if err != nil || uid < 1000 || uid >= 60000 {
			continue
		}
		n++
		as := fmt.Sprintf("person-%d", n)
		full, _, _ := strings.Cut(f[4], ",")
		for _, name := range []string{f[0], full} {
			if len(name) > 2 && !slices.Contains(nobody, strings.ToLower(name)) {
				texts[name] = as
			}
		}
	}
	if len(device) > 2 && device != "localhost" {
		texts[device] = "this-device"
	}
	var names []string
	for name := range texts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		r.names = append(r.names, redaction{regexp.MustCompile(`(^|[^A-Za-z0-9_]|\\[bfnrt]|\\u[0-9a-fA-F]{4})` + regexp.QuoteMeta(name) + `($|[^A-Za-z0-9_])`), texts[name]})
	}
	return r
}

var (
	// What is escaped before an address is no part of it.
	mailPattern  = regexp.MustCompile(`((?:\\(?:u[0-9a-fA-F]{4}|.))*)[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+`)
	loginPattern = regexp.MustCompile(`(://[^/\s:@"]*:)[^/\s@"]+@`)
)

// bytes gives a part's text without them. What it puts in their place has no character that any format
// would escape.
func (r *redactor) bytes(part string, b []byte) []byte {
	b = parse.RedactPEM(b)
	b = loginPattern.ReplaceAll(b, []byte("${1}***@"))
	b = mailPattern.ReplaceAll(b, []byte("${1}(address)"))
	b = hidePaths(part, b)
	for _, n := range r.names {
		for range 2 { // two that lie side by side share what is between them
			b = n.find.ReplaceAll(b, []byte("${1}"+n.as+"${2}"))
		}
	}
	return b
}

// logLine hides the values of options that look like secrets.
func logLine(line string) string {
	words := strings.Fields(line)
	if len(words) == 0 {
		return ""
	}
	return strings.Join(parse.RedactArgs(append([]string{""}, words...))[1:], " ")
}

// hostRedactor is that of this device.
func hostRedactor() *redactor {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		passwd = nil // without accounts, as on Android, home directories are hidden all the same
	}
	name, err := os.Hostname()
	if err != nil {
		name = ""
	}
	return newRedactor(bytes.NewReader(passwd), name)
}
