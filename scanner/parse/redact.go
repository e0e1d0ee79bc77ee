package parse

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// secretKeys are names under which configuration files keep secrets, in lower case with - for
// _ and without a trailing number.
var secretKeys = []string{"psk", "sae-password", "wpa-passphrase", "wpa-psk", "passphrase", "presharedkey", "preshared-key",
	"password", "passwd", "private-key-password", "private-key-passwd", "phase2-private-key-password", "client-key-password",
	"leap-password", "wep-key", "key", "pin", "secret", "privatekey", "private-key", "token", "auth-token", "auth-secret",
	"api-key", "apikey", "requirepass", "masterauth", "pac-opaque-encr-key", "sharedsecret", "ppppassword", "md5-password"}

// RedactSettings takes the values of secrets out of a configuration file of lines (key=value,
// key: value, or UCI's option key 'value'). What the parsers of this package make of the file
// stays the same: a value keeps its length, and a passphrase that everybody tries first stays
// one.
func RedactSettings(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line = b[:i+1]
		}
		b = b[len(line):]
		start, end := secretValue(line)
		out = append(out, line[:start]...)
		out = append(out, mask(line[start:end])...)
		out = append(out, line[end:]...)
	}
	return RedactPEM(out)
}

// secretValue finds a secret in a line; start equals end when there is none. A commented line
// may hold one too.
func secretValue(line []byte) (start, end int) {
	i := 0
	for i < len(line) && (blank(line[i]) || line[i] == '#' || line[i] == ';') {
		i++
	}
	rest := line[i:]
	uci := bytes.HasPrefix(rest, []byte("option ")) || bytes.HasPrefix(rest, []byte("option\t")) || bytes.HasPrefix(rest, []byte("list "))
	if uci {
		n := bytes.IndexAny(rest, " \t")
		for n < len(rest) && blank(rest[n]) {
			n++
		}
		i += n
	}
	sep := "=:"
	if uci || !bytes.ContainsAny(line[i:], "=:") {
		sep = " \t"
	}
	k := bytes.IndexAny(line[i:], sep)
	if k < 0 || !isSecretKey(string(line[i:i+k])) {
		return 0, 0
	}
	start, end = i+k+1, len(line)
	for start < end && (blank(line[start]) || line[start] == '"' || line[start] == '\'') {
		start++
	}
	for end > start && (blank(line[end-1]) || line[end-1] == '"' || line[end-1] == '\'') {
		end--
	}
	return start, end
}

func isSecretKey(k string) bool {
	k = strings.Trim(strings.ToLower(k), " \t'\"")
	if i := strings.LastIndexByte(k, '.'); i >= 0 { // connman's and other dotted keys
		k = k[i+1:]
	}
	k = strings.ReplaceAll(strings.TrimRight(k, "0123456789"), "_", "-")
	return slices.Contains(secretKeys, k)
}

// mask hides a value. Its length stays; a common passphrase is no secret and stays as a whole,
// a short number becomes another one. Values that are one digit, a slot number say, stay.
func mask(v []byte) []byte {
	p := passphrase(string(v))
	if len(v) < 2 || slices.Contains(commonPassphrases, strings.ToLower(string(v))) {
		return v
	}
	if p.Common {
		return bytes.Repeat([]byte{'1'}, len(v))
	}
	return bytes.Repeat([]byte{'x'}, len(v))
}

// RedactPEM takes the body out of private keys.
func RedactPEM(b []byte) []byte {
	const begin, dashes = "-----BEGIN ", "-----"
	var out []byte
	for {
		i := bytes.Index(b, []byte(begin))
		if i < 0 {
			return append(out, b...)
		}
		head := b[i:]
		if n := bytes.IndexByte(head, '\n'); n >= 0 {
			head = head[:n]
		}
		if n := bytes.Index(head[len(begin):], []byte(dashes)); n >= 0 {
			head = head[:len(begin)+n+len(dashes)]
		}
		if !bytes.Contains(head, []byte("PRIVATE KEY")) && !bytes.Contains(head, []byte("Static key")) {
			out = append(out, b[:i+len(begin)]...)
			b = b[i+len(begin):]
			continue
		}
		out = append(out, b[:i+len(head)]...)
		b = b[i+len(head):]
		end := bytes.Index(b, []byte("-----END "))
		if end < 0 {
			end = len(b)
		}
		kept := pemPreamble(b[:end])
		out = append(out, b[:kept]...)
		if text := bytes.TrimLeft(b[:end], "\r\n"); kept == 0 && bytes.Contains(head, []byte("OPENSSH")) && len(text) >= opensshShown {
			kept = end - len(text) + opensshShown // its cipher is not that of a key without a passphrase
			out = append(append(out, b[:end-len(text)]...), bytes.Repeat([]byte{'x'}, opensshShown)...)
		}
		for _, c := range b[kept:end] {
			if c == '\n' || c == '\r' {
				out = append(out, c)
			}
		}
		b = b[end:]
	}
}

// opensshShown is how much of an OpenSSH key tells whether a passphrase protects it.
const opensshShown = 28

// pemPreamble is the length of what stands in front of a private key's own bytes and only
// tells whether a passphrase protects it: the header of RFC 1421, or the first bytes of
// OpenSSH's format, up to the second letter of its cipher.
func pemPreamble(body []byte) int {
	const opensshMagic = "b3BlbnNzaC1rZXktdjEAAAAA"
	text := bytes.TrimLeft(body, "\r\n")
	skipped := len(body) - len(text)
	switch {
	case bytes.HasPrefix(text, []byte(opensshMagic)):
		return skipped + min(opensshShown, len(text))
	case bytes.HasPrefix(text, []byte("Proc-Type: ")):
		return skipped + max(0, bytes.IndexByte(text, '\n'))
	}
	return 0
}

// RedactAccounts takes the hashes out of passwd, shadow, gshadow and files like them; the
// scheme and the state of each password field stay. mark, when given, is asked about each
// hash with a scheme's name that is not locked, and gives the letter to mask it with, which
// says what is known of it; others are masked with x.
func RedactAccounts(b []byte, mark func(name, hash []byte) byte) []byte {
	var out []byte
	for len(b) > 0 {
		line := b
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			line = b[:i+1]
		}
		b = b[len(line):]
		name, rest, ok := bytes.Cut(line, []byte{':'})
		field, tail, more := bytes.Cut(rest, []byte{':'})
		if !ok || !more {
			// No second field that ends: whatever follows the colon may be a hash.
			out = append(out, name...)
			if ok {
				out = append(append(append(out, ':'), maskHash(name, bytes.TrimRight(rest, "\r\n"), nil)...), rest[len(bytes.TrimRight(rest, "\r\n")):]...)
			}
			continue
		}
		out = append(append(append(append(append(out, name...), ':'), maskHash(name, field, mark)...), ':'), tail...)
	}
	return out
}

// RedactPersons takes what accounts of people say of them (name, room, telephone) out of passwd.
func RedactPersons(b []byte) []byte {
	const fields, comment, firstPerson = 7, 4, 1000
	out := make([]byte, 0, len(b))
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(line, []byte{':'}, fields)
		if len(f) == fields && len(f[comment]) > 0 {
			if uid, err := strconv.Atoi(string(f[2])); err != nil || uid >= firstPerson {
				f[comment] = []byte{'x'}
				line = bytes.Join(f, []byte{':'})
			}
		}
		out = append(out, line...)
	}
	return out
}

// maskHash hides a password field's hash and keeps what PasswordField says of it.
func maskHash(name, f []byte, mark func(name, hash []byte) byte) []byte {
	locks := 0
	for locks < len(f) && (f[locks] == '!' || f[locks] == '*') {
		locks++
	}
	h := f[locks:]
	keep := len(h)
	switch {
	case len(h) < 4:
	case h[0] == '$':
		keep = 1 + max(0, bytes.IndexByte(h[1:], '$')) + 1
	case h[0] == '_':
		keep = 1
	default:
		keep = 0
	}
	fill := byte('x')
	if mark != nil && locks == 0 && len(h) >= 4 && h[0] == '$' {
		fill = mark(name, f)
	}
	out := append([]byte{}, f[:locks+min(keep, len(h))]...)
	return append(out, bytes.Repeat([]byte{fill}, len(f)-len(out))...)
}

// AccountMark gives the letter that a hash is masked with (RedactAccounts); ok is false for
// what is no masked hash.
func AccountMark(hash []byte) (mark byte, ok bool) {
	if len(hash) < 4 || hash[0] != '$' {
		return 0, false
	}
	_, body, ok := bytes.Cut(hash[1:], []byte{'$'})
	if !ok || len(body) < 4 || len(bytes.Trim(body, string(body[:1]))) > 0 {
		return 0, false
	}
	return body[0], true
}

// AccountMarks gives the letters by account of a file that RedactAccounts masked. The first
// line of an account counts.
func AccountMarks(b []byte) map[string]byte {
	marks := map[string]byte{}
	lines(b, func(_ int, line string) {
		f := strings.SplitN(line, ":", 3)
		if len(f) < 2 {
			return
		}
		if _, dup := marks[f[0]]; dup {
			return
		}
		marks[f[0]], _ = AccountMark([]byte(f[1]))
	})
	return marks
}
