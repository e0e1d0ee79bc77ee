package parse

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"testing"
	"unicode/utf16"
)

// abxWriter writes ABX as Android's BinaryXmlSerializer does.
type abxWriter struct {
	out  []byte
	pool map[string]int
}

func newABXWriter() *abxWriter {
	return &abxWriter{out: append([]byte(abxHeader), abxStartDocument|abxNull), pool: map[string]int{}}
}

func (w *abxWriter) start(name string) {
	w.out = append(w.out, abxStartTag|abxInterned)
	w.interned(name)
}

func (w *abxWriter) end(name string) {
	w.out = append(w.out, abxEndTag|abxInterned)
	w.interned(name)
}

func (w *abxWriter) text(token byte, s string) {
	w.out = append(w.out, token|abxString)
	w.counted([]byte(toModifiedUTF8(s)))
}

// attr writes an attribute whose value is given as text XML has it.
func (w *abxWriter) attr(t *testing.T, kind byte, name, value string) {
	t.Helper()
	w.out = append(w.out, abxAttribute|kind)
	w.interned(name)
	integer := func(base, bits int) uint64 {
		n, err := strconv.ParseInt(value, base, bits)
		if err != nil {
			t.Fatalf("%s=%q: %v", name, value, err)
		}
		return uint64(n)
	}
	switch kind {
	case abxString:
		w.counted([]byte(toModifiedUTF8(value)))
	case abxInterned:
		w.interned(value)
	case abxBytesHex:
		b, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		w.counted(b)
	case abxBytesBase64:
		b, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		w.counted(b)
	case abxInt:
		w.out = binary.BigEndian.AppendUint32(w.out, uint32(integer(10, 32)))
	case abxIntHex:
		w.out = binary.BigEndian.AppendUint32(w.out, uint32(integer(16, 32)))
	case abxLong:
		w.out = binary.BigEndian.AppendUint64(w.out, integer(10, 64))
	case abxLongHex:
		w.out = binary.BigEndian.AppendUint64(w.out, integer(16, 64))
	}
}

func (w *abxWriter) interned(s string) {
	if ref, ok := w.pool[s]; ok {
		w.out = binary.BigEndian.AppendUint16(w.out, uint16(ref))
		return
	}
	if len(w.pool) < abxNewString {
		w.pool[s] = len(w.pool)
	}
	w.out = binary.BigEndian.AppendUint16(w.out, abxNewString)
	w.counted([]byte(toModifiedUTF8(s)))
}

func (w *abxWriter) counted(b []byte) {
	w.out = binary.BigEndian.AppendUint16(w.out, uint16(len(b)))
	w.out = append(w.out, b...)
}

func (w *abxWriter) done() []byte { return append(w.out, abxEndDocument|abxNull) }

// toModifiedUTF8 is what Java writes: NUL as two bytes, characters beyond 16 bits as halves.
func toModifiedUTF8(s string) string {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		switch {
		case u != 0 && u < 0x80:
			out = append(out, byte(u))
		case u < 0x800:
			out = append(out, 0xc0|byte(u>>6), 0x80|byte(u&0x3f))
		default:
			out = append(out, 0xe0|byte(u>>12), 0x80|byte(u>>6&0x3f), 0x80|byte(u&0x3f))
		}
	}
	return string(out)
}

// toABX writes a text file of ours as ABX, with the types that Android gives the attributes
// or, here and there, with plain strings, which it accepts as well.
func toABX(t *testing.T, text []byte, rnd *rand.Rand) []byte {
	t.Helper()
	w, x := newABXWriter(), newXMLReader(text)
	for {
		switch x.next() {
		case xmlStart:
			w.start(x.name)
			for i := range x.attrs {
				a := &x.attrs[i]
				kinds := abxKinds(a.name, a.value())
				w.attr(t, kinds[rnd.IntN(len(kinds))], a.name, a.value())
			}
		case xmlText:
			w.text(abxText, x.raw.value())
		case xmlEnd:
			w.end(x.name)
		case xmlEOF:
			if x.err != nil {
				t.Fatalf("fixture: %v", x.err)
			}
			return w.done()
		}
	}
}

// abxKinds lists the types that can carry a value. Which base a number has goes by its name.
func abxKinds(name, value string) []byte {
	kinds := []byte{abxString, abxInterned}
	switch name {
	case "ft", "it", "ut", "lut", "first-install-time":
		if n, err := strconv.ParseInt(value, 16, 64); err == nil && strconv.FormatInt(n, 16) == value {
			kinds = append(kinds, abxLongHex)
		}
	case "key":
		if b, err := hex.DecodeString(value); err == nil && hex.EncodeToString(b) == value {
			kinds = append(kinds, abxBytesHex)
		}
	case "flags":
	default:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil && strconv.FormatInt(n, 10) == value {
			kinds = append(kinds, abxLong)
			if n == int64(int32(n)) {
				kinds = append(kinds, abxInt)
			}
		}
	}
	switch value {
	case "true":
		kinds = append(kinds, abxTrue)
	case "false":
		kinds = append(kinds, abxFalse)
	}
	return kinds
}
