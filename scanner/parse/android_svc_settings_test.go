package parse

import (
	"reflect"
	"strings"
	"testing"
)

const settingsDump = `Unknown argument: -a; use -h for help
GLOBAL SETTINGS (user 0)
version: 213
_id:98 name:adb_enabled pkg:android value:1 default:0 defaultSystemSet:true
_id:7 name:hidden_api_blacklist_exemptions pkg:com.example.a value:{null}
_id:8 name:notes pkg:null value:first line
second=line

fourth default:none here defaultSystemSet:false tag:x
_id:9 name:device_name pkg:android value:Anna's phone default:Anna's phone defaultSystemSet:true
_id:broken

SECURE SETTINGS (user 10)
_id:1 name:enabled_accessibility_services pkg:com.android.settings value:org.example/.A:org.example/.B

Historical operations
1970 update name:x value:y
`

func TestSettingsDump(t *testing.T) {
	t.Parallel()
	got, err := SettingsDump([]byte(settingsDump))
	want := []AndroidSetting{
		{Table: "global", Name: "adb_enabled", Value: "1", Set: true, Package: "android", Default: "0", Line: 4},
		{Table: "global", Name: "hidden_api_blacklist_exemptions", Value: "{null}", Package: "com.example.a", Line: 5},
		{Table: "global", Name: "notes", Value: "first line\nsecond=line\n\nfourth", Set: true, Default: "none here", Line: 6},
		{Table: "global", Name: "device_name", Set: true, Package: "android", Private: true, Line: 10},
		{Table: "secure", User: 10, Name: "enabled_accessibility_services", Value: "org.example/.A:org.example/.B", Set: true, Package: "com.android.settings", Line: 14},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := SettingsDump([]byte("adb_enabled=1\n")); err == nil {
		t.Error("a list passed for a dump")
	}
}

func TestSettingsList(t *testing.T) {
	t.Parallel()
	got, err := SettingsList([]byte("adb_enabled=1\nempty=\nlong=a\n  b\n\nc d=e\nandroid_id=0123456789abcdef\nlast=null\n"))
	want := []AndroidSetting{
		{User: -1, Name: "adb_enabled", Value: "1", Set: true, Line: 1},
		{User: -1, Name: "empty", Set: true, Line: 2},
		{User: -1, Name: "long", Value: "a\n  b\n\nc d=e", Set: true, Line: 3},
		{User: -1, Name: "android_id", Set: true, Private: true, Line: 7},
		{User: -1, Name: "last", Value: "null", Line: 8},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := SettingsList([]byte("/system/bin/sh: settings: not found\n")); err == nil {
		t.Error("a failed command passed for settings")
	}
	long, _ := SettingsList([]byte("k=" + strings.Repeat("x\n", maxSettingValue)))
	if len(long) != 1 || len(long[0].Value) > maxSettingValue+1 {
		t.Error("a value is not bounded")
	}
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(settingsDump))
	f.Add([]byte("a=1\nb=2\n3\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		dump, _ := SettingsDump(b)
		list, _ := SettingsList(b)
		for _, s := range append(dump, list...) {
			if s.Name == "" || len(s.Value) > maxSettingValue || s.Private && s.Value+s.Default != "" {
				t.Errorf("%+v", s)
			}
		}
	})
}
