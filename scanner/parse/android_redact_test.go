package parse

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// readings are what the parsers make of a source's text.
var readings = map[string]func(b []byte) string{
	"settings/secure":      func(b []byte) string { v, err := SettingsList(b); return reading(public(v), err) },
	"dumpsys/settings":     func(b []byte) string { v, err := SettingsDump(b); return reading(public(v), err) },
	"dumpsys/notification": func(b []byte) string { v, err := NotificationReaders(b); return reading(v, err) },
	"dumpsys/activity": func(b []byte) string {
		p, err := ActivityProcesses(b)
		s, failed := ActivityServices(b)
		return reading([]any{p, s, failed != nil}, err)
	},
	"dumpsys/wifi":          func(b []byte) string { v, err := WiFiDump(b); return reading(v, err) },
	"dumpsys/connectivity":  func(b []byte) string { v, err := Connectivities(b); return reading(v, err) },
	"dumpsys/device_policy": func(b []byte) string { v, err := DevicePolicies(b); return reading(v, err) },
	"dumpsys/user":          func(b []byte) string { v, err := AndroidUsers(b); return reading(v, err) },
	"dumpsys/trust":         func(b []byte) string { v, err := TrustAgents(b); return reading(v, err) },
	"dumpsys/input_method":  func(b []byte) string { v, err := InputMethodDump(b); return reading(v, err) },
	"dumpsys/batterystats":  func(b []byte) string { v, err := BatteryUpdates(b); return reading(v, err) },
	"dumpsys/dbinfo":        func(b []byte) string { v, err := Databases(b); return reading(v, err) },
	"dumpsys/usagestats":    func(b []byte) string { v, e, err := UsageStats(b); return reading([]any{v, e}, err) },
	"dumpsys/isub":          func(b []byte) string { v, err := Subscriptions(b); return reading(v, err) },
}

func reading(v any, err error) string {
	text, _ := json.Marshal(v)
	return fmt.Sprintf("%s %v", text, err)
}

// public leaves out of settings whether a personal one was set, which redaction may change.
func public(all []AndroidSetting) []AndroidSetting {
	out := append([]AndroidSetting(nil), all...)
	for i := range out {
		if out[i].Private {
			out[i].Set = true
		}
	}
	return out
}

// same reports how the reading of a text differs once it is redacted, "" when it does not.
func same(source string, b []byte) string {
	redacted := RedactAndroid(source, b)
	if want, got := readings[source](b), readings[source](redacted); got != want {
		return fmt.Sprintf("%s:\n got %s\nwant %s\nredacted %q", source, got, want, redacted)
	}
	if ServiceCut(b) != ServiceCut(redacted) {
		return source + ": whether it was cut off is lost"
	}
	return ""
}

var redactable = map[string][]string{
	"dumpsys/activity": {"ACTIVITY MANAGER PENDING INTENTS (dumpsys activity intents)\n  dat=tel:+15550100\nACTIVITY MANAGER SERVICES (dumpsys activity services)\n  User 0 active services:\n" +
		"  * ServiceRecord{1 u0 com.example/.Listener}\n    intent={dat=https://news.example/a}\n    app=ProcessRecord{2 123:com.example/u0a1}\n    isForeground=true foregroundId=1\n    startRequested=true\n" +
		"ACTIVITY MANAGER RUNNING PROCESSES (dumpsys activity processes)\n  *APP* UID 10034 ProcessRecord{42ac59a 2203:com.example/u0a34}\n    user #0 uid=10034\n    packageList={com.example, com.other}\n   \n" +
		"    oom: curProcState=4 tel:15550100\n    foregroundServices=true\n  mHomeProcess: tel:1\n"},
	"dumpsys/notification": {notificationDump}, "dumpsys/wifi": {wifiDump11}, "dumpsys/connectivity": {connectivity9, connectivity14}, "dumpsys/device_policy": {devicePolicy13},
	"dumpsys/user": {usersDump, usersList}, "dumpsys/input_method": {inputMethodOld, inputMethodNew}, "dumpsys/batterystats": {batteryDump}, "dumpsys/dbinfo": {dbInfo},
	"settings/secure":    {"android_id=1\nrest of it\nadb_enabled=1\nbluetooth_name=x\n\nlast=a\nb\n"},
	"dumpsys/settings":   {"SECURE SETTINGS (user 0)\n_id: name:android_id", "SECURE SETTINGS (user 0)\n_id:1 name:android_id pkg:android value:1\nmore default:1 defaultSystemSet:true\n_id:2 name:a pkg:b value:c\nd\nHistorical operations\nsecret\n"},
	"dumpsys/trust":      {"Trust manager state:\n User \"A (id=7\" (id=0, flags=0x13) (current): trusted=0\n   Enabled agents:\n    a.b/.C\n     bound=1, trusted=1\n   Events:\n a.b/.D\n"},
	"dumpsys/isub":       {"SubscriptionController:\n ActiveSubInfoList:\n  {id=12345678 iccId=89490[****] isEmbedded true}\n ++++\n"},
	"dumpsys/usagestats": {"user=0\n  package=a.b lastTimeUsed=\"2024-01-01 00:00:00\"\n  time=\"2024-01-01 00:00:00\" type=ACTIVITY_RESUMED package=a.b class=x\n"},
}

func TestRedactionChangesNoReading(t *testing.T) {
	t.Parallel()
	for source, texts := range redactable {
		for _, text := range texts {
			for _, end := range []string{"", "\n--------- 0.1s was the duration of dumpsys x, ending at: 2024\n", "\n*** SERVICE 'x' DUMP TIMEOUT (1ms) EXPIRED ***\n"} {
				if wrong := same(source, []byte(text+end)); wrong != "" {
					t.Error(wrong)
				}
			}
		}
	}
}

func TestRedactionHides(t *testing.T) {
	t.Parallel()
	for source, words := range map[string][]string{"dumpsys/notification": {"private words"}, "dumpsys/wifi": {"HIDDEN: true\"", "02:00:00:00:00:09, MAC", "later"}, "dumpsys/user": {"Anna"}, "dumpsys/activity": {"tel:", "news.example"}, "dumpsys/device_policy": {"Company"}} {
		for _, text := range redactable[source] {
			for _, w := range words {
				if strings.Contains(string(RedactAndroid(source, []byte(text))), w) {
					t.Errorf("%s keeps %q", source, w)
				}
			}
		}
	}
}

func FuzzRedactAndroid(f *testing.F) {
	for source, texts := range redactable {
		for _, text := range texts {
			f.Add(source, []byte(text))
		}
	}
	f.Fuzz(func(t *testing.T, source string, b []byte) {
		if readings[source] == nil {
			return
		}
		if wrong := same(source, b); wrong != "" {
			t.Error(wrong)
		}
	})
}
