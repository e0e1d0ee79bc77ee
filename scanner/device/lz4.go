package device

import "errors"

var errLZ4 = errors.New("damaged LZ4 data")

// unpackLZ4 decodes an LZ4 block (the format without frames, as filesystems use it) into
// dst and gives the number of bytes written. It stops when dst is full: a filesystem may
// want the first part of a block only, or not know where its input ends.
//
// Format: lz4_Block_format.md of the LZ4 project.
func unpackLZ4(dst, src []byte) (int, error) {
	s, d := 0, 0
	length := func(n int) (int, bool) {
		if n < 15 {
			return n, true
		}
		for s < len(src) {
			c := src[s]
			s++
			n += int(c)
			if c < 255 {
				return n, true
			}
		}
		return 0, false
	}
	for s < len(src) {
		token := src[s]
		s++
		n, ok := length(int(token >> 4))
		if !ok || n > len(src)-s && len(src)-s < len(dst)-d {
			return d, errLZ4
		}
		copied := copy(dst[d:], src[s:min(s+n, len(src))])
		s += copied
		d += copied
		if d == len(dst) || s == len(src) {
			return d, nil // a block ends with literals
		}
		if len(src)-s < 2 {
			return d, errLZ4
		}
		back := int(src[s]) | int(src[s+1])<<8
		s += 2
		n, ok = length(int(token & 15))
		if !ok || back == 0 || back > d {
			return d, errLZ4
		}
		n = min(n+4, len(dst)-d)
		for from := d - back; n > 0; {
			c := copy(dst[d:d+n], dst[from:d]) // doubles where source and target overlap
			d += c
			n -= c
		}
	}
	return d, nil
}
