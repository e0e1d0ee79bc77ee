package facts

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// What the inventory of Android is read from, beside the app packages themselves.
var (
	androidPackageProbes = []scanner.Source{scanner.Dumpsys("package"), scanner.SourceQFPackages, scanner.SourcePackageList, scanner.Dumpsys("diskstats")}
	androidPackageGlobs  = []string{packagesXML, "/data/system/packages.list", "/data/system/users/*/package-restrictions.xml", "/data/system/users/*/runtime-permissions.xml",
		"/data/misc_de/*/apexdata/com.android.permission/runtime-permissions.xml", "/data/misc_de/*/apexdata/com.android.permission/access.abx"}
)

const packagesXML = "/data/system/packages.xml"

// androidApps is what the table packages shares with those that judge apps: rows that lack only
// what other services know of them.
type androidApps struct {
	rows    []App
	index   map[string]int
	source  string // where the list of packages came from
	partial []string
	// dump is what the package service printed, nil when it was not asked.
	dump *parse.PackageDump
	sdk  int
}

func (a *androidApps) get(pkg string) *App {
	if i, ok := a.index[pkg]; ok {
		return &a.rows[i]
	}
	return nil
}

// traits describe a package to the tables of powers. One that is not installed has but its name.
func (a *androidApps) traits(pkg string) AppTraits {
	if app := a.get(pkg); app != nil {
		return app.AppTraits
	}
	return AppTraits{Package: pkg, Source: "unknown", Known: knownApps[pkg], AgeDays: -1}
}

// appReader merges the sources of the inventory.
type appReader struct {
	ctx  context.Context
	in   *scanner.Input
	apps *androidApps
	errs []error
	now  time.Time
	// users are states of packages that files of users tell.
	platform []string        // signers of the package "android"
	system   map[string]bool // signers of any system app
	raw      map[string]rawApp
	came     arrivals
}

// rawApp is what classification needs and a row does not show.
type rawApp struct {
	signers []string
	reason  int  // InstallReason, -1 unknown
	source  int  // PackageSource, -1 unknown
	told    bool // the source says who installed it, if anybody did
	initAsk bool // the source says who asked for it
	doubt   bool // lines of the source may be text of the app
}

// readAndroidApps reads the installed apps. The error says why there are none.
func readAndroidApps(ctx context.Context, in *scanner.Input) (*androidApps, error) {
	r := &appReader{ctx: ctx, in: in, apps: &androidApps{index: map[string]int{}}, now: in.Options.Now, system: map[string]bool{}, raw: map[string]rawApp{}}
	p, _ := propertiesOf(in)
	r.apps.sdk, _ = strconv.Atoi(p.get("ro.build.version.sdk", "ro.system.build.version.sdk"))
	for _, read := range []func() error{r.dumpsys, r.database, r.acquisition, r.list, r.packagesList} {
		if err := read(); err != nil {
			r.errs = append(r.errs, err)
		}
	}
	r.packageFiles()
	if len(r.apps.rows) == 0 {
		return nil, errors.New(why(r.errs...))
	}
	r.classify()
	return r.apps, nil
}

// app gives the row of a package, a new one when it is not there yet.
func (r *appReader) app(pkg, where string) (a *App, fresh bool) {
	if i, ok := r.apps.index[pkg]; ok {
		return &r.apps.rows[i], false
	}
	if len(r.apps.rows) == 0 {
		r.apps.source = where
	}
	r.apps.index[pkg] = len(r.apps.rows)
	r.apps.rows = append(r.apps.rows, App{AppTraits: AppTraits{Package: pkg, AgeDays: -1}, SDK: r.apps.sdk, UID: -1, Where: where})
	return &r.apps.rows[len(r.apps.rows)-1], true
}

// dumpsys takes what the package service printed.
func (r *appReader) dumpsys() error {
	b, err := r.in.Device.Probe(r.ctx, scanner.Dumpsys("package"))
	if err != nil {
		return err
	}
	var c parse.Complaints
	d, err := parse.DumpsysPackage(b, &c)
	if err != nil {
		return err
	}
	const where = "dumpsys/package"
	r.apps.partial = append(r.apps.partial, complaints(where, &c)...)
	r.apps.dump = d
	shared := map[string]*parse.DumpedSharedUser{}
	for i := range d.SharedUsers {
		shared[d.SharedUsers[i].Name] = &d.SharedUsers[i]
	}
	hidden := map[string]bool{}
	for i := range d.Hidden {
		hidden[d.Hidden[i].Name] = true
	}
	for i := range d.Packages {
		p := &d.Packages[i]
		a, fresh := r.app(p.Name, where)
		if !fresh || !p.Code {
			if fresh { // only its data is left: it is no installed app
				delete(r.apps.index, p.Name)
				r.apps.rows = r.apps.rows[:len(r.apps.rows)-1]
			}
			continue
		}
		doubt := doubtful(d, i)
		r.dumped(a, p, shared[p.SharedUser], doubt)
		a.System = partOfSystem(d, p, hidden, doubt)
		a.Updated = a.System && (a.Updated || hidden[p.Name])
	}
	r.handlers(d)
	return nil
}

func (r *appReader) dumped(a *App, p *parse.DumpedPackage, shared *parse.DumpedSharedUser, doubt bool) {
	a.UID, a.SharedUID, a.CodePath = p.AppID, p.SharedUser, p.CodePath
	if a.UID < 0 && shared != nil {
		a.UID = shared.AppID
	}
	a.VersionName, a.VersionCode, a.TargetSDK, a.MinSDK = p.VersionName, p.VersionCode, p.TargetSDK, p.MinSDK
	has := func(flag string) bool { return p.AppFlags.Has(flag) || p.PkgFlags.Has(flag) }
	a.Updated = has("UPDATED_SYSTEM_APP")
	a.Privileged = p.AppPrivateFlags.Has("PRIVILEGED") || p.PkgPrivateFlags.Has("PRIVILEGED") || p.AppPrivateFlags.Has("PRIVATE_FLAG_PRIVILEGED")
	a.Debuggable, a.TestOnly, a.Backup, a.HasCode = has("DEBUGGABLE"), has("TEST_ONLY"), has("ALLOW_BACKUP"), has("HAS_CODE")
	a.Cleartext = has("USES_CLEARTEXT_TRAFFIC") || p.AppPrivateFlags.Has("USES_CLEARTEXT_TRAFFIC")
	a.Installer, a.Initiator, a.Originator = p.Installer, p.Initiating, p.Originating
	a.FirstInstalled, a.LastUpdated = dumpedTime(p.FirstInstall), dumpedTime(p.LastUpdate)
	switch {
	case doubt: // not to be told is no excuse for one that hides what is told
		a.HasCode = true
		r.apps.partial = append(r.apps.partial, "dumpsys/package: "+p.Name+" may imitate lines of the dump: "+or(strings.Join(p.Conflicts, ", "), "its own are missing"))
	case !p.Says("flags") && !p.Says("pkgFlags"):
		r.unread(a, "the dump has no flags", "system", "debuggable", "test_only", "allow_backup", "has_code", "cleartext")
	}
	// The signatures stand behind who installed it: an entry that is cut off before does not tell.
	raw := rawApp{signers: p.Signers, reason: -1, source: p.PackageSource, told: p.Says("signatures"), initAsk: p.Says("initiatingPackageName"), doubt: doubt}
	if len(p.Signers) > 0 {
		a.Signer = p.Signers[0]
	}
	holder := &p.PermissionHolder
	a.Requested = shortNames(p.Requested)
	granted := map[string]bool{}
	take := func(h *parse.PermissionHolder) {
		for _, g := range h.Install {
			granted[g.Name] = granted[g.Name] || g.Granted
		}
		for _, u := range h.Users {
			for _, g := range u.Runtime {
				granted[g.Name] = granted[g.Name] || g.Granted
			}
		}
	}
	take(holder)
	if shared != nil {
		take(&shared.PermissionHolder)
	}
	r.users(a, p.Users, &raw)
	a.Granted = grantedNames(granted)
	r.raw[p.Name] = raw
}

// users takes the states of a package for the users.
func (r *appReader) users(a *App, users []parse.PackageUser, raw *rawApp) {
	on := 0
	for _, u := range users {
		if !u.Installed {
			continue
		}
		a.Users = append(a.Users, u.ID)
		a.ByUser = append(a.ByUser, AppUser{User: u.ID, Disabled: u.Enabled == 2 || u.Enabled == 3, Hidden: u.Hidden, Suspended: u.Suspended, Stopped: u.Stopped, Granted: runtimeNames(u.Runtime)})
		a.Hidden, a.Suspended = a.Hidden || u.Hidden, a.Suspended || u.Suspended
		if u.Enabled != 2 && u.Enabled != 3 {
			on++
		}
		if t := dumpedTime(u.FirstInstall); t != "" && (a.FirstInstalled == "" || t < a.FirstInstalled) {
			a.FirstInstalled = t
		}
		raw.reason = max(raw.reason, u.InstallReason)
	}
	a.Disabled = len(a.Users) > 0 && on == 0
}

func runtimeNames(grants []parse.PermissionGrant) []string {
	var out []string
	for _, g := range grants {
		if g.Granted {
			out = append(out, strings.TrimPrefix(g.Name, "android.permission."))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// dumpedTime turns a dump's local time into the form of rows. As with the report's own date, the
// device's time zone is left out of it.
func dumpedTime(s string) string {
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil || t.Before(androidBegan) {
		return ""
	}
	return t.Format(time.RFC3339)
}

// androidBegan is after the date that files of the system image have: 1970, or the first day of
// 2009 in whatever time zone.
var androidBegan = time.Date(2009, 1, 3, 0, 0, 0, 0, time.UTC)

func millis(ms int64) string {
	if ms <= 0 {
		return ""
	}
	t := time.UnixMilli(ms).UTC()
	if t.Before(androidBegan) || t.Year() > 2200 {
		return ""
	}
	return t.Format(time.RFC3339)
}

func (r *appReader) unread(a *App, why string, columns ...string) {
	for _, c := range columns {
		a.MarkUnread(c, why)
	}
}

func shortNames(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		out = append(out, strings.TrimPrefix(n, "android.permission."))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func grantedNames(granted map[string]bool) []string {
	out := make([]string, 0, len(granted))
	for n, yes := range granted {
		if yes {
			out = append(out, strings.TrimPrefix(n, "android.permission."))
		}
	}
	slices.Sort(out)
	return out
}

// handlers takes from the resolver tables what apps answer to.
func (r *appReader) handlers(d *parse.PackageDump) {
	each := func(t *parse.ResolverTable, action string, set func(a *App, h parse.IntentHandler)) {
		if t == nil {
			return
		}
		for _, h := range t.Actions[action] {
			if a := r.apps.get(h.Package); a != nil {
				set(a, h)
			}
		}
	}
	each(d.Activities, "android.intent.action.MAIN", func(a *App, h parse.IntentHandler) {
		shown := h.Filter == nil || slices.ContainsFunc(h.Filter.Categories, func(c string) bool {
			return c == "android.intent.category.LAUNCHER" || c == "android.intent.category.LEANBACK_LAUNCHER"
		})
		a.Launcher = a.Launcher || shown && !r.componentOff(d, a.Package, h.Class)
	})
	each(d.Receivers, "android.intent.action.BOOT_COMPLETED", func(a *App, _ parse.IntentHandler) { a.BootReceiver = true })
	for _, action := range []string{"android.provider.Telephony.SMS_RECEIVED", "android.provider.Telephony.SMS_DELIVER"} {
		each(d.Receivers, action, func(a *App, _ parse.IntentHandler) { a.SMSReceiver = true })
	}
	each(d.Services, "android.net.VpnService", func(a *App, _ parse.IntentHandler) { a.VPNService = true })
	each(d.Services, "android.view.InputMethod", func(a *App, _ parse.IntentHandler) { a.InputMethod = true })
	for i := range r.apps.rows {
		a := &r.apps.rows[i]
		if d.Activities == nil {
			r.unread(a, "the dump has no table of activities", "launcher")
		}
		if d.Receivers == nil {
			r.unread(a, "the dump has no table of receivers", "boot_receiver", "sms_receiver")
		}
		if d.Services == nil {
			r.unread(a, "the dump has no table of services", "vpn_service", "input_method")
		}
		// Without the filters' categories, an activity of MAIN may or may not be in the launcher:
		// one that has none is certain.
		if d.Activities != nil && !d.Activities.Filters && a.Launcher {
			r.unread(a, "the dump does not show whether its activity is in the launcher", "launcher")
		}
	}
}

// componentOff reports whether a component is switched off for every user that has the package.
func (r *appReader) componentOff(d *parse.PackageDump, pkg, class string) bool {
	for i := range d.Packages {
		p := &d.Packages[i]
		if p.Name != pkg {
			continue
		}
		off := 0
		installed := 0
		for _, u := range p.Users {
			if u.Installed {
				installed++
				if slices.Contains(u.Disabled, class) {
					off++
				}
			}
		}
		return installed > 0 && off == installed
	}
	return false
}
