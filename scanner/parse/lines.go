package parse

import "bytes"

// eachLine hands the lines of b, without their ends, to yield until it says stop. An
// unfinished last line counts.
func eachLine(b []byte, yield func(text []byte, line int) bool) {
	for line := 1; len(b) > 0; line++ {
		text := b
		if end := bytes.IndexByte(b, '\n'); end >= 0 {
			text, b = b[:end], b[end+1:]
		} else {
			b = nil
		}
		if !yield(text, line) {
			return
		}
	}
}

// word cuts the first blank-separated word off text.
func word(text []byte) (first, rest []byte) {
	i := 0
	for i < len(text) && blank(text[i]) {
		i++
	}
	text = text[i:]
	for i = 0; i < len(text) && !blank(text[i]); i++ {
	}
	return text[:i], text[i:]
}

func blank(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// number reads an unsigned number of the given base (8 or 10). ok is false for anything but
// digits, and for what does not fit.
func number(text []byte, base int64) (n int64, ok bool) {
	if len(text) == 0 || len(text) > 20 {
		return 0, false
	}
	for _, c := range text {
		d := int64(c) - '0'
		if d < 0 || d >= base || n > (1<<62)/base {
			return 0, false
		}
		n = n*base + d
	}
	return n, true
}

// Decimal reads an unsigned decimal number, such as a size or a time.
func Decimal(text []byte) (int64, bool) { return number(text, 10) }

// unhex decodes hexadecimal text of twice len(dst) digits into dst.
func unhex(dst, text []byte) bool {
	if len(text) != 2*len(dst) {
		return false
	}
	var bad byte
	for i := range dst {
		hi, lo := nibble(text[2*i]), nibble(text[2*i+1])
		bad |= hi | lo
		dst[i] = hi<<4 | lo
	}
	return bad < 16
}

// nibble gives the value of a hexadecimal digit, or 0xff.
func nibble(c byte) byte { return nibbles[c] }

// nibbles is a table because package databases hold millions of digits.
var nibbles = func() (t [256]byte) {
	for c := range t {
		t[c] = 0xff
	}
	for i, c := range "0123456789abcdef" {
		t[c] = byte(i)
	}
	for i, c := range "ABCDEF" {
		t[c] = byte(10 + i)
	}
	return t
}()
