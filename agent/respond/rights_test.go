package respond

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// capabilitiesOf reads what a unit of systemd leaves.
func capabilitiesOf(t *testing.T, name string) (out []string) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "packaging", name))
	must(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if list, ok := strings.CutPrefix(lines.Text(), "CapabilityBoundingSet="); ok {
			for _, c := range strings.Fields(list) {
				out = append(out, "+"+strings.ToLower(strings.TrimPrefix(c, "CAP_")))
			}
		}
	}
	return out
}

// TestRightsOfTheUnit empties a user's folder with the rights that the unit has alone, which do not
// do, and with those that packaging/responses/systemd.conf adds, which do.
func TestRightsOfTheUnit(t *testing.T) {
	if dir := os.Getenv("PICKET_TEST_RIGHTS"); dir != "" {
		r, err := Empty(t.Context(), dir, nil)
		fmt.Printf("REMOVED %d LEFT %d %v %v\n", r.Files, r.Left, r.Why, err)
		return
	}
	setpriv, err := exec.LookPath("setpriv")
	if os.Geteuid() != 0 || err != nil {
		t.Skip("giving rights away needs root and setpriv")
	}
	t.Parallel()
	unit := capabilitiesOf(t, "systemd/picket.service")
	more := append(capabilitiesOf(t, "responses/systemd.conf"), unit...)
	if len(unit) == 0 || len(more) == len(unit) {
		t.Fatalf("the unit has %q, with more %q", unit, more)
	}
	for _, c := range []struct {
		has  []string
		want string
	}{{unit, "REMOVED 0 LEFT 4"}, {more, "REMOVED 2 LEFT 0 map[] <nil>"}} {
		dir := t.TempDir()
		put(t, dir, "work/private/a", "work/sticky/b")
		for _, name := range []string{"work", "work/private", "work/private/a", "work/sticky", "work/sticky/b"} {
			must(t, os.Chown(filepath.Join(dir, name), 1000, 1000))
		}
		must(t, os.Chmod(filepath.Join(dir, "work/private"), 0o700))
		must(t, os.Chmod(filepath.Join(dir, "work/sticky"), os.ModeSticky|0o755))
		must(t, os.Chmod(filepath.Join(dir, "work"), 0o700))
		cmd := exec.Command(setpriv, "--bounding-set", "-all,"+strings.Join(c.has, ","), os.Args[0], "-test.run=^TestRightsOfTheUnit$")
		cmd.Env = append(os.Environ(), "PICKET_TEST_RIGHTS="+filepath.Join(dir, "work"))
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("with %q: %v: %s", c.has, err, out)
		}
	}
}
