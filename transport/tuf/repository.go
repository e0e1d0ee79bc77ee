package tuf

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Repository is a folder that a web server or a stick serves, as its publisher works on it:
//
//	N.root.json N.snapshot.json N.targets.json timestamp.json targets/DIGEST.NAME
//	staged/root.json staged/targets.json   made, and waiting for signatures
//
// Root and targets are signed by people who need not have the folder: they sign the staged file,
// on their own machines, one after the other. Snapshot and timestamp are signed by one key, which
// may be on the server.
type Repository struct {
	Dir string
	Now func() time.Time
}

const staged = "staged"

// Staged is the path of the metadata of a role that wait for signatures.
func (r *Repository) Staged(role string) string {
	return filepath.Join(r.Dir, staged, role+".json")
}

// RootChange says what the next root has other than the one before it. A nil list leaves the keys
// as they are, a threshold of 0 too.
type RootChange struct {
	Root, Targets, Online           []PublicKey
	RootThreshold, TargetsThreshold int
	Lasts                           time.Duration
}

// StageRoot makes the next root, without signatures.
func (r *Repository) StageRoot(ch RootChange) error {
	next := metadata.Root(r.until(ch.Lasts))
	next.Signed.ConsistentSnapshot = true
	if old, err := r.root(); err == nil {
		next.Signed.Version = old.Signed.Version + 1
		next.Signed.Keys, next.Signed.Roles = old.Signed.Keys, old.Signed.Roles
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, c := range []struct {
		roles     []string
		keys      []PublicKey
		threshold int
	}{
		{[]string{metadata.ROOT}, ch.Root, ch.RootThreshold}, {[]string{metadata.TARGETS}, ch.Targets, ch.TargetsThreshold},
		{[]string{metadata.SNAPSHOT, metadata.TIMESTAMP}, ch.Online, 0},
	} {
		for _, name := range c.roles {
			role := next.Signed.Roles[name]
			if c.keys != nil {
				role.KeyIDs = nil
				for _, k := range c.keys {
					if !slices.Contains(role.KeyIDs, k.id) {
						role.KeyIDs = append(role.KeyIDs, k.id)
					}
					next.Signed.Keys[k.id] = k.key
				}
			}
			if c.threshold > 0 {
				role.Threshold = c.threshold
			}
			if len(role.KeyIDs) == 0 {
				return fmt.Errorf("the root names no key for %s", name)
			}
			if role.Threshold > len(role.KeyIDs) {
				return fmt.Errorf("%d signatures of %s are asked for, and there are %d keys", role.Threshold, name, len(role.KeyIDs))
			}
		}
	}
	maps.DeleteFunc(next.Signed.Keys, func(id string, _ *metadata.Key) bool {
		for _, role := range next.Signed.Roles {
			if slices.Contains(role.KeyIDs, id) {
				return false
			}
		}
		return true
	})
	return stage(r, metadata.ROOT, next)
}

// StageTargets puts files into the repository, and makes the next targets, without signatures: of
// these files and no others.
func (r *Repository) StageTargets(files map[string][]byte, lasts time.Duration) error {
	next := metadata.Targets(r.until(lasts))
	if old, _, err := r.newest(metadata.TARGETS); err == nil {
		m, err := metadata.Targets().FromBytes(old)
		if err != nil {
			return fmt.Errorf("reading the last targets: %w", err)
		}
		next.Signed.Version = m.Signed.Version + 1
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.Dir, "targets"), 0o755); err != nil {
		return err
	}
	for name, b := range files {
		most, ok := limits[name]
		switch {
		case !ok:
			return fmt.Errorf("no device takes a file named %s", name)
		case len(b) == 0 || int64(len(b)) > most:
			return fmt.Errorf("%s has %d bytes; devices take 1 to %d", name, len(b), most)
		}
		info, err := metadata.TargetFile().FromBytes(name, b, "sha256")
		if err != nil {
			return fmt.Errorf("describing %s: %w", name, err)
		}
		next.Signed.Targets[name] = info
		if err := replace(filepath.Join(r.Dir, "targets", sumOf(b)+"."+name), b, 0o644); err != nil {
			return err
		}
	}
	return stage(r, metadata.TARGETS, next)
}

func stage[T metadata.Roles](r *Repository, role string, m *metadata.Metadata[T]) error {
	if err := os.MkdirAll(filepath.Join(r.Dir, staged), 0o755); err != nil {
		return err
	}
	b, err := m.ToBytes(true)
	if err != nil {
		return fmt.Errorf("writing the next %s: %w", role, err)
	}
	return replace(r.Staged(role), b, 0o644)
}

// SignFile puts signatures on a file of staged metadata. It says what it signed.
func SignFile(name string, keys ...Key) (role string, version int64, err error) {
	b, err := readBounded(name, maxTargets)
	if err != nil {
		return "", 0, err
	}
	var head struct {
		Signed struct {
			Type    string `json:"_type"`
			Version int64  `json:"version"`
		} `json:"signed"`
	}
	if err := json.Unmarshal(b, &head); err != nil {
		return "", 0, fmt.Errorf("%s is no metadata: %w", name, err)
	}
	var out []byte
	switch head.Signed.Type {
	case metadata.ROOT:
		out, err = signed(metadata.Root(), b, keys)
	case metadata.TARGETS:
		out, err = signed(metadata.Targets(), b, keys)
	default:
		err = fmt.Errorf("it is of the role %q; people sign root and targets", head.Signed.Type)
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", name, err)
	}
	return head.Signed.Type, head.Signed.Version, replace(name, out, 0o644)
}

func signed[T metadata.Roles](m *metadata.Metadata[T], b []byte, keys []Key) ([]byte, error) {
	m, err := m.FromBytes(b)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if err := sign(m, k); err != nil {
			return nil, err
		}
	}
	return m.ToBytes(true)
}

// Refresh lets what is staged and signed take effect, and signs the snapshot and the timestamp
// anew. What is staged and not signed by enough is left, and an error; so is what devices would refuse.
func (r *Repository) Refresh(online Key, lasts time.Duration) error {
	var moves []move // made when all is known to be right
	root, err := r.nextRoot(&moves)
	if err != nil {
		return err
	}
	if now := r.Now(); root.Signed.IsExpired(now) {
		return fmt.Errorf("the root was good until %s: devices take nothing before there is a new one", root.Signed.Expires.Format(time.RFC3339))
	}
	targets, err := r.nextTargets(root, &moves)
	if err != nil {
		return err
	}
	snapshot := metadata.Snapshot(r.until(lasts))
	old, n, err := r.newest(metadata.SNAPSHOT)
	if err == nil {
		_, err = metadata.Snapshot().FromBytes(old)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the last snapshot: %w", err)
	}
	snapshot.Signed.Version = n + 1
	snapshot.Signed.Meta = map[string]*metadata.MetaFiles{"targets.json": describe(targets.version, targets.bytes)}
	if err := sign(snapshot, online); err != nil {
		return err
	}
	if err := root.VerifyDelegate(metadata.SNAPSHOT, snapshot); err != nil {
		return fmt.Errorf("the root does not let this key sign snapshots: %w", err)
	}
	sb, err := snapshot.ToBytes(true)
	if err != nil {
		return err
	}
	stamp := metadata.Timestamp(r.until(lasts))
	if b, err := readBounded(filepath.Join(r.Dir, "timestamp.json"), maxTimestamp); err == nil {
		m, err := metadata.Timestamp().FromBytes(b)
		if err != nil {
			return fmt.Errorf("reading the last timestamp: %w", err)
		}
		stamp.Signed.Version = m.Signed.Version + 1
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	stamp.Signed.Meta = map[string]*metadata.MetaFiles{"snapshot.json": describe(snapshot.Signed.Version, sb)}
	if err := sign(stamp, online); err != nil {
		return err
	}
	if err := root.VerifyDelegate(metadata.TIMESTAMP, stamp); err != nil {
		return fmt.Errorf("the root does not let this key sign timestamps: %w", err)
	}
	tb, err := stamp.ToBytes(true)
	if err != nil {
		return err
	}
	for _, m := range moves {
		if err := os.Rename(m.from, m.to); err != nil {
			return err
		}
	}
	// The timestamp is last: until it is there, devices see the files as they were.
	if err := replace(filepath.Join(r.Dir, numbered(snapshot.Signed.Version, metadata.SNAPSHOT)), sb, 0o644); err != nil {
		return err
	}
	return replace(filepath.Join(r.Dir, "timestamp.json"), tb, 0o644)
}

func describe(version int64, b []byte) *metadata.MetaFiles {
	m := metadata.MetaFile(version)
	m.Length = int64(len(b))
	return m
}

// move is a staged file that is to be served.
type move struct{ from, to string }

// nextRoot gives the last root, or the staged one when enough have signed it.
func (r *Repository) nextRoot(moves *[]move) (*metadata.Metadata[metadata.RootType], error) {
	old, err := r.root()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	b, stagedErr := readBounded(r.Staged(metadata.ROOT), maxRoot)
	if errors.Is(stagedErr, fs.ErrNotExist) {
		return old, err
	} else if stagedErr != nil {
		return nil, stagedErr
	}
	next, err := metadata.Root().FromBytes(b)
	if err != nil {
		return nil, fmt.Errorf("reading the staged root: %w", err)
	}
	if old != nil {
		if err := old.VerifyDelegate(metadata.ROOT, next); err != nil {
			return nil, fmt.Errorf("the staged root needs signatures by the keys of the root before it: %w", err)
		}
		if next.Signed.Version != old.Signed.Version+1 {
			return nil, fmt.Errorf("the staged root is version %d, and the last one is %d", next.Signed.Version, old.Signed.Version)
		}
	}
	if err := next.VerifyDelegate(metadata.ROOT, next); err != nil {
		return nil, fmt.Errorf("the staged root needs signatures by its own keys: %w", err)
	}
	*moves = append(*moves, move{r.Staged(metadata.ROOT), filepath.Join(r.Dir, numbered(next.Signed.Version, metadata.ROOT))})
	return next, nil
}

// released is metadata that are served.
type released struct {
	version int64
	bytes   []byte
}

// nextTargets gives the last targets, or the staged ones when enough have signed them.
func (r *Repository) nextTargets(root *metadata.Metadata[metadata.RootType], moves *[]move) (released, error) {
	served, last, servedErr := r.newest(metadata.TARGETS)
	if servedErr != nil && !errors.Is(servedErr, fs.ErrNotExist) {
		return released{}, servedErr
	}
	b, err := readBounded(r.Staged(metadata.TARGETS), maxTargets)
	fresh := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		b, err = served, servedErr
	}
	if errors.Is(err, fs.ErrNotExist) {
		return released{}, errors.New("there are no targets yet: 'picket publish pack' makes them")
	} else if err != nil {
		return released{}, err
	}
	m, err := metadata.Targets().FromBytes(b)
	if err != nil {
		return released{}, fmt.Errorf("reading the targets: %w", err)
	}
	if err := root.VerifyDelegate(metadata.TARGETS, m); err != nil {
		return released{}, fmt.Errorf("targets %d need signatures by the keys that the root names for them: %w", m.Signed.Version, err)
	}
	if fresh && m.Signed.Version != last+1 {
		return released{}, fmt.Errorf("the staged targets are version %d, and the last ones are %d", m.Signed.Version, last)
	}
	if m.Signed.IsExpired(r.Now()) {
		return released{}, fmt.Errorf("targets %d were good until %s: devices take nothing before there are new ones", m.Signed.Version, m.Signed.Expires.Format(time.RFC3339))
	}
	if err := r.has(m); err != nil {
		return released{}, err
	}
	if fresh {
		*moves = append(*moves, move{r.Staged(metadata.TARGETS), filepath.Join(r.Dir, numbered(m.Signed.Version, metadata.TARGETS))})
	}
	return released{m.Signed.Version, b}, nil
}

// has reports whether the files are there that targets name.
func (r *Repository) has(m *metadata.Metadata[metadata.TargetsType]) error {
	for _, name := range slices.Sorted(maps.Keys(m.Signed.Targets)) {
		target := m.Signed.Targets[name]
		path := filepath.Join("targets", target.Hashes["sha256"].String()+"."+filepath.Base(name))
		if st, err := os.Stat(filepath.Join(r.Dir, path)); err != nil || st.Size() != target.Length {
			return fmt.Errorf("targets %d name %s, which is not in %s as it was signed", m.Signed.Version, name, path)
		}
	}
	return nil
}

func numbered(version int64, role string) string {
	return strconv.FormatInt(version, 10) + "." + role + ".json"
}

// newest gives the last version of a role's metadata.
func (r *Repository) newest(role string) (b []byte, version int64, err error) {
	names, err := filepath.Glob(filepath.Join(r.Dir, "*."+role+".json"))
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		n, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), "."+role+".json"), 10, 64)
		if err == nil && n > version {
			version = n
		}
	}
	if version == 0 {
		return nil, 0, fmt.Errorf("%s of %s: %w", role, r.Dir, fs.ErrNotExist)
	}
	b, err = readBounded(filepath.Join(r.Dir, numbered(version, role)), maxTargets)
	return b, version, err
}

// root gives the last root that is served.
func (r *Repository) root() (*metadata.Metadata[metadata.RootType], error) {
	b, _, err := r.newest(metadata.ROOT)
	if err != nil {
		return nil, err
	}
	m, err := metadata.Root().FromBytes(b)
	if err != nil {
		return nil, fmt.Errorf("reading the last root: %w", err)
	}
	return m, nil
}

func (r *Repository) until(lasts time.Duration) time.Time {
	return r.Now().UTC().Truncate(time.Second).Add(lasts)
}
