package facts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// secureFiles are where each user's own settings lie, where the device's tree can be seen.
const secureFiles = "/data/system/users/*/settings_secure.xml"

// powerReads are what tables of powers look at: services, settings of every user, and files.
func powerReads(services []string, globs ...string) scanner.Reads {
	r := scanner.Reads{Probes: slices.Clone(settingProbes), Globs: append([]string{settingFiles["global"], settingFiles["secure"], settingFiles["system"], secureFiles}, globs...)}
	for _, s := range services {
		r.Probes = append(r.Probes, scanner.Dumpsys(s))
	}
	return r
}

// powers is what the tables of powers have in common: the apps that they describe, and the
// table that they fill.
type powers struct {
	ctx    context.Context
	in     *scanner.Input
	t      *scanner.Table
	apps   *androidApps
	absent string // why there is no list of apps
}

func newPowers(ctx context.Context, in *scanner.Input, t *scanner.Table) *powers {
	p := &powers{ctx: ctx, in: in, t: t, apps: androidTables(in)}
	_, p.absent = scanner.Rows[Package](in, "packages")
	return p
}

// traitColumns are those of AppTraits that rules judge by.
var traitColumns = []string{"system", "preload", "source", "sideloaded", "signer_kind", "disabled", "age_days"}

// traits describe a package. What the list of apps could not tell is unread in the row too.
func (p *powers) traits(pkg string, u *scanner.Unread) AppTraits {
	a := p.apps.get(pkg)
	for _, c := range traitColumns {
		switch {
		case p.absent != "":
			u.MarkUnread(c, p.absent)
		case a == nil:
		case a.Unread.Unread[c] != "":
			u.MarkUnread(c, a.Unread.Unread[c])
		}
	}
	return p.apps.traits(pkg)
}

// unnamed are the traits of an app that no source names.
func unnamed(u *scanner.Unread, why string) AppTraits {
	for _, c := range append([]string{"package", "known"}, traitColumns...) {
		u.MarkUnread(c, why)
	}
	return AppTraits{Source: "unknown", AgeDays: -1}
}

// partial notes what could not be read.
func (p *powers) partial(err error) {
	if err != nil && len(p.t.Partial) < maxGaps {
		p.t.Partial = append(p.t.Partial, unavailable(err))
	}
}

// asked reads a service's output. One that was cut off is noted: what it lacks says nothing.
func asked[T any](p *powers, service string, read func([]byte) (T, error)) (T, error) {
	b, err := p.in.Device.Probe(p.ctx, scanner.Dumpsys(service))
	if err != nil {
		var none T
		return none, err
	}
	v, err := read(b)
	if err != nil {
		return v, fmt.Errorf("dumpsys/%s: %w", service, err)
	}
	if parse.ServiceCut(b) {
		p.t.Partial = append(p.t.Partial, "dumpsys/"+service+": the output is cut off")
	}
	return v, nil
}

// fromFile reads a file of the system's services. What is damaged in it is noted, and the rest kept.
func fromFile[T any](p *powers, name string, read func([]byte) (T, error)) (T, error) {
	b, err := scanner.ReadFile(p.in.Device.FS(), name, maxSystemXML)
	if err != nil {
		var none T
		return none, err
	}
	v, err := read(b)
	if err != nil {
		p.partial(fmt.Errorf("%s: %w", name, err))
	}
	return v, nil
}

// secureSettings are one user's settings of the namespace secure.
type secureSettings struct {
	user   int
	values map[string]string
	where  string
}

// get gives a setting; "null" is how one that was never set is written.
func (s *secureSettings) get(name string) string {
	if v := s.values[name]; v != "null" {
		return v
	}
	return ""
}

// secure reads the settings of every user that some source tells of, sorted by user. why says
// why those of the first user are not among them.
func (p *powers) secure() (users []secureSettings, why string) {
	s := readSettings(p.ctx, p.in)
	if v, ok := s.values["secure"]; ok {
		users = append(users, secureSettings{0, v, s.where["secure"]})
	}
	return p.otherUsers(users), s.why["secure"]
}

func (p *powers) otherUsers(users []secureSettings) []secureSettings {
	others := map[int]*secureSettings{}
	if b, err := p.in.Device.Probe(p.ctx, scanner.Dumpsys("settings")); err == nil {
		list, _ := parse.SettingsDump(b)
		for _, e := range list {
			if e.Table != "secure" || e.User <= 0 || !e.Set || e.Private {
				continue
			}
			if others[e.User] == nil && len(others) < maxUsers {
				others[e.User] = &secureSettings{e.User, map[string]string{}, "dumpsys/settings"}
			}
			if o := others[e.User]; o != nil {
				o.values[e.Name] = e.Value
			}
		}
	}
	for name, user := range p.userFiles(secureFiles) {
		if user <= 0 || others[user] != nil || len(others) >= maxUsers {
			continue
		}
		list, err := fromFile(p, name, parse.SettingsXML)
		if err != nil {
			p.partial(err)
			continue
		}
		o := &secureSettings{user, map[string]string{}, name}
		for _, e := range list {
			if e.Set {
				o.values[e.Name] = e.Value
			}
		}
		others[user] = o
	}
	for _, o := range others {
		users = append(users, *o)
	}
	slices.SortFunc(users, func(a, b secureSettings) int { return a.user - b.user })
	return users
}

const maxUsers = 1000 // of one device

// userFiles lists the files that match a pattern with the user whose number is the first
// component that is one.
func (p *powers) userFiles(pattern string) map[string]int {
	names, err := scanner.Glob(p.in.Device.FS(), pattern)
	if err != nil && !missing(err) && len(names) > 0 {
		p.partial(err)
	}
	out := map[string]int{}
	for _, name := range names {
		for _, part := range strings.Split(strings.TrimSuffix(name, path.Ext(name)), "/") {
			if n, err := strconv.Atoi(part); err == nil && n >= 0 && len(out) < maxUsers {
				out[name] = n
				break
			}
		}
	}
	return out
}

// component reads package/class, where a class that starts with a dot is inside the package.
func component(s string) (full, pkg string, ok bool) {
	s, _, _ = strings.Cut(strings.TrimSpace(s), ";")
	pkg, class, ok := strings.Cut(s, "/")
	if !ok || class == "" || len(class) > 500 || !parse.IsPackageName([]byte(pkg)) || strings.ContainsAny(class, "/ \t\n{}") {
		return "", "", false
	}
	if class[0] == '.' {
		class = pkg + class
	}
	return pkg + "/" + class, pkg, true
}

// components reads a list joined by colons, as settings write it.
func components(list string) []string {
	var out []string
	for part := range strings.SplitSeq(list, ":") {
		if full, _, ok := component(part); ok && len(out) < 4096 && !slices.Contains(out, full) {
			out = append(out, full)
		}
	}
	return out
}

func componentPackage(component string) string {
	pkg, _, _ := strings.Cut(component, "/")
	return pkg
}

// wheres joins the sources of a row, each once.
func wheres(old, more string) string {
	if old == "" || strings.Contains(", "+old+", ", ", "+more+", ") {
		return or(old, more)
	}
	return old + ", " + more
}

// userComponent names a component for one user.
type userComponent struct {
	user int
	name string
}

func compareUserComponents(a, b userComponent) int {
	if a.user != b.user {
		return a.user - b.user
	}
	return strings.Compare(a.name, b.name)
}

// commaComponents reads a list joined by commas.
func commaComponents(list string) []string {
	return components(strings.ReplaceAll(list, ",", ":"))
}
