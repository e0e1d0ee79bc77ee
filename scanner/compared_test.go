package scanner

import (
	"testing"
	"time"
)

func TestComparedKnowsAFileWhileNothingOfItChanges(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	info := Info{Size: 10, Dev: 1, Ino: 2, ModTime: at.Add(-time.Hour), ChangeTime: at.Add(-time.Hour)}
	digest := []byte{1, 2, 3}
	c := NewCompared()
	if c.Has("/bin/ls", &info, digest) {
		t.Error("an empty one knows a file")
	}
	c.Add("/bin/ls", &info, digest, at)
	if !c.Has("/bin/ls", &info, digest) {
		t.Error("a file that was added is not known")
	}
	for what, change := range map[string]func(*Info){
		"size": func(i *Info) { i.Size++ }, "inode": func(i *Info) { i.Ino++ }, "device": func(i *Info) { i.Dev++ },
		"modification": func(i *Info) { i.ModTime = at }, "change": func(i *Info) { i.ChangeTime = i.ChangeTime.Add(1) },
	} {
		other := info
		change(&other)
		if c.Has("/bin/ls", &other, digest) {
			t.Errorf("a file is known although its %s is another", what)
		}
	}
	if c.Has("/bin/l", &info, digest) || c.Has("/bin/ls", &info, []byte{1, 2, 4}) {
		t.Error("a file is known by another name or digest")
	}
	fresh, unknown := info, info
	fresh.ChangeTime, unknown.ChangeTime = at.Add(-time.Second), time.Time{}
	c.Add("/fresh", &fresh, digest, at)
	c.Add("/unknown", &unknown, digest, at)
	if c.Has("/fresh", &fresh, digest) || c.Has("/unknown", &unknown, digest) {
		t.Error("a file that may have changed unnoticed is known")
	}
	var none *Compared
	none.Add("/bin/ls", &info, digest, at)
	if none.Has("/bin/ls", &info, digest) {
		t.Error("a nil one knows a file")
	}
}
