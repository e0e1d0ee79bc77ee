package facts

import (
	"path"
	"reflect"
	"slices"
	"strings"

	"picket/scanner"
)

// PersonalNames tells the names of files that are people's own and that no rule needs: those in
// homes, in storage and in places for temporary files that no fact names, that no collector knows
// by name, and that do not tell a kind of file or place.
type PersonalNames struct {
	needed map[string]bool // paths that facts name, with the folders above them
	known  map[string]bool // names by which collectors look, whatever folder they are in
	homes  []string
}

// NewPersonalNames takes the facts of a scan of all tables.
func NewPersonalNames(f *scanner.Facts, collectors []scanner.Collector) *PersonalNames {
	p := &PersonalNames{needed: map[string]bool{}, known: map[string]bool{}}
	for _, c := range collectors {
		for _, pattern := range slices.Concat(c.Reads.Globs, c.Reads.Meta) {
			for part := range strings.SplitSeq(pattern, "/") {
				p.known[part] = !strings.ContainsAny(part, "*?~")
			}
		}
	}
	for _, list := range [][]string{placeNames, secretNames, slices.Collect(keysOf(noisyDirs)), slices.Collect(keysOf(notDropPlaces))} {
		for _, name := range list {
			p.known[name] = true
		}
	}
	for _, t := range f.Tables {
		if users, ok := t.Rows.([]User); ok {
			p.homes = homes(users)
		}
		p.values(reflect.ValueOf(t.Rows))
		for _, s := range slices.Concat(t.Partial, t.Notes, []string{t.Absent}) {
			p.text(s)
		}
	}
	return p
}

// placeNames are those by which places are told.
var placeNames = []string{"Downloads", "Desktop", "Documents", ".cache", ".local", "share", "containers", "bin", "etc", "usr", "lib", "pkg", "mod", "_cacache", "Android", "media", "Download"}

// secretNames are those by which files with secrets are told (secretKind).
var secretNames = []string{".ssh", ".aws", "credentials", "gcloud", ".config", ".kube", "config", ".azure", "accessTokens.json", ".pgpass", ".netrc", ".my.cnf", ".git-credentials", ".docker",
	"config.json", "private-keys-v1.d", ".gnupg"}

func keysOf[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// values notes every path in a value.
func (p *PersonalNames) values(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		p.text(v.String())
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			p.values(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			p.values(v.Field(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			p.values(it.Key())
			p.values(it.Value())
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			p.values(v.Elem())
		}
	}
}

// text notes the paths in a text: the whole of it, and what starts with a stroke and goes on to a
// blank, a quote or another sign of shells.
func (p *PersonalNames) text(s string) {
	if !strings.Contains(s, "/") {
		return
	}
	if s[0] == '/' {
		p.need(s)
	}
	for at := 0; at < len(s); {
		i := strings.IndexByte(s[at:], '/')
		if i < 0 {
			return
		}
		at += i
		end := at + len(s[at:])
		if n := strings.IndexAny(s[at:], " \t\n\"'`;,|&<>()="); n >= 0 {
			end = at + n
		}
		p.need(s[at:end])
		if at > 0 && (s[at-1] == '"' || s[at-1] == '\'') { // a name with blanks
			if n := strings.IndexByte(s[at:], s[at-1]); n >= 0 {
				p.need(s[at : at+n])
			}
		}
		at = max(end, at+1)
	}
}

// need notes a path, without a line's number behind it, and the folders above it.
func (p *PersonalNames) need(name string) {
	for _, n := range []string{name, strings.TrimRight(name, "0123456789:"), strings.TrimRight(name, ".:")} {
		n = path.Clean(n)
		for len(n) > 1 && n[0] == '/' && !p.needed[n] {
			p.needed[n] = true
			n = path.Dir(n)
		}
	}
}

// personalTops are folders below which names are people's own; * is any one name.
var personalTops = []string{"/home/*", "/root", "/var/home/*", "/data/media/*", "/storage/*", "/storage/emulated/*", "/sdcard", "/mnt/*", "/media/*/*", "/run/media/*/*", "/tmp", "/var/tmp", "/data/local/tmp"}

// Hidden tells whether a recording can do without a name, and what to keep of it.
func (p *PersonalNames) Hidden(name string) (before, after string, ok bool) {
	base := path.Base(name)
	if p.known[base] || p.needed[name] || !p.below(name) {
		return "", "", false
	}
	before, after = nameMarks(base)
	return before, after, true
}

func (p *PersonalNames) below(name string) bool {
	if slices.ContainsFunc(p.homes, func(h string) bool { return personal(h) && strings.HasPrefix(name, h+"/") }) {
		return true
	}
	return slices.ContainsFunc(personalTops, func(top string) bool {
		rest := name
		for part := range strings.SplitSeq(top[1:], "/") {
			var got string
			got, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
			if rest == "" || part != "*" && part != got {
				return false
			}
		}
		return name != "/storage/emulated" && !(top == "/storage/*" && strings.HasPrefix(name, "/storage/emulated/"))
	})
}

// nameMarks are the parts of a name by which facts tell its kind: the dot of a hidden file, what
// keys and credentials are called, and the endings.
func nameMarks(base string) (before, after string) {
	if strings.HasPrefix(base, ".") {
		before = "."
	}
	if strings.HasPrefix(base, "id_") {
		before = "id_"
	}
	if strings.HasSuffix(base, "credentials.json") {
		return before, "credentials.json"
	}
	for range 2 { // invoice.pdf.desktop
		ending := path.Ext(base)
		if !knownEnding(strings.ToLower(strings.TrimPrefix(ending, "."))) || ending == base {
			break
		}
		base = strings.TrimSuffix(base, ending)
		after = ending + after
	}
	return before, after
}

// moreEndings are those besides documents' and programs' that facts look at.
var moreEndings = []string{"key", "pem", "pub", "sh", "desktop", "run", "py", "elf", "bin", "dat", "tmp", "log", "xml", "json", "db", "ico", "opus", "aac", "amr", "3gp", "vcf", "ttf", "pyc", "cache", "elc", "mo", "hwdb"}

func knownEnding(ending string) bool {
	return slices.Contains(documentTypes, ending) || slices.Contains(programNames, ending) || slices.Contains(passive, ending) || slices.Contains(macroNames, ending) || slices.Contains(moreEndings, ending)
}
