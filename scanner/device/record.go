package device

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"

	"picket/scanner"
)

// RecordOptions say how a recording is made. The zero value is usable.
type RecordOptions struct {
	// Redact gives a file's content without its secrets, and what a live source said, under
	// the name "probe/" and the source's, without what is personal in it. It must leave what
	// the scanner's parsers make of it as it was; a scan through the recorder sees what it gives.
	Redact func(name string, content []byte) []byte
	// Version is the program's, for the recording's header.
	Version string
}

// Recorder is a device that remembers all that is read through it. A scan of it, and Write,
// make a recording whose scan gives the same report: what it answers is what it remembers.
type Recorder struct {
	device scanner.Device
	opt    RecordOptions
	store  *store
	fs     scanner.FS
	mu     sync.Mutex
	probes map[scanner.Source]reply
}

// NewRecorder remembers what is read of a device.
func NewRecorder(dev scanner.Device, opt RecordOptions) *Recorder {
	s := newStore()
	t := &recordTree{s: s, device: dev.FS(), redact: opt.Redact}
	return &Recorder{device: dev, opt: opt, store: s, fs: newFS(t), probes: map[scanner.Source]reply{}}
}

// Identity is the device's own.
func (r *Recorder) Identity() scanner.Identity { return r.device.Identity() }

// FS is the device's tree, through which every answer is remembered.
func (r *Recorder) FS() scanner.FS { return r.fs }

// Probe asks a live source once and remembers what it said, an error included.
func (r *Recorder) Probe(ctx context.Context, s scanner.Source) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.probes[s]; ok {
		return a.bytes, a.err
	}
	b, err := r.device.Probe(ctx, s)
	if err != nil && ctx.Err() != nil {
		return nil, err // says nothing of the source
	}
	if err == nil && r.opt.Redact != nil {
		b = r.opt.Redact("probe/"+string(s), b)
	}
	a := reply{bytes: b}
	if err != nil {
		a = reply{err: recordError(err)}
	}
	r.probes[s] = a
	return a.bytes, a.err
}

// RecordedItem is one thing that a recording holds.
type RecordedItem struct {
	Name string // of a file, or "probe/" and a source's name
	// Kind is content, probe, or description for a file of which only what it is (type,
	// mode, owner, times, first bytes, digests) is held.
	Kind string
	Size int64 // bytes of content
}

// Items lists what the recording would hold if it were written now. No scan may be running.
func (r *Recorder) Items() iter.Seq[RecordedItem] {
	return func(yield func(RecordedItem) bool) {
		for _, s := range r.sources() {
			if a := r.probes[s]; !yield(RecordedItem{"probe/" + string(s), "probe", int64(len(a.bytes))}) {
				return
			}
		}
		r.store.walk(func(id uint32, name string) bool {
			if r.store.extra(id).state&stateKnown == 0 {
				return true // asked for and not there
			}
			item := RecordedItem{Name: name, Kind: "description"}
			if rr := r.store.rare[id]; rr != nil && rr.body.kept {
				item.Kind, item.Size = "content", rr.body.size
			}
			return yield(item)
		})
	}
}

// sources lists the sources that were asked, sorted.
func (r *Recorder) sources() []scanner.Source { return slices.Sorted(maps.Keys(r.probes)) }

// walk calls do with every node and its name, parents first and names sorted, until do
// is false.
func (s *store) walk(do func(id uint32, name string) bool) {
	type place struct {
		id   uint32
		name string
	}
	for todo := []place{{topNode, "/"}}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !do(p.id, p.name) {
			return
		}
		start := len(todo)
		for c := uint32(s.index.node(p.id).where); c != 0; c = s.index.node(c).next {
			name, ok := s.shown[c]
			if !ok {
				name = string(s.index.names.get(s.index.node(c).name))
			}
			todo = append(todo, place{c, join(p.name, name)})
		}
		slices.SortFunc(todo[start:], func(a, b place) int { return strings.Compare(b.name, a.name) })
	}
}

// recordError makes an error what a recording keeps of it.
func recordError(err error) *recordedError {
	var l errorList
	return l.list[l.number(err)-1]
}
