package indicators

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

const (
	maxProduct  = 64 // ways to meet a pattern, once AND over OR is multiplied out
	maxTogether = 16 // comparisons that one object must meet together
	maxProblems = 16 // that are told of one pattern
)

// term is one way to meet a pattern: a value of a kind.
type term struct {
	kind  scanner.IndicatorKind
	value string
}

// problem is a part of a list that is not used.
type problem struct {
	what Trouble
	why  string
}

// compile turns a pattern into terms, any of which meets it, and says what of the pattern no
// term stands for. What several facts would have to meet together is left out, never
// loosened.
func compile(n *node) (terms []term, problems []problem) {
	all, p := alternatives(n)
	if p != nil {
		return nil, []problem{*p}
	}
	for _, alt := range all {
		t, p := reduce(alt)
		if p == nil {
			terms = append(terms, t)
		} else if len(problems) < maxProblems && !slices.Contains(problems, *p) {
			problems = append(problems, *p)
		}
	}
	return terms, problems
}

// fact is a comparison with one value, its property understood.
type fact struct {
	field field
	value string
	p     *problem
}

// alternatives gives the pattern as an OR of ANDs.
func alternatives(n *node) ([][]fact, *problem) {
	switch n.op {
	case opObserveBy:
		return nil, &problem{NotSupported, n.why}
	case opCompare:
		return comparisonFacts(&n.cmp), nil
	case opOr:
		var out [][]fact
		for i := range n.kids {
			alts, p := alternatives(&n.kids[i])
			if p != nil {
				alts = [][]fact{{{p: p}}}
			}
			out = append(out, alts...)
		}
		return out, nil
	}
	out := [][]fact{nil}
	for i := range n.kids {
		alts, p := alternatives(&n.kids[i])
		if p != nil {
			return nil, p
		}
		if len(out) > 0 && len(alts) > 0 && (len(out)*len(alts) > maxProduct || len(out[0])+len(alts[0]) > maxTogether) {
			return nil, &problem{NotSupported, fmt.Sprintf("more than %d ways to meet it, or of %d comparisons together", maxProduct, maxTogether)}
		}
		next := make([][]fact, 0, len(out)*len(alts))
		for _, a := range out {
			for _, b := range alts {
				next = append(next, append(slices.Clip(a), b...))
			}
		}
		out = next
	}
	return out, nil
}

// comparisonFacts gives a fact for every value of a comparison.
func comparisonFacts(c *comparison) [][]fact {
	f, p := lookUp(c)
	switch {
	case p != nil:
	case c.not:
		p = &problem{NotSupported, "a negation"}
	case c.op == "ISSUBSET" && f.kind == scanner.IndicatorIP:
	case c.op != "=" && c.op != "IN":
		p = &problem{NotSupported, "the comparison " + c.op}
	case c.typed:
		p = &problem{NotUnderstood, "a value that is no string"}
	}
	if p != nil {
		return [][]fact{{{p: p}}}
	}
	out := make([][]fact, 0, len(c.values))
	for _, v := range c.values {
		out = append(out, []fact{{field: f, value: v}})
	}
	return out
}

// field is a property that is understood.
type field struct {
	object string // type of the object that has it
	kind   scanner.IndicatorKind
	dir    bool // the directory that a file is in
}

// lookUp finds what a comparison's property is. The names are those of STIX 2.0 and 2.1 and, for
// app, android-property and configuration-profile, those of the Mobile Verification Toolkit.
func lookUp(c *comparison) (field, *problem) {
	f := field{object: c.object}
	props := strings.Join(c.path, ".")
	switch c.object + ":" + props {
	case "domain-name:value", "network-traffic:dst_ref.value":
		f.kind = scanner.IndicatorDomain // an address is told from a name by its form
	case "url:value":
		f.kind = scanner.IndicatorURL
	case "ipv4-addr:value", "ipv6-addr:value":
		f.kind = scanner.IndicatorIP
	case "process:name":
		f.kind = scanner.IndicatorProcess
	case "file:name":
		f.kind = scanner.IndicatorFileName
	case "file:path", "directory:path":
		f.kind = scanner.IndicatorFilePath
	case "file:parent_directory_ref.path":
		f.kind, f.dir = scanner.IndicatorFilePath, true
	case "app:id":
		f.kind = scanner.IndicatorPackage
	case "android-property:name":
		f.kind = scanner.IndicatorProperty
	case "email-addr:value", "email-message:from_ref.value", "email-message:sender_ref.value":
		f.kind = scanner.IndicatorEmail
	case "configuration-profile:id":
		return f, &problem{NotApplicable, "configuration profiles are Apple's"}
	case "process:command_line":
		return f, &problem{NotSupported, "command lines are not compared"}
	}
	if f.kind != "" {
		return f, nil
	}
	if kind, alg, ok := digestOf(c); ok {
		if digestSize(alg) == 0 {
			return f, &problem{NotSupported, "digests of kind " + clip(alg, 20)}
		}
		f.kind = kind
		return f, nil
	}
	if c.object == "windows-registry-key" || c.object == "mutex" {
		return f, &problem{NotApplicable, c.object + " is of Windows"}
	}
	return f, &problem{NotUnderstood, "unknown property " + clip(c.object+":"+props, 80)}
}

// digestOf says which algorithm's digest a comparison is about, and of what.
func digestOf(c *comparison) (kind scanner.IndicatorKind, alg string, ok bool) {
	if len(c.path) != 2 {
		return "", "", false
	}
	switch c.object + ":" + c.path[0] {
	case "file:hashes":
		kind = scanner.IndicatorFileHash
	case "app:cert", "x509-certificate:hashes":
		kind = scanner.IndicatorCertificate
	default:
		return "", "", false
	}
	return kind, strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(c.path[1])), true
}

// digestSize gives the bytes of an algorithm's digest, 0 for one that is not compared.
func digestSize(alg string) int {
	switch alg {
	case "md5":
		return 16
	case "sha1":
		return 20
	case "sha256":
		return 32
	case "sha512":
		return 64
	}
	return 0
}

// reduce finds the one term that holds exactly when all facts of one object hold: digests of the
// same content stand for each other, and a path for its own name and directory.
func reduce(facts []fact) (term, *problem) {
	var rest []fact
	for _, f := range facts {
		if f.p != nil {
			return term{}, f.p
		}
		if !slices.Contains(rest, f) {
			rest = append(rest, f)
		}
	}
	for len(rest) > 1 {
		f, ok := merge(rest[0], rest[1])
		if !ok {
			return term{}, &problem{NotSupported, "properties that one object must have together"}
		}
		rest = append([]fact{f}, rest[2:]...)
	}
	return term{rest[0].field.kind, rest[0].value}, nil
}

// merge gives the fact that stands for two of the same object.
func merge(a, b fact) (fact, bool) {
	switch {
	case a == b:
		return a, true
	case a.field.object != b.field.object:
		return fact{}, false
	}
	hash := a.field.kind == scanner.IndicatorFileHash || a.field.kind == scanner.IndicatorCertificate
	if hash && a.field.kind == b.field.kind && len(a.value) != len(b.value) {
		if len(a.value) > len(b.value) {
			return a, true
		}
		return b, true
	}
	isName := func(f fact) bool { return f.field.kind == scanner.IndicatorFileName }
	isPath := func(f fact) bool { return f.field.kind == scanner.IndicatorFilePath && !f.field.dir }
	if isName(b) || isPath(a) {
		a, b = b, a
	}
	switch { // a is now the name, if either is; b the path, if either is
	case isName(a) && b.field.dir && !strings.Contains(a.value, "/"):
		return fact{field: field{object: a.field.object, kind: scanner.IndicatorFilePath}, value: strings.TrimSuffix(b.value, "/") + "/" + a.value}, true
	case isName(a) && isPath(b) && path.Base(b.value) == a.value:
		return b, true
	case a.field.dir && isPath(b) && path.Dir(b.value) == path.Clean(a.value):
		return b, true
	}
	return fact{}, false
}
