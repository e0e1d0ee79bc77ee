package parse

import (
	"encoding/binary"
	"errors"
	"strings"
)

// maxTombstoneProto bounds a tombstone in protobuf form; debuggerd's are below 1 MiB.
const maxTombstoneProto = 16 << 20

// TombstoneProto reads a tombstone in protobuf form (/data/tombstones/tombstone_00.pb, Android
// 12 on). The message is Tombstone of system/core/debuggerd/proto/tombstone.proto.
func TombstoneProto(b []byte) (Tombstone, error) {
	t := Tombstone{UID: -1, SenderUID: -1}
	if len(b) > maxTombstoneProto {
		return t, &Error{Offset: maxTombstoneProto, Msg: "too large for a tombstone"}
	}
	var arch uint64
	threads := map[uint64][]byte{}
	err := protoFields(b, func(field int, n uint64, body []byte) error {
		switch field {
		case 1:
			arch = n
		case 2:
			t.Build = clip(protoText(body), 300)
		case 4:
			t.Time = crashTime(string(body))
		case 5:
			t.PID = int(int32(n))
		case 6:
			t.TID = int(int32(n))
		case 7:
			t.UID = int(n & 0x7fffffff)
		case 8:
			t.Label = clip(strings.TrimRight(protoText(body), "\x00"), 200)
		case 9:
			if len(t.Cmdline) < 32 {
				t.Cmdline = append(t.Cmdline, protoText(body))
			}
		case 10:
			return t.signalProto(body)
		case 14:
			t.Abort = clip(protoText(body), maxAbort)
		case 15:
			return t.cause(body)
		case 16:
			if len(threads) < 4096 {
				return threadEntry(threads, body)
			}
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	if t.PID <= 0 {
		return t, &Error{Offset: 0, Msg: "no process in it: not a tombstone"}
	}
	names := []string{"arm", "arm64", "x86", "x86_64", "riscv64"}
	if arch < uint64(len(names)) {
		t.ABI = names[arch]
	}
	if t.UID < 0 { // protobuf leaves out a zero
		t.UID = 0
	}
	t.Cmdline = cmdline(t.Cmdline)
	if len(t.Cmdline) > 0 {
		t.Process = t.Cmdline[0]
	}
	return t, t.thread(threads[uint64(t.TID)])
}

// threadEntry keeps one entry of the map of threads: key 1, value 2.
func threadEntry(threads map[uint64][]byte, b []byte) error {
	var tid uint64
	var thread []byte
	err := protoFields(b, func(field int, n uint64, body []byte) error {
		switch field {
		case 1:
			tid = n
		case 2:
			thread = body
		}
		return nil
	})
	threads[tid] = thread
	return err
}

func (t *Tombstone) thread(b []byte) error {
	return protoFields(b, func(field int, _ uint64, body []byte) error {
		switch field {
		case 2:
			t.Thread = clip(protoText(body), 64)
		case 4:
			if len(t.Backtrace) >= maxFrames {
				t.FramesShort = true
				return nil
			}
			f, err := frameProto(body)
			t.Backtrace = append(t.Backtrace, f)
			return err
		}
		return nil
	})
}

func frameProto(b []byte) (f CrashFrame, err error) {
	err = protoFields(b, func(field int, n uint64, body []byte) error {
		switch field {
		case 1:
			f.PC = n
		case 4:
			f.Function = clip(protoText(body), 512)
		case 5:
			f.Offset = n
		case 6:
			f.File = clip(protoText(body), 512)
		case 8:
			f.BuildID = clip(protoText(body), 80)
		}
		return nil
	})
	return f, err
}

func (t *Tombstone) signalProto(b []byte) error {
	sent, sender := false, uint64(0)
	err := protoFields(b, func(field int, n uint64, body []byte) error {
		switch field {
		case 1:
			t.Signal = int(int32(n))
		case 2:
			t.SignalName = clip(protoText(body), 20)
		case 3:
			t.Code = int(int32(n))
		case 4:
			t.CodeName = clip(protoText(body), 32)
		case 5:
			sent = n != 0
		case 6:
			sender = n
		case 8:
			t.HasFault = n != 0
		case 9:
			t.FaultAddr = n
		}
		return nil
	})
	if sent {
		t.SenderUID = int(sender & 0x7fffffff)
	}
	return err
}

func (t *Tombstone) cause(b []byte) error {
	return protoFields(b, func(field int, _ uint64, body []byte) error {
		if field == 1 && len(t.Causes) < maxCauses {
			t.Causes = append(t.Causes, clip(protoText(body), 300))
		}
		return nil
	})
}

func protoText(b []byte) string { return strings.ToValidUTF8(clip(string(b), 4096), "\uFFFD") }

var errProto = errors.New("damaged protobuf")

// protoFields hands the fields of one protobuf message to f in their order: n is the value of a
// number, body that of a string or a message. It stops at the first error, its own or f's.
func protoFields(b []byte, f func(field int, n uint64, body []byte) error) error {
	whole := len(b)
	damaged := func() error { return &Error{Offset: int64(whole - len(b)), Msg: errProto.Error()} }
	for len(b) > 0 {
		key, used := binary.Uvarint(b)
		if used <= 0 || key>>3 == 0 || key>>3 > 1<<29 {
			return damaged()
		}
		b = b[used:]
		var n uint64
		var body []byte
		switch key & 7 {
		case 0:
			if n, used = binary.Uvarint(b); used <= 0 {
				return damaged()
			}
			b = b[used:]
		case 1:
			if len(b) < 8 {
				return damaged()
			}
			n, b = binary.LittleEndian.Uint64(b), b[8:]
		case 2:
			size, used := binary.Uvarint(b)
			if used <= 0 || size > uint64(len(b)-used) {
				return damaged()
			}
			body, b = b[used:used+int(size)], b[used+int(size):]
		case 5:
			if len(b) < 4 {
				return damaged()
			}
			n, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
		default:
			return damaged()
		}
		if err := f(int(key>>3), n, body); err != nil {
			return err
		}
	}
	return nil
}
