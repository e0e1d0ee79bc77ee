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
// (--password VALUE, token=VALUE, -u NAME:VALUE, mysql's -pVALUE, what follows "Bearer"), without
// passwords in URLs, and with whatever else RedactLine hides in one argument. The number of arguments stays,
// and the first as it is.
func RedactArgs(args []string) []string {
	out := slices.Clone(args)
	for _, h := range secretWordsIn(args) {
		if h.word > 0 {
			out[h.word] = out[h.word][:h.from] + Hidden
		}
	}
	for i := 1; i < len(out); i++ {
		out[i] = RedactLine(out[i])
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

func isSecretOption(key string) bool {
	key = strings.ToLower(strings.TrimLeft(key, "-"))
	if key == "" || !wordByte(key[len(key)-1]) || strings.ContainsAny(key, " \t\r\n") {
		return false
	}
	if isSecretKey(key) || key != "auth" && isSecretName(key) {
		return true
	}
	last := key[strings.LastIndexAny(key, "-_.:")+1:]
	return slices.Contains(secretWords, last)
}

// isSecretValue passes over what is no secret: nothing, another option, a file's name.
func isSecretValue(v string) bool {
	return v != "" && !strings.HasPrefix(v, "-") && !strings.HasPrefix(v, "/") && !strings.HasPrefix(v, "./")
}
