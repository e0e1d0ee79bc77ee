package parse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// The two files in testdata were written with GLib's own GVariant serialiser.
func deploySample(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestFlatpakDeploy(t *testing.T) {
	t.Parallel()
	commit := strings.Repeat("0123456789abcdef", 4)
	for name, want := range map[string]FlatpakDeploy{
		"flatpak-deploy": {Origin: "flathub", Commit: commit, InstalledSize: 123456789, AppName: "Beispiel-Editor",
			AppSummary: "Edit examples", AppVersion: "1.2.3"},
		"flatpak-deploy-runtime": {Origin: "flathub", Commit: commit, InstalledSize: 4096},
	} {
		got, err := ParseFlatpakDeploy(deploySample(t, name))
		if err != nil || got != want {
			t.Errorf("%s: got  %+v, %v\nwant %+v", name, got, err, want)
		}
	}
}

func TestFlatpakDeployDamage(t *testing.T) {
	t.Parallel()
	whole := deploySample(t, "flatpak-deploy-runtime")
	huge := slices.Clone(whole)
	binary.BigEndian.PutUint64(huge[len(huge)-8-3:], 1<<63) // the size stands before the three offsets
	for name, b := range map[string][]byte{"empty": nil, "cut": whole[:len(whole)/2], "size": huge, "ones": []byte(strings.Repeat("\xff", 40))} {
		_, err := ParseFlatpakDeploy(b)
		var pe *Error
		if !errors.As(err, &pe) {
			t.Errorf("%s: error %v names no offset", name, err)
		}
	}
}

func FuzzFlatpakDeploy(f *testing.F) {
	f.Add(deploySample(f, "flatpak-deploy"))
	f.Add(deploySample(f, "flatpak-deploy-runtime"))
	f.Add([]byte("o\x00c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x04\x04\x02"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseFlatpakDeploy(b)
		if err == nil && (d.InstalledSize < 0 || len(d.Origin)+len(d.Commit) > 3*len(b)) {
			t.Fatalf("%+v of %d bytes", d, len(b))
		}
	})
}

func TestKeyfile(t *testing.T) {
	t.Parallel()
	var c Complaints
	var got []string
	Keyfile([]byte("# comment\nkey=outside\n[core]\nrepo_version = 1\n\n[remote \"flathub\"]\nurl=https://example.org/?a=b\nrubbish\n[open\n"), &c,
		func(group, key, value []byte) { got = append(got, fmt.Sprintf("%s %s %s", group, key, value)) })
	want := []string{"core repo_version 1", `remote "flathub" url https://example.org/?a=b`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(c.List) != 3 || c.List[0].Line != 2 || c.List[1].Line != 8 || c.List[2].Line != 9 {
		t.Errorf("complaints %v, want lines 2, 8 and 9", c.List)
	}
}

func FuzzKeyfile(f *testing.F) {
	f.Add([]byte("[Application]\nname=org.example.App\nruntime=org.example.Platform/x86_64/1\n"))
	f.Add([]byte("[\n]\n[]\n=\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		Keyfile(b, &Complaints{}, func(group, key, value []byte) {
			if group == nil || slices.Contains(key, '=') || slices.Contains(value, '\n') {
				t.Fatalf("%q %q %q", group, key, value)
			}
		})
	})
}
