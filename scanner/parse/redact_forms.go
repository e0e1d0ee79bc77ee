package parse

import (
	"bytes"
	"strings"
)

// secretForm is a form by which a token or hash is known wherever it stands.
type secretForm struct {
	prefix string
	least  int    // bytes that follow
	more   string // bytes besides letters, digits, - and _ that may be in it
	hash   bool   // of crypt(3): $id$salt$hash
}

// secretForms are published by those who give the tokens out, and by crypt(5).
var secretForms = []secretForm{
	{prefix: "ghp_", least: 16}, {prefix: "gho_", least: 16}, {prefix: "ghu_", least: 16}, {prefix: "ghs_", least: 16}, {prefix: "ghr_", least: 16}, {prefix: "github_pat_", least: 16},
	{prefix: "glpat-", least: 14}, {prefix: "gldt-", least: 14}, {prefix: "glrt-", least: 14}, {prefix: "xoxb-", least: 10}, {prefix: "xoxp-", least: 10}, {prefix: "xoxa-", least: 10},
	{prefix: "xoxr-", least: 10}, {prefix: "xoxs-", least: 10}, {prefix: "xapp-", least: 10}, {prefix: "AKIA", least: 12}, {prefix: "ASIA", least: 12}, {prefix: "AIza", least: 24},
	{prefix: "ya29.", least: 16}, {prefix: "GOCSPX-", least: 16}, {prefix: "sk_live_", least: 10}, {prefix: "sk_test_", least: 10}, {prefix: "rk_live_", least: 10}, {prefix: "sk-", least: 20}, {prefix: "whsec_", least: 16},
	{prefix: "npm_", least: 24}, {prefix: "pypi-AgE", least: 16}, {prefix: "dckr_pat_", least: 16}, {prefix: "hvs.", least: 16}, {prefix: "hvb.", least: 16}, {prefix: "tskey-", least: 14}, {prefix: "SG.", least: 20, more: "."},
	{prefix: "dop_v1_", least: 16}, {prefix: "shpat_", least: 16}, {prefix: "AGE-SECRET-KEY-1", least: 16}, {prefix: "eyJ", least: 20, more: "."}, {prefix: "hooks.slack.com/services/", least: 10, more: "/"},
	{prefix: "grub.pbkdf2.", least: 20, more: "."}, {prefix: "{SSHA}", least: 10, more: "+/="}, {prefix: "$apr1$", least: 4, hash: true}, {prefix: "$argon2", least: 16, hash: true},
	{prefix: "$1$", least: 16, hash: true}, {prefix: "$2a$", least: 16, hash: true}, {prefix: "$2b$", least: 16, hash: true}, {prefix: "$2y$", least: 16, hash: true}, {prefix: "$5$", least: 16, hash: true},
	{prefix: "$6$", least: 16, hash: true}, {prefix: "$7$", least: 16, hash: true}, {prefix: "$y$", least: 16, hash: true}, {prefix: "$gy$", least: 16, hash: true},
}

// formsIn gives the forms that a text may have: most have none.
func formsIn(b []byte) []secretForm {
	var out []secretForm
	for _, f := range secretForms {
		if bytes.Contains(b, []byte(f.prefix)) {
			out = append(out, f)
		}
	}
	return out
}

// form hides what has a form, and leaves what names it.
func (r *textRedactor) form(f *secretForm, line string) {
	for at := 0; ; {
		i := strings.Index(line[at:], f.prefix)
		if i < 0 {
			return
		}
		start := at + i
		from := start + len(f.prefix)
		at = from
		if start > 0 && wordByte(f.prefix[0]) && wordByte(line[start-1]) {
			continue // in the midst of a word
		}
		more := f.more
		if f.hash {
			more = "./$=,+"
		}
		to := from
		for to < len(line) && (wordByte(line[to]) || line[to] == '-' || strings.IndexByte(more, line[to]) >= 0) {
			to++
		}
		for to > from && line[to-1] == '.' {
			to--
		}
		with := strings.Repeat("x", 20)
		switch {
		case to-from < f.least:
			continue
		case f.prefix == "eyJ" && strings.Count(line[from:to], ".") < 1 && line[from:to] != with:
			continue // JSON in base64, but no token
		case f.hash && strings.IndexByte(line[from:to], '$') < 0:
			continue
		case f.hash:
			with = "xxxxxxxx$xxxxxxxxxxxxxxxxxxxxxx"
		}
		r.hits = append(r.hits, hit{from: start, to: to, with: f.prefix + with, form: true})
		at = to
	}
}
