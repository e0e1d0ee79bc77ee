package agent

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"picket/agent/respond"
	"picket/scanner/report"
	"picket/store"
)

// exportFormat names the form of what `picket privacy export` writes.
const exportFormat = "picket.export/1"

// exported is an item of an export: a value of a section. Those of one section come together.
type exported struct {
	Section string `json:"section"`
	Value   any    `json:"value"`
}

// exportHead is the only value of the first section.
type exportHead struct {
	Format  string    `json:"format"`
	Made    time.Time `json:"made"`
	Version string    `json:"version"`
	Mode    sendMode  `json:"mode"`
}

// exportEvent is an event as it is kept. Lines are the bytes that are sent.
type exportEvent struct {
	ID    string            `json:"id"`
	At    time.Time         `json:"at"`
	Kind  string            `json:"kind"`
	Why   string            `json:"why,omitempty"` // it was refused
	Lines []json.RawMessage `json:"lines"`
}

// exportNote is a note of the agent's own.
type exportNote struct {
	Name    string    `json:"name"`
	Changed time.Time `json:"changed"`
	Value   any       `json:"value"`
}

// secretNotes are keys that keep hashes from being guessed: to show them would undo that.
var secretNotes = []string{"network_key", "privacy_salt"}

// export gives everything that the agent keeps about this device.
func (d *daemon) export(emit func(exported) error) error {
	s := d.privacyInputs()
	if err := emit(exported{"about", exportHead{exportFormat, d.now(), d.version, privacyNow(s).Mode}}); err != nil {
		return err
	}
	x := &exporting{vault: d.vault, emit: emit}
	x.known()
	x.events()
	x.records()
	x.notes()
	if x.err != nil {
		return x.err
	}
	err := eachDelivered(s.config.SinkFile, func(line []byte) error { return emit(exported{"delivered", stored(bytes.Clone(line), "")}) })
	if err != nil {
		return err
	}
	done, err := respond.ReadRecord(responsesDir(s.config))
	if err != nil {
		return err
	}
	for _, e := range done {
		if err := emit(exported{"responses", e}); err != nil {
			return err
		}
	}
	b, err := readPrivate(filepath.Join(s.config.StateDir, enrolmentName), enrolmentMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the enrolment: %w", err)
	}
	return emit(exported{"enrolment", stored(bytes.TrimSpace(b), enrolmentName)})
}

// privacyInputs is what is in force in this agent.
func (d *daemon) privacyInputs() privacyInputs {
	set := d.set.Load()
	s := privacyInputs{config: set.config, mode: set.criteria.policy.send(), enrolment: d.member.state()}
	if p := set.criteria.policy; p != nil {
		s.policy = p.Version
	}
	return s
}

// exporting emits what the store has, until the first error. Nothing of the store is held while
// somebody takes what was read.
type exporting struct {
	vault *vault
	emit  func(exported) error
	err   error
}

func (x *exporting) put(section string, value any) {
	if x.err == nil {
		x.err = x.emit(exported{section, value})
	}
}

// readFor gives what the store has of one kind; nothing after an error.
func readFor[T any](x *exporting, read func(*store.Store) ([]T, error)) []T {
	if x.err != nil {
		return nil
	}
	out, err := fromStore(x.vault, read)
	x.err = err
	return out
}

func (x *exporting) known() {
	for _, f := range readFor(x, (*store.Store).Findings) {
		x.put("findings", threatOf(f, nil))
	}
	for _, p := range readFor(x, (*store.Store).Packages) {
		x.put("packages", stored(p.Body, p.ID))
	}
}

func (x *exporting) events() {
	for after, more := uint64(0), true; more; {
		events := readFor(x, func(st *store.Store) ([]store.Event, error) { return st.Pending(after, 32) })
		for _, e := range events {
			x.put("waiting", exportOf(e, ""))
			after = e.Seq
		}
		more = len(events) > 0
	}
	for _, h := range readFor(x, (*store.Store).Quarantined) {
		x.put("refused", exportOf(h.Event, h.Why))
	}
}

func (x *exporting) records() {
	for _, e := range readFor(x, func(st *store.Store) ([]store.Entry, error) { return st.History("", apiHistoryMax) }) {
		x.put("history", historyItem{e.At, e.Kind.String(), e.Key, e.Rule, e.Title, severityOf(e.Severity)})
	}
	for _, i := range readFor(x, (*store.Store).Ignores) {
		x.put("ignores", ignoreOf(i))
	}
}

func (x *exporting) notes() {
	for _, table := range readFor(x, (*store.Store).NoteTables) {
		for _, n := range readFor(x, func(st *store.Store) ([]store.Note, error) { return st.Notes(table) }) {
			x.put("notes "+table, exportNote{n.Name, n.Changed, noteValue(table, n)})
		}
	}
}

func exportOf(e store.Event, why string) exportEvent {
	out := exportEvent{ID: e.ID, At: e.At, Kind: e.Kind.String(), Why: why, Lines: []json.RawMessage{}}
	for line := range bytes.Lines(e.Body) {
		if line = bytes.TrimSuffix(line, []byte("\n")); json.Valid(line) {
			out.Lines = append(out.Lines, line)
		}
	}
	return out
}

func noteValue(table string, n store.Note) any {
	switch {
	case table == notesTable && slices.Contains(secretNotes, n.Name):
		return "(a key, which is not shown)"
	case json.Valid(n.Body):
		return json.RawMessage(n.Body)
	}
	return strings.ToValidUTF8(string(n.Body), "\uFFFD")
}

// eachDelivered reads the file of delivered events, older turns first.
func eachDelivered(path string, each func(line []byte) error) error {
	for i := sinkTurns - 1; i >= 0; i-- {
		f, err := openPlain(turnName(path, i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading delivered events: %w", err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(make([]byte, 0, 4096), 2*report.MaxEvent)
		for lines.Scan() && err == nil {
			err = each(lines.Bytes())
		}
		if err = errors.Join(err, lines.Err(), f.Close()); err != nil {
			return fmt.Errorf("reading delivered events: %w", err)
		}
	}
	return nil
}

// openPlain opens a regular file for reading, through no link, and waits for nobody.
func openPlain(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
