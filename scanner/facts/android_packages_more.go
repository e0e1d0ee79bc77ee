package facts

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// database takes the package manager's own files, where the device's tree can be seen. The
// service's dump says more of a running system, so files only add what it did not have.
func (r *appReader) database() error {
	fsys := r.in.Device.FS()
	b, err := scanner.ReadFile(fsys, packagesXML, maxSystemXML)
	if err != nil {
		return err
	}
	db, err := parse.PackagesXML(b)
	if err != nil {
		if len(db.Packages) == 0 {
			return fmt.Errorf("%s: %w", packagesXML, err)
		}
		r.apps.partial = append(r.apps.partial, packagesXML+": "+err.Error())
	}
	for _, v := range db.Versions {
		if v.SDK > 0 && r.apps.sdk == 0 {
			r.apps.sdk = v.SDK
		}
	}
	replaced := map[string]bool{}
	for _, p := range db.Replaced {
		replaced[p.Name] = true
	}
	shared := map[int]string{}
	for _, s := range db.SharedUsers {
		shared[s.UID] = s.Name
	}
	for i := range db.Packages {
		p := &db.Packages[i]
		a, fresh := r.app(p.Name, packagesXML)
		if fresh {
			r.setting(a, p, replaced[p.Name], shared)
		}
		r.certificates(a, p.Signers)
	}
	r.userFiles()
	return nil
}

// packagesList takes the short list that the package manager keeps for other services, where
// nothing better was there.
func (r *appReader) packagesList() error {
	const name = "/data/system/packages.list"
	if len(r.apps.rows) > 0 {
		return nil
	}
	b, err := scanner.ReadFile(r.in.Device.FS(), name, maxSystemXML)
	if err != nil {
		return err
	}
	list, bad := parse.PackagesList(b)
	r.apps.partial = append(r.apps.partial, complaints(name, bad)...)
	for _, p := range list {
		a, fresh := r.app(p.Name, name)
		if !fresh {
			continue
		}
		a.UID, a.Debuggable, a.VersionCode = p.UID%perUser, p.Debuggable, p.Version
		switch p.Source {
		case "@system", "@product":
			a.System = true
		case "", "@null":
		default:
			a.Installer = p.Source
		}
		r.raw[p.Name] = rawApp{reason: -1, source: -1, told: p.Source != ""}
		r.unread(a, "packages.list does not have it", "version_name", "target_sdk", "code_path", "label", "granted", "requested", "groups", "launcher", "boot_receiver", "sms_receiver",
			"vpn_service", "input_method", "first_installed", "last_updated", "age_days", "disabled", "hidden", "suspended", "test_only", "allow_backup", "cleartext", "has_code")
		if p.Source == "" {
			r.unread(a, "packages.list does not have it", "system", "source", "sideloaded")
		}
	}
	return nil
}

func (r *appReader) setting(a *App, p *parse.PackageSetting, replaced bool, shared map[int]string) {
	a.UID, a.CodePath, a.VersionCode, a.TargetSDK = p.UID, p.CodePath, p.Version, p.TargetSDK
	if p.Shared {
		a.SharedUID = shared[p.UID]
	}
	a.System, a.Updated, a.Debuggable = p.System(), replaced, p.Debuggable || p.Flags&2 != 0
	a.Installer, a.Initiator, a.Originator = p.Installer, p.Initiator, p.Originator
	a.FirstInstalled, a.LastUpdated = millis(p.FirstInstall), millis(p.LastUpdate)
	for _, g := range p.Grants {
		if g.Granted {
			a.Granted = append(a.Granted, strings.TrimPrefix(g.Name, "android.permission."))
		}
	}
	r.unread(a, "packages.xml does not have it", "version_name", "label", "launcher", "boot_receiver", "sms_receiver", "vpn_service", "input_method", "requested", "cleartext", "allow_backup", "has_code", "test_only")
	if !p.FlagsKnown {
		r.unread(a, "packages.xml does not tell", "system", "debuggable")
	}
	r.raw[p.Name] = rawApp{reason: -1, source: p.Source, told: true, initAsk: p.Initiator != "", early: p.FirstInstall > 0 && clockUnset(time.UnixMilli(p.FirstInstall).UTC())}
}

// certificates notes the digests of an app's certificates, which name its signer for good.
func (r *appReader) certificates(a *App, certs []parse.PackageCert) {
	for i, c := range certs {
		if c.SHA256 == "" {
			continue
		}
		a.addCertificate(c.SHA256, c.SHA1)
		if i == 0 {
			a.Signer, a.SignerName = c.SHA256, or(a.SignerName, c.Subject)
		}
	}
	if len(certs) > 0 && certs[0].SHA256 != "" {
		raw := r.raw[a.Package]
		raw.signers = []string{certs[0].SHA256}
		r.raw[a.Package] = raw
	}
}

const maxCertificates = 64 // digests of one app

func (a *App) addCertificate(digests ...string) {
	for _, d := range digests {
		if len(a.Certificates) >= maxCertificates {
			return
		}
		if d = strings.ToLower(d); d != "" && !slices.Contains(a.Certificates, d) {
			a.Certificates = append(a.Certificates, d)
		}
	}
}

// userFiles takes what each user has set and granted.
func (r *appReader) userFiles() {
	fsys := r.in.Device.FS()
	names, err := scanner.Glob(fsys, "/data/system/users/*/package-restrictions.xml")
	if err != nil && len(names) == 0 {
		r.apps.partial = append(r.apps.partial, scanner.Reason(err))
	}
	for _, name := range names {
		user, err := strconv.Atoi(path.Base(path.Dir(name)))
		if err != nil {
			continue
		}
		b, err := scanner.ReadFile(fsys, name, maxSystemXML)
		if err != nil {
			r.apps.partial = append(r.apps.partial, scanner.Reason(err))
			continue
		}
		list, err := parse.PackageRestrictionsXML(b)
		if err != nil {
			r.apps.partial = append(r.apps.partial, name+": "+err.Error())
		}
		for _, u := range list.Packages {
			r.restriction(user, u)
		}
	}
	for _, pattern := range []string{"/data/system/users/*/runtime-permissions.xml", "/data/misc_de/*/apexdata/com.android.permission/runtime-permissions.xml", "/data/misc_de/*/apexdata/com.android.permission/access.abx"} {
		names, _ := scanner.Glob(fsys, pattern)
		for _, name := range names {
			r.runtimeGrants(name)
		}
	}
}

func (r *appReader) restriction(user int, u parse.UserPackage) {
	a := r.apps.get(u.Name)
	if a == nil || a.Where != packagesXML || !u.Installed {
		return
	}
	off := u.Enabled == 2 || u.Enabled == 3
	if len(a.Users) == 0 {
		a.Disabled = off
	}
	a.Users = append(a.Users, user)
	a.ByUser = append(a.ByUser, AppUser{User: user, Disabled: off, Hidden: u.Hidden, Suspended: u.Suspended, Stopped: u.Stopped})
	a.Disabled = a.Disabled && off
	a.Hidden, a.Suspended = a.Hidden || u.Hidden, a.Suspended || u.Suspended
	if t := millis(u.FirstInstall); t != "" && (a.FirstInstalled == "" || t < a.FirstInstalled) {
		a.FirstInstalled = t
	}
	raw := r.raw[u.Name]
	raw.reason = max(raw.reason, u.Reason)
	r.raw[u.Name] = raw
}

func (r *appReader) runtimeGrants(name string) {
	b, err := scanner.ReadFile(r.in.Device.FS(), name, maxSystemXML)
	if err != nil {
		r.apps.partial = append(r.apps.partial, scanner.Reason(err))
		return
	}
	var list []parse.RuntimeGrants
	if strings.HasSuffix(name, ".abx") {
		var state parse.AccessState
		state, err = parse.AccessABX(b)
		list = state.Permissions
	} else {
		list, err = parse.RuntimePermissionsXML(b)
	}
	if err != nil {
		r.apps.partial = append(r.apps.partial, name+": "+err.Error())
	}
	for i := range list {
		for _, at := range r.holders(&list[i]) {
			r.give(at, list[i].Grants)
		}
	}
}

// holders are the rows that grants are of: grants are kept by package, by shared user, or since Android
// 15 by app id.
func (r *appReader) holders(g *parse.RuntimeGrants) []int {
	if r.stored.byUID == nil {
		r.stored = storedRows{map[string][]int{}, map[int][]int{}}
		for i := range r.apps.rows {
			if a := &r.apps.rows[i]; a.Where == packagesXML {
				r.stored.byShared[a.SharedUID] = append(r.stored.byShared[a.SharedUID], i)
				r.stored.byUID[a.UID] = append(r.stored.byUID[a.UID], i)
			}
		}
	}
	switch i, ok := r.apps.index[g.Package]; {
	case g.Package != "" && ok && r.apps.rows[i].Where == packagesXML:
		return []int{i}
	case g.Package == "" && g.Shared != "":
		return r.stored.byShared[g.Shared]
	case g.Package == "" && g.AppID >= 0:
		return r.stored.byUID[g.AppID]
	}
	return nil
}

// storedRows are the rows of packages.xml by what they share.
type storedRows struct {
	byShared map[string][]int
	byUID    map[int][]int
}

// give adds permissions that files say an app was given.
func (r *appReader) give(at int, grants []parse.GrantEntry) {
	a, has := &r.apps.rows[at], r.grants.has[at]
	if !r.grant(len(grants)) {
		r.unread(a, "there are too many permissions", "granted", "groups")
		return
	}
	if has == nil {
		if r.grants.has == nil {
			r.grants.has = map[int]map[string]bool{}
		}
		has = map[string]bool{}
		for _, p := range a.Granted {
			has[p] = true
		}
		r.grants.has[at] = has
	}
	for _, p := range grants {
		if short := strings.TrimPrefix(p.Name, "android.permission."); p.Granted && !has[short] {
			has[short] = true
			a.Granted = append(a.Granted, short)
		}
	}
}

// qfPackage is an element of AndroidQF's packages.json.
type qfPackage struct {
	Name  string `json:"name"`
	Files []struct {
		Path        string `json:"path"`
		MD5         string `json:"md5"`
		SHA1        string `json:"sha1"`
		SHA256      string `json:"sha256"`
		Certificate struct {
			MD5     string `json:"Md5"`
			SHA1    string `json:"Sha1"`
			SHA256  string `json:"Sha256"`
			Subject string `json:"Subject"`
		} `json:"certificate"`
		CertificateError string `json:"certificate_error"`
		Verified         bool   `json:"verified_certificate"`
	} `json:"files"`
	Installer  string `json:"installer"`
	UID        int    `json:"uid"`
	Disabled   bool   `json:"disabled"`
	System     bool   `json:"system"`
	ThirdParty bool   `json:"third_party"`
}

// acquisition takes AndroidQF's list, which has the digests of the files and certificates.
func (r *appReader) acquisition() error {
	b, err := r.in.Device.Probe(r.ctx, scanner.SourceQFPackages)
	if err != nil {
		return err
	}
	const where = string(scanner.SourceQFPackages)
	var list []qfPackage
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	for _, p := range list {
		if !parse.IsPackageName([]byte(p.Name)) && p.Name != "android" {
			r.apps.partial = append(r.apps.partial, fmt.Sprintf("%s: %.60q is no package id", where, p.Name))
			continue
		}
		a, fresh := r.app(p.Name, where)
		if fresh {
			a.UID, a.System, a.Disabled = p.UID%perUser, p.System, p.Disabled
			if a.Installer = p.Installer; a.Installer == "null" {
				a.Installer = ""
			}
			r.raw[p.Name] = rawApp{reason: -1, source: -1, told: true}
			r.unread(a, "the acquisition's list does not have it", "version_name", "version_code", "target_sdk", "label", "debuggable", "granted", "requested", "groups", "launcher",
				"boot_receiver", "sms_receiver", "vpn_service", "input_method", "first_installed", "last_updated", "age_days", "hidden", "suspended")
		}
		for _, f := range p.Files {
			if a.CodePath == "" {
				a.CodePath = f.Path
			}
			for _, d := range []string{f.SHA256, f.SHA1, f.MD5} {
				if d != "" && len(a.FileHashes) < 64 {
					a.FileHashes = append(a.FileHashes, strings.ToLower(d))
				}
			}
			if c := f.Certificate; c.SHA256 != "" {
				a.addCertificate(c.SHA256, c.SHA1, c.MD5)
				a.Signer, a.SignerName = strings.ToLower(c.SHA256), c.Subject
				raw := r.raw[p.Name]
				raw.signers = []string{a.Signer}
				r.raw[p.Name] = raw
			}
		}
	}
	return nil
}

// list takes what pm list packages printed, which has but ids, files and installers.
func (r *appReader) list() error {
	b, err := r.in.Device.Probe(r.ctx, scanner.SourcePackageList)
	if err != nil {
		return err
	}
	var c parse.Complaints
	const where = string(scanner.SourcePackageList)
	for _, p := range parse.PmListPackages(b, &c) {
		a, fresh := r.app(p.Name, where)
		if !fresh {
			continue
		}
		a.CodePath, a.Installer = p.Path, p.Installer
		if len(p.UIDs) > 0 {
			a.UID = p.UIDs[0] % perUser
		}
		if a.VersionCode = p.VersionCode; p.VersionCode < 0 {
			a.VersionCode = 0
			r.unread(a, "the list does not have it", "version_code")
		}
		r.raw[p.Name] = rawApp{reason: -1, source: -1, told: p.Installer != ""}
		r.unread(a, "the list does not have it", "version_name", "target_sdk", "label", "debuggable", "granted", "requested", "groups", "launcher", "boot_receiver", "sms_receiver",
			"vpn_service", "input_method", "first_installed", "last_updated", "age_days", "disabled", "hidden", "suspended")
	}
	r.apps.partial = append(r.apps.partial, complaints(where, &c)...)
	return nil
}
