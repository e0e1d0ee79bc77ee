package agent

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPatchStateIsTold: with the snapshot, and again when it is another; not because days pass.
func TestPatchStateIsTold(t *testing.T) {
	t.Parallel()
	root := smallSystem(t, 2)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, root)
		_, stop := b.start(t)
		told := func() (list []string) {
			t.Helper()
			synctest.Wait()
			for _, e := range b.delivered(t) {
				if e.Class == patchClass {
					list = append(list, string(e.raw))
				}
			}
			return list
		}
		time.Sleep(time.Hour)
		if got := told(); len(got) != 1 || !strings.Contains(got[0], `"updates":[{"manager":"apt"`) || !strings.Contains(got[0], `"version":"12"`) {
			t.Fatalf("with the first snapshot: %q\n%s", got, b.log)
		}
		time.Sleep(3 * 24 * time.Hour)
		if got := told(); len(got) != 1 {
			t.Errorf("nothing has changed: %q", got[1:])
		}
		replace(t, root, "/var/run/reboot-required", "")
		time.Sleep(7 * time.Hour)
		if got := told(); len(got) != 2 || !strings.Contains(got[1], `"reboot_required":true`) {
			t.Errorf("a restart is due: %q", got)
		}
		time.Sleep(31 * 24 * time.Hour)
		if got := told(); len(got) != 3 {
			t.Errorf("%d in a month, with one whole snapshot", len(got))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
