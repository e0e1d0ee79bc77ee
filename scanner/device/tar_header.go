package device

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"strconv"
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
	// sparse is set when what follows is a map of the file's holes and the rest. raw then
	// holds all of its headers.
	sparse bool
	raw    []byte
}

var (
	errTarChecksum = errors.New("no header where one should be (checksum is wrong)")
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

// paxRecords are what one extended header says.
type paxRecords struct {
	list [][2]string
}

func (p paxRecords) get(key string) string {
	for _, kv := range p.list {
		if kv[0] == key {
			return kv[1]
		}
	}
	return ""
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
	var pax paxRecords
	var longName, longLink string
	for {
		b, err := r.in.block()
		if err != nil {
			if err == io.EOF && (longName != "" || longLink != "" || pax.list != nil) {
				err = io.ErrUnexpectedEOF
			}
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
			return errors.New("size of a file is not a number")
		}
		kind := b[156]
		switch kind {
		case 'x', 'X', 'g', 'L', 'K':
			h.raw = append(h.raw, b...)
			text, err := r.extra(h, size)
			if err != nil {
				return err
			}
			switch kind {
			case 'L':
				longName = tarText(text)
			case 'K':
				longLink = tarText(text)
			case 'g':
				r.global, err = parsePAX(text)
				h.raw = h.raw[:0]
			default:
				pax, err = parsePAX(text)
			}
			if err != nil {
				return err
			}
			continue
		}
		h.raw = append(h.raw, b...)
		h.fill(b, kind, size)
		if longName != "" {
			h.name = longName
		}
		if longLink != "" {
			h.link = longLink
		}
		if err := h.apply(r.global, true); err != nil {
			return err
		}
		if err := h.apply(pax, false); err != nil {
			return err
		}
		r.last = h.name
		return r.finish(h, pax)
	}
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

// finish settles the kind and size of a file and passes a sparse file's further headers.
func (r *tarReader) finish(h *tarHeader, pax paxRecords) error {
	switch h.kind {
	case 0, '0', '7':
		h.kind = '0'
		if strings.HasSuffix(h.name, "/") { // as before POSIX
			h.kind, h.size = '5', 0
		}
		h.sparse = pax.get("GNU.sparse.major") != "" || pax.get("GNU.sparse.map") != "" || pax.get("GNU.sparse.numblocks") != ""
	case 'S':
		h.kind, h.sparse = '0', true
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
	case '1', '2', '3', '4', '5', '6':
		h.size = 0
	}
	if h.size > math.MaxInt64-blockSize {
		return errors.New("size of a file is not a number")
	}
	if !h.sparse {
		h.raw = h.raw[:0]
	}
	return nil
}

// parsePAX reads the records of an extended header: "LENGTH KEY=VALUE\n".
func parsePAX(b []byte) (paxRecords, error) {
	var p paxRecords
	for len(b) > 0 {
		if b[0] == 0 {
			break // some writers pad
		}
		digits, _, ok := bytes.Cut(b, []byte(" "))
		n, err := strconv.Atoi(string(digits))
		if !ok || err != nil || n <= len(digits)+2 || n > len(b) || b[n-1] != '\n' {
			return p, errors.New("an extended header is garbled")
		}
		key, value, ok := strings.Cut(string(b[len(digits)+1:n-1]), "=")
		if !ok || key == "" {
			return p, errors.New("an extended header is garbled")
		}
		p.list = append(p.list, [2]string{key, value})
		b = b[n:]
	}
	return p, nil
}

// apply lets an extended header's records override a header's fields. Global ones say
// nothing of one file's name and size.
func (h *tarHeader) apply(p paxRecords, global bool) error {
	for _, kv := range p.list {
		key, value := kv[0], kv[1]
		var err error
		switch key {
		case "path", "linkpath", "size":
			if global || value == "" {
				break
			}
			switch key {
			case "path":
				h.name = value
			case "linkpath":
				h.link = value
			default:
				if h.size, err = strconv.ParseInt(value, 10, 64); h.size < 0 {
					err = strconv.ErrRange
				}
			}
		case "uid":
			h.uid, err = strconv.ParseInt(value, 10, 64)
		case "gid":
			h.gid, err = strconv.ParseInt(value, 10, 64)
		case "mtime":
			h.mtime, err = paxTime(value)
		case "RHT.security.selinux":
			h.xattrs = append(h.xattrs, xattr{"security.selinux", value})
		default:
			err = h.xattr(key, value)
		}
		if err != nil {
			return fmt.Errorf("extended header says %s=%.60q: %w", key, value, err)
		}
	}
	return nil
}

// xattr keeps a record that holds an extended attribute, as GNU tar and star or as
// libarchive writes it.
func (h *tarHeader) xattr(key, value string) error {
	if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
		h.xattrs = append(h.xattrs, xattr{name, value})
		return nil
	}
	name, ok := strings.CutPrefix(key, "LIBARCHIVE.xattr.")
	if !ok {
		return nil
	}
	name, err := url.PathUnescape(name)
	if err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(value); err != nil {
			return err
		}
	}
	for _, x := range h.xattrs { // libarchive writes both forms
		if x.name == name {
			return nil
		}
	}
	h.xattrs = append(h.xattrs, xattr{name, string(b)})
	return nil
}

// paxTime reads seconds since 1970 with a fraction.
func paxTime(s string) (time.Time, error) {
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	frac = (frac + "000000000")[:9]
	ns, err := strconv.ParseUint(frac, 10, 32)
	if err != nil {
		return time.Time{}, err
	}
	if strings.HasPrefix(whole, "-") {
		ns = -ns
	}
	return time.Unix(sec, int64(ns)), nil
}
