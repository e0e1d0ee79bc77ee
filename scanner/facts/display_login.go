package facts

import (
	"context"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// ScreenAccess is one setting by which somebody is at work without giving a password: an
// automatic login, or a screen lock that is off.
type ScreenAccess struct {
	Kind    string `expr:"kind" json:"kind" doc:"autologin, or lock for a setting of the screen lock"`
	Off     bool   `expr:"off" json:"off,omitempty" doc:"the setting switches the screen lock off"`
	By      string `expr:"by" json:"by" doc:"gdm, lightdm, sddm, greetd, nodm, slim, tinydm, getty, dconf or kscreenlocker"`
	Account string `expr:"account" json:"account,omitempty" doc:"who is logged in; empty for everybody's screen lock"`
	Path    string `expr:"path" json:"path" doc:"the file"`
	Text    string `expr:"text" json:"text" doc:"the setting, at most 200 bytes"`
	Where   string `expr:"where" json:"where" doc:"file and line"`
}

var displayGlobs = []string{"/etc/gdm3/custom.conf", "/etc/gdm3/daemon.conf", "/etc/gdm/custom.conf", "/etc/lightdm/lightdm.conf", "/etc/lightdm/lightdm.conf.d/*.conf",
	"/usr/share/lightdm/lightdm.conf.d/*.conf", "/etc/sddm.conf", "/etc/sddm.conf.d/*.conf", "/usr/lib/sddm/sddm.conf.d/*.conf", "/etc/greetd/config.toml",
	"/etc/default/nodm", "/etc/slim.conf", "/etc/conf.d/tinydm", "/etc/tinydm.conf"}

var lockGlobs = []string{"/etc/dconf/db/*.d/*", "~/.config/kscreenlockerrc", "/etc/xdg/kscreenlockerrc"}

func screenAccessCollector() scanner.Collector {
	return scanner.Collector{
		Table: "screen_access", Doc: "automatic logins at a screen or console, and screen locks that are off", Row: ScreenAccess{},
		Reads: scanner.Reads{Globs: concat(displayGlobs, lockGlobs)}, Needs: []string{"users", "consoles"}, Collect: collectScreenAccess,
	}
}

type screenReader struct {
	*treeReader
	rows []ScreenAccess
}

func collectScreenAccess(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	s := &screenReader{treeReader: newReader(in, t)}
	for _, name := range s.glob(displayGlobs...) {
		s.display(name)
	}
	for _, name := range s.glob(lockGlobs[0], lockGlobs[2]) {
		s.lock(name, "")
	}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	for _, u := range accountHomes(users) {
		s.lock(u.Home+"/.config/kscreenlockerrc", u.Name)
	}
	consoles, why := scanner.Rows[Console](in, "consoles")
	if why != "" {
		t.Partial = append(t.Partial, "consoles: "+why)
	}
	for _, c := range consoles {
		if c.Account != "" && c.Account != "root" { // root without a password has a rule of its own
			s.rows = append(s.rows, ScreenAccess{Kind: "autologin", By: "getty", Account: shown(c.Account), Path: c.Path, Text: c.Text, Where: c.Where})
		}
	}
	t.Rows = s.rows
	return *t
}

// automatic adds an automatic login.
func (s *screenReader) automatic(by, name, account string, set parse.Setting) {
	if account = strings.Trim(account, `"' `); account == "" {
		return
	}
	s.rows = append(s.rows, ScreenAccess{Kind: "autologin", By: by, Account: shown(account), Path: name, Text: shown(set.Key + "=" + set.Value), Where: at(name, set.Line)})
}

// display reads one display manager's file by the place that it has.
func (s *screenReader) display(name string) {
	b := s.file(name)
	ini := parse.INI(b)
	switch dir := path.Dir(name); {
	case strings.HasPrefix(dir, "/etc/gdm"):
		for _, kind := range []string{"AutomaticLogin", "TimedLogin"} {
			if set, ok := ini.Find("daemon", kind); ok && strings.EqualFold(ini.Get("daemon", kind+"Enable"), "true") {
				s.automatic("gdm", name, set.Value, set)
			}
		}
	case strings.Contains(name, "lightdm"):
		for _, set := range ini {
			if set.Key == "autologin-user" && strings.HasPrefix(set.Section, "Seat") {
				s.automatic("lightdm", name, set.Value, set)
			}
		}
	case strings.Contains(name, "sddm"):
		if set, ok := ini.Find("Autologin", "User"); ok {
			s.automatic("sddm", name, set.Value, set)
		}
	case dir == "/etc/greetd":
		if set, ok := ini.Find("initial_session", "user"); ok {
			s.automatic("greetd", name, set.Value, set)
		}
	case strings.HasSuffix(name, "nodm"):
		if set, ok := ini.Find("", "NODM_USER"); ok && ini.Get("", "NODM_ENABLED") == "true" {
			s.automatic("nodm", name, set.Value, set)
		}
	case strings.HasSuffix(name, "slim.conf"):
		s.slim(name, b)
	default: // tinydm logs its one user in by design
		if set, ok := ini.Find("", "AUTOLOGIN_UID"); ok {
			s.automatic("tinydm", name, "uid "+set.Value, set)
		}
	}
}

func (s *screenReader) slim(name string, b []byte) {
	user, on := parse.Setting{}, false
	for _, d := range parse.Directives(b) {
		switch d.Words[0] {
		case "auto_login":
			on = d.Arg(0) == "yes"
		case "default_user":
			user = parse.Setting{Key: d.Words[0], Value: d.Arg(0), Line: d.Line}
		}
	}
	if on {
		s.automatic("slim", name, user.Value, user)
	}
}

// lock adds settings of the screen lock: text files of dconf, and KDE's.
func (s *screenReader) lock(name, account string) {
	for _, set := range parse.INI(s.file(name)) {
		row := ScreenAccess{Kind: "lock", By: "dconf", Account: account, Path: name, Text: shown(set.Key + "=" + set.Value), Where: at(name, set.Line)}
		switch set.Section + " " + set.Key {
		case "Daemon Autolock":
			row.By, row.Off = "kscreenlocker", set.Value == "false"
		case "org/gnome/desktop/screensaver lock-enabled":
			row.Off = set.Value == "false"
		case "org/gnome/desktop/lockdown disable-lock-screen":
			row.Off = set.Value == "true"
		default:
			continue
		}
		s.rows = append(s.rows, row)
	}
}
