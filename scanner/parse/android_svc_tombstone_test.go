package parse

import (
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"
)

const tombstoneText = `*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***
Build fingerprint: 'example/phone/phone:13/TQ1A.1/1:user/release-keys'
Revision: '0'
ABI: 'arm64'
Timestamp: 2023-02-03 04:05:06.123456789+0200
Process uptime: 5s
Cmdline: /vendor/bin/mediad --token=abcdefgh1234567890
pid: 812, tid: 815, name: codec thread  >>> /vendor/bin/mediad <<<
uid: 1046
signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x00000000deadbee0
Cause: null pointer dereference
Abort message: 'it broke'
    x0  0000000000000000  x1  0000000000000001
backtrace:
      #00 pc 000000000004e0a8  /apex/com.android.runtime/lib64/bionic/libc.so (abort+168) (BuildId: 0123456789abcdef)
      #01 pc 0000000000001234  /data/local/tmp/x.so (deleted)
      #02 pc 0000000000000010  /data/app/~~a==/b/base.apk (offset 0x1000) (native::run(int, char*)+16)

memory near x0:
    0000000000000000 secret secret
--- --- --- --- --- --- --- --- --- --- --- --- --- --- --- ---
pid: 812, tid: 816, name: other  >>> /vendor/bin/mediad <<<
      #00 pc 1  /other.so
*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***
Build fingerprint: 'old'
pid: 5, tid: 5, name: surfaceflinger  >>> /system/bin/surfaceflinger <<<
signal 6 (SIGABRT), code -6 (SI_TKILL from pid 77, uid 10044), fault addr --------
backtrace:
    #00  pc 0001b2c4  /system/lib/libc.so (tgkill+12)
stack:
         bee00000  00000000
*** *** *** *** *** *** *** *** *** *** *** *** *** *** *** ***
cut here
`

func TestTombstones(t *testing.T) {
	t.Parallel()
	got, err := Tombstones([]byte(tombstoneText))
	want := []Tombstone{
		{Time: time.Date(2023, 2, 3, 2, 5, 6, 123456789, time.UTC), Build: "example/phone/phone:13/TQ1A.1/1:user/release-keys", ABI: "arm64", PID: 812, TID: 815, UID: 1046,
			Thread: "codec thread", Process: "/vendor/bin/mediad", Cmdline: RedactArgs([]string{"/vendor/bin/mediad", "--token=abcdefgh1234567890"}), Signal: 11, SignalName: "SIGSEGV", Code: 1, CodeName: "SEGV_MAPERR",
			HasFault: true, FaultAddr: 0xdeadbee0, SenderUID: -1, Abort: "it broke", Causes: []string{"null pointer dereference"}, Backtrace: []CrashFrame{
				{PC: 0x4e0a8, File: "/apex/com.android.runtime/lib64/bionic/libc.so", Function: "abort", Offset: 168, BuildID: "0123456789abcdef"},
				{PC: 0x1234, File: "/data/local/tmp/x.so"},
				{PC: 0x10, File: "/data/app/~~a==/b/base.apk", Function: "native::run(int, char*)", Offset: 16},
			}},
		{Build: "old", PID: 5, TID: 5, UID: -1, Thread: "surfaceflinger", Process: "/system/bin/surfaceflinger", Cmdline: []string{"/system/bin/surfaceflinger"},
			Signal: 6, SignalName: "SIGABRT", Code: -6, CodeName: "SI_TKILL", SenderUID: 10044, Backtrace: []CrashFrame{{PC: 0x1b2c4, File: "/system/lib/libc.so", Function: "tgkill", Offset: 12}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	if _, err := Tombstones([]byte("nothing\n")); !errors.Is(err, ErrOtherFormat) {
		t.Error(err)
	}
}

// pbNum and pbBytes write one protobuf field.
func pbNum(field int, n uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3), n)
}

func pbBytes(field int, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	return append(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(field)<<3|2), uint64(len(body))), body...)
}

func pbText(field int, s string) []byte { return pbBytes(field, []byte(s)) }

// tombstoneMessage is the first tombstone of the text form, as debuggerd encodes it.
func tombstoneMessage() []byte {
	frame := func(pc uint64, file, function string, offset uint64, id string) []byte {
		return pbBytes(4, pbNum(1, pc), pbNum(2, 0x7000000000+pc), pbText(4, function), pbNum(5, offset), pbText(6, file), pbText(8, id))
	}
	var b []byte
	for _, part := range [][]byte{
		pbNum(1, 1), pbText(2, "example/phone/phone:13/TQ1A.1/1:user/release-keys"), pbText(4, "2023-02-03 04:05:06.123456789+0200"),
		pbNum(5, 812), pbNum(6, 815), pbNum(7, 1046), pbText(8, "u:r:mediad:s0"), pbText(9, "/vendor/bin/mediad"), pbText(9, "--token=abcdefgh1234567890"),
		pbBytes(10, pbNum(1, 11), pbText(2, "SIGSEGV"), pbNum(3, 1), pbText(4, "SEGV_MAPERR"), pbNum(8, 1), pbNum(9, 0xdeadbee0)),
		pbText(14, "it broke"), pbBytes(15, pbText(1, "null pointer dereference")),
		pbBytes(16, pbNum(1, 816), pbBytes(2, pbNum(1, 816), pbText(2, "other"), frame(1, "/other.so", "", 0, ""))),
		pbBytes(16, pbNum(1, 815), pbBytes(2, pbNum(1, 815), pbText(2, "codec thread"),
			frame(0x4e0a8, "/apex/com.android.runtime/lib64/bionic/libc.so", "abort", 168, "0123456789abcdef"),
			frame(0x1234, "/data/local/tmp/x.so", "", 0, ""),
			frame(0x10, "/data/app/~~a==/b/base.apk", "native::run(int, char*)", 16, ""))),
		{21<<3&0x7f | 0x80 | 5, 1, 1, 2, 3, 4}, // a 32-bit field 21, as a later release may add
	} {
		b = append(b, part...)
	}
	return b
}

func TestTombstoneProtoIsTheTextForm(t *testing.T) {
	t.Parallel()
	got, err := TombstoneProto(tombstoneMessage())
	if err != nil {
		t.Fatal(err)
	}
	want, err := Tombstones([]byte(tombstoneText))
	if err != nil {
		t.Fatal(err)
	}
	if got.Label != "u:r:mediad:s0" {
		t.Errorf("label %q", got.Label)
	}
	got.Label = ""
	if !reflect.DeepEqual(got, want[0]) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want[0])
	}
}

func TestTombstoneProtoDamaged(t *testing.T) {
	t.Parallel()
	whole := tombstoneMessage()
	for _, n := range []int{0, 1, 3, 60, len(whole) - 1} {
		if _, err := TombstoneProto(whole[:n]); err == nil {
			t.Errorf("cut at %d: no error", n)
		}
	}
	for _, b := range [][]byte{{0xff}, {0x0b}, {0x00, 1}, {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}} {
		if _, err := TombstoneProto(b); err == nil {
			t.Errorf("%x: no error", b)
		}
	}
}

func FuzzTombstones(f *testing.F) {
	f.Add([]byte(tombstoneText))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, _ := Tombstones(b)
		for _, c := range all {
			if c.PID <= 0 || len(c.Backtrace) > maxFrames || len(c.Abort) > maxAbort {
				t.Errorf("%+v", c)
			}
		}
	})
}

func FuzzTombstoneProto(f *testing.F) {
	f.Add(tombstoneMessage())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := TombstoneProto(b)
		if err == nil && (c.PID <= 0 || len(c.Backtrace) > maxFrames || len(c.Cmdline) > 32) {
			t.Errorf("%+v", c)
		}
	})
}
