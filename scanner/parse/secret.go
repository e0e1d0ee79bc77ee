package parse

import "strings"

// FindSecret says what the first secret in a configuration text is (passphrase, password,
// hash, key or token), and its line; "" when there is none. It knows keys by their usual
// names and hashes, keys and tokens by their form, and keeps nothing of them.
func FindSecret(b []byte) (kind string, line int) {
	hash, hashLine := "", 0
	lines(b, func(n int, text string) {
		if kind != "" {
			return
		}
		text = strings.TrimSpace(text)
		if text == "" || text[0] == '#' || text[0] == ';' {
			return
		}
		switch k := secretOf(text); k {
		case "":
		case "hash": // a plain password further down weighs more
			if hash == "" {
				hash, hashLine = k, n
			}
		default:
			kind, line = k, n
		}
	})
	if kind == "" {
		return hash, hashLine
	}
	return kind, line
}

func secretOf(text string) string {
	if strings.Contains(text, "PRIVATE KEY-----") {
		return "key"
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\"'=:,", r) }) {
		switch {
		case len(word) > 20 && strings.HasPrefix(word, "$") && strings.Count(word, "$") >= 3:
			return "hash"
		case len(word) >= 20 && (strings.HasPrefix(word, "ghp_") || strings.HasPrefix(word, "glpat-") || strings.HasPrefix(word, "AKIA") ||
			strings.HasPrefix(word, "tskey-") || strings.HasPrefix(word, "xoxb-")):
			return "token"
		}
	}
	key, value, ok := cutAssignment(text)
	if !ok || value == "" || strings.HasPrefix(value, "*") || strings.HasPrefix(value, "!") {
		return ""
	}
	switch key = strings.ToLower(key); {
	case key == "psk" || key == "passphrase" || strings.HasSuffix(key, "_psk") || key == "wpa-psk":
		return "passphrase"
	case key == "password" || key == "passwd" || key == "plain_text_passwd" || strings.HasSuffix(key, "_password") ||
		strings.HasSuffix(key, "user-password") || strings.HasSuffix(key, "root-password") || key == "rootpw":
		return "password"
	case strings.HasSuffix(key, "token") || strings.HasSuffix(key, "auth_key") || strings.HasSuffix(key, "authkey") || strings.HasSuffix(key, "api_key"):
		return "token"
	}
	return ""
}

// cutAssignment reads KEY=VALUE, KEY: VALUE, "KEY": "VALUE", the installer's "d-i OWNER/KEY TYPE
// VALUE" and "rootpw VALUE".
func cutAssignment(text string) (key, value string, ok bool) {
	f := strings.Fields(text)
	switch {
	case f[0] == "d-i" && len(f) >= 4:
		return f[1], f[3], true
	case f[0] == "rootpw" && len(f) >= 2:
		if last := f[len(f)-1]; last != "--lock" {
			return f[0], last, true
		}
		return "", "", false
	}
	i := strings.IndexAny(text, "=:")
	if i < 0 {
		return "", "", false
	}
	key = strings.Trim(strings.TrimPrefix(strings.TrimSpace(text[:i]), "- "), `"' `)
	value = strings.Trim(text[i+1:], `"', `+"\t")
	return key, value, !strings.ContainsAny(key, " \t")
}
