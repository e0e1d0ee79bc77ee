package facts

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// The list is written by hand, and a line that is not read is a key that is not known.
func TestListOfBootKeys(t *testing.T) {
	seen := map[string]int{}
	systems := []string{"GrapheneOS", "DivestOS"} // as customOS names them
	for i, line := range strings.Split(bootKeysText, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.SplitN(line, " ", 3)
		if len(f) != 3 || f[2] == "" {
			t.Errorf("line %d: no system, digest and device: %q", i+1, line)
			continue
		}
		if !slices.Contains(systems, f[0]) {
			t.Errorf("line %d: %s is no name of a system", i+1, f[0])
		}
		if !isDigest(f[1], 32) {
			t.Errorf("line %d: no SHA-256 in lower-case hex: %q", i+1, f[1])
		}
		if before := seen[f[1]]; before != 0 {
			t.Errorf("line %d has the digest of line %d", i+1, before)
		}
		seen[f[1]] = i + 1
		if trustedBootKeys[f[1]] != f[0] {
			t.Errorf("line %d is not read", i+1)
		}
	}
	if len(seen) == 0 || len(seen) != len(trustedBootKeys) {
		t.Errorf("%d lines, %d keys", len(seen), len(trustedBootKeys))
	}
}

func isDigest(s string, size int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size && strings.ToLower(s) == s
}

// Every published key is there in all three forms that sources name a certificate by.
func TestListsOfSigningKeys(t *testing.T) {
	forms := map[string][]int{}
	for digest, name := range testKeys {
		if !isDigest(digest, 32) && !isDigest(digest, 20) {
			t.Errorf("%s: neither SHA-256 nor SHA-1 in lower-case hex: %q", name, digest)
		}
		forms[name] = append(forms[name], len(digest))
	}
	for short, name := range shortTestKeys {
		if n := len(short); n == 0 || n > 8 || short[0] == '0' || strings.Trim(short, "0123456789abcdef") != "" {
			t.Errorf("%s: no number as Integer.toHexString writes it: %q", name, short)
		}
		forms[name] = append(forms[name], 8)
	}
	for name, have := range forms {
		if slices.Sort(have); !slices.Equal(have, []int{8, 40, 64}) {
			t.Errorf("%s is there in forms of %v digits, want 8, 40 and 64", name, have)
		}
	}
	if len(leakedKeys) == 0 {
		t.Error("no leaked keys")
	}
	for digest, owner := range leakedKeys {
		if !isDigest(digest, 32) || owner == "" || testKeys[digest] != "" {
			t.Errorf("%q of %q is no SHA-256 in lower-case hex with an owner, or is a test key", digest, owner)
		}
	}
}

func TestKeyKinds(t *testing.T) {
	for _, c := range []struct{ sha256, sha1, subject, want string }{
		{"465983f7791f2abeb43ea2cbdc7f21a8260b72bc08a55c839fc1a43bc741a81e", "", "", "testkey"},
		{"", "27196e386b875e76adf700e7ea84e4c6eee33dfa", "", "testkey"},
		{"34df0e7a9f1cf1892e45c056b4973cd81ccf148a4050d11aea4ac5a65f900a42", "", "CN=Samsung Cert", "leaked"},
		{"", "", "CN=Android Debug,O=Android,C=US", "debug"},
		{"b4addb29", "b4addb29", "", ""}, // the short hash is no digest
		{"34df0e7a9f1cf1892e45c056b4973cd81ccf148a4050d11aea4ac5a65f900a43", "", "CN=Samsung Cert", ""},
	} {
		if got := keyKind(c.sha256, c.sha1, c.subject); got != c.want {
			t.Errorf("%q %q %q: %q, want %q", c.sha256, c.sha1, c.subject, got, c.want)
		}
	}
}

// A dump has no digests: published keys are known by the short hash, also where the system itself
// is signed with them, and only by the whole of it.
func TestTestKeysInDumps(t *testing.T) {
	t.Parallel()
	const data = "codePath=/data/app/x"
	for _, platform := range []string{platformSigner, "b4addb29"} {
		tree := strings.ReplaceAll(phone(dumped("com.x.testkey", "userId=10100", data, signers("d7f1f224"))+
			dumped("com.x.platform", "userId=10101", data, signers("b4addb29"))+
			dumped("com.x.two", "userId=10102", data, signers("0badcafe, fc01139a"))+
			dumped("com.x.near", "userId=10103", data, signers("d7f1f22"))+
			dumped("com.x.own", "userId=10104", data, signers(ownSigner))+
			dumped("com.x.old", "userId=10105", data, "signatures=PackageSignatures{9a8b [d7f1f224]}"), ""), platformSigner, platform)
		apps := appsOf(t, tree)
		for pkg, want := range map[string]string{"testkey": "testkey", "platform": "testkey", "two": "testkey", "near": "own", "own": "own", "old": ""} {
			if got := apps["com.x."+pkg].SignerKind; got != want {
				t.Errorf("platform signed by %s, com.x.%s: signer_kind %q, want %q", platform, pkg, got, want)
			}
		}
	}
}

// systemOf is the row of the table android of a device with the properties.
func systemOf(t *testing.T, properties map[string]string) AndroidSystem {
	t.Helper()
	tree := "platform: android\nrecorded-at: 2026-10-15T12:00:00Z\nlive: yes\n-- probe/getprop --\n[ro.build.version.sdk]: [36]\n[ro.build.version.release]: [16]\n"
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		tree += "[" + name + "]: [" + properties[name] + "]\n"
	}
	dev, err := device.Txtar([]byte(tree))
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(context.Background(), dev, scanner.Options{Collectors: Collectors(), Tables: []string{"android"}, Now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	rows, ok := r.Facts.Tables["android"].Rows.([]AndroidSystem)
	if !ok || len(rows) != 1 {
		t.Fatalf("no row of the system: %s", r.Facts.Tables["android"].Absent)
	}
	return rows[0]
}

func TestSystemsOfKnownBootKeys(t *testing.T) {
	t.Parallel()
	const graphene, divest = "0508de44ee00bfb49ece32c418af1896391abde0f05b64f41bc9a2dfb589445b", "4bffcd75b7b2ec127be72cb432fc24d072e0bd8ee1a7ed3a8dd6119169cae84a"
	for _, c := range []struct {
		name, state, locked, key string
		more                     map[string]string
		want                     string // the system, with "trusted" where its key makes it that
	}{
		{"by its key alone", "yellow", "1", graphene, nil, "GrapheneOS trusted"},
		{"in capitals", "yellow", "1", strings.ToUpper(graphene), nil, "GrapheneOS trusted"},
		{"a property of the system it is made from", "yellow", "1", divest, map[string]string{"ro.lineage.version": "20.0"}, "DivestOS trusted"},
		{"a key of one's own", "yellow", "1", strings.Repeat("5a", 32), map[string]string{"ro.lineage.version": "20.0"}, "LineageOS"},
		{"no key", "yellow", "1", "", map[string]string{"ro.calyxos.version": "6"}, "CalyxOS"},
		{"any system starts", "orange", "0", graphene, nil, ""},
		{"says both", "yellow", "0", graphene, nil, ""},
		{"the maker's system", "green", "1", graphene, nil, ""},
	} {
		props := map[string]string{"ro.boot.verifiedbootstate": c.state, "ro.boot.flash.locked": c.locked}
		if c.key != "" {
			props["ro.boot.vbmeta.public_key_digest"] = c.key
		}
		maps.Copy(props, c.more)
		row := systemOf(t, props)
		got := row.CustomOS
		if row.TrustedOS {
			got += " trusted"
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestEndsOfReleases(t *testing.T) {
	for release, want := range map[string]string{"4.1.2": "2015-08-01", "4.4.4": "2017-10-01", "5.0.2": "2018-03-01", "7.0": "2019-10-01", "8.1.0": "2021-10-01", "10": "2023-03-01", "12": "2025-03-01", "13": "2026-03-01"} {
		end, err := time.Parse(time.DateOnly, want)
		if err != nil {
			t.Fatal(err)
		}
		if got := androidEndDays(release, end.AddDate(0, 0, 10)); got != 10 {
			t.Errorf("Android %s, ten days after %s: %d days past", release, want, got)
		}
	}
	for release, want := range map[string]int{"14": -1, "17": -1, "18": unknownEnd} {
		if got := androidEndDays(release, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)); got != want {
			t.Errorf("Android %s: %d days, want %d", release, got, want)
		}
	}
	for _, r := range androidReleases {
		if _, err := time.Parse(time.DateOnly, r.end); err != nil && r.end != "" {
			t.Errorf("Android %s: its end %q is no date", r.release, r.end)
		}
	}
}

// Parts of a device that bear the name of a board or a sister brand are how makers build; those of
// two makers are not.
func TestPartsOfOneDevice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		build, part string
		other       bool
	}{
		{"HUAWEI/MHA-AL00/HWMHA:9/H/1:user/release-keys", "hi3660/hi3660/hi3660:9/P/2:user/release-keys", false},
		{"HUAWEI/MHA-AL00/HWMHA:9/H/1:user/release-keys", "Huawei/Chicago/Chicago_MHA-AL00:9/P/2:user/release-keys", false},
		{"POCO/vayu_global/vayu:12/S/1:user/release-keys", "Xiaomi/vayu/vayu:11/R/2:user/release-keys", false},
		{"Redmi/joyeuse_global/joyeuse:12/S/1:user/release-keys", "Redmi/curtana/curtana:10/Q/2:user/release-keys", false},
		{"realme/RMX2001/RMX2001L1:11/R/1:user/release-keys", "alps/vnd_oppo6785/oppo6785:11/R/2:user/release-keys", false},
		{"OnePlus/LE2115/OnePlus9:13/T/1:user/release-keys", "oplus/ossi/ossi:13/T/2:user/release-keys", false},
		{"acme/ACME_TAB/ACME_TAB:11/R/1:user/release-keys", "acme/full_tb8788_bsp/tb8788_bsp:11/R/1:user/release-keys", false},
		{"samsung/b0qxxx/b0q:14/U/1:user/release-keys", "samsung/qssi/qssi:14/U/1:user/release-keys", false},
		{"google/husky/husky:14/U/1:user/release-keys", "Xiaomi/haotian/haotian:14/U/1:user/release-keys", true},
		{"google/husky/husky:14/U/1:user/release-keys", "google/shiba/shiba:14/U/1:user/release-keys", true},
		{"samsung/b0qxxx/b0q:14/U/1:user/release-keys", "OnePlus/LE2115/OnePlus9:13/T/1:user/release-keys", true},
		{"google/husky/husky:14/U/1:user/release-keys", "google/sdk_gphone64/emu64xa:14/U/1:userdebug/dev-keys", false},
		{"google/husky/husky:14/U/1:user/release-keys", "", false},
	} {
		row := systemOf(t, map[string]string{"ro.build.fingerprint": c.build, "ro.vendor.build.fingerprint": c.part})
		if other := len(row.Inconsistent) > 0; other != c.other {
			t.Errorf("%s with %s: %q", c.build, c.part, row.Inconsistent)
		}
	}
}
