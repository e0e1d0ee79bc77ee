package parse

import "strings"

// CommonCommunity tells the words that everybody tries as an SNMP community.
func CommonCommunity(word string) bool {
	switch strings.ToLower(word) {
	case "public", "private", "cisco", "admin", "snmp", "community", "default":
		return true
	}
	return false
}

// RedactSNMP takes communities and passphrases out of snmpd.conf(5). A community that everybody
// tries stays, for it is judged.
func RedactSNMP(b []byte) []byte {
	r := &textRedactor{kind: CommandText, mark: hiddenValue}
	var out []byte
	for line := range strings.Lines(string(b)) {
		r.hits = r.hits[:0]
		words, ends := fieldsAt(line)
		for _, i := range snmpSecrets(words) {
			if i < len(words) && !CommonCommunity(strings.Trim(words[i], "\"'")) {
				r.word(line, ends[i]-len(words[i]), ends[i])
			}
		}
		out = append(out, r.apply(line)...)
	}
	return out
}

// snmpSecrets tells which words of a line are secrets.
func snmpSecrets(words []string) []int {
	if len(words) == 0 {
		return nil
	}
	switch strings.ToLower(strings.TrimLeft(words[0], "#")) {
	case "rocommunity", "rwcommunity", "rocommunity6", "rwcommunity6", "trapcommunity":
		return []int{1}
	case "com2sec", "com2sec6", "com2secunix":
		if len(words) > 2 && words[1] == "-Cn" {
			return []int{5}
		}
		return []int{3}
	case "authcommunity", "trapsink", "trap2sink", "informsink":
		return []int{2}
	case "createuser":
		at := 1
		if len(words) > 1 && words[1] == "-e" {
			at = 3
		}
		return []int{at + 2, at + 4}
	}
	return nil
}
