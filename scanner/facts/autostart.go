package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// AutostartEntry is one program that starts with a person's session.
type AutostartEntry struct {
	Autorun
	Name   string `expr:"name" json:"name,omitempty" doc:"name shown to people, or the D-Bus name"`
	Hidden bool   `expr:"hidden" json:"hidden,omitempty" doc:"the entry asks not to be shown in menus"`
	// Shadows is about D-Bus services of a home.
	Shadows bool `expr:"shadows" json:"shadows,omitempty" doc:"a packaged D-Bus service has the same name, and this one is taken in its place"`
}

const busServices = "/usr/share/dbus-1/services"

var (
	homeAutostart  = []string{"/.config/autostart/*.desktop"}
	homeBusService = "/.local/share/dbus-1/services/*.service"
	homeSessions   = []string{"/.config/plasma-workspace/env/*", "/.config/autostart-scripts/*", "/.config/labwc/autostart", "/.config/openbox/autostart"}
	homeWindows    = []string{"/.config/sway/config", "/.config/i3/config", "/.i3/config"}
	systemWindows  = []string{"/etc/sway/config", "/etc/sway/config.d/*", "/etc/i3/config"}
)

func autostartCollector() scanner.Collector {
	globs := concat([]string{"/etc/xdg/autostart/*.desktop", "~" + homeBusService, busServices + "/*"}, systemWindows)
	for _, g := range concat(homeAutostart, homeSessions, homeWindows) {
		globs = append(globs, "~"+g)
	}
	return scanner.Collector{
		Table: "autostart", Doc: "programs that start with a person's session", Row: AutostartEntry{},
		Reads: scanner.Reads{Globs: globs, Meta: everyProgram()}, Needs: []string{"users", "packages"}, Collect: collectAutostart,
	}
}

type autostartReader struct {
	*autoruns
	entries []AutostartEntry
	buses   []string // names of packaged D-Bus services
}

func collectAutostart(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := &autostartReader{autoruns: newAutoruns(in, t)}
	for _, name := range a.glob("/etc/xdg/autostart/*.desktop") {
		a.desktop("xdg", name, "", "Desktop Entry")
	}
	for _, name := range a.glob(systemWindows...) {
		a.windowManager(name, "")
	}
	users, why := scanner.Rows[User](in, "users")
	if why != "" {
		t.Partial = append(t.Partial, "homes unknown: "+why)
	}
	for _, u := range accountHomes(users) {
		a.home(u)
	}
	t.Rows = a.entries
	return *t
}

func (a *autostartReader) home(u User) {
	for _, g := range homeAutostart {
		for _, name := range a.glob(u.Home + g) {
			a.desktop("xdg", name, u.Name, "Desktop Entry")
		}
	}
	for _, name := range a.glob(u.Home + homeBusService) {
		a.desktop("dbus", name, u.Name, "D-BUS Service")
	}
	for _, g := range homeSessions {
		a.rows = nil
		a.scripts("session", u.Name, u.Home+g)
		for _, r := range a.rows {
			a.entries = append(a.entries, AutostartEntry{Autorun: r})
		}
	}
	for _, g := range homeWindows {
		a.windowManager(u.Home+g, u.Name)
	}
}

// desktop adds a desktop entry or a D-Bus service file. A switched-off entry starts nothing.
func (a *autostartReader) desktop(kind, name, user, section string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	settings := parse.Unit(b)
	exec, found := settings.Find(section, "Exec")
	if !found || strings.EqualFold(settings.Get(section, "Hidden"), "true") || settings.Get(section, "X-GNOME-Autostart-enabled") == "false" {
		return
	}
	row := AutostartEntry{Name: shown(settings.Get(section, "Name")), Hidden: strings.EqualFold(settings.Get(section, "NoDisplay"), "true")}
	row.Autorun = Autorun{Kind: kind, What: "command", Path: name, User: user, Executable: executable(info), Where: at(name, exec.Line), Origin: a.p.origin(name, b)}
	row.CommandLine = a.p.commandOf(exec.Value, &row.Unread)
	if kind == "dbus" {
		row.Shadows = slices.Contains(a.packagedBuses(), row.Name)
	}
	a.entries = append(a.entries, row)
}

// packagedBuses gives the D-Bus names that files of the system serve; such a file is called
// by the name.
func (a *autostartReader) packagedBuses() []string {
	if a.buses == nil {
		a.buses = []string{}
		for _, name := range a.glob(busServices + "/*.service") {
			a.buses = append(a.buses, strings.TrimSuffix(path.Base(name), ".service"))
		}
	}
	return a.buses
}

// windowManager adds the exec lines of sway and i3.
func (a *autostartReader) windowManager(name, user string) {
	b, _, ok := a.content(name)
	if !ok {
		return
	}
	o := a.p.origin(name, b)
	if o.Pristine {
		return
	}
	for _, l := range parse.ListFile(b, "") {
		command, ok := strings.CutPrefix(l.Text, "exec_always ")
		if !ok {
			if command, ok = strings.CutPrefix(l.Text, "exec "); !ok {
				continue
			}
		}
		command = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(command), "--no-startup-id"))
		row := AutostartEntry{Autorun: Autorun{Kind: "window-manager", What: "command", Path: name, User: user, Where: at(name, l.Line), Origin: o.clone()}}
		row.CommandLine = a.p.commandOf(command, &row.Unread)
		a.entries = append(a.entries, row)
	}
}
