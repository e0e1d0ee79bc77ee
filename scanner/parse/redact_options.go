package parse

import (
	"slices"
	"strings"
)

// programOptions are options that take a secret in some programs alone, in the next word or, where
// the name ends so, in the same one.
var programOptions = map[string][]string{
	"sshpass": {"-p", "-p…"}, "ldapsearch": {"-w"}, "ldapmodify": {"-w"}, "ldapadd": {"-w"}, "ldapdelete": {"-w"}, "ldapwhoami": {"-w"}, "ldappasswd": {"-w", "-s", "-a"},
	"redis-cli": {"-a"}, "zip": {"-P"}, "unzip": {"-P"}, "7z": {"-p…"}, "7za": {"-p…"}, "7zr": {"-p…"}, "rar": {"-p…", "-hp…"}, "unrar": {"-p…"},
	"mosquitto_pub": {"-P"}, "mosquitto_sub": {"-P"}, "mosquitto_rr": {"-P"}, "snmpget": snmpOptions, "snmpwalk": snmpOptions, "snmpset": snmpOptions, "snmpbulkwalk": snmpOptions,
	"snmptrap": snmpOptions, "snmpstatus": snmpOptions, "snmptable": snmpOptions, "ipmitool": {"-P"}, "plink": {"-pw"}, "pscp": {"-pw"}, "psftp": {"-pw"}, "mongo": {"-p"}, "mongosh": {"-p"},
	"mongodump": {"-p"}, "mongorestore": {"-p"}, "xfreerdp": {"/p:…"}, "wlfreerdp": {"/p:…"}, "rdesktop": {"-p"}, "ncftpput": {"-p"}, "ncftpget": {"-p"}, "mysql": {"-p…"}, "mysqldump": {"-p…"},
	"mysqladmin": {"-p…"}, "mysqlcheck": {"-p…"}, "mysqlimport": {"-p…"}, "mysqlshow": {"-p…"}, "mysqlslap": {"-p…"}, "mysqlpump": {"-p…"}, "mysqlbinlog": {"-p…"}, "mysqlsh": {"-p…"}, "mariadb": {"-p…"},
	"mariadb-dump": {"-p…"}, "mariadb-admin": {"-p…"}, "mariadb-backup": {"-p…"}, "mariadb-check": {"-p…"}, "mariadb-import": {"-p…"}, "login": {"-p"}, "iwconfig": {"key"}, "nmcli": {"password"}, "openssl": {"-k", "-K"},
	"zerotier-cli": {"-T…"}, "smbclient": {"-U%"}, "rpcclient": {"-U%"}, "smbget": {"-U%"}, "net": {"-U%"}, "winexe": {"-U%"}, "wmic": {"-U%"}, "lftp": {"-u,"}, "curl": {"--cookie", "-b"},
}

var snmpOptions = []string{"-c", "-A", "-X"}

// secretReaders read a secret from what is piped into them.
var secretReaders = []string{"chpasswd", "passwd", "sudo", "cryptsetup", "smbpasswd", "smbclient", "kinit", "gpg", "wpa_passphrase", "docker", "podman", "faillog", "openssl", "pw", "vncpasswd", "su"}

const maxNested = 3 // commands in quotes within commands in quotes

// commandWord is a word of a command line, without the quotes around it.
type commandWord struct {
	from, to int
	sign     byte // of what stands between commands (| ; & and so on), and 0 for words
	quoted   byte // the quotes around the whole word, and 0 for none
}

// options hides the secrets among the words of the commands of a line, which begins at base of the
// whole one.
func (r *textRedactor) options(line string, base, nested int) {
	if !strings.ContainsAny(line, "-/") && !hinted(line) {
		return
	}
	words := commandWords(line)
	var texts []string
	start := 0
	flush := func(end int) {
		texts = texts[:0]
		for _, w := range words[start:end] {
			texts = append(texts, line[w.from:w.to])
		}
		for _, h := range secretWordsIn(texts) {
			w := words[start+h.word]
			from, to := w.from+h.from, w.to
			if to-from >= 2 && (line[from] == '"' || line[from] == '\'') && line[to-1] == line[from] {
				from, to = from+1, to-1
			} else if w.quoted == 0 && to > from && (line[to-1] == '"' || line[to-1] == '\'') && strings.Count(line[from:to], line[to-1:to]) == 1 {
				to-- // the quote was opened before the value
			}
			if from < to && !isReference(line[from:to], CommandText, w.quoted) {
				r.hide(base+from, base+to)
			}
		}
	}
	for i := range words {
		if words[i].sign != 0 {
			if words[i].sign == '|' {
				r.piped(line, base, words[start:i], words[i+1:])
			}
			flush(i)
			start = i + 1
		}
	}
	flush(len(words))
	if nested < maxNested {
		r.inQuotes(line, base, nested)
	}
}

// inQuotes looks at what stands in quotes and has several words: it may be a command.
func (r *textRedactor) inQuotes(line string, base, nested int) {
	eachQuoted(line, func(from, to int) {
		if strings.ContainsAny(line[from:to], " \t") {
			r.options(line[from:to], base+from, nested+1)
		}
	})
}

// eachQuoted calls do with what stands in each pair of quotes.
func eachQuoted(line string, do func(from, to int)) {
	last := map[byte]int{'"': strings.LastIndexByte(line, '"'), '\'': strings.LastIndexByte(line, '\'')}
	for i := 0; i < len(line); i++ {
		c := line[i]
		if c == '\\' {
			i++
			continue
		}
		if c != '"' && c != '\'' || i >= last[c] {
			continue
		}
		end := closing(line, i)
		do(i+1, end)
		i = end
	}
}

// closing finds the quote that closes the one at i; there is one further on.
func closing(line string, i int) int {
	for end := i + 1; end < len(line); end++ {
		if line[end] == '\\' && line[i] == '"' {
			end++
			continue
		}
		if line[end] == line[i] {
			return end
		}
	}
	return len(line)
}

// commandWords takes a line apart at blanks and at what stands between commands, outside of quotes.
// Brackets and commas beside quotes, as in JSON, are blanks.
func commandWords(line string) []commandWord {
	var out []commandWord
	last := map[byte]int{'"': strings.LastIndexByte(line, '"'), '\'': strings.LastIndexByte(line, '\'')}
	for i := 0; i < len(line); {
		switch c := line[i]; {
		case strings.IndexByte(" \t\r\n[]{},", c) >= 0, c == ':' && i > 0 && line[i-1] == '"', c == '\\' && i+1 < len(line) && (line[i+1] == '\n' || line[i+1] == '\r'):
			i++
			continue
		case strings.IndexByte("|;&()", c) >= 0:
			out = append(out, commandWord{from: i, to: i + 1, sign: c})
			i++
			continue
		}
		from, quotes := i, 0
		for i < len(line) {
			c := line[i]
			if (c == '"' || c == '\'') && i < last[c] {
				i = min(closing(line, i)+1, len(line))
				if quotes++; from == i || i < len(line) && strings.IndexByte(",]}:", line[i]) >= 0 && from < i-1 && (line[from] == '"' || line[from] == '\'') {
					break
				}
				continue
			}
			if strings.IndexByte(" \t\r\n|;&()", c) >= 0 {
				break
			}
			if c == '\\' && i+1 < len(line) && line[i+1] != '\n' && line[i+1] != '\r' {
				i++
			}
			i++
		}
		i = min(i, len(line))
		w := commandWord{from: from, to: i}
		if c := line[from]; quotes == 1 && i-from >= 2 && (c == '"' || c == '\'') && line[i-1] == c {
			w = commandWord{from: from + 1, to: i - 1, quoted: c}
		}
		out = append(out, w)
	}
	return out
}

// piped hides what echo writes into a program that reads a secret: echo x | sudo -S id.
func (r *textRedactor) piped(line string, base int, left, right []commandWord) {
	echo := slices.IndexFunc(left, func(w commandWord) bool {
		name := baseName(line[w.from:w.to])
		return name == "echo" || name == "printf"
	})
	if echo < 0 {
		return
	}
	reads := false
	for i, w := range right {
		if w.sign != 0 || i > 3 {
			break
		}
		reads = reads || slices.Contains(secretReaders, baseName(line[w.from:w.to]))
	}
	for _, w := range left[echo+1:] {
		if text := line[w.from:w.to]; reads && w.sign == 0 && !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "%") {
			r.part(line, base+w.from, base+w.to, w.quoted)
		}
	}
}

func baseName(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// wordHit is a secret in a word of a command, from a place to the word's end.
type wordHit struct{ word, from int }

// secretWordsIn finds the secrets among the words of one command.
func secretWordsIn(words []string) []wordHit {
	var out []wordHit
	var special []string // options of the programs named so far
	for i := 0; i < len(words); i++ {
		w := words[i]
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		key, val, assigned := strings.Cut(w, "=")
		attached := attachedSecret(w, special)
		switch {
		case attached > 0:
			out = append(out, wordHit{i, attached})
		case i > 0 && assigned && isSecretOption(key) && isSecretValue(val):
			out = append(out, wordHit{i, len(key) + 1})
		case !assigned && strings.HasPrefix(w, "-") && isSecretOption(w) && isSecretValue(next):
			i++
			out = append(out, wordHit{i, 0})
		case slices.Contains(loginOptions, w) && isLogin(next):
			i++
			out = append(out, wordHit{i, strings.IndexByte(next, ':') + 1})
		case assigned && slices.Contains(loginOptions, key) && isLogin(val):
			out = append(out, wordHit{i, len(key) + 1 + strings.IndexByte(val, ':') + 1})
		case slices.Contains(special, w) && isSecretValue(next):
			i++
			out = append(out, wordHit{i, 0})
		case strings.HasPrefix(w, "-U") && slices.Contains(special, "-U%") && strings.Contains(w+next, "%"):
			if w == "-U" {
				i++
			}
			out = append(out, wordHit{i, strings.IndexByte(words[i], '%') + 1})
		case w == "-u" && slices.Contains(special, "-u,") && strings.Contains(next, ","):
			i++
			out = append(out, wordHit{i, strings.IndexByte(next, ',') + 1})
		case (strings.EqualFold(w, "bearer") || strings.EqualFold(w, "basic")) && isSecretValue(next) && i > 0 && strings.HasSuffix(strings.ToLower(words[i-1]), "authorization:"):
			i++
			out = append(out, wordHit{i, 0})
		case strings.HasPrefix(w, "pass:") && isSecretValue(w[5:]) && i > 0 && strings.HasPrefix(words[i-1], "-pass"):
			out = append(out, wordHit{i, 5})
		case w == "-b" && i+3 < len(words) && baseName(words[max(0, i-1)]) == "htpasswd":
			out = append(out, wordHit{i + 3, 0})
		case baseName(w) == "wpa_passphrase" && i+2 < len(words) && isSecretValue(words[i+2]):
			out = append(out, wordHit{i + 2, 0})
			i += 2
		case strings.HasPrefix(w, "<<<") && (len(w) > 3 || next != "") && readsSecret(words[:i]):
			if w == "<<<" {
				i++
				out = append(out, wordHit{i, 0})
			} else {
				out = append(out, wordHit{i, 3})
			}
		}
		special = append(special, programOptions[baseName(w)]...)
	}
	return slices.DeleteFunc(out, func(h wordHit) bool {
		v := words[h.word]
		return h.from > len(v) || strings.Trim(v[h.from:], "*\"'") == ""
	})
}

func readsSecret(words []string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(secretReaders, baseName(w)) })
}

// attachedSecret tells where the secret begins in a word that is an option and its value, or 0.
func attachedSecret(w string, special []string) int {
	for _, s := range special {
		if option, ok := strings.CutSuffix(s, "…"); ok && len(w) > len(option) && strings.HasPrefix(w, option) {
			return len(option)
		}
	}
	return 0
}
