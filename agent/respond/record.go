package respond

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// What an entry is of.
const (
	HookApplied    = "hook-applied"
	HookFailed     = "hook-failed"
	WipeAnnounced  = "wipe-announced"
	WipeConfirmed  = "wipe-confirmed"
	WipeCancelled  = "wipe-cancelled"
	WipeBegun      = "wipe-begun"
	WipeResumed    = "wipe-resumed"
	WipeDone       = "wipe-done"
	WipeIncomplete = "wipe-incomplete" // over, and something could not be removed
)

// Entry is one line of the record of what was done.
type Entry struct {
	Seq    uint64    `json:"seq"` // from 1
	At     time.Time `json:"at"`  // by the wall clock
	What   string    `json:"what"`
	Text   string    `json:"text"`
	By     string    `json:"by,omitempty"`
	Access string    `json:"access,omitempty"` // of the hook
	Wipe   string    `json:"wipe,omitempty"`   // id
	Begin  time.Time `json:"begin,omitzero"`   // announced: not before
	Steps  []Step    `json:"steps,omitempty"`
}

const (
	recordName = "record.ndjson"
	recordMax  = 4 << 20   // bytes, then it becomes record.ndjson.1
	lineMax    = 256 << 10 // bytes
)

// record is a file that only grows: what was done on this device stays to be seen.
type record struct {
	name string
	last uint64
}

func openRecord(dir string) (*record, error) {
	r := &record{name: filepath.Join(dir, recordName)}
	for _, name := range []string{r.name + ".1", r.name} {
		err := eachEntry(name, func(e Entry) { r.last = max(r.last, e.Seq) })
		if err != nil {
			return nil, err
		}
	}
	return r, nil
}

// ReadRecord gives what was done, as the record in a Responder's folder has it.
func ReadRecord(dir string) ([]Entry, error) {
	return (&record{name: filepath.Join(dir, recordName)}).since(0)
}

// since gives the entries after one.
func (r *record) since(seq uint64) (out []Entry, err error) {
	for _, name := range []string{r.name + ".1", r.name} {
		err = errors.Join(err, eachEntry(name, func(e Entry) {
			if e.Seq > seq {
				out = append(out, e)
			}
		}))
	}
	return out, err
}

// eachEntry goes over a file. A line that a crash cut off is no entry.
func eachEntry(name string, do func(Entry)) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening the record: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, recordMax+lineMax))
	lines.Buffer(nil, lineMax+1)
	for lines.Scan() {
		var e Entry
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Seq > 0 {
			do(e)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// add writes an entry, and returns when it is on the disk.
func (r *record) add(e Entry) error {
	e.Seq, e.At = r.last+1, e.At.UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(e)
	if err == nil && len(line) > lineMax {
		e.Steps = nil
		line, err = json.Marshal(e)
	}
	if err != nil {
		return fmt.Errorf("an entry of the record: %w", err)
	}
	if st, err := os.Lstat(r.name); err == nil && st.Size() > recordMax {
		if err := os.Rename(r.name, r.name+".1"); err != nil {
			return fmt.Errorf("turning the record: %w", err)
		}
	}
	f, err := os.OpenFile(r.name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("opening the record: %w", err)
	}
	err = appendLine(f, line)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing the record: %w", err)
	}
	r.last = e.Seq
	return nil
}

// appendLine writes a line, on one of its own where the last was cut off.
func appendLine(f *os.File, line []byte) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	end := []byte{'\n'}
	if st.Size() > 0 {
		if _, err := f.ReadAt(end, st.Size()-1); err != nil {
			return err
		}
	}
	var b bytes.Buffer
	if end[0] != '\n' {
		b.WriteByte('\n')
	}
	b.Write(line)
	b.WriteByte('\n')
	if _, err := f.Write(b.Bytes()); err != nil {
		return err
	}
	return f.Sync()
}

// replaceFile writes a file as a whole, and returns when it is on the disk.
func replaceFile(name string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // is not there any more when all went well
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
