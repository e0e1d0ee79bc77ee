package facts_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

// personalWords stand in the fixtures where Android has what is personal.
var personalWords = []string{"Anna", "rivate friend", "private words", "private ticker", "private title", "(private text)", "deadbeefprivate", "R58PRIVATE1", "privatepassphrase", "Private clinic\" P", "private home",
	"call Anna", "+49 170", "anna.private@", "private watch"}

// TestRecordingsHoldNothingPersonal records each device, and holds what the recording has against
// the words, and its tables against those of the device.
func TestRecordingsHoldNothingPersonal(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"android-powers-14", "android-powers-9", "android-powers-tree"} {
		b, err := os.ReadFile("testdata/" + name + ".txtar")
		if err != nil {
			t.Fatal(err)
		}
		open := func() scanner.Device {
			dev, err := device.Txtar(b)
			if err != nil {
				t.Fatal(err)
			}
			return dev
		}
		want := tell(t, scanPowers(t, open()))
		rec := device.NewRecorder(open(), device.RecordOptions{Redact: facts.Redact})
		if got := tell(t, scanPowers(t, rec)); got != want {
			t.Errorf("%s: the recorder gives other tables:\n%s", name, firstDifference(got, want))
		}
		file := filepath.Join(t.TempDir(), "device.tar.zst")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := rec.Write(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		replayed, err := device.Open(t.Context(), file, device.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := tell(t, scanPowers(t, replayed)); got != want {
			t.Errorf("%s: the recording gives other tables:\n%s", name, firstDifference(got, want))
		}
		var all bytes.Buffer
		for item := range rec.Items() {
			if source, ok := strings.CutPrefix(item.Name, "probe/"); ok {
				kept, _ := replayed.Probe(t.Context(), scanner.Source(source))
				all.Write(kept)
			} else if item.Kind == "content" {
				kept, _ := scanner.ReadFile(replayed.FS(), item.Name, 1<<20)
				all.Write(kept)
			}
		}
		if all.Len() < 200 {
			t.Errorf("%s: the recording holds %d bytes", name, all.Len())
		}
		for _, word := range personalWords {
			if at := bytes.Index(all.Bytes(), []byte(word)); at >= 0 {
				t.Errorf("%s: the recording holds %q: %q", name, word, all.Bytes()[max(at-60, 0):min(at+60, all.Len())])
			}
		}
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i] + "\nwant\n" + b[i]
		}
	}
	return "one has more lines"
}

func TestRedactionOfProbes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ source, in, want string }{
		{"getprop", "[ro.serialno]: [ABC\nDEF]\n[ro.build.id]: [x]\n", "[ro.serialno]: [x]\n\n[ro.build.id]: [x]\n"},
		{"settings/secure", "android_id=1\nlong value=2\nadb=1\n", "android_id=x\n\nadb=1\n"},
		{"dumpsys/user", "Users:\n  UserInfo{10:Anna} x:1030} serialNo=10 isPrimary=false\n    Account name: a@example.org\n", "Users:\n  UserInfo{10:x:1030} serialNo=10\n    Account name: x@xxxxxxx.xxx\n"},
		{"dumpsys/isub", "iccId=8949020000 number=+491700000000 id 7\n", "iccId=0000000000 number=+000000000000 id 7\n"},
		{"dumpsys/usagestats", "user=0\n  time=\"2024-01-01 00:00:00\" type=ACTIVITY_RESUMED package=a.b class=a.b.Secret instanceId=1\n  taskRootClass=x\n",
			"user=0\n  time=\"2024-01-01 00:00:00\" type=ACTIVITY_RESUMED package=a.b\n\n"},
		{"dumpsys/dbinfo", "Applications Database Info:\nConnection pool for /data/data/a.b/databases/c.db:\n  0: [2024] execute sql=\"SELECT secret\"\n", "Applications Database Info:\nConnection pool for /data/data/a.b/databases/c.db:\n\n"},
		{"dumpsys/notification", "Can't find service: notification\n", "Can't find service: notification\n"},
		{"dumpsys/package", "  originatingUri=https://example.org/private b=1\n", "  originatingUri=xxxxxxxxxxxxxxxxxxxxxxxxxxx b=1\n"},
		{"dumpsys/appops", "Uid 1\n", "Uid 1\n"},
	} {
		if got := string(facts.Redact("probe/"+tc.source, []byte(tc.in))); got != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.source, got, tc.want)
		}
	}
}

// Patterns for text find no secret in the binary form, so none of it is kept.
func TestSavedNetworksInBinaryAreNotKept(t *testing.T) {
	t.Parallel()
	const name = "/data/misc/apexdata/com.android.wifi/WifiConfigStore.xml"
	if out := facts.Redact(name, []byte("ABX\x00\x10\x32\xff\xff\x00\x0cPreSharedKey\x00\x08hunter22")); strings.Contains(string(out), "hunter22") {
		t.Errorf("%q", out)
	}
}
