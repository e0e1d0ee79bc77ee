package parse

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// AuthorizedKey is one line of an authorized_keys file (sshd(8)), without the key itself.
type AuthorizedKey struct {
	Type        string
	Fingerprint string // SHA256:... as ssh-keygen -l prints it
	Bits        int    // of an RSA or DSA key; 0 for others
	Comment     string
	Options     []string // names and values as written, quotes off
	Line        int      // 1-based
}

// Option gives the values of an option.
func (k *AuthorizedKey) Option(name string) (values []string) {
	for _, o := range k.Options {
		if n, v, _ := strings.Cut(o, "="); strings.EqualFold(n, name) {
			values = append(values, v)
		}
	}
	return values
}

const maxKeys = 10000 // of one file

// AuthorizedKeys reads an authorized_keys file. Lines that hold no key are told in bad.
func AuthorizedKeys(b []byte) (keys []AuthorizedKey, bad []error) {
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || len(keys) >= maxKeys {
			return
		}
		key := AuthorizedKey{Line: n}
		word, rest := cutBlank(line)
		if !isKeyType(word) {
			key.Options, rest = keyOptions(line)
			word, rest = cutBlank(rest)
		}
		blob, comment := cutBlank(rest)
		raw, err := base64.StdEncoding.DecodeString(blob)
		if !isKeyType(word) || err != nil || len(raw) < 8 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "no public key"})
			return
		}
		sum := sha256.Sum256(raw)
		key.Type, key.Comment = word, comment
		key.Fingerprint = "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
		key.Bits = keyBits(raw)
		keys = append(keys, key)
	})
	return keys, bad
}

func isKeyType(s string) bool {
	return strings.HasPrefix(s, "ssh-") || strings.HasPrefix(s, "ecdsa-sha2-") || strings.HasPrefix(s, "sk-ssh-") || strings.HasPrefix(s, "sk-ecdsa-")
}

// keyOptions cuts the comma-separated options off a line; blanks and commas in quotes belong
// to their option.
func keyOptions(line string) (options []string, rest string) {
	var cur strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line) && line[i+1] == '"':
			cur.WriteByte('"')
			i++
		case c == '"':
			quoted = !quoted
		case !quoted && c == ',':
			options = append(options, cur.String())
			cur.Reset()
		case !quoted && (c == ' ' || c == '\t'):
			return append(options, cur.String()), strings.TrimSpace(line[i:])
		default:
			cur.WriteByte(c)
		}
	}
	return append(options, cur.String()), ""
}

// keyBits reads the size of an RSA or DSA key out of its wire form (RFC 4253, 6.6): strings of
// a four-byte length each; an RSA key's third is its modulus, a DSA key's second its prime.
func keyBits(raw []byte) int {
	field := func() ([]byte, bool) {
		if len(raw) < 4 {
			return nil, false
		}
		n := int(raw[0])<<24 | int(raw[1])<<16 | int(raw[2])<<8 | int(raw[3])
		if n < 0 || n > len(raw)-4 {
			return nil, false
		}
		f := raw[4 : 4+n]
		raw = raw[4+n:]
		return f, true
	}
	kind, ok := field()
	skip := map[string]int{"ssh-rsa": 1, "ssh-dss": 0}
	n, known := skip[string(kind)]
	if !ok || !known {
		return 0
	}
	for range n {
		if _, ok := field(); !ok {
			return 0
		}
	}
	modulus, _ := field()
	for len(modulus) > 0 && modulus[0] == 0 {
		modulus = modulus[1:]
	}
	if len(modulus) == 0 || len(modulus) > 8192 {
		return 0
	}
	bits := len(modulus) * 8
	for top := modulus[0]; top < 0x80; top <<= 1 {
		bits--
	}
	return bits
}
