package parse

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// adbTestKey is a public key of adb's size and heading, with made-up numbers.
var adbTestKey = base64.StdEncoding.EncodeToString(append([]byte{0x40, 0, 0, 0}, []byte(strings.Repeat("picket!!", 65))...))

func adbPrint() string {
	raw, _ := base64.StdEncoding.DecodeString(adbTestKey)
	return strings.ReplaceAll(fmt.Sprintf("% X", md5.Sum(raw)), " ", ":")
}

func TestAdbDump(t *testing.T) {
	t.Parallel()
	text := `ADB MANAGER STATE (dumpsys adb):
{
  debugging_manager={
    connected_to_adb=true
    last_key_received=AA:BB
    user_keys=` + adbTestKey + ` anna@laptop
    QAAAA` + strings.Repeat("!", 80) + ` damaged@host

    keystore=<?xml version='1.0' encoding='utf-8' standalone='yes' ?>
    <keyStore version="1" /><adbKey key="` + adbTestKey + ` anna@laptop" lastConnection="1600000000123" />
    <?xml version='1.0'?><adbKey lastConnection="0" key="short" /><wifiAP bssid="02:00:00:00:00:01" />
  }
}
`
	got, err := AdbDump([]byte(text))
	if err != nil || !got.Connected || got.LastKey != "AA:BB" || len(got.Keys) != 2 || !got.KeystoreRead || got.TrustedAPs != 1 || len(got.Keystore) != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	if k := got.Keys[0]; k.MD5 != adbPrint() || k.Host != "anna@laptop" || len(k.SHA256) != 64 {
		t.Errorf("%+v", k)
	}
	if k := got.Keys[1]; k.MD5 != "" || k.Host != "damaged@host" {
		t.Errorf("%+v", k)
	}
	if k := got.Keystore[0]; k.MD5 != adbPrint() || !k.Last.Equal(time.UnixMilli(1600000000123)) {
		t.Errorf("%+v", k)
	}
}

func TestAdbDumpBinaryKeystore(t *testing.T) {
	t.Parallel()
	text := "ADB MANAGER STATE (dumpsys adb):\n{\n  debugging_manager={\n    connected_to_adb=false\n    keystore=ABX\x00\x10}\n\x03x\uFFFD\n  }\n}\n"
	got, err := AdbDump([]byte(text))
	if err != nil || string(got.KeystoreBinary) != "ABX\x00\x10}\n\x03x\uFFFD" || !got.KeystoreDamaged || got.KeystoreRead || got.Keys != nil {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAdbDumpWithoutKeys(t *testing.T) {
	t.Parallel()
	if got, err := AdbDump([]byte("ADB MANAGER STATE (dumpsys adb):\n{\n}\n")); err != nil || !reflect.DeepEqual(got, AdbState{}) {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := AdbDump([]byte("USB MANAGER STATE (dumpsys usb):\n")); err == nil {
		t.Error("a usb dump without the debugging part was read")
	}
	usb, err := AdbDump([]byte("USB MANAGER STATE (dumpsys usb):\n    debugging_manager={\n      connected_to_adb=true\n      user_keys=" + adbTestKey + " a@b\n    }\n" +
		"  host={\n    " + adbTestKey + " not@akey\n"))
	if err != nil || len(usb.Keys) != 1 {
		t.Errorf("%+v %v", usb, err)
	}
}

func TestAdbKeysFile(t *testing.T) {
	t.Parallel()
	if got := AdbKeys([]byte("# comment\n\n" + adbTestKey + " a b c\n" + adbTestKey)); len(got) != 2 || got[0].Host != "a b c" || got[1].Host != "" {
		t.Errorf("%+v", got)
	}
	if got, whole := AdbKeystore([]byte(`<adbKey key="` + adbTestKey + ` a@b" lastConnection="5"/><adbKey`)); whole || len(got) != 1 || got[0].Host != "a@b" {
		t.Errorf("%+v %v", got, whole)
	}
}

func FuzzAdb(f *testing.F) {
	f.Add([]byte("debugging_manager={\n connected_to_adb=true\n user_keys=" + adbTestKey + " a@b\n keystore=<adbKey key=\"x\"/>\n  }\n"))
	f.Add([]byte("debugging_manager={\n keystore=ABX\x00\x01\n  }\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := AdbDump(b)
		AdbKeystore(b)
		for _, k := range append(append(s.Keys, s.Keystore...), AdbKeys(b)...) {
			if (k.MD5 == "") != (k.SHA256 == "") || len(k.Host) > 200 {
				t.Errorf("%+v", k)
			}
		}
	})
}
