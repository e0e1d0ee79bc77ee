package parse

import "strings"

// pairs hides the values of pairs whose name is a secret's: NAME=VALUE, name: value, "name" => "value",
// define('NAME', 'value'), <name>value</name>, <string name="name">value</string>.
func (r *textRedactor) pairs(line string) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '=', ':', ',', '>':
		default:
			continue
		}
		from, after, ok := pairName(line, i)
		if !ok {
			continue
		}
		end := from
		for end < len(line) && nameByte(line[end]) {
			end++
		}
		name := line[from:end]
		if name == "chpasswd" && line[i] == ':' {
			r.accounts = indent(line) + 1
		}
		switch low := strings.ToLower(name); {
		case low == "name" || low == "key" || low == "id":
			r.attribute(line, after)
		case strings.HasSuffix(low, "authorization"):
			r.header(line, after)
		case r.kind >= SettingText && low == "list" && r.accounts > 0 && indent(line) >= r.accounts:
			r.value(line, from, i, after)
		case isSecretName(name) || low == "pin" && r.kind != CodeText && digitsFollow(line[after:]):
			r.value(line, from, i, after)
		}
	}
	if r.kind == CodeText {
		r.requestNames(line)
	}
}

func nameByte(c byte) bool { return wordByte(c) || c == '-' || c == '.' }

// pairName finds the name before the sign at i, and where what follows the sign begins.
func pairName(line string, i int) (from, after int, ok bool) {
	const maxBlanks = 64
	end, quoted := i, false
	after = i + 1
	switch line[i] {
	case '=':
		if after < len(line) && (line[after] == '=' || line[after] == '~') || i > 0 && strings.IndexByte("=!<>~", line[i-1]) >= 0 {
			return 0, 0, false // a comparison
		}
		if after < len(line) && line[after] == '>' {
			after++
		}
		for end > 0 && strings.IndexByte("+:?.", line[end-1]) >= 0 {
			end--
		}
	case ':':
		if after < len(line) && (line[after] == ':' || line[after] == '=' || strings.HasPrefix(line[after:], "//")) || i > 0 && line[i-1] == ':' {
			return 0, 0, false
		}
	case '>':
		if i > 0 && strings.IndexByte("=-/>", line[i-1]) >= 0 {
			return 0, 0, false
		}
	}
	for n := 0; n < maxBlanks && end > 0 && (line[end-1] == ' ' || line[end-1] == '\t'); n++ {
		end--
	}
	for end > 0 && strings.IndexByte("\"'\\]})", line[end-1]) >= 0 {
		quoted = quoted || line[end-1] == '"' || line[end-1] == '\''
		end--
	}
	from = end
	for from > 0 && end-from <= maxSecretName && nameByte(line[from-1]) {
		from--
	}
	switch {
	case from == end:
		return 0, 0, false
	case line[i] == '>': // <name> alone: what stands in an attribute is told by its name
		return from, after, from > 0 && line[from-1] == '<'
	case line[i] == ',': // define('NAME', 'value')
		v := strings.TrimLeft(line[after:], " \t")
		call := from > 1 && (line[from-1] == '\'' || line[from-1] == '"') && line[from-2] == '('
		return from, after, quoted && call && v != "" && (v[0] == '\'' || v[0] == '"')
	}
	for from < end && (line[from] == '-' || line[from] == '.') {
		from++
	}
	return from, after, from < end
}

// value hides what follows a secret's name. from is where the name begins, sign where the sign is.
func (r *textRedactor) value(line string, from, sign, after int) {
	at, limit := after, len(line)
	eachQuoted(line, func(open, closed int) {
		if open <= sign && sign < closed {
			limit = closed // the whole pair stands in quotes: "Password: "
		}
	})
	for at < limit && (line[at] == ' ' || line[at] == '\t') {
		at++
	}
	rest := strings.TrimRight(line[at:limit], "\r\n \t")
	switch {
	case rest == "":
		return
	case line[sign] == '>':
		if end := strings.IndexByte(rest, '<'); end > 0 {
			r.part(line, at, at+end, 0)
		}
		return
	case rest[0] == '"' || rest[0] == '\'' || strings.HasPrefix(rest, `\"`) || strings.HasPrefix(rest, `\'`):
		r.quoted(line, at, at+len(rest))
		return
	case r.kind == CodeText:
		return
	case strings.Trim(rest, "|>+-0123456789") == "" && strings.ContainsAny(rest[:1], "|>") && line[sign] == ':':
		r.block = indent(line) + 1
		return
	}
	spaced := at > after && (line[sign] != '=' || line[sign-1] == ' ' || line[sign-1] == '\t')
	if leadingName(line[:from]) && (spaced || r.kind == SettingText || r.kind == JudgedText) {
		end := at + strings.IndexAny(rest+"\n", "\r\n")
		for end > at && (line[end-1] == ',' || line[end-1] == ';' || line[end-1] == ' ' || line[end-1] == '\\') {
			end--
		}
		r.part(line, at, end, 0)
		return
	}
	end := at
	for end < at+len(rest) && strings.IndexByte(" \t\r\n\"'`,;&|<>(){}[]", line[end]) < 0 && !(line[end] == '\\' && end+1 < len(line) && strings.IndexByte("\"'\r\n", line[end+1]) >= 0) {
		end++
	}
	if end > at && end < at+len(rest) && (line[end] == '"' || line[end] == '\'') && !strings.ContainsRune(line[:from], rune(line[end])) && strings.IndexByte("$`", line[at]) < 0 {
		if n := strings.IndexByte(line[end+1:at+len(rest)], line[end]); n >= 0 { // pass=a"b c"
			end += n + 2
		}
	}
	if strings.HasPrefix(line[at:], "$(") || line[at] == '`' {
		return
	}
	quotedName := sign > 0 && (line[sign-1] == '"' || line[sign-1] == '\'')
	if quotedName && strings.Trim(line[at:end], "0123456789.") == "" && end-at > 1 {
		r.hits = append(r.hits, hit{from: at, to: end, with: "11111111"}) // a number stays one
		return
	}
	r.part(line, at, end, 0)
}

// leadingName tells whether nothing but blanks, a mark of a list or a comment, or "export" stands
// before a name.
func leadingName(before string) bool {
	before = strings.Trim(before, " \t#;-\"'")
	return before == "" || before == "export" || before == "set" || before == "setenv" || before == "option" || before == "user_pref("
}

// quoted hides what is in the quotes at a place, and what goes on behind them without a blank.
func (r *textRedactor) quoted(line string, at, end int) {
	open := 1
	if line[at] == '\\' {
		open = 2
	}
	sign := line[at : at+open]
	from := at + open
	to := from
	for to < end && !strings.HasPrefix(line[to:], sign) {
		if open == 1 && line[to] == '\\' && to+1 < end {
			to++
		}
		to++
	}
	r.part(line, from, min(to, end), sign[open-1])
}

// part hides a value if it may be a secret.
func (r *textRedactor) part(line string, from, to int, quote byte) {
	if from < to && hideable(line[from:to], r.kind, quote) {
		r.hide(from, to)
	}
}

// attribute hides the value of an element or pair whose own name stands in quotes, as in
// <string name="password">x</string>, <add key="token" value="x"/> and {"name": "TOKEN", "value": "x"}.
func (r *textRedactor) attribute(line string, after int) {
	at := after
	for at < len(line) && line[at] == ' ' {
		at++
	}
	if at >= len(line) || line[at] != '"' && line[at] != '\'' {
		return
	}
	n := strings.IndexByte(line[at+1:], line[at])
	if n < 0 || !isSecretName(line[at+1:at+1+n]) {
		return
	}
	end := at + 1 + n + 1
	rest := strings.TrimRight(line[end:], "\r\n")
	if n := strings.IndexAny(rest, "<}{"); n >= 0 {
		if gt := strings.IndexByte(rest[:n], '>'); gt >= 0 {
			r.part(line, end+gt+1, end+n, 0)
			return
		}
		rest = rest[:n]
	}
	if i := strings.Index(rest, "value"); i >= 0 {
		if q := strings.IndexAny(rest[i:], `"'`); q >= 0 && rest[i+q-1] != 'e' || q >= 0 && strings.HasPrefix(rest[i:], `value":`) {
			v := i + q
			if strings.HasPrefix(rest[i:], `value":`) {
				next := strings.IndexByte(rest[i+len(`value":`):], '"')
				if next < 0 {
					return
				}
				v = i + len(`value":`) + next
			}
			r.quoted(line, end+v, end+len(rest))
		}
	}
}

// header hides what follows the scheme of Authorization.
func (r *textRedactor) header(line string, after int) {
	at := after
	for at < len(line) && strings.IndexByte(" \t\"'", line[at]) >= 0 {
		at++
	}
	end := at + len(line[at:])
	if n := strings.IndexAny(line[at:], "\"'\r\n\\`"); n >= 0 {
		end = at + n
	}
	if i := strings.IndexByte(line[at:end], ' '); i >= 0 {
		at += i + 1
	}
	for at < end && line[at] == ' ' {
		at++
	}
	if n := strings.IndexByte(line[at:end], ' '); n >= 0 {
		end = at + n
	}
	r.part(line, at, end, 0)
}

// requestNames hides the name under which a script takes what it runs from a request: in a back
// door that is its password.
func (r *textRedactor) requestNames(line string) {
	for _, from := range []string{"$_GET[", "$_POST[", "$_REQUEST[", "$_COOKIE["} {
		for at := 0; ; {
			i := strings.Index(line[at:], from)
			if i < 0 {
				break
			}
			at += i + len(from)
			if at < len(line) && (line[at] == '\'' || line[at] == '"') {
				if n := strings.IndexByte(line[at+1:], line[at]); n > 0 && line[at+1:at+1+n] != Hidden {
					r.hide(at+1, at+1+n)
				}
			}
		}
	}
}

// digitsFollow tells whether a value is a number of four digits or more.
func digitsFollow(s string) bool {
	s = strings.TrimLeft(s, " \t\"'")
	rest := strings.TrimLeft(s, "0123456789")
	return len(s)-len(rest) >= 4 && (rest == "" || !wordByte(rest[0]))
}

// leading hides the secrets of lines whose words alone tell: requirepass x, machine x login y
// password z, what answers an installer's question, and the password of GRUB's menu.
func (r *textRedactor) leading(line string) {
	if !hinted(line) {
		return
	}
	words, ends := fieldsAt(line)
	hide := func(i int) { r.word(line, ends[i]-len(words[i]), ends[i]) }
	n, settings := len(words), r.kind == SettingText || r.kind == JudgedText
	switch {
	case n >= 4 && words[0] == "d-i" && isSecretName(baseName(words[1])):
		r.part(line, ends[3]-len(words[3]), len(strings.TrimRight(line, "\r\n ")), 0)
	case n >= 2 && words[0] == "rootpw":
		hide(n - 1)
	case n == 3 && words[0] == "password" && r.kind == JudgedText:
		hide(2)
	case settings && n >= 2:
		i := 0
		if words[0] == "option" || words[0] == "list" || words[0] == "set" {
			i++
		}
		if n == i+2 && isSecretName(words[i]) && !isCommon(words[i], words[i+1]) {
			hide(i + 1)
		}
	}
	login := false
	for i, w := range words[:max(0, n-1)] {
		if login && (w == "password" || w == "passwd" || w == "account") {
			hide(i + 1)
		}
		login = login || w == "login" || w == "machine" || w == "nmcli"
		if strings.ContainsAny(w, "_-") && w[0] != '-' && isSecretName(w) && !strings.ContainsAny(w, "=:\"'$({/") {
			hide(i + 1)
		}
	}
}

// isCommon tells an SNMP community that everybody tries, which is no secret and is told.
func isCommon(name, value string) bool {
	return strings.Contains(strings.ToLower(name), "community") && CommonCommunity(strings.Trim(value, "\"'"))
}

// word hides a word but for its quotes.
func (r *textRedactor) word(line string, from, to int) {
	quote := byte(0)
	if to-from >= 2 && (line[from] == '"' || line[from] == '\'') {
		quote = line[from]
		from++
		if line[to-1] == quote {
			to--
		}
	}
	if n := strings.IndexAny(line[from:to], ";|&<>()"); n >= 0 && quote == 0 && r.kind == CommandText {
		to = from + n // another command begins
	}
	if from < to && strings.IndexByte("-=:|&<>(", line[from]) < 0 {
		r.part(line, from, to, quote)
	}
}

const maxFields = 64

// fieldsAt is strings.Fields of the first words of a line, with where each ends.
func fieldsAt(line string) (words []string, ends []int) {
	for i := 0; i < len(line) && len(words) < maxFields; {
		if line[i] == ' ' || line[i] == '\t' || line[i] == '\n' || line[i] == '\r' {
			i++
			continue
		}
		end := i
		for end < len(line) && strings.IndexByte(" \t\r\n", line[end]) < 0 {
			end++
		}
		words, ends = append(words, line[i:end]), append(ends, end)
		i = end
	}
	return words, ends
}
