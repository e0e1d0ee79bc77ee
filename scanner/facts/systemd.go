package facts

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// SystemdUnit is one unit file, drop-in, generator or enabling link, or one command of a unit.
type SystemdUnit struct {
	Kind    string `expr:"kind" json:"kind" doc:"unit, dropin, generator, enabled (a link that starts the unit) or masked"`
	What    string `expr:"what" json:"what" doc:"file, or command for one command or loader variable of it"`
	Unit    string `expr:"unit" json:"unit" doc:"unit name, such as ssh.service"`
	Path    string `expr:"path" json:"path" doc:"the file"`
	Scope   string `expr:"scope" json:"scope" doc:"system, user (the units of every user's session) or user:NAME"`
	User    string `expr:"user" json:"user,omitempty" doc:"account that the unit runs as; empty for root, or for the session's own user"`
	Setting string `expr:"setting" json:"setting,omitempty" doc:"ExecStart, ExecStartPre, ..., Environment"`
	// ReplacesExec is about drop-ins.
	ReplacesExec bool   `expr:"replaces_exec" json:"replaces_exec,omitempty" doc:"a drop-in that resets ExecStart and so replaces what the unit runs"`
	UnitOwned    bool   `expr:"unit_owned" json:"unit_owned,omitempty" doc:"for a drop-in: a package installed the unit that it changes"`
	Where        string `expr:"where" json:"where" doc:"file and line"`
	CommandLine
	Origin
}

var (
	systemUnitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system", "/run/systemd/transient"}
	userUnitDirs   = []string{"/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user", "/usr/local/share/systemd/user", "/usr/share/systemd/user"}
	homeUnitDirs   = []string{"/.config/systemd/user", "/.local/share/systemd/user"}
	generatorDirs  = []string{"/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd", "/lib/systemd"}
	generatorKinds = []string{"/system-generators/*", "/user-generators/*", "/system-environment-generators/*", "/user-environment-generators/*"}
)

func systemdGlobs() []string {
	var out []string
	for _, d := range concat(systemUnitDirs, userUnitDirs) {
		out = append(out, d+"/*", d+"/*/*")
	}
	for _, d := range homeUnitDirs {
		out = append(out, "~"+d+"/*", "~"+d+"/*/*")
	}
	for _, d := range generatorDirs {
		for _, k := range generatorKinds {
			out = append(out, d+k)
		}
	}
	return out
}

func systemdCollector() scanner.Collector {
	return scanner.Collector{
		Table: "systemd_units", Doc: "systemd units, drop-ins, generators and enabling links, and the commands of units that differ from their package", Row: SystemdUnit{},
		Reads: scanner.Reads{Globs: systemdGlobs(), Meta: everyProgram()}, Needs: []string{"users", "packages"}, Collect: collectSystemd,
	}
}

type systemdReader struct {
	*treeReader
	p    *provenance
	seen map[string]bool // resolved folders that were read: /lib may be /usr/lib
	// unitDirs are all folders of units, resolved.
	unitDirs map[string]bool
	rows     []SystemdUnit
}

func collectSystemd(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	s := &systemdReader{treeReader: newReader(in, t), p: newProvenance(in), seen: map[string]bool{}, unitDirs: map[string]bool{}}
	for _, d := range concat(systemUnitDirs, userUnitDirs) {
		s.unitDirs[s.p.real(d)] = true
	}
	for _, d := range systemUnitDirs {
		s.dir(d, "system")
	}
	for _, d := range userUnitDirs {
		s.dir(d, "user")
	}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	for _, u := range accountHomes(users) {
		for _, d := range homeUnitDirs {
			s.dir(u.Home+d, "user:"+u.Name)
		}
	}
	s.generators()
	t.Rows = s.rows
	return *t
}

// accountHomes gives the first account of every home directory that is worth looking into.
func accountHomes(users []User) []User {
	var out []User
	for _, h := range homes(users) {
		for _, u := range users {
			if path.Clean(u.Home) == h {
				u.Home = h
				out = append(out, u)
				break
			}
		}
	}
	return out
}

// dir reads one folder of units.
func (s *systemdReader) dir(dir, scope string) {
	real, err := s.fs.Resolve(dir)
	if err != nil {
		s.note(err)
		return
	}
	if s.seen[real] {
		return
	}
	s.seen[real] = true
	entries, err := s.fs.ReadDir(dir)
	s.note(err)
	for _, e := range entries {
		name := dir + "/" + e.Name
		switch {
		case e.Mode&fs.ModeSymlink != 0:
			s.link(name, e.Name, scope)
		case e.Mode.IsDir():
			s.subdir(name, e.Name, scope)
		case e.Mode.IsRegular() && isUnitName(e.Name):
			s.unit("unit", name, e.Name, scope)
		}
	}
}

func isUnitName(name string) bool {
	switch path.Ext(name) {
	case ".service", ".timer", ".socket", ".path", ".mount", ".automount", ".swap":
		return true
	}
	return false
}

// link adds a unit that is a link: masked, an alias, or a file elsewhere.
func (s *systemdReader) link(name, base, scope string) {
	to, err := s.fs.Readlink(name)
	if err != nil {
		s.note(err)
		return
	}
	if to == "/dev/null" {
		s.rows = append(s.rows, SystemdUnit{Kind: "masked", What: "file", Unit: base, Path: name, Scope: scope, Where: name})
		return
	}
	real, err := s.fs.Resolve(name)
	if err != nil || !isUnitName(base) {
		s.note(err)
		return
	}
	if s.unitDirs[path.Dir(real)] {
		return // an alias: the unit itself is read there
	}
	s.unit("unit", name, base, scope)
}

// subdir reads drop-ins and enabling links.
func (s *systemdReader) subdir(dir, base, scope string) {
	unit, kind := strings.TrimSuffix(base, ".d"), "dropin"
	if strings.HasSuffix(base, ".wants") || strings.HasSuffix(base, ".requires") || strings.HasSuffix(base, ".upholds") {
		kind = "enabled"
	} else if unit == base {
		return
	}
	entries, err := s.fs.ReadDir(dir)
	s.note(err)
	for _, e := range entries {
		name := dir + "/" + e.Name
		switch {
		case kind == "enabled" && e.Mode&fs.ModeSymlink != 0:
			s.rows = append(s.rows, SystemdUnit{Kind: kind, What: "file", Unit: e.Name, Path: name, Scope: scope, Where: name})
		case kind == "dropin" && path.Ext(e.Name) == ".conf" && !e.Mode.IsDir():
			s.unit(kind, name, unit, scope)
		}
	}
}

// unit reads one unit file or drop-in.
func (s *systemdReader) unit(kind, name, unit, scope string) {
	if info, err := s.fs.Stat(name); err != nil || !info.Mode.IsRegular() {
		s.note(err)
		return
	}
	b := s.file(name)
	settings := parse.Unit(b)
	row := SystemdUnit{Kind: kind, What: "file", Unit: unit, Path: name, Scope: scope, Where: name, Origin: s.p.origin(name, b)}
	row.User = settings.Get("Service", "User")
	if kind == "dropin" {
		s.dropin(&row, settings)
	}
	s.rows = append(s.rows, row)
	for _, set := range settings {
		exec := strings.HasPrefix(set.Key, "Exec") && set.Value != ""
		loader := set.Key == "Environment" && strings.Contains(set.Value, "LD_")
		if !exec && !loader || row.Pristine && !strings.Contains(unit, "getty") {
			continue
		}
		c := row
		c.What, c.Setting, c.Where, c.Origin = "command", set.Key, at(name, set.Line), row.Origin.clone()
		command, _ := parse.UnitCommand(set.Value)
		c.CommandLine = s.p.commandOf(command, &c.Unread)
		s.rows = append(s.rows, c)
	}
}

// dropin tells whether a drop-in replaces the command of a packaged unit.
func (s *systemdReader) dropin(row *SystemdUnit, settings parse.Settings) {
	for _, set := range settings {
		if set.Key == "ExecStart" && set.Value == "" {
			row.ReplacesExec = true
		}
	}
	if !row.ReplacesExec {
		return
	}
	unit := row.Unit
	if i := strings.IndexByte(unit, '@'); i >= 0 {
		unit = unit[:i+1] + path.Ext(unit)
	}
	for _, d := range []string{"/usr/lib/systemd/system/", "/lib/systemd/system/", "/etc/systemd/system/", "/usr/lib/systemd/user/"} {
		_, owned, why := s.p.owner(d + unit)
		if why != "" {
			row.MarkUnread("unit_owned", why)
		}
		row.UnitOwned = row.UnitOwned || owned
	}
}

func (s *systemdReader) generators() {
	for _, d := range generatorDirs {
		for _, k := range generatorKinds {
			dir := path.Dir(d + k)
			real, err := s.fs.Resolve(dir)
			if err != nil || s.seen[real] {
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					s.note(err)
				}
				continue
			}
			s.seen[real] = true
			for _, name := range s.glob(d + k) {
				s.generator(name)
			}
		}
	}
}

func (s *systemdReader) generator(name string) {
	info, err := s.fs.Stat(name)
	if err != nil || !executable(info) {
		s.note(err)
		return
	}
	row := SystemdUnit{Kind: "generator", What: "file", Unit: path.Base(name), Path: name, Scope: "system", Where: name}
	var why string
	if _, row.Owned, why = s.p.owner(name); why != "" {
		row.MarkUnread("owned", why)
	}
	s.rows = append(s.rows, row)
}
