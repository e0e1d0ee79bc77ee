package parse

import (
	"slices"
	"strings"
)

// Hidden stands for a secret that was taken out of a command line.
const Hidden = "***"

// secretWords end the names of options that take a secret: --db-password, API_TOKEN.
var secretWords = []string{"password", "passwd", "pwd", "passphrase", "secret", "token", "apikey", "psk"}

// RedactArgs gives a command line without the values of options that look like secrets
// (--password VALUE, token=VALUE, -u NAME:VALUE, mysql's -pVALUE, what follows "Bearer") and without
// passwords in URLs. The number of arguments stays.
func RedactArgs(args []string) []string {
	out := slices.Clone(args)
	for i := 1; i < len(out); i++ {
		key, val, assigned := strings.Cut(out[i], "=")
		switch {
		case assigned && isSecretOption(key) && isSecretValue(val):
			out[i] = key + "=" + Hidden
		case !assigned && strings.HasPrefix(key, "-") && isSecretOption(key) && i+1 < len(out) && isSecretValue(out[i+1]):
			i++
			out[i] = Hidden
		case slices.Contains(loginOptions, out[i]) && i+1 < len(out) && isLogin(out[i+1]):
			i++
			out[i] = hideLogin(out[i])
		case assigned && slices.Contains(loginOptions, key) && isLogin(val):
			out[i] = key + "=" + hideLogin(val)
		case strings.HasPrefix(key, "-p") && len(key) > 2 && slices.ContainsFunc(out[:i], isSQLClient):
			out[i] = "-p" + Hidden
		case (strings.EqualFold(key, "bearer") || strings.EqualFold(key, "basic")) && i+1 < len(out) && strings.HasSuffix(strings.ToLower(out[i-1]), "authorization:"):
			i++
			out[i] = Hidden
		default:
			out[i] = redactURL(out[i])
		}
	}
	return out
}

// loginOptions take NAME:PASSWORD: curl's and those of programs like it.
var loginOptions = []string{"-u", "-U", "--user", "--proxy-user"}

// isLogin passes over what is user and group by number.
func isLogin(v string) bool {
	name, password, ok := strings.Cut(v, ":")
	return ok && password != "" && !strings.HasPrefix(v, "/") && strings.Trim(name+password, "0123456789") != ""
}

func hideLogin(v string) string {
	name, _, _ := strings.Cut(v, ":")
	return name + ":" + Hidden
}

// isSQLClient names the programs that take -pPASSWORD in one word.
func isSQLClient(arg string) bool {
	name := arg[strings.LastIndexByte(arg, '/')+1:]
	return strings.HasPrefix(name, "mysql") || strings.HasPrefix(name, "mariadb")
}

func isSecretOption(key string) bool {
	key = strings.ToLower(strings.TrimLeft(key, "-"))
	if isSecretKey(key) {
		return true
	}
	last := key[strings.LastIndexAny(key, "-_.:")+1:]
	return slices.Contains(secretWords, last)
}

// isSecretValue passes over what is no secret: nothing, another option, a file's name.
func isSecretValue(v string) bool {
	return v != "" && !strings.HasPrefix(v, "-") && !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "./")
}

// redactURL hides the password of scheme://user:password@host.
func redactURL(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return s
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		return s
	}
	colon := strings.IndexByte(rest[:at], ':')
	if colon < 0 {
		return s
	}
	return scheme + "://" + rest[:colon+1] + Hidden + rest[at:]
}
