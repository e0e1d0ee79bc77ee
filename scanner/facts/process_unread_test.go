package facts

import (
	"slices"
	"testing"
)

// Why something could not be read is told as it was: root, too, may not read all.
func TestUnreadOf(t *testing.T) {
	t.Parallel()
	procs := make([]Process, 3)
	if got := unreadOf(procs, "maps", "memory maps"); got != nil {
		t.Errorf("%q", got)
	}
	procs[1].MarkUnread("maps", "process 7 has privileges that this scan lacks")
	if got := unreadOf(procs, "maps", "memory maps"); !slices.Equal(got, []string{"memory maps could not be read: process 7 has privileges that this scan lacks"}) {
		t.Errorf("%q", got)
	}
	procs[2].MarkUnread("maps", "process 9 belongs to another user (run as root)")
	if got := unreadOf(procs, "maps", "memory maps"); !slices.Equal(got, []string{"memory maps could not be read: process 7 has privileges that this scan lacks; and those of 1 more"}) {
		t.Errorf("%q", got)
	}
}
