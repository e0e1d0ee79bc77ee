package parse

import (
	"encoding/binary"
	"encoding/hex"
)

// signatureKeyID is the id of the key that made an OpenPGP signature packet, as 16
// hexadecimal digits; empty when the packet does not tell. Format: RFC 9580, sections 4.2
// and 5.2 (RFC 4880 for version 3). The signature itself is not verified.
func signatureKeyID(packet []byte) string {
	body := signatureBody(packet)
	if len(body) == 0 {
		return ""
	}
	switch version := body[0]; version {
	case 2, 3:
		// version, 5, type, time (4), key id (8)
		if len(body) >= 15 {
			return hex.EncodeToString(body[7:15])
		}
	case 4, 5, 6:
		// version, type, two algorithms, then the signed and the unsigned subpackets
		if len(body) < 4 {
			return ""
		}
		rest := body[4:]
		for range 2 {
			var area []byte
			if area, rest = subpacketArea(rest, version); area == nil {
				return ""
			}
			if id := issuerIn(area); id != "" {
				return id
			}
		}
	}
	return ""
}

// signatureBody is the content of the signature packet that b begins with.
func signatureBody(b []byte) []byte {
	const signature = 2
	if len(b) < 2 || b[0]&0x80 == 0 {
		return nil
	}
	if b[0]&0x40 != 0 { // the newer form of packet headers
		n, size := openPGPLength(b[1:])
		if b[0]&0x3f != signature || size == 0 || n > len(b)-1-size {
			return nil
		}
		return b[1+size:][:n]
	}
	if b[0]>>2&0x0f != signature {
		return nil
	}
	size := 1 << (b[0] & 3) // 1, 2 or 4 bytes of length, or none
	if size == 8 {
		return b[1:]
	}
	if len(b) < 1+size {
		return nil
	}
	n := 0
	for _, c := range b[1 : 1+size] {
		n = n<<8 | int(c)
	}
	if n > len(b)-1-size {
		return nil
	}
	return b[1+size:][:n]
}

// subpacketArea splits off a signature's next list of subpackets; nil when it is cut off.
func subpacketArea(b []byte, version byte) (area, rest []byte) {
	size := 2
	if version == 6 {
		size = 4
	}
	if len(b) < size {
		return nil, nil
	}
	n := int(binary.BigEndian.Uint16(b[size-2:]))
	if size == 4 && b[0]|b[1] != 0 || n > len(b)-size {
		return nil, nil
	}
	return b[size : size+n : size+n], b[size+n:]
}

// issuerIn finds the key id in a list of subpackets: the issuer's id or its fingerprint.
func issuerIn(area []byte) string {
	const issuer, issuerFingerprint = 16, 33
	for len(area) > 0 {
		n, size := openPGPLength(area)
		if size == 0 || n < 1 || n > len(area)-size {
			return ""
		}
		kind, value := area[size]&0x7f, area[size+1:size+n]
		area = area[size+n:]
		switch {
		case kind == issuer && len(value) == 8:
			return hex.EncodeToString(value)
		case kind == issuerFingerprint && len(value) == 21: // version 4: the id ends the fingerprint
			return hex.EncodeToString(value[13:])
		case kind == issuerFingerprint && len(value) == 33: // later versions: it begins it
			return hex.EncodeToString(value[1:9])
		}
	}
	return ""
}

// openPGPLength reads a length of one, two or five bytes and says which, 0 when b ends within
// it or it is a partial one.
func openPGPLength(b []byte) (n, size int) {
	switch {
	case len(b) >= 1 && b[0] < 192:
		return int(b[0]), 1
	case len(b) >= 2 && b[0] < 224:
		return int(b[0]-192)<<8 + int(b[1]) + 192, 2
	case len(b) >= 5 && b[0] == 255:
		return int(binary.BigEndian.Uint32(b[1:]) & 0x7fffffff), 5
	}
	return 0, 0
}
