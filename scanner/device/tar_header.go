package device

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// maxTarExtra bounds one extended header or long name, in bytes.
const maxTarExtra = 1 << 20

// tarHeader is one file of a tar archive as its header, and the extended headers before it,
// describe it (POSIX.1-2001 pax, GNU, star and the old UNIX form).
type tarHeader struct {
	kind     byte
	name     string
	link     string
	mode     int64
	uid, gid int64
	mtime    time.Time
	size     int64 // bytes that follow the header, without padding
	xattrs   []xattr
	sparse   bool   // what follows is a map of the file's holes, maybe, and the rest
	raw      []byte // all of its headers, as they are
}

var (
	errTarChecksum = errors.New("no header where one should be (checksum is wrong)")
	errTarSize     = errors.New("size of a file is not a number")
	errTarExtra    = fmt.Errorf("an extended header is longer than %d bytes", maxTarExtra)
)

// tarReader reads the headers of an archive one by one.
type tarReader struct {
	in     *tarInput
	global paxRecords
	// ended is set when the archive's end mark was there.
	ended bool
	last  string
}

// isTar tells whether a file starts with a tar header.
func isTar(head []byte) bool {
	return len(head) >= blockSize && head[0] != 0 && tarChecksum(head[:blockSize])
}

// tarChecksum tells whether a header's checksum is right, of signed or unsigned bytes.
func tarChecksum(b []byte) bool {
	want, ok := tarNumber(b[148:156])
	if !ok {
		return false
	}
	// The checksum's own field counts as spaces.
	sum := 8 * int64(' ')
	for _, c := range b {
		sum += int64(c)
	}
	for _, c := range b[148:156] {
		sum -= int64(c)
	}
	if sum == want {
		return true
	}
	for i, c := range b {
		if c >= 0x80 && (i < 148 || i >= 156) {
			sum -= 0x100
		}
	}
	return sum == want
}

// tarNumber reads an octal or base-256 field.
func tarNumber(b []byte) (int64, bool) {
	if b[0]&0x80 != 0 {
		v := int64(0)
		if b[0]&0x40 != 0 {
			v = -1
		}
		for i, c := range b {
			if i == 0 {
				c = c&0x3f | byte(v)&0xc0
			}
			if v > math.MaxInt64>>8 || v < math.MinInt64>>8 {
				return 0, false
			}
			v = v<<8 | int64(c)
		}
		return v, true
	}
	b = bytes.Trim(b, " \x00")
	v := int64(0)
	for i, c := range b {
		if c == 0 || c == ' ' {
			return v, i > 0
		}
		if c < '0' || c > '7' || v > math.MaxInt64>>3 {
			return 0, false
		}
		v = v<<3 | int64(c-'0')
	}
	return v, true
}

func tarText(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// next gives the next file's header, or io.EOF after the last.
func (r *tarReader) next(h *tarHeader) error {
	*h = tarHeader{raw: h.raw[:0]}
	var x tarExtras
	for {
		b, err := r.in.block()
		if err == io.EOF && x.any {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		if b[0] == 0 && isZero(b) {
			r.ended = true
			return io.EOF
		}
		if !tarChecksum(b) {
			return errTarChecksum
		}
		size, ok := tarNumber(b[124:136])
		if !ok || size < 0 {
			return errTarSize
		}
		start, kind := len(h.raw), b[156]
		h.raw = append(h.raw, b...)
		if !strings.ContainsRune("xXgLK", rune(kind)) {
			h.fill(b, kind, size)
			return r.finish(h, &x)
		}
		text, err := r.extra(h, size)
		if err != nil {
			return err
		}
		if err := r.take(&x, kind, text); err != nil {
			return err
		}
		if kind == 'g' { // is not of this file
			h.raw = h.raw[:start]
		}
	}
}

// tarExtras is what extended headers say of the file that follows.
type tarExtras struct {
	any            bool
	pax            paxRecords
	longName, link string
}

// take reads an extended header. A global one is for all files that follow.
func (r *tarReader) take(x *tarExtras, kind byte, text []byte) (err error) {
	x.any = true
	switch kind {
	case 'L':
		x.longName = tarText(text)
	case 'K':
		x.link = tarText(text)
	case 'g':
		r.global, err = parsePAX(text)
	default:
		x.pax, err = parsePAX(text)
	}
	return err
}

// extra reads what follows an extended header's block.
func (r *tarReader) extra(h *tarHeader, size int64) ([]byte, error) {
	if size > maxTarExtra || len(h.raw) > 4*maxTarExtra {
		return nil, errTarExtra
	}
	start := len(h.raw)
	for left := size + padding(size); left > 0; {
		b, err := r.in.chunk(left)
		if err != nil {
			return nil, err
		}
		h.raw = append(h.raw, b...)
		left -= int64(len(b))
	}
	return h.raw[start : start+int(size)], nil
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// fill reads the fields of a header's block.
func (h *tarHeader) fill(b []byte, kind byte, size int64) {
	h.kind, h.size = kind, size
	h.name, h.link = tarText(b[0:100]), tarText(b[157:257])
	h.mode, _ = tarNumber(b[100:108])
	h.uid, h.gid = tarID(b[108:116]), tarID(b[116:124])
	if s, ok := tarNumber(b[136:148]); ok {
		h.mtime = time.Unix(s, 0)
	}
	if string(b[257:263]) == "ustar\x00" {
		prefix := b[345:500]
		if string(b[508:512]) == "tar\x00" { // star
			prefix = b[345:476]
		}
		if p := tarText(prefix); p != "" {
			h.name = p + "/" + h.name
		}
	}
}

// tarID reads an owner; what is no number is unknown.
func tarID(b []byte) int64 {
	if v, ok := tarNumber(b); ok {
		return v
	}
	return -1
}

// finish lets extended headers override a file's header and settles its kind and size.
func (r *tarReader) finish(h *tarHeader, x *tarExtras) error {
	if x.longName != "" {
		h.name = x.longName
	}
	if x.link != "" {
		h.link = x.link
	}
	if err := h.apply(r.global, true); err != nil {
		return err
	}
	if err := h.apply(x.pax, false); err != nil {
		return err
	}
	r.last = h.name
	switch h.kind {
	case 0, '0', '7':
		h.kind = '0'
		if strings.HasSuffix(h.name, "/") { // as before POSIX
			h.kind, h.size = '5', 0
		}
		for _, key := range []string{"GNU.sparse.major", "GNU.sparse.map", "GNU.sparse.numblocks"} {
			h.sparse = h.sparse || x.pax.get(key) != ""
		}
	case 'S':
		h.kind, h.sparse = '0', true
		if err := r.sparseMap(h); err != nil {
			return err
		}
	case '1', '2', '3', '4', '5', '6':
		h.size = 0
	}
	if h.size > math.MaxInt64-blockSize {
		return errTarSize
	}
	return nil
}

// sparseMap reads the further blocks of GNU tar's old map of a file's holes.
func (r *tarReader) sparseMap(h *tarHeader) error {
	for more := h.raw[len(h.raw)-blockSize+482] != 0; more; {
		if len(h.raw) > 4*maxTarExtra {
			return errTarExtra
		}
		b, err := r.in.block()
		if err != nil {
			return cutOff(err)
		}
		h.raw = append(h.raw, b...)
		more = b[504] != 0
	}
	return nil
}
