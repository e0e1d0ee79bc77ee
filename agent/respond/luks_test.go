package respond

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKeySlotsAreErased has a wipe destroy the key of a real LUKS volume, twice, as after a crash.
func TestKeySlotsAreErased(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("cryptsetup")
	if err != nil {
		t.Skip("cryptsetup is not installed")
	}
	d := newDevice(t, "format: picket.responses/1\nwipe: {folders: [/srv/x]}\n")
	image := filepath.Join(d.dir, "work.img")
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 32<<20))
	luks := func(args ...string) (string, error) {
		cmd := exec.Command(tool, append(args, image, "-")...)
		cmd.Stdin = strings.NewReader("the pass phrase")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := luks("luksFormat", "--batch-mode", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"); err != nil {
		t.Skipf("no volume can be made here: %v: %s", err, out)
	}
	if out, err := luks("open", "--test-passphrase"); err != nil {
		t.Fatalf("the volume does not open: %v: %s", err, out)
	}
	before, err := os.ReadFile(image)
	must(t, err)
	d.declare(fmt.Sprintf("format: picket.responses/1\nwipe:\n  commands: [{name: key slots, run: [%s, luksErase, --batch-mode, %s]}]\n", tool, image))
	for range 2 {
		d.s.WipeDue = true
		d.after(0)
		must(t, d.r.Approve(d.s.Now, d.id(), "anna"))
		d.after(24 * time.Hour)
		d.s.WipeDue = false
		d.after(time.Hour)
	}
	if got := d.told(); strings.Count(got, WipeDone) != 2 {
		t.Errorf("on record: %s", got)
	}
	if out, err := luks("open", "--test-passphrase"); err == nil {
		t.Errorf("the volume still opens: %s", out)
	}
	after, err := os.ReadFile(image)
	if err != nil || bytes.Equal(before, after) {
		t.Errorf("the image is as it was: %v", err)
	}
}
