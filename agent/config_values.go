package agent

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"picket/scanner/rules"
)

const (
	maxSocketPath = 107  // bytes of sun_path, without the NUL that ends it (unix(7))
	maxPath       = 4095 // PATH_MAX, without the NUL
	maxListed     = 64   // entries of one list
	day           = 24 * time.Hour
)

// Size is a number of bytes.
type Size int64

// Percent is a share in hundredths.
type Percent float64

// setting is one key, as the tags of Config describe it.
type setting struct {
	key, def, doc string
	kind          string // of a text: path, group, profile, probe, or the words it may be
	min, max      string // of a number
	off           bool   // a duration may be off, which is 0
	index         int    // of the field
	of            reflect.Type
}

// settings describes the keys in the order of Config.
func settings() []setting {
	t := reflect.TypeFor[Config]()
	out := make([]setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		g := f.Tag.Get
		out = append(out, setting{g("key"), g("default"), g("doc"), g("kind"), g("min"), g("max"), g("off") != "", i, f.Type})
	}
	return out
}

func (s setting) list() bool { return s.of.Kind() == reflect.Slice }

// mayBeEmpty says that a text whose default is empty may be set to that.
func (s setting) mayBeEmpty() bool { return s.of.Kind() == reflect.String && s.def == "" }

// wants says in a few words what a value looks like.
func (s setting) wants() string {
	var what string
	switch {
	case s.of == reflect.TypeFor[time.Duration]():
		what = "a duration from " + s.min + " to " + s.max
		if s.off {
			what += ", or off"
		}
	case s.of == reflect.TypeFor[Size]():
		what = "a size from " + s.min + " to " + s.max
	case s.of == reflect.TypeFor[Percent]():
		what = "a share from " + s.min + " to " + s.max
	case s.kind == "path" && s.list():
		what = "a list of absolute paths"
	case s.kind == "path":
		what = "an absolute path"
	case s.kind == "group":
		what = "a group's name or number"
	case s.kind == "probe":
		what = "upstream, off, or a host"
	default:
		what = "one of " + strings.Join(s.words(), ", ")
	}
	if s.mayBeEmpty() {
		what += ", or empty"
	}
	return what
}

// words are the texts that a setting may be.
func (s setting) words() []string {
	if s.kind == "profile" {
		return rules.Profiles()
	}
	return strings.Fields(s.kind)
}

// parse gives the value of a text, for a list that of one entry.
func (s setting) parse(text string) (any, error) {
	if s.kind != "" {
		return s.parseText(text)
	}
	if s.off && text == "off" {
		return time.Duration(0), nil
	}
	switch s.of {
	case reflect.TypeFor[time.Duration]():
		return bounded(s, text, parseDuration)
	case reflect.TypeFor[Size]():
		return bounded(s, text, parseSize)
	}
	return bounded(s, text, parsePercent)
}

func bounded[T time.Duration | Size | Percent](s setting, text string, parse func(string) (T, error)) (any, error) {
	v, err := parse(text)
	if err != nil {
		return v, fmt.Errorf("%s is %w", quoted(text), err)
	}
	low, err := parse(s.min)
	if err != nil {
		return v, err
	}
	high, err := parse(s.max)
	if err != nil {
		return v, err
	}
	if v < low || v > high {
		return v, fmt.Errorf("%s is out of range: %s to %s", quoted(text), s.min, s.max)
	}
	return v, nil
}

func (s setting) parseText(text string) (any, error) {
	var err error
	switch {
	case text == "" && s.mayBeEmpty():
	case s.kind == "path":
		if err = checkPath(text); err == nil {
			text = filepath.Clean(text)
		}
	case s.kind == "group":
		err = checkGroup(text)
	case s.kind == "probe":
		err = checkProbe(text)
	default:
		err = checkWord(text, s.words())
	}
	return text, err
}

func checkWord(text string, words []string) error {
	for _, w := range words {
		if text == w {
			return nil
		}
	}
	return fmt.Errorf("%s is none of %s%s", quoted(text), strings.Join(words, ", "), rules.DidYouMean(text, words))
}

// quoted shows a text of any length and content in a message.
func quoted(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.Quote(text[:most]) + "..."
	}
	return strconv.Quote(text)
}

func checkPath(text string) error {
	switch {
	case !strings.HasPrefix(text, "/"):
		return fmt.Errorf("%s is no absolute path", quoted(text))
	case len(text) > maxPath:
		return fmt.Errorf("%s has more than %d bytes", quoted(text), maxPath)
	case filepath.Clean(text) == "/":
		return fmt.Errorf("%s is the root of everything", quoted(text))
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return fmt.Errorf("%s has characters that do not show", quoted(text))
	}
	return nil
}

// groupPattern is what useradd and Android's own names allow.
var groupPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?$`)

func checkGroup(text string) error {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil && n < math.MaxUint32 { // the last stands for "no change" (chown(2))
		return nil
	}
	if !groupPattern.MatchString(text) {
		return fmt.Errorf("%s is no name or number of a group", quoted(text))
	}
	return nil
}

var hostPattern = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+([A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?$`)

// checkProbe takes upstream, off, or a host. A host has a dot or is an address, so that a
// misspelt word is not taken for one.
func checkProbe(text string) error {
	if text == "upstream" || text == "off" {
		return nil
	}
	if strings.Contains(text, "/") {
		return fmt.Errorf("%s is no host: leave out scheme and path", quoted(text))
	}
	host, _, err := SplitProbe(text)
	if err != nil {
		return err
	}
	if _, err := netip.ParseAddr(host); err == nil || len(host) <= 253 && hostPattern.MatchString(host) {
		return nil
	}
	return fmt.Errorf("%s is neither upstream, off, an address, nor a host name with a dot%s", quoted(text), rules.DidYouMean(text, []string{"upstream", "off"}))
}

// SplitProbe gives host and port of a NetworkProbe that names a host; port 0 when it names none.
func SplitProbe(text string) (host string, port uint16, err error) {
	if _, err := netip.ParseAddr(text); err == nil {
		return text, 0, nil
	}
	host, number, found := strings.Cut(text, ":")
	if in, ok := strings.CutPrefix(text, "["); ok {
		host, number, _ = strings.Cut(in, "]")
		number, found = strings.CutPrefix(number, ":")
		if !found && number != "" {
			return "", 0, fmt.Errorf("%s is no host", quoted(text))
		}
	}
	if !found {
		return host, 0, nil
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("%s has no port from 1 to 65535", quoted(text))
	}
	return host, uint16(n), nil
}

var errDuration = errors.New("no duration such as 250ms, 30s, 6h or 7d")

// parseDuration reads what time.ParseDuration does, and days before it: 7d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	var sum time.Duration
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		rest = text
	} else if n, err := strconv.ParseUint(days, 10, 16); err == nil { // 65,535 days fit into 63 bits of nanoseconds
		sum = time.Duration(n) * day
	} else {
		return 0, errDuration
	}
	if rest == "" && ok {
		return sum, nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || rest[0] < '0' || rest[0] > '9' || rest == "0" || d > math.MaxInt64-sum {
		return 0, errDuration
	}
	return sum + d, nil
}

func formatDuration(d time.Duration) string {
	text := ""
	if n := d / day; n > 0 {
		text = fmt.Sprintf("%dd", n)
		d %= day
		if d == 0 {
			return text
		}
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return text + s
}

// sizeUnit is a unit of bytes: B, those of 1000 (SI) and those of 1024 (IEC).
type sizeUnit struct {
	name  string
	bytes Size
}

// sizeUnits gives the units from the largest down.
func sizeUnits() []sizeUnit {
	return []sizeUnit{{"GiB", 1 << 30}, {"GB", 1e9}, {"MiB", 1 << 20}, {"MB", 1e6}, {"KiB", 1 << 10}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}}
}

var errSize = errors.New("no size: a whole number and a unit, such as 500kB, 64MB or 1GiB")

func parseSize(text string) (Size, error) {
	for _, u := range sizeUnits() {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSuffix(number, " "), 10, 63)
		if err != nil || Size(n) > math.MaxInt64/u.bytes {
			return 0, errSize
		}
		return Size(n) * u.bytes, nil
	}
	return 0, errSize
}

func formatSize(n Size) string {
	for _, u := range sizeUnits() {
		if n >= u.bytes && n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	return "0B"
}

var percentPattern = regexp.MustCompile(`^[0-9]{1,6}(\.[0-9]{1,6})?%$`)

func parsePercent(text string) (Percent, error) {
	if !percentPattern.MatchString(text) {
		return 0, errors.New("no share such as 5% or 0.5%")
	}
	f, err := strconv.ParseFloat(strings.TrimSuffix(text, "%"), 64)
	return Percent(f), err
}

func formatPercent(p Percent) string { return strconv.FormatFloat(float64(p), 'f', -1, 64) + "%" }

// text gives a setting's value as the texts that parse takes.
func (s setting) texts(c Config) []string {
	switch v := s.field(&c).Interface().(type) {
	case []string:
		return v
	case time.Duration:
		if s.off && v == 0 {
			return []string{"off"}
		}
		return []string{formatDuration(v)}
	case Size:
		return []string{formatSize(v)}
	case Percent:
		return []string{formatPercent(v)}
	case string:
		return []string{v}
	}
	return nil
}

// format gives a setting's value as the file would have it.
func (s setting) format(c Config) string {
	var parts []string
	for _, t := range s.texts(c) {
		parts = append(parts, yamlText(t))
	}
	if s.list() {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return strings.Join(parts, "")
}

var plainText = regexp.MustCompile(`^[A-Za-z0-9/_][A-Za-z0-9/_.%-]*$`)

// yamlText writes a text as a YAML scalar, in quotes where it needs them.
func yamlText(s string) string {
	if plainText.MatchString(s) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
