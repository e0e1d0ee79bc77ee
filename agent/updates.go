package agent

import (
	"archive/zip"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/indicators"
	"picket/scanner/rules"
	"picket/transport"
	"picket/transport/tuf"
)

// Codes of warnings about updates, beside rules-stale.
const (
	warnUpdatesRefused     = "updates-refused"
	warnUpdatesUnreachable = "updates-unreachable"
)

// fetchTime is how long one fetch may take; what is cut off goes on with the next.
const fetchTime = 10 * time.Minute

// updatesDir has what was fetched of rules, indicators and policy.
func updatesDir(c Config) string { return filepath.Join(c.StateDir, "updates") }

// loadCriteria loads the rules, allow lists and indicators that a configuration names, and the
// updates that were accepted; nil are none. A folder of rules that the configuration names comes
// before the rules of updates; allow lists and indicators come beside them.
func loadCriteria(c Config, set *tuf.Set) (*criteria, error) {
	if set == nil {
		set = &tuf.Set{}
	}
	out := &criteria{profile: c.Profile, digests: scanner.DigestMode(c.Digests), localRules: c.RulesDir != "", updates: set}
	var err error
	if out.rules, err = rulesOf(c, set); err != nil {
		return nil, err
	}
	if out.rules, err = withAllow(out.rules, c.Allow); err != nil {
		return nil, err
	}
	if out.policy, err = policyOf(set); err != nil {
		return nil, err
	}
	if p := out.policy; p != nil {
		out.rules, out.idle = out.rules.WithPolicy(p.overrides(), scanner.Levels{Low: p.Levels.Low, Medium: p.Levels.Medium, High: p.Levels.High})
	}
	if out.indicators, err = indicatorsOf(c, set); err != nil {
		return nil, err
	}
	return out, nil
}

// rulesOf gives the rules; those of updates have passed the tests inside them.
func rulesOf(c Config, set *tuf.Set) (*rules.Set, error) {
	if c.RulesDir != "" {
		return loadRules(c.RulesDir)
	}
	pack, err := openPack(set, tuf.Rules)
	if err != nil || pack == nil {
		return orBuiltIn(err)
	}
	defer pack.Close()
	return packRules(pack)
}

func orBuiltIn(err error) (*rules.Set, error) {
	if err != nil {
		return nil, err
	}
	return loadRules("")
}

// packRules loads the rules of a pack, and runs the tests inside them.
func packRules(tree fs.FS) (*rules.Set, error) {
	out, err := rules.Load(tree, facts.Collectors())
	if err == nil {
		err = out.SelfTest()
	}
	if err != nil {
		return nil, fmt.Errorf("the pack of rules: %w", err)
	}
	return out, nil
}

func policyOf(set *tuf.Set) (*Policy, error) {
	f, err := set.Open(tuf.Policy)
	if err != nil || f == nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	return ParsePolicy(tuf.Policy, src)
}

func indicatorsOf(c Config, set *tuf.Set) (*indicators.Index, error) {
	pack, err := openPack(set, tuf.Indicators)
	if err != nil {
		return nil, err
	}
	if pack != nil {
		defer pack.Close()
		return readIndicatorsWith(pack, tuf.Indicators, c.Indicators)
	}
	if len(c.Indicators) > 0 {
		return readIndicators(c.Indicators)
	}
	return nil, nil
}

// pack is a file of updates that holds others.
type pack struct {
	*zip.Reader
	io.Closer
}

// openPack gives nil for a pack that the set does not have.
func openPack(set *tuf.Set, name string) (*pack, error) {
	f, err := set.Open(name)
	if err != nil || f == nil {
		return nil, err
	}
	z, err := zip.NewReader(f, set.Files[name].Length)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &pack{z, f}, nil
}

// criteriaNow loads what is in effect. Where updates that were accepted no longer fit, after a
// change of the program or damage to the disk, it does without them, and lost says why. The policy
// stays if it can be read; if it cannot, no more than the level leaves the device.
func criteriaNow(c Config) (crit *criteria, lost, err error) {
	load := func(s *tuf.Set) (*criteria, error) {
		return packed(func() (*criteria, error) { return loadCriteria(c, s) })
	}
	set, lost := tuf.Load(updatesDir(c))
	if set == nil {
		if crit, err = load(nil); err == nil && lost != nil { // nobody knows whether a policy was in it
			err = crit.leastPolicy()
		}
		return crit, lost, err
	}
	if crit, lost = load(set); lost == nil {
		return crit, nil, nil
	}
	policy, hasPolicy := set.Files[tuf.Policy]
	kept := *set
	kept.Files = map[string]tuf.File{}
	if hasPolicy {
		kept.Files[tuf.Policy] = policy
		if crit, err = load(&kept); err == nil {
			return crit, lost, nil
		}
	}
	if crit, err = load(nil); err == nil && hasPolicy {
		err = crit.leastPolicy()
	}
	return crit, lost, err
}

// leastPolicy puts the policy of a device whose own cannot be read in its place: what that asked for is not
// met, and what was done for it stays as it is.
func (c *criteria) leastPolicy() (err error) {
	c.lost = true
	c.policy, err = ParsePolicy("", []byte("format: picket.policy/1\nsend: "+sendLevelOnly))
	return err
}

// updatesSource gives where updates come from; nil where nobody's are trusted. An enrolment that
// names a repository is what counts.
func updatesSource(c Config, now func() time.Time) (tuf.Source, error) {
	dir := updatesDir(c)
	pinned, err := tuf.Trust(dir)
	if err != nil {
		return nil, err
	}
	up, err := enrolledUpdates(c.StateDir)
	if err != nil {
		return nil, err
	}
	o := transport.Options{Now: now}
	switch {
	case up != nil:
		if pinned == nil || !pinned.Is(up.Updates.Root, up.Updates.URL) {
			if err := tuf.Pin(dir, up.Updates.Root, up.Updates.URL, true, now()); err != nil {
				return nil, fmt.Errorf("trusting the enrolment's updates: %w", err)
			}
		}
		if o, err = up.options(); err != nil {
			return nil, err
		}
		o.Now, o.Roots = now, x509.NewCertPool()
		text := up.Updates.Roots
		if text == "" {
			text = up.CA.Roots
		}
		o.Roots.AppendCertsFromPEM([]byte(text))
		return tuf.At(up.Updates.URL, transport.NewClient(o))
	case pinned == nil:
		return nil, nil
	case pinned.Enrolled: // the device is enrolled no more, and the organisation's word is gone with it
		return nil, tuf.Forget(dir)
	}
	return updatesAt(pinned.From, o)
}

// updatesAt is a repository that is not the enrolment's.
func updatesAt(address string, o transport.Options) (tuf.Source, error) {
	o.Roots = publicRoots()
	return tuf.At(address, transport.NewClient(o))
}

// enrolledUpdates is the upstream of the enrolment; nil where there is none that names updates.
func enrolledUpdates(dir string) (*upstream, error) {
	b, err := readPrivate(filepath.Join(dir, enrolmentName), enrolmentMax)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("reading the enrolment: %w", err)
	}
	id, err := parseEnrolment(b)
	if err != nil {
		return nil, fmt.Errorf("reading the enrolment: %w", err)
	}
	if id.Upstream.Updates == nil {
		return nil, nil
	}
	return &id.Upstream, nil
}

// fetchUpdates brings what is new. It takes effect when it is put into effect: see daemon.adopt.
func fetchUpdates(ctx context.Context, c Config, from tuf.Source, now func() time.Time) (tuf.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	client := &tuf.Client{Dir: updatesDir(c), Source: from, Now: now}
	return client.Fetch(ctx, func(s *tuf.Set) error {
		_, err := packed(func() (*criteria, error) { return loadCriteria(c, s) })
		return err
	})
}
