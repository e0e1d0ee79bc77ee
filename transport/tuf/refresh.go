package tuf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// The most bytes of metadata, and the most versions of the root that one fetch follows.
const (
	maxRoot      = 512 << 10
	maxTimestamp = 16 << 10
	maxSnapshot  = 64 << 10
	maxTargets   = 1 << 20
	maxRotations = 256
)

// ErrNoTrust says that no root was pinned.
var ErrNoTrust = errors.New("no root of trust for updates is pinned")

// refresh follows the client workflow of the specification, 5.3 to 5.6. The library's own updater
// is not used: its downloads cannot be cancelled, and what it writes is not synced.
func (c *Client) refresh(ctx context.Context, old *Set) (set *Set, err error) {
	defer func() {
		if p := recover(); p != nil { // the library trusts that signed metadata are complete
			set, err = nil, &Refused{Malformed, "metadata", fmt.Errorf("%v", p)}
		}
	}()
	root, err := readBounded(filepath.Join(c.Dir, "root.json"), maxRoot)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoTrust
	} else if err != nil {
		return nil, fmt.Errorf("reading the trusted root: %w", err)
	}
	trusted, err := trustedmetadata.New(root)
	if err != nil {
		return nil, fmt.Errorf("the trusted root cannot be used: %w", err)
	}
	now := c.Now().UTC()
	if old != nil {
		now = later(now, old.Checked)
	}
	trusted.RefTime = now
	if err := c.roots(ctx, trusted); err != nil {
		return nil, err
	}
	if err := c.timestamp(ctx, trusted); err != nil {
		return nil, err
	}
	version := func(m *metadata.MetaFiles) string {
		if trusted.Root.Signed.ConsistentSnapshot {
			return strconv.FormatInt(m.Version, 10) + "."
		}
		return ""
	}
	meta := trusted.Timestamp.Signed.Meta["snapshot.json"]
	if meta == nil {
		return nil, &Refused{Malformed, "timestamp.json", errors.New("it names no snapshot")}
	}
	err = c.role(ctx, "snapshot.json", version(meta), meta.Length, maxSnapshot, func(b []byte, known bool) error {
		_, err := trusted.UpdateSnapshot(b, known)
		return err
	})
	if err != nil {
		return nil, err
	}
	if meta = trusted.Snapshot.Signed.Meta["targets.json"]; meta == nil {
		return nil, &Refused{Malformed, "snapshot.json", errors.New("it names no targets")}
	}
	err = c.role(ctx, "targets.json", version(meta), meta.Length, maxTargets, func(b []byte, _ bool) error {
		_, err := trusted.UpdateTargets(b)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c.wanted(trusted, now)
}

// roots follows the chain of roots to the last one; each is signed by the one before it.
func (c *Client) roots(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	for range maxRotations {
		name := fmt.Sprintf("%d.root.json", trusted.Root.Signed.Version+1)
		b, err := c.get(ctx, name, maxRoot)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := trusted.UpdateRoot(b); err != nil {
			return refuse(name, err)
		}
		if err := c.writeBytes("root.json", b); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) timestamp(ctx context.Context, trusted *trustedmetadata.TrustedMetadata) error {
	const name = "timestamp.json"
	if b, err := readBounded(filepath.Join(c.Dir, name), maxTimestamp); err == nil {
		// One that has expired, or that an older root's key signed, counts for what it can:
		// the library keeps the former to compare versions with.
		_, _ = trusted.UpdateTimestamp(b)
	}
	b, err := c.get(ctx, name, maxTimestamp)
	if err != nil {
		return err
	}
	_, err = trusted.UpdateTimestamp(b)
	switch {
	case errors.Is(err, &metadata.ErrEqualVersionNumber{}):
		if trusted.Timestamp.Signed.IsExpired(trusted.RefTime) {
			return &Refused{Expired, name, fmt.Errorf("it was good until %s, and there is no newer one", trusted.Timestamp.Signed.Expires.Format(time.RFC3339))}
		}
		return nil
	case err != nil:
		return refuse(name, err)
	}
	return c.writeBytes(name, b)
}

// role takes the metadata of a role that is known, if it is still the one, or fetches it, of the
// length that is said; 0 says none. What is known may be longer: it is what the new is compared with.
func (c *Client) role(ctx context.Context, name, version string, length, most int64, update func(b []byte, known bool) error) error {
	if b, err := readBounded(filepath.Join(c.Dir, name), most); err == nil {
		if update(b, true) == nil {
			return nil
		}
	}
	if length > 0 {
		most = min(most, length)
	}
	b, err := c.get(ctx, version+name, most)
	if err != nil {
		return err
	}
	if err := update(b, false); err != nil {
		return refuse(version+name, err)
	}
	return c.writeBytes(name, b)
}

// get reads a small file of the repository.
func (c *Client) get(ctx context.Context, name string, most int64) ([]byte, error) {
	r, _, err := c.Source.open(ctx, name, 0)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, &Refused{TooLarge, name, fmt.Errorf("it has more than the %d bytes that it may have", most)}
	}
	return b, nil
}

// wanted makes the set that the targets describe.
func (c *Client) wanted(t *trustedmetadata.TrustedMetadata, now time.Time) (*Set, error) {
	targets := t.Targets[metadata.TARGETS].Signed
	s := &Set{Files: map[string]File{}, Root: t.Root.Signed.Version, Timestamp: t.Timestamp.Signed.Version, Snapshot: t.Snapshot.Signed.Version,
		Targets: targets.Version, Checked: now.Truncate(time.Second), Changed: now.Truncate(time.Second), From: c.Source.String(), dir: c.Dir}
	s.Fresh = t.Root.Signed.Expires
	for _, at := range []time.Time{t.Timestamp.Signed.Expires, t.Snapshot.Signed.Expires, targets.Expires} {
		if at.Before(s.Fresh) {
			s.Fresh = at
		}
	}
	for _, name := range Names() {
		target := targets.Targets[name]
		if target == nil {
			continue
		}
		f := File{target.Hashes["sha256"].String(), target.Length}
		switch {
		case !validSum(f.SHA256):
			return nil, &Refused{Malformed, name, errors.New("its metadata have no SHA-256")}
		case f.Length <= 0 || f.Length > limits[name]:
			return nil, &Refused{TooLarge, name, fmt.Errorf("%d bytes; it may have %d", f.Length, limits[name])}
		}
		s.Files[name] = f
	}
	return s, nil
}

func checkRoot(b []byte) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Refused{Malformed, "root.json", fmt.Errorf("%v", p)}
		}
	}()
	if len(b) > maxRoot {
		return &Refused{TooLarge, "root.json", fmt.Errorf("it has more than the %d bytes that it may have", maxRoot)}
	}
	if _, err := trustedmetadata.New(b); err != nil {
		return refuse("root.json", err)
	}
	return nil
}
