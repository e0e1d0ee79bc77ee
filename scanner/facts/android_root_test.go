package facts

import "testing"

// An engineering build comes with a su of its own: that it is there, or runs, is no sign.
func TestSuOfAnEngineeringBuildWeighsLittle(t *testing.T) {
	signs := []RootSign{
		{Kind: "file", Name: "/system/xbin/su", Class: "root", Weight: 60},
		{Kind: "process", Name: "su", Class: "root", Weight: 60},
		{Kind: "file", Name: "/system/xbin/daemonsu", Tool: "SuperSU", Class: "root", Weight: 90},
	}
	for build, want := range map[string][]int{"userdebug": {10, 10, 90}, "eng": {10, 10, 90}, "user": {60, 60, 90}} {
		l := &rootLook{seen: map[string]bool{}, build: build}
		for _, s := range signs {
			l.add(s)
		}
		for i, w := range want {
			if l.rows[i].Weight != w {
				t.Errorf("%s build: %s %s weighs %d, want %d", build, l.rows[i].Kind, l.rows[i].Name, l.rows[i].Weight, w)
			}
		}
	}
}
