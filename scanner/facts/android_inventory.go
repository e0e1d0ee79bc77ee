package facts

import (
	"context"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// collectAndroidPackages makes the inventory of Android: one row an app, over all users. The
// table's Aux is *androidApps, from which the tables of powers and apps are made.
func collectAndroidPackages(ctx context.Context, in *scanner.Input) scanner.Table {
	apps, err := readAndroidApps(ctx, in)
	if err != nil {
		return scanner.Table{Absent: err.Error()}
	}
	sizes := appSizes(ctx, in)
	files := map[string]int64{}
	for _, f := range scanner.Aux[[]apkFile](in, "apk_files") {
		if f.manifest != nil {
			files[f.Package] = max(files[f.Package], f.size)
		}
	}
	rows := make([]Package, 0, len(apps.rows))
	for i := range apps.rows {
		rows = append(rows, androidPackage(&apps.rows[i], sizes, files))
	}
	return scanner.Table{Rows: rows, Partial: apps.partial, Aux: apps}
}

// appSizes takes what the storage service measured of each package.
func appSizes(ctx context.Context, in *scanner.Input) map[string]parse.AppSize {
	b, err := in.Device.Probe(ctx, scanner.Dumpsys("diskstats"))
	if err != nil {
		return nil
	}
	list, err := parse.AppSizes(b)
	if err != nil {
		return nil
	}
	out := make(map[string]parse.AppSize, len(list))
	for _, s := range list {
		out[s.Package] = s
	}
	return out
}

func androidPackage(a *App, sizes map[string]parse.AppSize, files map[string]int64) Package {
	p := Package{
		ID: a.Package, Name: or(a.Label, a.Package), Version: strconv.FormatInt(a.VersionCode, 10), ShortVersion: a.VersionName, Manager: "android",
		BundleSize: -1, DynamicSize: -1, Installer: a.Installer, Signer: a.Signer, InstallTime: a.FirstInstalled, Scope: androidScope(a), Status: androidStatus(a),
		Where: a.Where, App: a,
	}
	if s, ok := sizes[a.Package]; ok {
		p.BundleSize = s.Code
		if s.Data >= 0 {
			p.DynamicSize = s.Data + max(s.Cache, 0)
		}
	} else if n, ok := files[a.Package]; ok {
		p.BundleSize = n
	}
	if _, unread := a.Unread.Unread["version_code"]; unread {
		p.Version = ""
	}
	// The package URL specification has no type for Android apps yet.
	p.PURL = parse.PURL{Type: "generic", Name: a.Package, Version: p.Version, Qualifiers: [][2]string{{"platform", "android"}}}.String()
	return p
}

func androidScope(a *App) string {
	if a.System || len(a.Users) == 0 {
		return "system"
	}
	users := make([]string, len(a.Users))
	for i, u := range a.Users {
		users[i] = strconv.Itoa(u)
	}
	return "user:" + strings.Join(users, ",")
}

func androidStatus(a *App) string {
	switch {
	case a.Disabled:
		return "disabled"
	case a.Hidden:
		return "hidden"
	case a.Suspended:
		return "suspended"
	}
	return "installed"
}
