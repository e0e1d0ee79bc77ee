package parse

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// One dump per form: Android 7, 8, 9, 12.
const (
	appOps7 = `Current AppOps Service state:
  Op mode watchers:
    Op COARSE_LOCATION:
      android.os.BinderProxy@1
  Uid 1000:
    Package android:
      WAKE_LOCK: mode=0; time=+12s345ms ago; duration=+2ms
      GPS: mode=0; time=+1d2h ago; running
  Uid u0a91:
      COARSE_LOCATION: mode=1
    Package org.example.maps:
      SYSTEM_ALERT_WINDOW: mode=0
      READ_CONTACTS: mode=2; rejectTime=+3m4s ago
`
	appOps9 = `Current AppOps Service state:
  Settings:
    top_state_settle_time=+30s0ms

  Uid u10a7:
    state=cch
      WRITE_SMS: mode=allow
    Package org.example.sms:
      SEND_SMS (allow):
          Access: top   = 2019-03-04 05:06:07.089 (-1h2m3s4ms)
          Access: bg    = 2019-03-04 06:06:07.000 (-2m3s4ms)
          Reject: cch   = 2019-03-01 00:00:00.001 (-3d)
          duration=+158ms
      MONITOR_LOCATION (allow / switch COARSE_LOCATION=allow):
          Running start at: +3h1m31s107ms
          startNesting=1
--------- 0.010s was the duration of dumpsys appops, ending at: 2019-08-15 15:09:10
  Uid 5:
    Package not.hidden:
      GPS (allow):
`
	appOps12 = `Current AppOps Service state:
  Uid u0a200:
    state=fgsvc
    capability=LCMN
      RECORD_AUDIO: mode=foreground
    Package org.example.recorder:
      RECORD_AUDIO (allow / switch X=ignore):
        null=[
          Access: [pers-sr] 2023-01-02 03:04:05.678 (-5s) duration=+1s500ms
          Access: [bg-tpd] 2023-01-02 03:04:00.000 (-10s678ms) proxy[uid=10055, pkg=org.example.voice, attributionTag=null]
          Reject: [bg-s]2023-01-01 00:00:00.000 (-1d3h4m5s678ms)
        ]
        tag with blank=[
          Access: [broken
          Running start at: +5s
        ]
      ESTABLISH_VPN_SERVICE (ignore):
`
)

func TestAppOps(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	at := func(s string) time.Time { w, _ := wallClock(s); return w }
	for name, c := range map[string]struct {
		text string
		want []AppOp
	}{
		"7": {appOps7, []AppOp{
			{UID: 1000, Package: "android", Op: "WAKE_LOCK", Mode: "allow", Accessed: true, AccessAgo: 12345 * time.Millisecond, Duration: 2 * time.Millisecond, Line: 7},
			{UID: 1000, Package: "android", Op: "GPS", Mode: "allow", Accessed: true, AccessAgo: 26 * time.Hour, Running: true, Line: 8},
			{UID: 10091, Op: "COARSE_LOCATION", Mode: "ignore", UIDMode: true, Line: 10},
			{UID: 10091, Package: "org.example.maps", Op: "SYSTEM_ALERT_WINDOW", Mode: "allow", Line: 12},
			{UID: 10091, Package: "org.example.maps", Op: "READ_CONTACTS", Mode: "deny", Rejected: true, RejectAgo: 184 * time.Second, Line: 13},
		}},
		"9": {appOps9, []AppOp{
			{UID: 1010007, Op: "WRITE_SMS", Mode: "allow", UIDMode: true, Line: 7},
			{UID: 1010007, Package: "org.example.sms", Op: "SEND_SMS", Mode: "allow", Accessed: true, AccessAgo: 123004 * time.Millisecond,
				LastAccess: at("2019-03-04 06:06:07.000"), Rejected: true, RejectAgo: 3 * day, LastReject: at("2019-03-01 00:00:00.001"),
				Duration: 158 * time.Millisecond, Background: true, BackAgo: 123004 * time.Millisecond, States: true, Line: 9},
			{UID: 1010007, Package: "org.example.sms", Op: "MONITOR_LOCATION", Mode: "allow", Accessed: true, Running: true, Line: 14},
			{UID: 5, Package: "not.hidden", Op: "GPS", Mode: "allow", Line: 20},
		}},
		"12": {appOps12, []AppOp{
			{UID: 10200, Op: "RECORD_AUDIO", Mode: "foreground", UIDMode: true, Line: 5},
			{UID: 10200, Package: "org.example.recorder", Op: "RECORD_AUDIO", Mode: "allow", Accessed: true, AccessAgo: 5 * time.Second,
				LastAccess: at("2023-01-02 03:04:05.678"), Rejected: true, RejectAgo: day + 3*time.Hour + 4*time.Minute + 5678*time.Millisecond,
				LastReject: at("2023-01-01 00:00:00.000"), Duration: 1500 * time.Millisecond, Running: true, Background: true, BackAgo: 10678 * time.Millisecond, States: true, Line: 7},
			{UID: 10200, Package: "org.example.recorder", Op: "ESTABLISH_VPN_SERVICE", Mode: "ignore", Line: 17},
		}},
	} {
		got, err := AppOps([]byte(c.text))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, c.want)
		}
	}
}

func TestAppOpsProxyOfTheLatestUse(t *testing.T) {
	t.Parallel()
	got, err := AppOps([]byte("Current AppOps Service state:\n  Uid 10001:\n    Package a.b:\n      CAMERA (allow):\n        null=[\n" +
		"          Access: [top-tpd] 2023-01-02 03:04:00.000 (-10s) proxy[uid=10055, pkg=org.example.voice, attributionTag=null]\n"))
	if err != nil || len(got) != 1 || got[0].Proxy != "org.example.voice" {
		t.Errorf("%+v %v", got, err)
	}
}

func TestServiceThatSaysNothing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"Can't find service: appops\n", "Permission Denial: can't dump AppOpsService from pid=1\n", "\n  java.lang.SecurityException: no\n"} {
		var refused *Error
		if _, err := AppOps([]byte(text)); !errors.As(err, &refused) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := AppOps([]byte("Users:\n  UserInfo{0:x:13}\n")); !errors.Is(err, ErrOtherFormat) {
		t.Errorf("another service: %v", err)
	}
	if got, err := AppOps([]byte("Current AppOps Service state:\n")); err != nil || len(got) != 0 {
		t.Errorf("no ops: %v %v", got, err)
	}
	if ServiceCut([]byte(appOps7)) || !ServiceCut([]byte(appOps7+"\n*** SERVICE 'appops' DUMP TIMEOUT (10000ms) EXPIRED ***\n")) {
		t.Error("cut output")
	}
}

func TestAndroidUID(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"0": 0, "1000": 1000, "u0a12": 10012, "u10a12": 1010012, "u0i5": 99005, "u0ai2": 90002, "u10s1000": 1001000,
		"u": -1, "u0": -1, "u0b1": -1, "u0a": -1, "u0a99999": -1, "-1": -1, "u99999a1": -1, "": -1} {
		got, ok := AndroidUID(s)
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %d, want %d", s, got, want)
		}
	}
}

func TestAndroidDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]time.Duration{"0": 0, "+1d2h3m4s5ms": 26*time.Hour + 3*time.Minute + 4005*time.Millisecond, "-277ms": -277 * time.Millisecond, "+3s": 3 * time.Second} {
		if got, ok := androidDuration(s); !ok || got != want {
			t.Errorf("%q: %v %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "+", "5", "5x", "h", "+99999999999999999999s", "+9999999d"} {
		if got, ok := androidDuration(s); ok {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func FuzzAppOps(f *testing.F) {
	f.Add([]byte(appOps7))
	f.Add([]byte(appOps9))
	f.Add([]byte(appOps12))
	f.Fuzz(func(t *testing.T, b []byte) {
		ops, err := AppOps(b)
		if err != nil && len(ops) > 0 {
			t.Error("rows with an error")
		}
		for _, op := range ops {
			if op.Op == "" || op.Mode == "" || op.Line < 1 || op.UID < 0 || op.Package != "" && !isPackage(op.Package) {
				t.Errorf("%+v", op)
			}
		}
		ServiceCut(b)
	})
}
