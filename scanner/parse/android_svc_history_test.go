package parse

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const batteryDump = `Battery History (1% used, 6628 used of 512KB):
                    0 (10) RESET:TIME: 2024-05-03-10-00-00
Daily stats:
  Current start time: 2024-05-03-03-00-00
  Next min deadline: 2024-05-04-01-00-00
    Package changes:
      Update org.example.a vers=12
      Update org.example.b vers=0
      Update org.example.new vers=3
  Daily from 2024-05-02-03-00-00 to 2024-05-03-03-00-00:
    Discharge step durations:
      #0: +1h to 90
    Package changes:
      Update org.example.a vers=20
      Uninstall org.example.c
      Update bad name vers=1
  Daily from 2024-05-01-03-00-00 to 2024-05-02-03-00-00:
    Package changes:
      Update org.example.c vers=5
      Update org.example.a vers=9

Statistics since last charge:
      Update org.example.z vers=1
`

func TestBatteryUpdates(t *testing.T) {
	t.Parallel()
	day := func(d int) time.Time { return time.Date(2024, 5, d, 3, 0, 0, 0, time.UTC) }
	got, err := BatteryUpdates([]byte(batteryDump))
	want := []PackageUpdate{
		{From: day(3), Package: "org.example.a", Version: 12, Down: true, Line: 7},
		{From: day(3), Package: "org.example.b", Removed: true, Line: 8},
		{From: day(3), Package: "org.example.new", Version: 3, Line: 9},
		{From: day(2), To: day(3), Package: "org.example.a", Version: 20, Line: 14},
		{From: day(2), To: day(3), Package: "org.example.c", Removed: true, Line: 15},
		{From: day(1), To: day(2), Package: "org.example.c", Version: 5, Line: 19},
		{From: day(1), To: day(2), Package: "org.example.a", Version: 9, Line: 20},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := BatteryUpdates([]byte("Users:\n")); err == nil {
		t.Error("another text was read")
	}
}

const dbInfo = `Applications Database Info:

** Database info for pid 2478 [org.example.chat:remote] **

Connection pool for /data/user/10/org.example.chat/databases/msgstore-491701234567.db:
  Open: true
    Connection #0:
      Most recently executed operations:
        0: [2019-08-15 15:09:07.180] prepare took 0ms - succeeded, sql="SELECT secret FROM t WHERE Connection pool for /data/data/a.b/c:"
Connection pool for /data/data/com.example.mail/databases/anna@example.org.db:
Connection pool for :memory::
** Database info for pid 9 [x] **
`

func TestDatabases(t *testing.T) {
	t.Parallel()
	got, err := Databases([]byte(dbInfo))
	want := []OpenDatabase{
		{PID: 2478, Process: "org.example.chat:remote", Package: "org.example.chat", User: 10, Path: "/data/user/10/org.example.chat/databases/*", Line: 5},
		{PID: 2478, Process: "org.example.chat:remote", Package: "com.example.mail", Path: "/data/data/com.example.mail/databases/*", Line: 10},
		{PID: 2478, Process: "org.example.chat:remote", Path: ":memory:", Line: 11},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := Databases([]byte("x\n")); err == nil {
		t.Error("another text was read")
	}
}

const usageDump = `user=0 
  Last 24 hour events (timeRange="x" )
    time="2023-08-15 12:07:35" type=ACTIVITY_RESUMED package=org.example.a class=org.example.a.SecretScreen flags=0x0 
    time="bad" type=X package=org.example.a
  In-memory daily stats
    packages
      package=org.example.a totalTime="00:00" lastTime="2023-08-15 14:35:04" appLaunchCount=3 
      package=org.example.never totalTime="00:00" lastTime="1970-01-01 01:00:00" 
  In-memory weekly stats
      package=org.example.a totalTimeUsed="02:00" lastTimeUsed="2023-08-14 14:35:04" totalTimeVisible="1" lastTimeVisible="2023-08-15 15:00:00"
user=10
      package=org.example.a totalTime="00:00" lastTime="2022-01-01 00:00:00"
`

func TestUsageStats(t *testing.T) {
	t.Parallel()
	usage, events, err := UsageStats([]byte(usageDump))
	at := func(s string) time.Time { w, _ := wallClock(s); return w }
	wantUsage := []AppUsage{{Package: "org.example.a", Last: at("2023-08-15 15:00:00"), Line: 10}, {User: 10, Package: "org.example.a", Last: at("2022-01-01 00:00:00"), Line: 12}}
	wantEvents := []UsageEvent{{Package: "org.example.a", Type: "ACTIVITY_RESUMED", Time: at("2023-08-15 12:07:35"), Line: 3}}
	if err != nil || !reflect.DeepEqual(usage, wantUsage) || !reflect.DeepEqual(events, wantEvents) {
		t.Errorf("%v\n%+v\n%+v", err, usage, events)
	}
	if _, _, err := UsageStats([]byte("x\n")); err == nil {
		t.Error("another text was read")
	}
}

// FuzzHistory also sees that no SQL and no screen's name comes through.
func FuzzHistory(f *testing.F) {
	for _, s := range []string{batteryDump, dbInfo, usageDump} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		updates, _ := BatteryUpdates(b)
		for _, u := range updates {
			if !isPackage(u.Package) || u.Version < 0 {
				t.Errorf("%+v", u)
			}
		}
		dbs, _ := Databases(b)
		for _, d := range dbs {
			if strings.Contains(d.Path, "@") || len(d.Path) > 1024 {
				t.Errorf("%+v", d)
			}
		}
		usage, events, _ := UsageStats(b)
		for _, e := range events {
			if !isPackage(e.Package) {
				t.Errorf("%+v", e)
			}
		}
		for _, u := range usage {
			if !isPackage(u.Package) {
				t.Errorf("%+v", u)
			}
		}
	})
}
