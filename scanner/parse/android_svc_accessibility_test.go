package parse

import (
	"reflect"
	"strings"
	"testing"
)

const (
	accessibility9 = `ACCESSIBILITY MANAGER (dumpsys accessibility)

User state[attributes:{id=0, currentUser=true, touchExplorationEnabled=false}
           services:{Service[label=Screen Help, feedbackType[FEEDBACK_SPOKEN], capabilities=9, eventTypes=TYPES_ALL_MASK, notificationTimeout=0],
                     Service[label=Other, feedbackType[FEEDBACK_GENERIC], canRetrieveScreenContent=true, eventTypes=null]}]
`
	accessibility14 = `ACCESSIBILITY MANAGER (dumpsys accessibility)

currentUserId=10
User state[
     attributes:{id=0, touchExplorationEnabled=false, installedServiceCount=3}
     shortcut key:{}
     button:{}
     Bound services:{Service[label=Keys, feedbackType[FEEDBACK_GENERIC], capabilities=33, eventTypes=TYPE_VIEW_CLICKED, notificationTimeout=100, requestA11yBtn=false]}
     Enabled services:{{org.example.keys/.KeyService}, {org.example.other/org.example.other.a.B}}
     Binding services:{}
     Crashed services:{{org.example.other/org.example.other.a.B}}
     Client list info:{
         Client{pid=1}
     }
]
User state[
     attributes:{id=10, touchExplorationEnabled=false}
     installed services: {
       0 : com.example.work/.Reader
       1 : com.example.work/.Writer
     }
     Bound services:{}
     Enabled services:{}
`
)

func TestAccessibility(t *testing.T) {
	t.Parallel()
	got, err := Accessibility([]byte(accessibility9))
	want := []AccessibilityUser{{User: 0, Line: 3, Bound: []BoundService{
		{Label: "Screen Help", Capabilities: 9, ReadsWindows: true, FiltersKeys: true},
		{Label: "Other", Capabilities: -1, ReadsWindows: true},
	}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	got, err = Accessibility([]byte(accessibility14))
	want = []AccessibilityUser{
		{User: 0, Line: 5, Bound: []BoundService{{Label: "Keys", Capabilities: 33, ReadsWindows: true, Gestures: true}},
			Enabled: []string{"org.example.keys/org.example.keys.KeyService", "org.example.other/org.example.other.a.B"},
			Crashed: []string{"org.example.other/org.example.other.a.B"}},
		{User: 10, Line: 17, Installed: []string{"com.example.work/com.example.work.Reader", "com.example.work/com.example.work.Writer"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	// Cut within a list: what was there counts.
	cut, err := Accessibility([]byte(accessibility14[:strings.Index(accessibility14, ", {org.example.other")]))
	if err != nil || len(cut) != 1 || len(cut[0].Enabled) != 1 {
		t.Errorf("%+v %v", cut, err)
	}
	if _, err := Accessibility([]byte("something\n")); err == nil {
		t.Error("another text was read")
	}
}

func FuzzAccessibility(f *testing.F) {
	f.Add([]byte(accessibility9))
	f.Add([]byte(accessibility14))
	f.Add([]byte("User state[attributes:{id=0}\nEnabled services:{{./.}, {a.b/.}}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		users, _ := Accessibility(b)
		for _, u := range users {
			for _, list := range [][]string{u.Installed, u.Enabled, u.Binding, u.Crashed} {
				for _, c := range list {
					if again, ok := flatComponent(c); !ok || again != c {
						t.Errorf("%q", c)
					}
				}
			}
		}
	})
}
