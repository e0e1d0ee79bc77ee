package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The crash test: a child process scans an ever-changing world into a store and delivers to a
// sink that takes and refuses at random; it is killed at random moments, again and again. It
// writes down each scan before it applies it, and each event as the sink takes it. From that
// log alone, and nothing of the store, checkLog works out what had to arrive.

func ruleOf(key string) string { return "rule" + key[len(key)-1:] }

// worldAt is what scan n finds.
func worldAt(n int) logLine {
	roll := func(format string, args ...any) int {
		h := fnv.New32a()
		fmt.Fprintf(h, format, args...)
		return int(h.Sum32() >> 3)
	}
	l := logLine{Scan: n, Findings: map[string]string{}, Packages: map[string]string{}}
	for k := range 12 {
		if v := roll("finding %d %d", k, (n+k)/(1+k%5)); v%3 != 0 {
			l.Findings[fmt.Sprintf("f%d", k)] = fmt.Sprint(v % 4)
		}
		if v := roll("package %d %d", k, (n+k)/(2+k%7)); v%3 != 0 {
			l.Packages[fmt.Sprintf("p%d", k)] = fmt.Sprint(v % 4)
		}
	}
	for r := range 10 {
		if roll("rule %d %d", r, n)%4 != 0 {
			l.Whole = append(l.Whole, fmt.Sprintf("rule%d", r))
		}
	}
	return l
}

// crasher is the child.
type crasher struct {
	s     *Store
	log   *os.File
	rng   *rand.Rand
	fault string
}

func crashChild() int {
	path := os.Getenv("STORE_TEST_PATH")
	log, err := os.OpenFile(path+".log", os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return childFailed(err)
	}
	n := 0
	lines, err := readLog(log)
	if err != nil {
		return childFailed(err)
	}
	for _, l := range lines {
		n = max(n, l.Scan)
	}
	s, err := Open(path, Options{})
	if err != nil {
		return childFailed(err)
	}
	if d := s.Damage(); d != nil {
		return childFailed(fmt.Errorf("damage: %+v", d))
	}
	seed, _ := strconv.ParseUint(os.Getenv("CRASH_SEED"), 10, 64)
	c := &crasher{s: s, log: log, rng: rand.New(rand.NewPCG(seed, 7)), fault: os.Getenv("CRASH_FAULT")}
	fmt.Println("ready")
	if c.fault == "new ids" {
		if err := c.renumber(); err != nil {
			return childFailed(err)
		}
	}
	if os.Getenv("CRASH_DRAIN") != "" {
		for {
			if more, err := c.deliver(true); err != nil {
				return childFailed(err)
			} else if !more {
				break
			}
		}
		if l, err := s.Losses(); err != nil || l.Any() {
			return childFailed(fmt.Errorf("losses %+v, %w", l, err))
		}
		return 0
	}
	failed := make(chan error)
	go func() {
		for {
			if _, err := c.deliver(false); err != nil {
				failed <- err
			}
		}
	}()
	go func() {
		for {
			// The bounds of the outbox have tests of their own; here nothing may be dropped.
			if st, err := s.Stats(); err != nil {
				failed <- err
			} else if st.Outbox > 300 {
				time.Sleep(time.Millisecond)
				continue
			}
			n++
			if err := c.scan(n); err != nil {
				failed <- err
			}
		}
	}()
	return childFailed(<-failed)
}

func childFailed(err error) int {
	fmt.Fprintln(os.Stderr, "child:", err)
	return 1
}

// write appends a line by one call, which a kill does not tear.
func (c *crasher) write(l logLine) error {
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	_, err = c.log.Write(append(b, '\n'))
	return err
}

func (c *crasher) scan(n int) error {
	w := worldAt(n)
	if err := c.write(w); err != nil {
		return err
	}
	scan := Scan{Whole: map[string]bool{}, Inventory: &Inventory{Whole: true}}
	for key, content := range w.Findings {
		scan.Findings = append(scan.Findings, Finding{Key: key, Rule: ruleOf(key), Severity: 1, Body: []byte(content)})
	}
	for _, r := range w.Whole {
		scan.Whole[r] = true
	}
	for id, content := range w.Packages {
		scan.Inventory.Packages = append(scan.Inventory.Packages, Package{ID: id, Body: []byte(content)})
	}
	_, err := c.s.Apply(scan, func(c Change) ([]byte, error) {
		return json.Marshal(delivery{ID: c.ID, Kind: c.Kind.String(), Key: strings.TrimPrefix(c.Key, "package "), Scan: n, Pad: strings.Repeat("x", n*37%3000)})
	})
	if err == nil {
		err = c.afterScan()
	}
	if err != nil {
		return err
	}
	return c.write(logLine{Applied: n})
}

// deliver gives one batch to the sink.
func (c *crasher) deliver(all bool) (more bool, err error) {
	peek := func() ([]Event, error) { return c.s.Peek(6, 8000) }
	if c.fault == "any order" {
		peek = func() ([]Event, error) {
			evs, err := c.s.Pending(0, 20)
			slices.Reverse(evs)
			return evs, err
		}
	}
	evs, err := peek()
	if err != nil || len(evs) == 0 {
		return false, err
	}
	for _, ev := range evs {
		luck := c.rng.IntN(10)
		if luck < 3 && !all {
			continue // refused
		}
		var d delivery
		if err := json.Unmarshal(ev.Body, &d); err != nil {
			return false, err
		}
		d.Pad = ""
		if c.fault != "new ids" && d.ID != ev.ID {
			return false, fmt.Errorf("event %s says it is %s", ev.ID, d.ID)
		}
		d.ID = ev.ID
		if c.fault == "ack first" {
			if err := c.s.Ack(ev.ID); err != nil {
				return false, err
			}
			time.Sleep(10 * time.Millisecond)
		}
		if err := c.write(logLine{Got: &d}); err != nil {
			return false, err
		}
		if luck < 5 && !all {
			continue // taken, but the answer got lost
		}
		if err := c.s.Ack(ev.ID); err != nil {
			return false, err
		}
	}
	return true, nil
}

// afterScan is where faults are put in on purpose, to see the checker find them.
func (c *crasher) afterScan() error {
	switch c.fault {
	case "two transactions":
		// The event enters the outbox some time after the finding is known.
		var key, body []byte
		err := c.s.change(func(t *tx) error {
			b, err := t.bucket(outbox)
			if err != nil {
				return err
			}
			k, v := b.Cursor().Last()
			if k == nil {
				return nil
			}
			key, body = append(key, k...), append(body, v[sealSize:]...)
			return t.del(outbox, key)
		})
		if err != nil || key == nil {
			return err
		}
		time.Sleep(3 * time.Millisecond)
		return c.s.change(func(t *tx) error { return t.put(outbox, key, body) })
	case "forgetful":
		return c.s.change(func(t *tx) error { return t.del(findings, []byte("f1")) })
	}
	return nil
}

// renumber gives every waiting event a new id, as an agent would that makes ids when it sends.
func (c *crasher) renumber() error {
	return c.s.change(func(t *tx) error {
		var evs []Event
		err := t.each(outbox, nil, func(key, body []byte) error {
			ev, err := decodeEvent(key, body)
			evs = append(evs, ev)
			return err
		})
		for _, ev := range evs {
			id, errID := newID(time.Now(), t.opts.Rand)
			ev.rawID = id
			err = errors.Join(err, errID, t.put(outbox, seqKey(ev.Seq), ev.encode()))
		}
		return err
	})
}

// goesOn waits until so many more lines are in a child's log, and then for as long again as some of them
// took: so a fast machine does as much between two kills as a slow one, and is as often between two lines.
func goesOn(t *testing.T, log string, lines int, rng *rand.Rand) {
	t.Helper()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for more, seen := make([]byte, 1<<20), 0; seen < lines; time.Sleep(500 * time.Microsecond) {
		n, err := f.Read(more)
		if err != nil && err != io.EOF {
			t.Fatal(err)
		}
		seen += bytes.Count(more[:n], []byte("\n"))
		if time.Since(began) > 5*time.Minute {
			t.Fatal("the child does nothing")
		}
	}
	time.Sleep(time.Duration(rng.Int64N(int64(time.Since(began)) * 2 / int64(lines))))
}

// crash kills children so many times, lets a last one deliver the rest, and gives the log.
func crash(t *testing.T, kills int, fault string) []logLine {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s.db")
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for i := range kills {
		cmd := child(t, "crash", path, fmt.Sprintf("CRASH_SEED=%d", rng.Uint32()), "CRASH_FAULT="+fault)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if i%4 > 0 { // else it may still be opening
			if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
				t.Fatal(line, err)
			}
			goesOn(t, path+".log", 1+rng.IntN(20), rng)
		} else {
			time.Sleep(time.Duration(rng.IntN(60_000)) * time.Microsecond)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("the child ended by itself: %v", cmd.ProcessState)
		}
	}
	cmd := child(t, "crash", path, "CRASH_DRAIN=1", "CRASH_FAULT="+fault)
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log, err := os.Open(path + ".log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	lines, err := readLog(log)
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// TestNothingIsLostOrToldTwice kills 60 times; STORE_KILLS sets another number.
func TestNothingIsLostOrToldTwice(t *testing.T) {
	t.Parallel()
	kills := 60
	if n, err := strconv.Atoi(os.Getenv("STORE_KILLS")); err == nil && n > 0 {
		kills = n
	}
	lines := crash(t, kills, "")
	wrong, events := checkLog(lines)
	if len(wrong) > 0 {
		t.Errorf("%d wrong:\n%s", len(wrong), strings.Join(wrong[:min(20, len(wrong))], "\n"))
	}
	again := 0
	ids := map[string]bool{}
	for _, l := range lines {
		if l.Got != nil {
			if ids[l.Got.ID] {
				again++
			}
			ids[l.Got.ID] = true
		}
	}
	t.Logf("%d kills, %d events, %d delivered again under their id", kills, events, again)
	if events < kills || again == 0 {
		t.Errorf("too little happened for this to show anything")
	}
}

// TestCrashCheckerFindsFaults puts faults in on purpose.
func TestCrashCheckerFindsFaults(t *testing.T) {
	t.Parallel()
	for fault, complaint := range map[string]string{
		"ack first":        "lost: ",
		"two transactions": "lost: ",
		"new ids":          "two ids: ",
		"any order":        "out of order: ",
		"forgetful":        "told for nothing: opened of f1",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			// A fault shows when a kill falls into its window, which is mostly in the first round.
			for range 50 {
				wrong, _ := checkLog(crash(t, 10, fault))
				if slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, complaint) }) {
					t.Logf("found: %s, and %d more", wrong[0], len(wrong)-1)
					return
				}
			}
			t.Errorf("the checker finds nothing %q", complaint)
		})
	}
}
