package parse

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// sharedAPKs are the APKs that PICKET_SHARED_DATA has.
func sharedAPKs(t *testing.T) []string {
	t.Helper()
	root := os.Getenv("PICKET_SHARED_DATA")
	if root == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of data")
	}
	var paths []string
	err := filepath.WalkDir(filepath.Join(root, "android", "apks"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".apk") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatalf("no APKs: %v", err)
	}
	return paths
}

func openAPKFile(t *testing.T, path string) *APK {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	a, err := OpenAPK(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSignaturesEqualApksigner compares the verdict at single API levels, and the signers.
func TestSignaturesEqualApksigner(t *testing.T) {
	t.Parallel()
	paths := sharedAPKs(t)
	if _, err := exec.LookPath("apksigner"); err != nil {
		t.Skip(err)
	}
	digest := regexp.MustCompile(`(?m)^Signer #\d+ certificate SHA-256 digest: ([0-9a-f]{64})$`)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a := openAPKFile(t, path)
			if !a.Has("AndroidManifest.xml") {
				t.Skip("apksigner refuses APKs without a manifest")
			}
			s := a.Verify(context.Background(), APKVerifyOptions{})
			levels := []int{24, 28}
			if s.Scheme("v3.1") == nil { // newer than the apksigner of these tests
				levels = append(levels, 34)
			}
			for _, sdk := range levels {
				out, err := exec.Command("apksigner", "verify", "--verbose", "--print-certs",
					"--min-sdk-version", strconv.Itoa(sdk), "--max-sdk-version", strconv.Itoa(sdk), path).CombinedOutput()
				var want, got []string
				for _, m := range digest.FindAllStringSubmatch(string(out), -1) {
					want = append(want, m[1])
				}
				state, signers, reason := s.At(sdk)
				for _, signer := range signers {
					got = append(got, signer.Certificates[0].SHA256)
				}
				t.Logf("API level %d: %-8s apksigner: %v; signers %d, apksigner: %d %s", sdk, state, err == nil, len(got), len(want), reason)
				if (err == nil) != (state == SignatureVerified) {
					t.Errorf("API level %d: %s, %q; apksigner says\n%s", sdk, state, reason, out)
				}
				if err == nil && !slices.Equal(got, want) {
					t.Errorf("API level %d: signers %q, apksigner has %q", sdk, got, want)
				}
			}
		})
	}
}

// TestManifestsEqualAapt compares what aapt tells of a package.
func TestManifestsEqualAapt(t *testing.T) {
	t.Parallel()
	paths := sharedAPKs(t)
	if _, err := exec.LookPath("aapt"); err != nil {
		t.Skip(err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a := openAPKFile(t, path)
			out, _ := exec.Command("aapt", "dump", "badging", path).Output() // it fails over a missing label too
			m, err := a.Manifest()
			if err != nil {
				if len(out) > 0 {
					t.Errorf("%v; aapt says\n%s", err, out)
				}
				return
			}
			got, want := badging(m), []string{}
			for line := range strings.Lines(string(out)) {
				if line = aaptLine(strings.TrimSpace(line)); line != "" && !slices.Contains(want, line) {
					want = append(want, line)
				}
			}
			// aapt adds permissions that Android grants along with others, or for old target levels.
			for _, implied := range regexp.MustCompile(`(?m)^uses-implied-permission: name='(.*?)'`).FindAllStringSubmatch(string(out), -1) {
				want = slices.DeleteFunc(want, func(s string) bool { return s == "uses-permission "+implied[1] })
			}
			// It does not read resources whose two headers disagree, as Android does not.
			if strings.Contains(strings.Join(a.Problems(), "\n"), "resources.arsc") {
				unlike := func(s string) bool { return strings.HasPrefix(s, "application-label") || s == "launchable-activity" }
				got, want = slices.DeleteFunc(got, unlike), slices.DeleteFunc(want, unlike)
			}
			slices.Sort(got)
			slices.Sort(want)
			t.Logf("%q", got)
			if !slices.Equal(slices.Compact(got), want) {
				t.Errorf("got  %q\naapt %q", got, want)
			}
		})
	}
}

// aaptLine keeps what is compared of a line.
func aaptLine(line string) string {
	cut := func(pattern string) string {
		return strings.Join(regexp.MustCompile(pattern).FindStringSubmatch(line)[1:], " ")
	}
	switch key, _, _ := strings.Cut(line, ":"); key {
	case "package":
		return "package " + cut(`name='(.*?)' versionCode='(.*?)' versionName='(.*?)'`)
	case "sdkVersion", "targetSdkVersion", "application-label":
		return key + " " + cut(`:'(.*)'`)
	case "uses-permission":
		return key + " " + cut(`name='(.*?)'`)
	case "launchable-activity":
		return key
	case "application-debuggable":
		return key
	}
	return ""
}

func badging(m *AndroidManifest) []string {
	out := []string{fmt.Sprintf("package %s %d %s", m.Package, m.VersionCode, m.VersionName)}
	if m.MinSDK != 0 {
		out = append(out, fmt.Sprintf("sdkVersion %d", m.MinSDK))
	}
	if m.TargetSDK != 0 {
		out = append(out, fmt.Sprintf("targetSdkVersion %d", m.TargetSDK))
	}
	if m.Label != "" {
		out = append(out, "application-label "+m.Label)
	}
	for _, p := range m.UsesPermissions {
		out = append(out, "uses-permission "+p.Name)
	}
	if m.Launcher() {
		out = append(out, "launchable-activity")
	}
	if m.Debuggable == FlagTrue {
		out = append(out, "application-debuggable")
	}
	return out
}
