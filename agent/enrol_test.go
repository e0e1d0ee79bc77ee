package agent

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"picket/transport/keys"
	"picket/transport/stepca/fakeca"
)

// setClock is a wall clock that the test sets.
type setClock struct{ at atomic.Int64 }

func newSetClock() *setClock {
	c := &setClock{}
	c.at.Store(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *setClock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *setClock) advance(d time.Duration) { c.at.Add(int64(d)) }

const (
	testDevice  = "3f9ac01b7d5e4f60a1b2c3d4e5f60718"
	testAccount = "alice@example.org"
)

func memberNames() []string { return []string{testAccount} }

// orderOf is an order that is right.
func orderOf(ca *fakeca.CA) enrolOrder {
	return enrolOrder{token: ca.Token(testDevice, memberNames(), nil), key: "file", place: upstream{Organisation: "Example", OTLP: &otlpPlace{URL: "https://127.0.0.1:1"}}}
}

func TestEnrol(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	ca := fakeca.New(t, clock.now)
	e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: clock.now}
	if _, err := loadIdentity(e.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("before enrolling: %v", err)
	}
	id, old, err := e.enrol(t.Context(), orderOf(ca))
	if err != nil || old != nil {
		t.Fatalf("%v, before %v", err, old)
	}
	if id.Device != testDevice || id.Account != testAccount || id.leaf().Subject.CommonName != testDevice {
		t.Errorf("%+v", id.enrolment)
	}
	for _, name := range []string{enrolmentName, id.Key.File} {
		st, err := os.Stat(filepath.Join(e.dir, name))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	again, err := loadIdentity(e.dir)
	if err != nil || !again.leaf().Equal(id.leaf()) {
		t.Fatalf("read again: %v", err)
	}

	order := orderOf(ca)
	if _, _, err := e.enrol(t.Context(), order); err == nil || !strings.Contains(err.Error(), "enrolled already, as "+testDevice) {
		t.Errorf("enrolled over an enrolment: %v", err)
	}
	order.again = true
	next, old, err := e.enrol(t.Context(), order) // the token was not spent by the refusal
	if err != nil || old == nil || next.Key.File == id.Key.File {
		t.Fatalf("again: %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(e.dir, "*.key")); len(names) != 1 {
		t.Errorf("keys %v", names)
	}
	spent := order
	spent.place.CA.Roots = ""
	if _, _, err := e.enrol(t.Context(), spent); !errors.As(err, new(*enrolRefused)) || !strings.Contains(err.Error(), "the token was not taken: the CA answered 401") {
		t.Errorf("a token used twice: %v", err)
	}
	if now, err := loadIdentity(e.dir); err != nil || !now.leaf().Equal(next.leaf()) {
		t.Errorf("a failed enrolment touched the one that was there: %v", err)
	}
	if names, _ := filepath.Glob(filepath.Join(e.dir, "*.key")); len(names) != 1 {
		t.Errorf("keys after a failure %v", names)
	}
}

// TestEnrolAgain: what a new enrolment does not name is as in the one that it stands in for.
func TestEnrolAgain(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	ca, other := fakeca.New(t, clock.now), fakeca.New(t, clock.now)
	whole := upstream{Organisation: "Example", Support: "it@example.org", OTLP: &otlpPlace{URL: "https://127.0.0.1:1"}, Updates: &updates{URL: "https://127.0.0.1:2", Root: json.RawMessage("{}")},
		Resolvers: []string{"127.0.0.1"}}
	otlp := &otlpPlace{URL: "https://127.0.0.1:3"}
	with := func(do func(*upstream)) upstream { u := whole; do(&u); return u }
	for _, c := range []struct {
		name   string
		ca     *fakeca.CA
		spoil  string // what the record that is there becomes
		place  upstream
		want   upstream
		refuse string
	}{
		{"a token alone", ca, "", upstream{}, whole, ""},
		{"another place for events", ca, "", upstream{OTLP: otlp}, with(func(u *upstream) { u.OTLP = otlp }), ""},
		{"another name", ca, "", upstream{Organisation: "Other"}, with(func(u *upstream) { u.Organisation = "Other" }), ""},
		{"another CA's token alone", other, "", upstream{}, whole, "the CA is another"},
		{"another CA", other, "", upstream{OTLP: otlp}, upstream{OTLP: otlp}, ""},
		{"a token alone, over a record that is broken", ca, "{", upstream{}, whole, "cannot be read"},
		{"over a record that is broken", ca, "{", upstream{OTLP: otlp}, upstream{OTLP: otlp}, ""},
	} {
		e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: clock.now}
		first := enrolOrder{token: ca.Token(testDevice, memberNames(), nil), key: "file", place: whole}
		if _, _, err := e.enrol(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(e.dir, enrolmentName)
		if c.spoil != "" {
			if err := os.WriteFile(name, []byte(c.spoil), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := read(t, name)
		got, _, err := e.enrol(t.Context(), enrolOrder{token: c.ca.Token(testDevice, memberNames(), nil), place: c.place, again: true})
		if c.refuse != "" {
			if err == nil || !strings.Contains(err.Error(), c.refuse) || !errors.As(err, new(*enrolRefused)) || read(t, name) != before {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		c.want.CA = got.Upstream.CA
		if !reflect.DeepEqual(got.Upstream, c.want) {
			t.Errorf("%s: %+v, want %+v", c.name, got.Upstream, c.want)
		}
	}
}

// TestEnrolAgainKeepsTheKeysPlace: a key that was in hardware does not become a file without a word.
func TestEnrolAgainKeepsTheKeysPlace(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"tpm", "external"} {
		clock := newSetClock()
		ca := fakeca.New(t, clock.now)
		e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: clock.now}
		id, _, err := e.enrol(t.Context(), orderOf(ca))
		if err != nil {
			t.Fatal(err)
		}
		gone := filepath.Join(t.TempDir(), "gone")
		if id.Key = (keyRef{TPM: &keys.TPM{Device: gone}}); place == "external" {
			id.Key = keyRef{External: &keys.External{Socket: gone}}
		}
		if err := saveEnrolment(e.dir, id.enrolment); err != nil {
			t.Fatal(err)
		}
		if _, _, err := e.enrol(t.Context(), enrolOrder{token: ca.Token(testDevice, memberNames(), nil), again: true}); err == nil || !strings.Contains(err.Error(), gone) {
			t.Errorf("%s: %v", place, err)
		}
		if _, _, err := e.enrol(t.Context(), enrolOrder{token: ca.Token(testDevice, memberNames(), nil), again: true, key: "file"}); err != nil {
			t.Errorf("%s, then a file: %v", place, err)
		}
	}
}

func TestEnrolRefusals(t *testing.T) {
	t.Parallel()
	clock := newSetClock()
	ca := fakeca.New(t, clock.now)
	other := fakeca.New(t, clock.now)
	for _, c := range []struct {
		name string
		do   func(*enrolOrder)
		off  time.Duration // of the device's clock
		want string
		hint string
		no   bool // refused for good
	}{
		{"garbage", func(o *enrolOrder) { o.token = "abc" }, 0, "no JSON web token", "new token", true},
		{"wrong fingerprint", func(o *enrolOrder) {
			o.token, o.place.CA.Fingerprint = ca.Token(testDevice, memberNames(), fakeca.Claims{"sha": nil}), strings.Repeat("ab", 32)
		}, 0, "another fingerprint", "somebody stands between", true},
		{"another CA's token", func(o *enrolOrder) {
			o.token, o.place.CA.Fingerprint = other.Token(testDevice, memberNames(), nil), ca.Fingerprint
		}, 0, "the token is for a CA whose root", "which of the two", true},
		{"another CA's signature", func(o *enrolOrder) {
			o.token = other.Token(testDevice, memberNames(), fakeca.Claims{"sha": ca.Fingerprint, "aud": ca.URL + "/1.0/sign"})
		}, 0, "401", "ask for a new one", true},
		{"expired", func(o *enrolOrder) {
			o.token = ca.Token(testDevice, memberNames(), fakeca.Claims{"exp": clock.now().Add(-time.Hour).Unix()})
		}, 0, "the token ended at", "clock is wrong", true},
		{"clock behind", func(*enrolOrder) {}, -24 * time.Hour, "by this device's clock", "set this device's clock", true},
		{"clock ahead of a lasting token", func(o *enrolOrder) {
			o.token = ca.Token(testDevice, memberNames(), fakeca.Claims{"exp": clock.now().AddDate(50, 0, 0).Unix()})
		}, 10 * 365 * 24 * time.Hour, "expired", "set this device's clock", false},
		{"account as the device", func(o *enrolOrder) { o.token = ca.Token(testAccount, memberNames(), nil) }, 0, "names an account where the device should be", "new token", true},
		{"in clear", func(o *enrolOrder) { o.place.CA.URL = "http://127.0.0.1:1" }, 0, "is not https", "", false},
		{"no CA there", func(o *enrolOrder) { o.place.CA.URL = "https://127.0.0.1:1" }, 0, "connection refused", "good for another try", false},
		{"kind of key", func(o *enrolOrder) { o.key = "gold" }, 0, "is none of file, tpm", "", false},
	} {
		e := enroller{dir: filepath.Join(t.TempDir(), "state"), now: func() time.Time { return clock.now().Add(c.off) }}
		order := orderOf(ca)
		c.do(&order)
		_, _, err := e.enrol(t.Context(), order)
		if err == nil || !strings.Contains(err.Error(), c.want) || errors.As(err, new(*enrolRefused)) != c.no || !strings.Contains(fixOf(err, ""), c.hint) {
			t.Errorf("%s: %v\nhint %q", c.name, err, fixOf(err, ""))
		}
		if err != nil && strings.Contains(err.Error(), order.token) {
			t.Errorf("%s: the error holds the token", c.name)
		}
		if names, _ := filepath.Glob(filepath.Join(e.dir, "enrolment*")); len(names) > 1 || len(names) == 1 && filepath.Base(names[0]) != enrolmentLock {
			t.Errorf("%s left %v", c.name, names)
		}
	}
}
