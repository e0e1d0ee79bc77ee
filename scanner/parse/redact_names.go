package parse

import (
	"slices"
	"strings"
)

// hints are parts of which every secret's name has one: a quick test that nearly every name fails.
var hints = []string{"pass", "pw", "secret", "token", "psk", "key", "cred", "auth", "communit", "cookie", "sess", "bearer"}

// secretEndings end the last word of a secret's name: DB_PASSWORD, authToken, snmp-community, storepass.
var secretEndings = []string{"password", "passwd", "passphrase", "passcode", "pass", "pwd", "secret", "token", "apikey", "authkey", "psk", "community", "cookie", "masterauth"}

// secretLast are last words that make a name a secret's.
var secretLast = []string{"pw", "rootpw", "bindpw", "adminpw", "userpw", "dbpw", "ldappw", "bearer", "cred", "creds", "credential", "credentials", "sessionid", "phpsessid",
	"wpakey", "wepkey", "accesskey", "secretkey", "privatekey", "presharedkey", "sharedkey", "encryptionkey", "masterkey", "accountkey", "rwcommunity6", "rocommunity6"}

// keyKinds are what stands before "key" where that is not for everybody to see.
var keyKinds = []string{"api", "auth", "access", "secret", "private", "preshared", "pre-shared", "shared", "encryption", "crypt", "account", "master", "wep", "storage", "session", "deploy",
	"service", "license", "licence", "activation", "signing", "client", "admin", "app", "application", "integration", "ingest", "instrumentation", "subscription", "device",
	"network", "wpa", "hmac", "cipher", "aes", "decrypt", "recovery", "product", "stream", "join"}

// innocentNames end like secrets' and are none.
var innocentNames = []string{"bypass", "compass", "trespass", "encompass", "surpass", "firstpass", "onepass", "multipass", "lastpass", "keepass", "sshpass", "getpass", "askpass",
	"loadcredential", "importcredential"}

// nameQualifiers follow a secret's name and say in which form it is.
var nameQualifiers = []string{"b64", "base64", "hash", "hashed", "plain", "plaintext", "text", "enc", "encrypted", "crypted", "value", "data", "raw", "hex"}

const maxSecretName = 128 // bytes of a name

// isSecretName tells from the name of a setting, variable or option whether its value is a secret.
func isSecretName(name string) bool {
	if name == "" || len(name) > maxSecretName || !hinted(name) {
		return false
	}
	words := nameWords(name)
	for len(words) > 1 && slices.Contains(nameQualifiers, words[len(words)-1]) {
		words = words[:len(words)-1]
	}
	if len(words) == 0 {
		return false
	}
	last := words[len(words)-1]
	if all := strings.Join(words, ""); slices.Contains(innocentNames, last) || slices.Contains(innocentNames, all) || strings.HasPrefix(last, "nopass") {
		return false
	}
	if last == "key" {
		return len(words) > 1 && slices.Contains(keyKinds, words[len(words)-2])
	}
	if last == "pass" && len(words) > 1 && (words[len(words)-2] == "first" || words[len(words)-2] == "ask" || words[len(words)-2] == "by") {
		return false
	}
	if last == "auth" {
		return len(words) == 1
	}
	return slices.Contains(secretLast, last) || slices.ContainsFunc(secretEndings, func(e string) bool { return strings.HasSuffix(last, e) }) ||
		strings.HasSuffix(last, "apikey")
}

// hinted is strings.Contains of any of the hints, without regard to case and without memory.
func hinted(s string) bool {
	for i := range len(s) {
		switch s[i] | 0x20 {
		case 'p', 's', 't', 'k', 'c', 'a', 'b':
			for _, h := range hints {
				if len(s)-i >= len(h) && strings.EqualFold(s[i:i+len(h)], h) {
					return true
				}
			}
		}
	}
	return false
}

// nameWords takes a name apart at what is no letter or digit and where a capital begins a word, in
// lower case. A number at its end goes.
func nameWords(name string) []string {
	name = strings.TrimRight(name, "0123456789")
	var out []string
	start := 0
	cut := func(end int) {
		if end > start {
			out = append(out, strings.ToLower(name[start:end]))
		}
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case !wordByte(c) || c == '_':
			cut(i)
			start = i + 1
		case i > start && c >= 'A' && c <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z':
			cut(i)
			start = i
		}
	}
	cut(len(name))
	return out
}

// plainWords are values that say how a secret is asked for, or that there is none.
var plainWords = []string{"yes", "no", "true", "false", "on", "off", "none", "null", "nil", "undefined", "unset", "required", "requisite", "optional", "sufficient", "include", "substack",
	"ask", "prompt", "enabled", "disabled", "default", "file", "files", "compat", "db", "sss", "systemd", "ldap", "winbind", "string", "bool", "boolean", "int", "integer", "text"}

// hideable tells whether a value may be a secret: it is not empty, not hidden, no switch and no
// file's name. quote is what it stands in, or 0.
func hideable(v string, kind TextKind, quote byte) bool {
	if len(v) < 2 || v == Hidden || !strings.ContainsFunc(v, func(r rune) bool { return r > 0x7f || wordByte(byte(r)) && r != '_' }) || slices.Contains(plainWords, strings.ToLower(v)) {
		return false
	}
	return !isReference(v, kind, quote) && !isFileName(v)
}

// isReference tells a value that only says where the secret is: $TOKEN, $(command), %(name)s.
func isReference(v string, kind TextKind, quote byte) bool {
	if quote == '\'' && kind == CommandText {
		return false
	}
	for _, start := range []string{"${", "$(", "`", "%(", "%{", "{{", "<%", "@@"} {
		if strings.HasPrefix(v, start) {
			return true
		}
	}
	name, ok := strings.CutPrefix(v, "$")
	if !ok || strings.ContainsFunc(name, func(r rune) bool { return r > 0x7f || !wordByte(byte(r)) }) {
		return false
	}
	return kind == CommandText || name == strings.ToUpper(name)
}

// isFileName tells a path from base64 text that happens to start with a stroke.
func isFileName(v string) bool {
	for _, start := range []string{"./", "../", "~/", "file:"} {
		if strings.HasPrefix(v, start) {
			return true
		}
	}
	if v[0] != '/' {
		return false
	}
	const shortKey = 32
	upper, digit := false, false
	for i := range len(v) {
		upper = upper || v[i] >= 'A' && v[i] <= 'Z'
		digit = digit || v[i] >= '0' && v[i] <= '9'
	}
	return !(strings.HasSuffix(v, "=") || len(v) >= shortKey && upper && digit && !strings.ContainsAny(v, ".-_ "))
}
