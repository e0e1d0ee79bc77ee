package indicators

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"strings"

	"picket/scanner"
)

// maxObject bounds one object of a bundle in bytes, and so what is in memory of the file at once.
const maxObject = 8 << 20

// errOtherFormat says that a file is well formed and is no list of indicators.
var errOtherFormat = errors.New("no list of indicators")

var errObjectSize = fmt.Errorf("an object of more than %d bytes", maxObject)

// stixObject is what is read of any STIX object, versions 2.0 and 2.1.
type stixObject struct {
	Type, ID, Name, Description string
	Created, Modified           string
	Pattern                     string
	PatternType                 string `json:"pattern_type"`
	ValidFrom                   string `json:"valid_from"`
	ValidUntil                  string `json:"valid_until"`
	Revoked                     bool
	Labels                      []string
	MalwareTypes                []string `json:"malware_types"`
	IndicatorTypes              []string `json:"indicator_types"`
	RelationshipType            string   `json:"relationship_type"`
	SourceRef                   string   `json:"source_ref"`
	TargetRef                   string   `json:"target_ref"`
	CreatedByRef                string   `json:"created_by_ref"`
	ObjectMarkingRefs           []string `json:"object_marking_refs"`
	DefinitionType              string   `json:"definition_type"`
	Definition                  struct{ Statement string }
}

// stixLoader reads one bundle object by object. Of an object it keeps entries and 64-bit keyed
// hashes of ids: relationships may come before what they relate.
type stixLoader struct {
	b          *builder
	list       *List
	number     uint16
	seed       maphash.Seed
	indicators []stixIndicator
	byID       map[uint64]int // indicator id -> its latest version
	targets    map[uint64]stixTarget
	named      map[uint64]label // families, tools, campaigns, identities
	statements map[uint64]string
	marking    uint64 // first one that an indicator carries
	author     uint64 // first one that an indicator has
}

// stixIndicator is an indicator whose entries await their name.
type stixIndicator struct {
	id       uint64
	modified int64 // seconds since 1970; 0 unknown
	first    int   // its entries in the builder
	end      int
	name     string // its own, when nothing better is related
	class    string
	dropped  bool // an older version, or revoked
}

type stixTarget struct {
	id   uint64
	rank int
}

// loadSTIX adds the bundle that r gives. An error names the byte; what the bundle held before it
// is not used.
func loadSTIX(b *builder, list *List, number uint16, r io.Reader) error {
	l := &stixLoader{b: b, list: list, number: number, seed: maphash.MakeSeed(), byID: map[uint64]int{},
		targets: map[uint64]stixTarget{}, named: map[uint64]label{}, statements: map[uint64]string{}}
	start := len(b.x.entries)
	if err := l.read(r); err != nil {
		b.x.entries = b.x.entries[:start]
		return err
	}
	l.name(start)
	return nil
}

// read goes through the bundle's members; only "objects" is looked into.
func (l *stixLoader) read(r io.Reader) error {
	lim := &objectReader{r: r, left: maxObject}
	dec := json.NewDecoder(lim)
	at := func(err error) error { // the decoder knows where the value that failed begins, not more
		switch {
		case lim.over:
			err = errObjectSize
		case errors.Is(err, io.EOF):
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("after byte %d: %w", dec.InputOffset(), err)
	}
	if t, err := dec.Token(); err != nil {
		return at(err)
	} else if t != json.Delim('{') {
		return errOtherFormat
	}
	bundle, objects := false, false
	for dec.More() {
		lim.grant(dec)
		key, err := dec.Token()
		if err != nil {
			return at(err)
		}
		if key == "objects" && !objects {
			objects = true
			if err := l.objects(dec, lim); err != nil {
				return at(err)
			}
			continue
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return at(err)
		}
		bundle = bundle || key == "type" && string(v) == `"bundle"`
	}
	if _, err := dec.Token(); err != nil {
		return at(err)
	}
	lim.grant(dec)
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return at(errors.New("more after the bundle's end"))
	}
	if !bundle {
		return errOtherFormat
	}
	return nil
}

// objects reads the array of objects. Something else in its place is not looked into.
func (l *stixLoader) objects(dec *json.Decoder, lim *objectReader) error {
	if t, err := dec.Token(); err != nil {
		return err
	} else if t != json.Delim('[') {
		return errors.New("objects is no array")
	}
	for n := 0; dec.More(); n++ {
		if n == l.b.limits.objects {
			return fmt.Errorf("more than %d objects", n)
		}
		lim.grant(dec)
		at := dec.InputOffset()
		var o stixObject
		err := dec.Decode(&o)
		var wrong *json.UnmarshalTypeError
		switch {
		case errors.As(err, &wrong) && (o.Type == "indicator" || o.Type == "relationship" || o.Type == ""): // the rest was decoded
			if o.Type != "relationship" {
				l.list.Indicators++
			}
			l.list.trouble(Note{ID: o.ID, At: at, What: NotUnderstood, Why: fmt.Sprintf("%s is %s", cmp.Or(wrong.Field, "the object"), wrong.Value)})
		case err != nil && wrong == nil:
			return err
		case l.b.full():
			return errTooMuch
		default:
			l.object(&o, at)
		}
	}
	_, err := dec.Token()
	return err
}

func (l *stixLoader) object(o *stixObject, at int64) {
	id := l.hash(o.ID)
	switch o.Type {
	case "indicator":
		l.indicator(id, o, at)
	case "relationship":
		rank := targetRank(o.TargetRef)
		from := l.hash(o.SourceRef)
		if old, ok := l.targets[from]; o.RelationshipType == "indicates" && !o.Revoked && (!ok || rank < old.rank) {
			l.targets[from] = stixTarget{l.hash(o.TargetRef), rank}
		}
	case "marking-definition":
		if o.DefinitionType == "statement" {
			l.statements[id] = clip(o.Definition.Statement, 200)
		}
	default:
		if o.Name != "" {
			l.named[id] = label{clip(o.Name, maxName), classOf(append(append(o.MalwareTypes, o.Labels...), o.Name, o.Description)...)}
		}
	}
}

func (l *stixLoader) indicator(id uint64, o *stixObject, at int64) {
	l.list.Indicators++
	ind := stixIndicator{id: id, modified: seconds(o.Modified), first: len(l.b.x.entries), name: clip(o.Name, maxName), class: classOf(append(o.IndicatorTypes, o.Labels...)...)}
	if prev, ok := l.byID[id]; ok {
		l.list.Duplicates++
		if l.indicators[prev].modified > ind.modified {
			return
		}
		l.indicators[prev].dropped = true
	}
	l.byID[id] = len(l.indicators)
	switch {
	case o.Revoked:
		l.list.trouble(Note{ID: o.ID, At: at, Value: o.Pattern, What: Revoked, Why: "the list has withdrawn it"})
	case o.PatternType != "" && o.PatternType != "stix":
		l.list.trouble(Note{ID: o.ID, At: at, Value: o.Pattern, What: NotSupported, Why: "a pattern of type " + o.PatternType})
	default:
		l.pattern(o, at)
	}
	ind.end = len(l.b.x.entries)
	l.indicators = append(l.indicators, ind)
	if l.marking == 0 && len(o.ObjectMarkingRefs) > 0 {
		l.marking = l.hash(o.ObjectMarkingRefs[0])
	}
	if l.author == 0 && o.CreatedByRef != "" {
		l.author = l.hash(o.CreatedByRef)
	}
}

// pattern adds the entries of an indicator's pattern.
func (l *stixLoader) pattern(o *stixObject, at int64) {
	n, err := parsePattern(o.Pattern)
	if err != nil {
		l.list.trouble(Note{ID: o.ID, At: at, Value: o.Pattern, What: NotUnderstood, Why: err.Error()})
		return
	}
	terms, problems := compile(&n)
	for _, p := range problems {
		l.list.trouble(Note{ID: o.ID, At: at, Value: o.Pattern, What: p.what, Why: p.why})
	}
	e := entry{list: l.number, from: days(o.ValidFrom), until: days(o.ValidUntil)}
	if e.from == 0 {
		e.from = days(o.Created)
	}
	for i, t := range terms {
		if i == 0 {
			e.id = l.b.put([]byte(clip(o.ID, 100)))
		}
		if err := l.b.add(t.kind, t.value, e); err != nil {
			l.list.trouble(Note{ID: o.ID, At: at, Value: t.value, What: troubleOf(err), Why: err.Error()})
		}
	}
}

// troubleOf tells a value that would match too much, and a path that Linux has none of, from one
// that has not the form of its kind.
func troubleOf(err error) Trouble {
	switch {
	case errors.Is(err, errBroad):
		return Rejected
	case errors.Is(err, errRelative):
		return NotApplicable
	}
	return NotUnderstood
}

// name gives every entry the name and class of what its indicator indicates, and drops those of
// older versions.
func (l *stixLoader) name(start int) {
	kept := l.b.x.entries[:start]
	for _, ind := range l.indicators {
		if ind.dropped {
			continue
		}
		name, class := ind.name, ind.class
		if t, ok := l.targets[ind.id]; ok && l.named[t.id].name != "" {
			name = l.named[t.id].name
			if class == "" {
				class = l.named[t.id].class
			}
		}
		if class == "" {
			class = scanner.ClassSpyware
		}
		n := l.b.label(name, class)
		for _, e := range l.b.x.entries[ind.first:ind.end] {
			e.label = n
			kept = append(kept, e)
		}
	}
	l.b.x.entries = kept
	if l.list.Licence == "" {
		l.list.Licence = strings.TrimSpace(l.statements[l.marking])
	}
	l.list.Source = l.named[l.author].name
}

func (l *stixLoader) hash(id string) uint64 { return maphash.String(l.seed, id) }

// targetRank orders what an indicator may indicate, the closest to a program first.
func targetRank(id string) int {
	kind, _, _ := strings.Cut(id, "--")
	switch kind {
	case "malware":
		return 0
	case "tool":
		return 1
	case "campaign":
		return 2
	case "intrusion-set", "threat-actor":
		return 3
	}
	return 4
}

// classOf finds a class that the texts name; "" when they name none.
func classOf(texts ...string) string {
	for _, t := range texts {
		t = strings.ToLower(t)
		for _, class := range [...]string{scanner.ClassStalkerware, scanner.ClassWatchware} {
			if strings.Contains(t, class) {
				return class
			}
		}
	}
	return ""
}

// objectReader fails when more than maxObject bytes are asked for since the last grant, so that
// the decoder's buffer stays bounded.
type objectReader struct {
	r    io.Reader
	read int64
	left int64
	over bool
}

// grant allows one more object from where the decoder stands.
func (r *objectReader) grant(dec *json.Decoder) { r.left = dec.InputOffset() + maxObject - r.read }

func (r *objectReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		r.over = true
		return 0, errObjectSize
	}
	if int64(len(p)) > r.left {
		p = p[:r.left]
	}
	n, err := r.r.Read(p)
	r.read += int64(n)
	r.left -= int64(n)
	return n, err
}
