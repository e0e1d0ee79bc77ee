package soak

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// spoiled puts a fault into what a sink got; nil where there is no place for it.
var spoilers = map[string]struct {
	complaint string
	spoil     func(lines [][]byte) [][]byte
}{
	"an event is dropped": {"lost: ", func(lines [][]byte) [][]byte {
		for i := len(lines) - 1; i >= 0; i-- { // of the last one it is certain that it counts
			if uid := uidOf(lines[i]); storyOf(lines[i]) != "" {
				return slices.DeleteFunc(lines, func(l []byte) bool { return uidOf(l) == uid })
			}
		}
		return nil
	}},
	"an event comes under two ids": {"told twice: ", func(lines [][]byte) [][]byte {
		i := firstStory(lines)
		again := bytes.Replace(lines[i], []byte(uidOf(lines[i])), []byte("another-"+uidOf(lines[i])), 1)
		return slices.Insert(lines, i+1, again)
	}},
	"two events change places": {"out of order: ", func(lines [][]byte) [][]byte {
		// Of a subject with more than two events, one that is put between others may count as told twice.
		stories := map[string][]int{}
		for i, line := range lines {
			if subject := storyOf(line); subject != "" {
				stories[subject] = append(stories[subject], i)
			}
		}
		for i := range lines {
			if at := stories[storyOf(lines[i])]; len(at) == 2 && at[0] == i && uidOf(lines[i]) != uidOf(lines[at[1]]) {
				lines[i], lines[at[1]] = lines[at[1]], lines[i]
				return lines
			}
		}
		return nil
	}},
	"one id is used for two": {"one id for two: ", func(lines [][]byte) [][]byte {
		i := firstStory(lines)
		return append(lines, bytes.Replace(lines[i], []byte("class_name"), []byte("class_nome"), 1))
	}},
	"something is told that never was": {"told for nothing: ", func(lines [][]byte) [][]byte {
		return append(lines, []byte(`{"class_name":"Application Lifecycle","activity_name":"Install","metadata":{"uid":"x"},"app":{"name":"soak-999999","version":"1"}}`))
	}},
	"a line is cut": {"no event: ", func(lines [][]byte) [][]byte {
		return append(lines, lines[0][:len(lines[0])/2])
	}},
}

func uidOf(line []byte) string {
	var e sunk
	if json.Unmarshal(line, &e) != nil {
		return ""
	}
	return e.Metadata.UID
}

// storyOf gives the subject whose story a line is part of.
func storyOf(line []byte) string {
	var e sunk
	if json.Unmarshal(line, &e) != nil || len(e.Unmapped.Snapshot) > 0 {
		return ""
	}
	told := map[string][]change{}
	new(verdict).story(told, &e)
	for subject := range told {
		return subject
	}
	return ""
}

func firstStory(lines [][]byte) int {
	return slices.IndexFunc(lines, func(l []byte) bool { return storyOf(l) != "" })
}

// findsFaults puts faults into a run that was right, and shows that the checker finds each.
func findsFaults(t *testing.T, log []did, lines [][]byte) {
	t.Helper()
	for fault, f := range spoilers {
		spoiled := f.spoil(slices.Clone(lines))
		if spoiled == nil {
			t.Errorf("%s: too little happened to put this in", fault)
			continue
		}
		wrong := check(log, spoiled, true).Wrong
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.HasPrefix(w, f.complaint) }) {
			t.Errorf("%s: the checker does not find it: %q", fault, wrong)
		}
	}
}

// TestCheckerFindsFaults checks a run written by hand, right and with each fault.
func TestCheckerFindsFaults(t *testing.T) {
	t.Parallel()
	log := []did{
		{done, "package soak-1", "1"}, {kept, "package soak-1", "1"}, {done, "package soak-1", "2"}, {done, "package soak-1", "3"}, {kept, "package soak-1", "3"},
		{done, "plant unit-1", "there"}, {kept, "plant unit-1", "there"}, {done, "plant unit-1", ""},
		{done, "plant cron-1", "there"}, {done, "plant cron-1", ""}, // gone before anybody looked
		{done, "package soak-1", ""},
	}
	pkg := func(uid, activity, before, after string) []byte {
		return fmt.Appendf(nil, `{"class_name":"Application Lifecycle","activity_name":%q,"metadata":{"uid":%q},"app":{"name":"soak-1","version":%q},"unmapped":{"prev_version":%q}}`, activity, uid, after, before)
	}
	plant := func(uid, activity string) []byte {
		return fmt.Appendf(nil, `{"class_name":"Detection Finding","activity_name":%q,"metadata":{"uid":%q},"resources":[{"name":"/etc/systemd/system/unit-1.service"}]}`, activity, uid)
	}
	lines := [][]byte{pkg("uid-a", "Install", "", "1"), plant("uid-b", "Create"), pkg("uid-c", "Update", "1", "3"), pkg("uid-c", "Update", "1", "3"), plant("uid-d", "Close"), pkg("uid-e", "Remove", "", "3")}
	v := check(log, lines, true)
	if len(v.Wrong) > 0 || v.Events != 6 || v.Distinct != 5 || v.Again != 1 || v.Subjects != 2 || v.Told != 5 {
		t.Errorf("of a run that is right: %+v", v)
	}
	findsFaults(t, log, lines)
}
