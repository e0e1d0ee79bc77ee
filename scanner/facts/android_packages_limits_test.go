package facts

import (
	"fmt"
	"strings"
	"testing"
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
