package facts

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"picket/scanner/parse"
)

// Many apps that share a user id with many permissions hold no more together than the limit: each
// would have a list of its own of all of them.
func TestPermissionsOfManyAppsTogether(t *testing.T) {
	const apps, permissions = 400, 20_000
	var packages, shared strings.Builder
	for i := range apps {
		packages.WriteString(dumped(fmt.Sprintf("com.example.a%d", i), "userId=10100", "sharedUser=SharedUserSetting{1 com.example.all/10100}", "codePath=/data/app/x", signers(ownSigner)))
	}
	shared.WriteString("\nShared users:\n  SharedUser [com.example.all] (1):\n    userId=10100\n    install permissions:\n")
	for i := range permissions {
		fmt.Fprintf(&shared, "      p%d: granted=true\n", i)
	}
	held, unread := 0, 0
	for _, a := range appsOf(t, phone(packages.String(), shared.String())) {
		held += len(a.Granted)
		if a.Unread.Unread["granted"] != "" {
			unread++
		} else if a.Package != "android" && len(a.Granted) != permissions {
			t.Fatalf("%s holds %d permissions, and nothing says that some were left out", a.Package, len(a.Granted))
		}
	}
	if held > maxGrants || unread == 0 {
		t.Errorf("%d permissions are held; %d apps say that theirs were not read", held, unread)
	}
}

// A file of some megabytes can claim gigabytes that a v1 signature covers: what was unpacked counts,
// not the file's size, and what would be too much is not unpacked.
func TestWhatAV1SignatureHadUnpacked(t *testing.T) {
	t.Parallel()
	b := archiveOf(t, "AndroidManifest.xml", map[string][]byte{"AndroidManifest.xml": manifestOf("com.example.a"), "assets/zeros": make([]byte, 1<<20)}, "assets/zeros")
	apk, err := parse.OpenAPK(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	signed := func(name string) *parse.APKSignatures {
		return &parse.APKSignatures{Schemes: []parse.APKScheme{{Name: name, State: parse.SignatureFailed}}}
	}
	if n := unpackedV1(apk, signed("v1"), 8<<20); n < 1<<20 {
		t.Errorf("%d bytes count", n)
	}
	for _, n := range []int64{unpackedV1(apk, signed("v2"), 8<<20), unpackedV1(apk, signed("v1"), 1<<20)} {
		if n != 0 {
			t.Errorf("%d bytes count of what was not unpacked", n)
		}
	}
}
