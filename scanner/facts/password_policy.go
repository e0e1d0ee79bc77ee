package facts

import (
	"context"
	"path"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// PasswordPolicy is what the device asks of a password, one row.
type PasswordPolicy struct {
	MinLength int    `expr:"min_length" json:"min_length" doc:"shortest password that may be set; 0 when nothing says"`
	Quality   string `expr:"quality" json:"quality,omitempty" doc:"module that judges new passwords, empty for none"`
	Lockout   string `expr:"lockout" json:"lockout,omitempty" doc:"module that slows guessing down, empty for none"`
	Passwords bool   `expr:"passwords" json:"passwords" doc:"at least one account has a password"`
	Where     string `expr:"where" json:"where" doc:"file and line that sets the length"`
	scanner.Unread
}

var policyGlobs = []string{"/etc/security/pwquality.conf", "/etc/security/pwquality.conf.d/*.conf"}

func passwordPolicyCollector() scanner.Collector {
	return scanner.Collector{
		Table: "password_policy", Doc: "what is asked of passwords, one row", Row: PasswordPolicy{},
		Reads: scanner.Reads{Globs: policyGlobs}, Needs: []string{"users", "auth_modules"}, Collect: collectPasswordPolicy,
	}
}

func collectPasswordPolicy(_ context.Context, in *scanner.Input) scanner.Table {
	t := scanner.Table{}
	lines, why := scanner.Rows[AuthModule](in, "auth_modules")
	if why != "" {
		return scanner.Table{Absent: why}
	}
	row := PasswordPolicy{Where: "/etc/pam.d"}
	pam := false
	for i := range lines {
		if l := &lines[i]; l.Kind == "pam" {
			pam = true
			row.pam(l)
		}
	}
	if !pam {
		return scanner.Table{Inapplicable: "the device has no PAM"}
	}
	r := newReader(in, &t)
	for _, name := range r.glob(policyGlobs...) {
		if s, ok := parse.INI(r.file(name)).Find("", "minlen"); ok && row.Quality == "pam_pwquality.so" {
			row.length(s.Value, at(name, s.Line))
		}
	}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		row.MarkUnread("passwords", why)
	}
	for i := range users {
		row.Passwords = row.Passwords || users[i].Password == string(parse.PasswordSet)
		if why := users[i].UnreadColumns()["password"]; why != "" {
			row.MarkUnread("passwords", why)
		}
	}
	t.Rows = []PasswordPolicy{row}
	return t
}

// pam notes what a line of PAM asks.
func (p *PasswordPolicy) pam(l *AuthModule) {
	switch module := path.Base(l.Module); module {
	case "pam_pwquality.so", "pam_cracklib.so", "pam_passwdqc.so":
		if l.Type == "password" {
			p.Quality = module
		}
	case "pam_faillock.so", "pam_tally2.so", "pam_tally.so", "pam_faildelay.so":
		if l.Type == "auth" {
			p.Lockout = module
		}
	case "pam_unix.so":
	default:
		return
	}
	if l.Type != "password" {
		return
	}
	for _, f := range strings.Fields(l.Text) {
		if v, ok := strings.CutPrefix(f, "minlen="); ok {
			p.length(v, l.Where)
		}
	}
}

func (p *PasswordPolicy) length(v, where string) {
	if n, err := strconv.Atoi(v); err == nil {
		p.MinLength, p.Where = n, where
	}
}
