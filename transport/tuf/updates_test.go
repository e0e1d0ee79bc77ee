package tuf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"

	"picket/store/forktest"
)

const day = 24 * time.Hour

// publisher is a repository with its keys and a clock.
type publisher struct {
	*Repository
	t                     *testing.T
	now                   time.Time
	root, targets, online Key
}

func newKey(t *testing.T) (Key, PublicKey) {
	t.Helper()
	private, public, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	p, err := ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return k, p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPublisher has published one version of two files.
func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	p.Repository = &Repository{Dir: t.TempDir(), Now: func() time.Time { return p.now }}
	var root, targets, online PublicKey
	p.root, root = newKey(t)
	p.targets, targets = newKey(t)
	p.online, online = newKey(t)
	must(t, p.StageRoot(RootChange{Root: []PublicKey{root}, Targets: []PublicKey{targets}, Online: []PublicKey{online}, Lasts: 365 * day}))
	p.sign(metadata.ROOT, p.root)
	p.pack("one")
	return p
}

func (p *publisher) sign(role string, keys ...Key) {
	p.t.Helper()
	_, _, err := SignFile(p.Staged(role), keys...)
	must(p.t, err)
}

// pack publishes files that hold a text.
func (p *publisher) pack(text string) {
	p.t.Helper()
	p.stagePack(text)
	p.refresh()
}

func (p *publisher) stagePack(text string) {
	p.t.Helper()
	must(p.t, p.StageTargets(map[string][]byte{Rules: []byte(text + " rules"), Policy: []byte(text + " policy")}, 90*day))
	p.sign(metadata.TARGETS, p.targets)
}

func (p *publisher) refresh() {
	p.t.Helper()
	must(p.t, p.Refresh(p.online, 7*day))
}

// copy gives the repository as it is now, in another folder.
func (p *publisher) copy() string {
	p.t.Helper()
	dir := p.t.TempDir()
	must(p.t, os.CopyFS(dir, os.DirFS(p.Dir)))
	return dir
}

// device is a client that trusts the publisher's first root.
type device struct {
	*Client
	t     *testing.T
	p     *publisher
	asked int
	veto  error
}

func (p *publisher) device() *device {
	p.t.Helper()
	d := &device{t: p.t, p: p, Client: &Client{Dir: p.t.TempDir(), Source: folder(p.Dir), Now: func() time.Time { return p.now }}}
	root, err := os.ReadFile(filepath.Join(p.Dir, "1.root.json"))
	must(p.t, err)
	must(p.t, Pin(d.Dir, root, p.Dir, false, p.now))
	return d
}

func (d *device) fetch() (Result, error) {
	return d.Fetch(context.Background(), func(*Set) error { d.asked++; return d.veto })
}

func (d *device) take(want string) {
	d.t.Helper()
	if _, err := d.fetch(); err != nil {
		d.t.Fatal(err)
	}
	d.has(want)
}

// has checks what is in effect, as another process would read it.
func (d *device) has(want string) {
	d.t.Helper()
	s, err := Load(d.Dir)
	must(d.t, err)
	if s == nil {
		d.t.Fatal("nothing is in effect")
	}
	for _, name := range []string{Rules, Policy} {
		f, err := s.Open(name)
		must(d.t, err)
		b, err := io.ReadAll(f)
		f.Close()
		must(d.t, err)
		if got := string(b); got != want+" "+strings.Split(name, ".")[0] {
			d.t.Errorf("%s is %q, want that of %q", name, got, want)
		}
	}
}

// refuses checks that a fetch is refused, and that what was in effect stays.
func (d *device) refuses(why Reason, still string) {
	d.t.Helper()
	_, err := d.fetch()
	var r *Refused
	if !errors.As(err, &r) || r.Why != why {
		d.t.Fatalf("fetch: %v, want it refused as %s", err, why)
	}
	d.has(still)
}

func TestFetch(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	if s, err := Load(d.Dir); s != nil || err != nil {
		t.Fatalf("before the first fetch: %v, %v", s, err)
	}
	d.take("one")
	d.take("one")
	if d.asked != 1 {
		t.Errorf("asked %d times about the same files, want once", d.asked)
	}
	p.pack("two")
	d.take("two")
	files, err := os.ReadDir(filepath.Join(d.Dir, packs))
	must(t, err)
	if len(files) != 2 {
		t.Errorf("%d files are kept, want the 2 in effect", len(files))
	}
}

func TestFetchSaysUntilWhen(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	s, err := Load(d.Dir)
	must(t, err)
	if want := p.now.Add(7 * day); !s.Fresh.Equal(want) {
		t.Errorf("fresh until %v, want %v, when the timestamp expires", s.Fresh, want)
	}
	if s.Stale(p.now.Add(7*day)) || !s.Stale(p.now.Add(7*day+time.Second)) {
		t.Error("it is not stale exactly after its time")
	}
	p.now = p.now.Add(6 * day)
	p.refresh()
	d.take("one")
	if s, err = Load(d.Dir); err != nil || s.Stale(p.now.Add(7*day)) {
		t.Errorf("a refreshed repository is stale: %v, %v", s, err)
	}
}

func TestRollbackIsRefused(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	old := p.copy()
	p.pack("two")
	d := p.device()
	d.take("two")
	d.Source = folder(old)
	d.refuses(Rollback, "two")
}

func TestRollbackOfTargetsIsRefused(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	old := p.copy()
	p.pack("two")
	d := p.device()
	d.take("two")
	// The key that is on the server was stolen, and signs a new snapshot of old targets.
	thief := &Repository{Dir: old, Now: p.Now}
	for range 3 {
		must(t, thief.Refresh(p.online, 7*day))
	}
	d.Source = folder(old)
	d.refuses(Rollback, "two")
}

// TestRollbackToShorterMetadata: metadata that are known are compared with even when the new ones may
// not be as long.
func TestRollbackToShorterMetadata(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	for range 8 {
		p.pack("old")
	}
	old := p.copy()
	p.pack("two") // targets 10 has a digit more than 9
	d := p.device()
	d.take("two")
	thief := &Repository{Dir: old, Now: p.Now}
	for range 3 {
		must(t, thief.Refresh(p.online, 7*day))
	}
	if known, offered := readFile(t, filepath.Join(d.Dir, "snapshot.json")), readFile(t, filepath.Join(old, "12.snapshot.json")); len(offered) >= len(known) {
		t.Fatalf("the snapshot that is offered has %d bytes, the known one %d", len(offered), len(known))
	}
	d.Source = folder(old)
	d.refuses(Rollback, "two")
}

func TestFreezeIsRefused(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	p.now = p.now.Add(8 * day)
	d.refuses(Expired, "one")
	// A clock that is set back does not bring what is older to life.
	p.refresh()
	frozen := p.copy()
	p.now = p.now.Add(6 * day)
	p.refresh()
	d.take("one")
	p.now = p.now.Add(-10 * day)
	d.Source = folder(frozen)
	d.refuses(Rollback, "one")
}

func TestClockSetBackDoesNotRevive(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	p.now = p.now.Add(5 * day)
	d.take("one")
	b, err := readBounded(filepath.Join(d.Dir, "current.json"), 64<<10)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(d.Dir, "current.json"), bytes.Replace(b, []byte(`"checked": "2026-03-06`), []byte(`"checked": "2026-03-20`), 1), 0o600))
	p.now = p.now.Add(-4 * day)
	d.refuses(Expired, "one")
}

func TestTamperingIsRefused(t *testing.T) {
	t.Parallel()
	flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)/2] ^= 1; return b }
	for _, c := range []struct {
		glob string
		do   func([]byte) []byte
		why  Reason
	}{
		{"targets/*.rules.zip", flip, Tampered},
		{"targets/*.rules.zip", func(b []byte) []byte { return b[:len(b)-1] }, Tampered},
		{"targets/*.rules.zip", func(b []byte) []byte { return append(b, 'x') }, TooLarge},
		{"timestamp.json", func(b []byte) []byte { return bytes.Replace(b, []byte("2026"), []byte("2036"), 1) }, Unsigned},
		{"2.snapshot.json", func(b []byte) []byte { return bytes.Replace(b, []byte("2026"), []byte("2036"), 1) }, Unsigned},
		{"2.targets.json", func(b []byte) []byte { return bytes.Replace(b, []byte("2026"), []byte("2036"), 1) }, Unsigned},
		{"2.targets.json", func(b []byte) []byte { return append(b, ' ') }, TooLarge},
		{"timestamp.json", func([]byte) []byte { return []byte("{}") }, Malformed},
		{"timestamp.json", func([]byte) []byte { return nil }, Malformed},
	} {
		t.Run(c.glob+" "+string(c.why), func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			d := p.device()
			d.take("one")
			before := p.copy()
			p.pack("two")
			names, err := filepath.Glob(filepath.Join(p.Dir, c.glob))
			must(t, err)
			changed := 0
			for _, name := range names {
				if _, err := os.Stat(filepath.Join(before, strings.TrimPrefix(name, p.Dir))); err == nil && strings.Contains(c.glob, "*") {
					continue // of the first version
				}
				b, err := os.ReadFile(name)
				must(t, err)
				must(t, os.WriteFile(name, c.do(b), 0o600))
				changed++
			}
			if changed != 1 {
				t.Fatalf("%d files were tampered with, want 1", changed)
			}
			d.refuses(c.why, "one")
			if d.asked != 1 {
				t.Error("what was tampered with was handed on")
			}
		})
	}
}

func TestForeignKeysAreRefused(t *testing.T) {
	t.Parallel()
	p, other := newPublisher(t), newPublisher(t)
	d := p.device()
	d.take("one")
	other.pack("two")
	other.pack("three")
	d.Source = folder(other.Dir)
	d.refuses(Unsigned, "one")
	must(t, os.Remove(filepath.Join(other.Dir, "1.root.json")))
	must(t, os.WriteFile(filepath.Join(other.Dir, "2.root.json"), readFile(t, filepath.Join(p.Dir, "1.root.json")), 0o600))
	d.refuses(Rollback, "one") // a root that does not follow
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return b
}

func TestExpiredRootIsRefused(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	p.now = p.now.Add(364 * day)
	p.pack("two")
	p.now = p.now.Add(2 * day)
	d.refuses(Expired, "one")
	// A newer root, signed by the same people, heals it.
	must(t, p.StageRoot(RootChange{Lasts: 365 * day}))
	p.sign(metadata.ROOT, p.root)
	p.refresh()
	d.take("two")
}

func TestKeyRotation(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d, late := p.device(), p.device()
	d.take("one")
	oldRoot, oldTargets, oldOnline := p.root, p.targets, p.online
	var root, root2, targets, online PublicKey
	p.root, root = newKey(t)
	second, root2 := newKey(t)
	p.targets, targets = newKey(t)
	p.online, online = newKey(t)
	must(t, p.StageRoot(RootChange{Root: []PublicKey{root, root2}, RootThreshold: 2, Targets: []PublicKey{targets}, Online: []PublicKey{online}, Lasts: 365 * day}))
	p.stagePack("two")
	p.sign(metadata.ROOT, p.root, second)
	if err := p.Refresh(p.online, 7*day); err == nil {
		t.Fatal("a root is served that the one before it does not vouch for")
	}
	p.sign(metadata.ROOT, oldRoot)
	p.refresh()
	d.take("two")
	late.take("two") // goes all the way from the first root
	if s, err := Load(d.Dir); err != nil || s.Root != 2 {
		t.Errorf("root %v, %v, want 2", s, err)
	}
	// The old keys are worth nothing now.
	must(t, p.StageTargets(map[string][]byte{Rules: []byte("x")}, day))
	p.sign(metadata.TARGETS, oldTargets)
	if err := p.Refresh(p.online, day); err == nil {
		t.Error("targets are served that a removed key signed")
	}
	p.sign(metadata.TARGETS, p.targets)
	if err := p.Refresh(oldOnline, day); err == nil {
		t.Error("a removed key signs snapshots")
	}
}

func TestOversizeIsRefused(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	t.Run("a file by its metadata", func(t *testing.T) {
		must(t, p.StageTargets(map[string][]byte{Policy: []byte("x")}, day))
		m, err := metadata.Targets().FromFile(p.Staged(metadata.TARGETS))
		must(t, err)
		m.Signed.Targets[Policy].Length = limits[Policy] + 1
		must(t, m.ToFile(p.Staged(metadata.TARGETS), true))
		must(t, os.Truncate(filepath.Join(p.Dir, "targets", sumOf([]byte("x"))+"."+Policy), limits[Policy]+1))
		p.sign(metadata.TARGETS, p.targets)
		p.refresh()
		d.refuses(TooLarge, "one")
	})
	t.Run("the metadata", func(t *testing.T) {
		must(t, os.WriteFile(filepath.Join(p.Dir, "timestamp.json"), bytes.Repeat([]byte(" "), maxTimestamp+1), 0o600))
		d.refuses(TooLarge, "one")
	})
	t.Run("the root", func(t *testing.T) {
		must(t, os.WriteFile(filepath.Join(p.Dir, "2.root.json"), bytes.Repeat([]byte(" "), maxRoot+1), 0o600))
		d.refuses(TooLarge, "one")
	})
	if err := p.StageTargets(map[string][]byte{Policy: make([]byte, limits[Policy]+1)}, day); err == nil {
		t.Error("a publisher may make what no device takes")
	}
}

// TestIncompleteMetadata are signed by the right keys, and lack what the library takes for given.
func TestIncompleteMetadata(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	stamp := metadata.Timestamp(p.now.Add(day))
	stamp.Signed.Version, stamp.Signed.Meta = 99, map[string]*metadata.MetaFiles{}
	must(t, sign(stamp, p.online))
	must(t, stamp.ToFile(filepath.Join(p.Dir, "timestamp.json"), false))
	d.refuses(Malformed, "one")
}

func TestRejectedWhole(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	p.pack("two")
	d.veto = errors.New("an inner test fails")
	d.refuses(Rejected, "one")
	d.refuses(Rejected, "one")
	d.veto = nil
	d.take("two")
}

// A device that can take none of what is published keeps the last of it, not all.
func TestRefusedFilesDoNotPileUp(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	d.veto = errors.New("it needs a newer Picket")
	for _, text := range []string{"two", "three", "four"} {
		p.pack(text)
		d.refuses(Rejected, "one")
	}
	entries, err := os.ReadDir(filepath.Join(d.Dir, packs))
	must(t, err)
	if len(entries) > 4 {
		t.Errorf("%d files are kept of two sets of two", len(entries))
	}
}

func TestThresholds(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	a, pa := newKey(t)
	b, pb := newKey(t)
	must(t, p.StageRoot(RootChange{Targets: []PublicKey{pa, pb}, TargetsThreshold: 2, Lasts: 365 * day}))
	p.sign(metadata.ROOT, p.root)
	must(t, p.StageTargets(map[string][]byte{Rules: []byte("two rules"), Policy: []byte("two policy")}, day))
	p.sign(metadata.TARGETS, a)
	p.sign(metadata.TARGETS, a) // twice the same counts once
	if err := p.Refresh(p.online, day); err == nil {
		t.Fatal("one of two signatures is enough")
	}
	states, err := p.State()
	must(t, err)
	last := states[len(states)-1]
	if last.Role != metadata.TARGETS || !last.Staged || last.Enough() || len(last.Missing) != 1 || last.Missing[0] != pb.ID() {
		t.Errorf("state of the staged targets: %+v", last)
	}
	p.sign(metadata.TARGETS, b)
	p.refresh()
	p.device().take("two")
	if err := p.StageRoot(RootChange{TargetsThreshold: 3, Lasts: day}); err == nil {
		t.Error("more signatures are asked for than there are keys")
	}
}

// TestRefreshPublishesNothingThatDevicesRefuse: it is an error, and what is served stays.
func TestRefreshPublishesNothingThatDevicesRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		spoil      func(p *publisher, old []byte)
	}{
		{"an older version comes back", "the staged targets are version 1, and the last ones are 2", func(p *publisher, old []byte) {
			must(t, os.WriteFile(p.Staged(metadata.TARGETS), old, 0o600))
		}},
		{"a file is not there", "name policy.yaml, which is not in", func(p *publisher, _ []byte) {
			p.stagePack("three")
			must(t, os.Remove(filepath.Join(p.Dir, "targets", sumOf([]byte("three policy"))+".policy.yaml")))
		}},
		{"a file is of another length", "name policy.yaml, which is not in", func(p *publisher, _ []byte) {
			p.stagePack("three")
			must(t, os.WriteFile(filepath.Join(p.Dir, "targets", sumOf([]byte("three policy"))+".policy.yaml"), nil, 0o600))
		}},
		{"targets are over", "targets 2 were good until 2026-05-30", func(p *publisher, _ []byte) { p.now = p.now.Add(91 * day) }},
		{"the root is over", "the root was good until 2027-03-01", func(p *publisher, _ []byte) {
			p.now = p.now.Add(365*day + time.Minute)
			p.stagePack("three")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPublisher(t)
			old, err := os.ReadFile(filepath.Join(p.Dir, "1.targets.json"))
			must(t, err)
			p.pack("two")
			before, err := os.ReadFile(filepath.Join(p.Dir, "timestamp.json"))
			must(t, err)
			c.spoil(p, old)
			if err := p.Refresh(p.online, 7*day); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("refresh: %v, want %q", err, c.want)
			}
			after, err := os.ReadFile(filepath.Join(p.Dir, "timestamp.json"))
			must(t, err)
			if !bytes.Equal(before, after) {
				t.Error("another timestamp is served")
			}
		})
	}
}

func TestPinAgain(t *testing.T) {
	t.Parallel()
	p, other := newPublisher(t), newPublisher(t)
	old := p.copy()
	p.pack("two")
	d := p.device()
	d.take("two")
	must(t, Pin(d.Dir, readFile(t, filepath.Join(p.Dir, "1.root.json")), old, false, p.now))
	d.Source = folder(old)
	d.refuses(Rollback, "two")
	must(t, Pin(d.Dir, readFile(t, filepath.Join(other.Dir, "1.root.json")), other.Dir, false, p.now))
	if s, err := Load(d.Dir); s != nil || err != nil {
		t.Errorf("after another root was pinned: %v, %v", s, err)
	}
	d.Source = folder(other.Dir)
	d.take("one")
	if err := Pin(d.Dir, []byte("{}"), "", false, p.now); err == nil {
		t.Error("nonsense was pinned")
	}
}

func TestDamageOnDisk(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	s, err := Load(d.Dir)
	must(t, err)
	path := packPath(d.Dir, s.Files[Rules].SHA256)
	b := readFile(t, path)
	b[0] ^= 1
	must(t, os.WriteFile(path, b, 0o600))
	if _, err := s.Open(Rules); err == nil {
		t.Error("a damaged file was opened")
	}
	must(t, os.Remove(path))
	d.take("one") // fetched again
	must(t, os.WriteFile(filepath.Join(d.Dir, "current.json"), []byte("{"), 0o600))
	d.take("one")
}

func TestBusy(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	unlock, err := lock(d.Dir)
	must(t, err)
	if _, err := d.fetch(); !errors.Is(err, ErrBusy) {
		t.Errorf("beside another process: %v", err)
	}
	unlock()
	d.take("one")
}

func TestStickPulledOut(t *testing.T) {
	t.Parallel()
	p := newPublisher(t)
	d := p.device()
	d.take("one")
	d.Source = folder(filepath.Join(p.Dir, "gone"))
	if _, err := d.fetch(); err == nil || errors.As(err, new(*Refused)) {
		t.Errorf("without the stick: %v", err)
	}
	d.has("one")
	out := t.TempDir()
	must(t, os.WriteFile(filepath.Join(out, "secret"), []byte("{}"), 0o600))
	must(t, os.Remove(filepath.Join(p.Dir, "timestamp.json")))
	must(t, os.Symlink(filepath.Join(out, "secret"), filepath.Join(p.Dir, "timestamp.json")))
	d.Source = folder(p.Dir)
	if _, err := d.fetch(); err == nil {
		t.Error("a link out of the stick was followed")
	}
}

func TestDigestOfParts(t *testing.T) {
	t.Parallel()
	if sumOf([]byte("x")) == "" || !validSum(sumOf([]byte("x"))) || validSum("../x") || validSum(strings.Repeat("A", 2*sha256.Size)) {
		t.Error("digests are not told from other texts")
	}
}

// TestLockIsNotInherited: what another goroutine starts meanwhile does not go on holding the lock.
func TestLockIsNotInherited(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lock(dir)
	must(t, err)
	forktest.Hold(t, filepath.Join(dir, "lock"))
	unlock()
	unlock, err = lock(dir)
	must(t, err)
	unlock()
}
