package parse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const snapStateSample = `{"data":{"auth":{"x":1},"snaps":{
 "hello":{"type":"app","sequence":[{"name":"hello","snap-id":"old","revision":"28"},{"name":"hello","snap-id":"ID1","revision":"29","channel":"latest/edge"}],"active":true,"current":"29","tracking-channel":"latest/stable"},
 "core":{"type":"os","sequence":[{"name":"core","snap-id":"ID2","revision":"16928","channel":"stable"}],"current":"16928"},
 "local":{"sequence":[{"name":"local","revision":"x1"}],"active":true,"current":"x1"}}},
 "changes":{"1":{"id":"1"}}}`

func TestSnapState(t *testing.T) {
	t.Parallel()
	got, err := SnapState([]byte(snapStateSample))
	want := []Snap{
		{Name: "core", Type: "os", Revision: "16928", SnapID: "ID2", Channel: "stable"},
		{Name: "hello", Type: "app", Revision: "29", SnapID: "ID1", Channel: "latest/stable", Active: true},
		{Name: "local", Revision: "x1", Active: true},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestSnapStateDamageNamesTheOffset(t *testing.T) {
	t.Parallel()
	_, err := SnapState([]byte(snapStateSample[:200]))
	if err == nil || !strings.Contains(err.Error(), "offset 200") {
		t.Errorf("cut: %v", err)
	}
	got, err := SnapState([]byte(`{"data":{"snaps":{"a":{"current":7},"b":{"current":"8"}}}}`))
	if err == nil || len(got) != 2 || got[1].Revision != "8" {
		t.Errorf("wrong type: %+v, %v", got, err)
	}
}

func TestSnapYAML(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: hello\nversion: '2.10'\nsummary: A \"test\"\narchitectures:\n- amd64\n- arm64\napps:\n  name: x\n": `hello|2.10|A "test"|amd64`,
		"name: a # comment\nversion: \"1:2\"\narchitectures: [arm64, armhf]\n":                                    "a|1:2||arm64",
		"name: a\nversion: 1.0\nsummary: |\n  two\n  lines\narchitectures:\n  - all\n":                            "a|1.0||all",
		"version: 'it''s'\n": "|it's||",
		"":                   "|||",
	} {
		y := ParseSnapYAML([]byte(text))
		if got := fmt.Sprintf("%s|%s|%s|%s", y.Name, y.Version, y.Summary, y.Arch); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestAssertionHeader(t *testing.T) {
	t.Parallel()
	b := []byte("type: snap-declaration\npublisher-id: canonical\nsign-key-sha3-384: KEY\n\npublisher-id: forged\n")
	for key, want := range map[string]string{"publisher-id": "canonical", "sign-key-sha3-384": "KEY", "snap-id": ""} {
		if got := AssertionHeader(b, key); got != want {
			t.Errorf("%s: got %q, want %q", key, got, want)
		}
	}
}

func FuzzSnap(f *testing.F) {
	f.Add([]byte(snapStateSample))
	f.Add([]byte("name: hello\nversion: '2.10'\narchitectures:\n- amd64\n"))
	f.Add([]byte("version: '\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if v := AssertionHeader(b, "name"); strings.Contains(v, "\n") {
			t.Fatalf("header %q", v)
		}
		snaps, _ := SnapState(b)
		if !slices.IsSortedFunc(snaps, func(a, b Snap) int { return strings.Compare(a.Name, b.Name) }) {
			t.Fatalf("not sorted: %+v", snaps)
		}
		if y := ParseSnapYAML(b); strings.Contains(y.Name+y.Version+y.Summary+y.Arch, "\n") {
			t.Fatalf("%+v", y)
		}
	})
}
