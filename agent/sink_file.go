package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner/report"
	"picket/store"
)

// sinkTurns is how many files there are: the one that is written and the older ones, NAME.1
// the newest of them.
const sinkTurns = 8

// fileSink appends events to a file, a JSON object a line. When the file is full it turns: it
// becomes NAME.1, that NAME.2, and the oldest goes.
type fileSink struct {
	path string
	turn int64 // bytes of one file
	// keep says how long events may stay, and what time it is; nil, and an age of 0, is for as long as there is room.
	keep func() (age time.Duration, now time.Time)

	mu   sync.Mutex
	f    *os.File
	size int64
}

func newFileSink(path string, all Size) *fileSink {
	return &fileSink{path: path, turn: max(int64(all)/sinkTurns, 4096)}
}

// Send writes the events and syncs once. What was written before an error counts as not
// delivered, and is cut off.
func (s *fileSink) Send(_ context.Context, events []store.Event) Receipt {
	s.mu.Lock()
	defer s.mu.Unlock()
	var done Receipt
	if err := s.expireLocked(); err != nil {
		done.Err = errors.Join(err, s.close())
		return done
	}
	for len(events) > 0 {
		n, err := s.some(events)
		if err != nil {
			done.Err = errors.Join(err, s.close()) // opened anew with the next try, which looks at the file's end
			return done
		}
		for _, e := range events[:n] {
			done.Delivered = append(done.Delivered, e.ID)
		}
		events = events[n:]
	}
	return done
}

// some writes as many events as the file has room for, at least one.
func (s *fileSink) some(events []store.Event) (int, error) {
	if err := s.ready(len(events[0].Body) + 1); err != nil {
		return 0, err
	}
	var b bytes.Buffer
	n := 0
	for n < len(events) && (n == 0 || s.size+int64(b.Len()+len(events[n].Body)) < s.turn) {
		b.Write(events[n].Body)
		b.WriteByte('\n')
		n++
	}
	if _, err := s.f.Write(b.Bytes()); err != nil {
		return 0, errors.Join(err, s.f.Truncate(s.size))
	}
	if err := s.f.Sync(); err != nil {
		return 0, errors.Join(err, s.f.Truncate(s.size))
	}
	s.size += int64(b.Len())
	return n, nil
}

// ready opens the file if it is not, or if somebody took it away, and turns it if it is full.
func (s *fileSink) ready(need int) error {
	if s.f != nil && !s.same() {
		if err := s.close(); err != nil {
			return err
		}
	}
	if s.f == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if s.size == 0 || s.size+int64(need) <= s.turn {
		return nil
	}
	return s.next()
}

// next turns the file and begins another.
func (s *fileSink) next() error {
	if err := s.close(); err != nil {
		return err
	}
	for i := sinkTurns - 2; i >= 0; i-- {
		if err := os.Rename(s.name(i), s.name(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("turning the file of events: %w", err)
		}
	}
	return s.open()
}

func (s *fileSink) name(turn int) string { return turnName(s.path, turn) }

// turnName is the name of a turn of a file: 0 is the one that is written.
func turnName(path string, turn int) string {
	if turn == 0 {
		return path
	}
	return path + "." + strconv.Itoa(turn)
}

// expire turns a file that began an eighth of the age ago, and removes what has nothing in it that is
// younger than half of it: where it is called often enough, all that is older than the age is gone.
func (s *fileSink) expire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expireLocked()
}

func (s *fileSink) expireLocked() error {
	if s.keep == nil {
		return nil
	}
	age, now := s.keep()
	if age <= 0 {
		return nil
	}
	for i := 1; i < sinkTurns; i++ {
		if _, last := eventTimes(s.name(i)); last.IsZero() || last.After(now.Add(-age/2)) {
			continue
		}
		if err := os.Remove(s.name(i)); err != nil {
			return fmt.Errorf("removing events that may not stay: %w", err)
		}
	}
	if first, _ := eventTimes(s.path); first.IsZero() || first.After(now.Add(-age/8)) {
		return nil
	}
	return s.next()
}

// eventTimes is when the first and the last event of a file were; zero where that cannot be told.
func eventTimes(name string) (first, last time.Time) {
	f, err := openPlain(name)
	if err != nil {
		return first, last
	}
	defer f.Close()
	b := make([]byte, 2*report.MaxEvent)
	n, _ := f.ReadAt(b, 0) // what is not there has no time
	line, _, _ := bytes.Cut(b[:n], []byte("\n"))
	first = eventTime(line)
	info, err := f.Stat()
	if err != nil {
		return first, last
	}
	n, _ = f.ReadAt(b, max(0, info.Size()-int64(len(b))))
	end := bytes.TrimSuffix(b[:n], []byte("\n"))
	return first, eventTime(end[bytes.LastIndexByte(end, '\n')+1:])
}

func eventTime(line []byte) time.Time {
	var e struct {
		Time int64 `json:"time"`
	}
	if json.Unmarshal(line, &e) != nil || e.Time == 0 {
		return time.Time{}
	}
	return time.UnixMilli(e.Time)
}

// same tells whether the open file is still the one of that name.
func (s *fileSink) same() bool {
	a, err := s.f.Stat()
	if err != nil {
		return false
	}
	b, err := os.Lstat(s.path)
	return err == nil && os.SameFile(a, b) && b.Size() == s.size
}

// open opens the file and cuts off a line that a crash left unfinished. It follows no link: who
// may write to the folder could have root write elsewhere.
func (s *fileSink) open() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return fmt.Errorf("making the folder of events: %w", err)
	}
	f, err := os.OpenFile(s.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0o600)
	if err != nil {
		return fmt.Errorf("opening the file of events: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", s.path)
	}
	if err == nil {
		s.size, err = cutUnfinished(f, info.Size())
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("opening the file of events: %w", err), f.Close())
	}
	s.f = f
	return nil
}

// cutUnfinished gives the length of the whole lines of a file, and cuts off the rest.
func cutUnfinished(f *os.File, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	end := size
	for end > 0 {
		n := min(end, int64(len(buf)))
		if _, err := f.ReadAt(buf[:n], end-n); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			end = end - n + int64(i) + 1
			break
		}
		end -= n
	}
	if end == size {
		return size, nil
	}
	return end, f.Truncate(end)
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close closes the file.
func (s *fileSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *fileSink) close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}
