package parse

import (
	"reflect"
	"testing"
)

const notificationDump = `Current Notification Manager state:
  Notification List:
    NotificationRecord(0x1: pkg=org.example.chat user=UserHandle{0}: tickerText=Notification listeners: private words)

  Notification listeners:
    Allowed notification listeners:
      org.example.a/.Listener:org.example.b/org.example.b.L (user: 0 isPrimary: true)
      com.example.work/.W (user: 10 isPrimary: true)
       approvedPackages: x
    All notification listeners (1) enabled for current profiles:
      ComponentInfo{org.example.a/org.example.a.Listener}
    Live notification listeners (2):
      ComponentInfo{org.example.a/org.example.a.Listener} (user 0): android.service.notification.INotificationListener$Stub$Proxy@1
      ComponentInfo{com.android.systemui/com.android.systemui.L} (user -1): android.service.X@2 SYSTEM
    Snoozed notification listeners (1):
      ComponentInfo{org.example.s/org.example.s.L}
    mListenerHints: 0

  Notification assistant services:
    Allowed notification assistants:
      android.ext.services/.Assistant (user: 0 isPrimary: true)

  Zen Mode:
    org.example.zen/.Not
`

func TestNotificationReaders(t *testing.T) {
	t.Parallel()
	got, err := NotificationReaders([]byte(notificationDump))
	want := NotificationAccess{
		Listeners: []NotificationReader{
			{Component: "org.example.a/org.example.a.Listener", Allowed: true, Live: true, Line: 7},
			{Component: "org.example.b/org.example.b.L", Allowed: true, Line: 7},
			{Component: "com.example.work/com.example.work.W", User: 10, Allowed: true, Line: 8},
			{Component: "com.android.systemui/com.android.systemui.L", User: -1, Live: true, Line: 14},
		},
		Assistants: []NotificationReader{{Component: "android.ext.services/android.ext.services.Assistant", Allowed: true, Line: 21}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := NotificationReaders([]byte("Current Notification Manager state:\n  Notification List:\n")); err == nil {
		t.Error("a dump without the listeners' part passed for one with none")
	}
}

func FuzzNotificationReaders(f *testing.F) {
	f.Add([]byte(notificationDump))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, _ := NotificationReaders(b)
		for _, r := range append(a.Listeners, a.Assistants...) {
			if again, ok := flatComponent(r.Component); !ok || again != r.Component || !r.Live && !r.Allowed {
				t.Errorf("%+v", r)
			}
		}
	})
}
