package facts

import (
	"context"
	"fmt"
	"slices"

	"picket/scanner"
	"picket/scanner/parse"
)

func appsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "apps", Doc: "installed apps with their powers, over all users", Row: App{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("deviceidle")}},
		Needs: []string{"packages", "accessibility_services", "device_admins", "notification_listeners", "keyboards", "default_apps", "trust_agents", "app_ops",
			"screen_captures", "vpns"},
		Collect: collectApps,
	}
}

// appPower is something that a table says an app may do.
type appPower struct {
	name   string
	column string // of App that is true for it; "" when only the list of powers has it
	set    func(a *App) *bool
}

// Powers that rules ask for.
var (
	powerAccessibility = appPower{"accessibility", "accessibility", func(a *App) *bool { return &a.Accessibility }}
	powerAdmin         = appPower{"device_admin", "device_admin", func(a *App) *bool { return &a.Admin }}
	powerNotifications = appPower{"notification_listener", "notifications", func(a *App) *bool { return &a.Notifications }}
	powerOverlay       = appPower{"overlay", "overlay", func(a *App) *bool { return &a.Overlay }}
	powerInstall       = appPower{"install_apps", "installs_apps", func(a *App) *bool { return &a.InstallsApps }}
	powerUsage         = appPower{"usage_access", "usage_access", func(a *App) *bool { return &a.UsageAccess }}
	powerBattery       = appPower{"battery_exempt", "battery_exempt", func(a *App) *bool { return &a.BatteryExempt }}
	powerSMS           = appPower{"default_sms", "default_sms", func(a *App) *bool { return &a.DefaultSMS }}
)

// opPowers are operations that settings allow app by app.
var opPowers = map[string]appPower{
	"SYSTEM_ALERT_WINDOW": powerOverlay, "REQUEST_INSTALL_PACKAGES": powerInstall, "GET_USAGE_STATS": powerUsage,
	"WRITE_SETTINGS": {name: "write_settings"}, "MANAGE_EXTERNAL_STORAGE": {name: "all_files"}, "MOCK_LOCATION": {name: "mock_location"}, "PROJECT_MEDIA": {name: "capture"},
}

// powerReader merges the tables of powers into the rows of apps.
type powerReader struct {
	ctx  context.Context
	in   *scanner.Input
	rows []App
	by   map[string]int
}

func collectApps(ctx context.Context, in *scanner.Input) scanner.Table {
	if _, why := scanner.Rows[Package](in, "packages"); why != "" {
		return scanner.Table{Absent: why}
	}
	base := androidTables(in)
	r := &powerReader{ctx: ctx, in: in, rows: slices.Clone(base.rows), by: base.index}
	for i := range r.rows { // the tables share nothing that is written to
		r.rows[i].Unread = cloneUnread(r.rows[i].Unread)
		r.rows[i].Groups = slices.Clone(r.rows[i].Groups)
	}
	r.services()
	r.operations()
	r.exemptions()
	for i := range r.rows {
		slices.Sort(r.rows[i].Special)
		score(&r.rows[i])
	}
	return scanner.Table{Rows: r.rows, Partial: base.partial}
}

func cloneUnread(u scanner.Unread) scanner.Unread {
	var out scanner.Unread
	for c, why := range u.Unread {
		out.MarkUnread(c, why)
	}
	return out
}

func (r *powerReader) give(pkg string, p appPower) {
	i, ok := r.by[pkg]
	if !ok {
		return
	}
	a := &r.rows[i]
	if p.set != nil {
		*p.set(a) = true
	}
	if !slices.Contains(a.Special, p.name) {
		a.Special = append(a.Special, p.name)
	}
}

// blind marks a power that no source told of.
func (r *powerReader) blind(p appPower, why string) {
	if p.column == "" {
		return
	}
	for i := range r.rows {
		if p.set == nil || !*p.set(&r.rows[i]) {
			r.rows[i].MarkUnread(p.column, why)
		}
	}
}

// holders gives a power to the apps of a table's rows.
func holders[T any](r *powerReader, table string, p appPower, of func(row *T) (pkg string, holds bool)) {
	rows, why := scanner.Rows[T](r.in, table)
	if why != "" {
		r.blind(p, why)
		return
	}
	for i := range rows {
		if pkg, holds := of(&rows[i]); holds {
			r.give(pkg, p)
		}
	}
}

func (r *powerReader) services() {
	holders(r, "accessibility_services", powerAccessibility, func(s *AccessibilityService) (string, bool) { return s.Package, s.Enabled || s.Bound })
	holders(r, "device_admins", powerAdmin, func(d *DeviceAdmin) (string, bool) { return d.Package, true })
	for _, owner := range []string{"device_owner", "profile_owner"} {
		holders(r, "device_admins", appPower{name: owner}, func(d *DeviceAdmin) (string, bool) { return d.Package, d.Kind == owner })
	}
	holders(r, "notification_listeners", powerNotifications, func(n *NotificationListener) (string, bool) { return n.Package, true })
	holders(r, "keyboards", appPower{name: "keyboard"}, func(k *Keyboard) (string, bool) { return k.Package, k.Default || k.Enabled })
	holders(r, "trust_agents", appPower{name: "trust_agent"}, func(t *TrustAgent) (string, bool) { return t.Package, true })
	holders(r, "screen_captures", appPower{name: "capture"}, func(c *ScreenCapture) (string, bool) { return c.Package, true })
	holders(r, "vpns", appPower{name: "vpn"}, func(v *VPN) (string, bool) { return v.Package, v.Active || v.AlwaysOn })
	holders(r, "default_apps", powerSMS, func(d *DefaultApp) (string, bool) { return d.Package, d.Role == "sms" })
	for role, name := range map[string]string{"dialer": "default_dialer", "home": "default_home"} {
		holders(r, "default_apps", appPower{name: name}, func(d *DefaultApp) (string, bool) { return d.Package, d.Role == role })
	}
}

func (r *powerReader) operations() {
	ops, why := scanner.Rows[AppOp](r.in, "app_ops")
	if why != "" {
		for _, p := range []appPower{powerOverlay, powerInstall, powerUsage} {
			r.blind(p, why)
		}
		return
	}
	for i := range ops {
		if p, ok := opPowers[ops[i].Op]; ok && ops[i].Mode == "allow" {
			r.give(ops[i].Package, p)
		}
	}
}

// exemptions takes who is let alone by the saving of battery. What the system image exempts is
// no choice of anybody's.
func (r *powerReader) exemptions() {
	b, err := r.in.Device.Probe(r.ctx, scanner.Dumpsys("deviceidle"))
	if err != nil {
		r.blind(powerBattery, unavailable(err))
		return
	}
	list, err := parse.PowerExemptions(b)
	if err != nil {
		r.blind(powerBattery, err.Error())
		return
	}
	for _, e := range list {
		if e.By == "user" {
			r.give(e.Package, powerBattery)
		}
	}
}

// spyWeights say how much each kind of data, power and way of hiding looks like spyware.
var spyWeights = map[string]int{
	"sms": 12, "call_log": 12, "contacts": 5, "microphone": 12, "camera": 8, "location": 8, "background_location": 10, "storage": 4, "all_files": 5, "calendar": 2,
	"accessibility": 20, "notification_listener": 15, "device_admin": 15, "usage_access": 6, "battery_exempt": 10, "overlay": 6, "capture": 15, "install_apps": 4,
}

// score sums up what an app could do and how it hides. Apps of the system and apps without a
// power or a group of data have none.
func score(a *App) {
	if a.System || a.Preload {
		return
	}
	add := func(what string, points int) {
		a.SpyScore += points
		a.SpySigns = append(a.SpySigns, what)
	}
	for _, g := range a.Groups {
		if w := spyWeights[g]; w > 0 {
			add(g, w)
		}
	}
	for _, p := range a.Special {
		if w := spyWeights[p]; w > 0 && !slices.Contains(a.SpySigns, p) {
			add(p, w)
		}
	}
	if len(a.SpySigns) == 0 {
		return
	}
	_, unsure := a.Unread.Unread["launcher"]
	hidden := !a.Launcher && !unsure && !a.InputMethod
	if hidden {
		add("no icon", 20)
	}
	if a.PosesAs != "" {
		add("poses as "+a.PosesAs, 10)
	}
	if a.BootReceiver {
		add("starts with the device", 3)
	}
	a.SpyScore = min(a.SpyScore, 100)
	takeover(a, hidden)
}

// takeover counts the powers that fraud on the device itself is made with.
func takeover(a *App, hidden bool) {
	for _, s := range []struct {
		name string
		has  bool
	}{
		{"accessibility", a.Accessibility}, {"overlay", a.Overlay}, {"installs apps", a.InstallsApps}, {"reads messages", slices.Contains(a.Groups, "sms") || a.DefaultSMS},
		{"reads notifications", a.Notifications}, {"no icon", hidden}, {"device admin", a.Admin},
	} {
		if s.has {
			a.TakeoverSign = append(a.TakeoverSign, s.name)
		}
	}
	a.Takeover = len(a.TakeoverSign)
}

func indicatorHitsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "indicator_hits", Doc: "things on the device that lists of known-bad things name", Row: IndicatorHit{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceIntrusion, scanner.SourceNetstat, scanner.SourceQFFiles, scanner.Dumpsys("usagestats"), scanner.Dumpsys("dbinfo")}},
		Needs: []string{"packages", "android_processes", "android_properties", "app_events", "dropped_files", "apk_files", "android_proxies", "vpns"}, Collect: collectIndicatorHits,
	}
}

// hitReader compares what is on the device with the lists.
type hitReader struct {
	ctx  context.Context
	in   *scanner.Input
	m    scanner.Matcher
	apps *androidApps
	rows []IndicatorHit
	seen map[string]bool
	gaps []string
}

const maxHits = 2000

func collectIndicatorHits(ctx context.Context, in *scanner.Input) scanner.Table {
	if in.Options.Indicators == nil {
		return scanner.Table{Inapplicable: "no indicators were given (--indicators)"}
	}
	h := &hitReader{ctx: ctx, in: in, m: in.Options.Indicators, apps: androidTables(in), rows: []IndicatorHit{}, seen: map[string]bool{}}
	h.installed()
	h.events()
	h.processes()
	h.files()
	h.settings()
	h.network()
	h.intrusion()
	if len(h.rows) >= maxHits {
		h.miss("hits", fmt.Sprintf("more than %d; the rest is left out", maxHits))
	}
	return scanner.Table{Rows: h.rows, Partial: h.gaps}
}

// miss notes a source that could not be compared.
func (h *hitReader) miss(what, why string) { h.gaps = append(h.gaps, what+": "+why) }

// check compares one value. pkg is the app that it belongs to, "" for none.
func (h *hitReader) check(kind scanner.IndicatorKind, value, pkg, seen, where string) {
	if value == "" || len(h.rows) >= maxHits {
		return
	}
	for _, m := range h.m.Match(kind, value) {
		row := IndicatorHit{AppTraits: AppTraits{Source: "unknown", AgeDays: -1}, Kind: string(m.Kind), Value: m.Value, Name: m.Name, Class: m.Class, List: listOf(m), Weak: m.Weak, Subject: value, Seen: seen, Where: where}
		if pkg != "" {
			row.AppTraits, row.Subject = h.apps.traits(pkg), pkg
			row.Installed = h.apps.get(pkg) != nil
		}
		key := fmt.Sprint(row.Kind, row.Value, row.Subject, row.Seen, m.List)
		if !h.seen[key] {
			h.seen[key] = true
			h.rows = append(h.rows, row)
		}
	}
}

func listOf(m scanner.IndicatorMatch) string {
	out := m.List
	if m.Date != "" {
		out += ", " + m.Date
	}
	if m.Licence != "" {
		out += ", " + m.Licence
	}
	return out
}

func (h *hitReader) installed() {
	if _, why := scanner.Rows[Package](h.in, "packages"); why != "" {
		h.miss("apps", why)
	}
	for i := range h.apps.rows {
		a := &h.apps.rows[i]
		h.check(scanner.IndicatorPackage, a.Package, a.Package, "app", a.Where)
		for _, c := range a.Certificates {
			h.check(scanner.IndicatorCertificate, c, a.Package, "app", a.Where)
		}
		for _, d := range a.FileHashes {
			h.check(scanner.IndicatorFileHash, d, a.Package, "app", a.Where)
		}
	}
	for _, f := range scanner.Aux[[]apkFile](h.in, "apk_files") {
		h.check(scanner.IndicatorPackage, f.Package, f.Package, "file", f.Path)
		for _, c := range f.certs {
			for _, d := range []string{c.SHA256, c.SHA1, c.MD5} {
				h.check(scanner.IndicatorCertificate, d, f.Package, "file", f.Path)
			}
		}
	}
}

// events finds apps that were there before: in the log of updates, and where services remember
// who used what and whose databases were open. Of these no more than the name is looked at.
func (h *hitReader) events() {
	rows, _ := scanner.Rows[AppEvent](h.in, "app_events")
	for i := range rows {
		h.check(scanner.IndicatorPackage, rows[i].Package, rows[i].Package, "history", rows[i].Where)
	}
	past := func(pkg string, source scanner.Source, line int) {
		if h.apps.get(pkg) == nil { // those that are there were compared
			h.check(scanner.IndicatorPackage, pkg, pkg, "history", at(string(source), line))
		}
	}
	if b, err := h.in.Device.Probe(h.ctx, scanner.Dumpsys("usagestats")); err == nil {
		usage, events, _ := parse.UsageStats(b)
		for _, u := range usage {
			past(u.Package, scanner.Dumpsys("usagestats"), u.Line)
		}
		for _, e := range events {
			past(e.Package, scanner.Dumpsys("usagestats"), e.Line)
		}
	}
	if b, err := h.in.Device.Probe(h.ctx, scanner.Dumpsys("dbinfo")); err == nil {
		open, _ := parse.Databases(b)
		for _, d := range open {
			past(d.Package, scanner.Dumpsys("dbinfo"), d.Line)
		}
	}
}

func (h *hitReader) processes() {
	rows, why := scanner.Rows[AndroidProcess](h.in, "android_processes")
	if why != "" {
		h.miss("processes", why)
	}
	for _, p := range rows {
		if !p.Kernel {
			h.check(scanner.IndicatorProcess, p.Name, p.Package, "process", p.Where)
			h.check(scanner.IndicatorFilePath, p.Exe, p.Package, "process", p.Where)
		}
	}
}

func (h *hitReader) settings() {
	p, why := propertiesOf(h.in)
	if why != "" {
		h.miss("properties", why)
	}
	for _, row := range p.rows {
		h.check(scanner.IndicatorProperty, row.Name, "", "setting", row.Where)
	}
	proxies, _ := scanner.Rows[AndroidProxy](h.in, "android_proxies")
	for _, x := range proxies {
		h.check(scanner.IndicatorURL, x.Host, "", "setting", x.Where)
		h.check(scanner.IndicatorDomain, hostOnly(x.Host), "", "setting", x.Where)
	}
}
