package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Where app packages lie: those that came with the recording, those that are installed, and
// those that somebody left in shared storage.
var (
	recordedAPKs  = []string{"/apks/*.apk", "/apks/*"}
	installedAPKs = []string{"/data/app/*/base.apk", "/data/app/*/*/base.apk", "/data/app/*.apk",
		"/system/app/*/*.apk", "/system/priv-app/*/*.apk", "/system/system/app/*/*.apk", "/system/system/priv-app/*/*.apk", "/system/app/*.apk", "/system/priv-app/*.apk",
		"/product/app/*/*.apk", "/product/priv-app/*/*.apk", "/system/product/app/*/*.apk", "/system/product/priv-app/*/*.apk",
		"/vendor/app/*/*.apk", "/system_ext/app/*/*.apk", "/system_ext/priv-app/*/*.apk", "/system/system_ext/app/*/*.apk", "/system/system_ext/priv-app/*/*.apk", "/odm/app/*/*.apk"}
	sharedAPKs = []string{"/data/media/*/Download/*.apk", "/sdcard/Download/*.apk", "/data/local/tmp/*.apk", "/data/media/*/Android/media/*/*/*.apk"}
)

const (
	maxAPKFiles = 4096
	maxAPKBytes = 4 << 30 // hashed of all app packages of one device
)

func apkFilesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "apk_files", Doc: "app packages that were there as files", Row: APKFile{}, Platforms: onAndroid,
		Reads: scanner.Reads{Globs: concat(recordedAPKs, installedAPKs, sharedAPKs)},
		Needs: []string{"android_properties"}, Collect: collectAPKFiles,
	}
}

// apkFile is a row with what the inventory takes from it.
type apkFile struct {
	APKFile
	manifest *parse.AndroidManifest
	certs    []parse.APKCertificate
	size     int64
}

func collectAPKFiles(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	l := &apkLook{ctx: ctx, in: in, left: maxAPKBytes}
	p, _ := propertiesOf(in)
	l.sdk = apiLevel(p)
	seen := map[string]bool{}
	looked := false
	for _, pattern := range concat(recordedAPKs, installedAPKs, sharedAPKs) {
		names, err := scanner.Glob(in.Device.FS(), pattern)
		looked = looked || err == nil || len(names) > 0
		if errors.Is(err, fs.ErrPermission) && !slices.Contains(t.Partial, scanner.Reason(err)) {
			t.Partial = append(t.Partial, scanner.Reason(err)) // what may lie there is not known to be harmless
		}
		for _, name := range names {
			if real, err := in.Device.FS().Resolve(name); err == nil {
				name = real
			}
			if seen[name] {
				continue
			}
			seen[name] = true
			if len(l.files) >= maxAPKFiles {
				t.Partial = append(t.Partial, fmt.Sprintf("more than %d app packages", maxAPKFiles))
				break
			}
			l.read(name, &t)
		}
	}
	if len(l.files) == 0 && !looked {
		return scanner.Table{Absent: "no app package is in the recording"}
	}
	rows := make([]APKFile, len(l.files))
	for i := range l.files {
		rows[i] = l.files[i].APKFile
	}
	t.Rows, t.Aux = rows, l.files
	return t
}

// apkLook reads app packages, verifies them, and hashes no more of them than it may.
type apkLook struct {
	ctx   context.Context
	in    *scanner.Input
	sdk   int
	left  int64
	files []apkFile
}

func (l *apkLook) read(name string, t *scanner.Table) {
	f, err := l.in.Device.FS().Open(name)
	if err != nil {
		if !missing(err) {
			t.Partial = append(t.Partial, scanner.Reason(err))
		}
		return
	}
	defer f.Close()
	a := apkFile{APKFile: APKFile{Path: name, Where: name}, size: f.Size()}
	apk, err := parse.OpenAPK(f, f.Size())
	if err != nil {
		if strings.HasSuffix(name, ".apk") {
			a.Signature, a.Error, a.Package = "invalid", err.Error(), path.Base(name)
			l.files = append(l.files, a)
		}
		return
	}
	a.Conflicts = apk.Problems()
	if m, err := apk.Manifest(); err != nil {
		t.Partial = append(t.Partial, name+": "+err.Error())
		a.Package = path.Base(name)
	} else {
		if m.Split != "" {
			return // a part of an app, whose base is beside it
		}
		a.manifest = m
		a.Package, a.Label, a.Version, a.Code = m.Package, m.Label, m.VersionName, m.VersionCode
	}
	l.verify(&a, apk)
	l.files = append(l.files, a)
}

// verify judges the signature as the device's own release would, or a recent one.
func (l *apkLook) verify(a *apkFile, apk *parse.APK) {
	level := l.sdk
	if level == 0 {
		level = 34
	}
	opts := parse.APKVerifyOptions{SkipContent: l.left < a.size}
	l.left -= a.size
	s := apk.Verify(l.ctx, opts)
	state, signers, reason := s.At(level)
	switch state {
	case parse.SignatureVerified:
		a.Signature = "verified"
	case parse.SignatureAbsent:
		a.Signature = "unsigned"
	case parse.SignatureFailed:
		a.Signature, a.Error = "invalid", reason
	default:
		a.Signature, a.Error = "unsupported", reason
	}
	for _, scheme := range s.Schemes {
		if scheme.State == parse.SignatureVerified {
			a.Schemes = append(a.Schemes, scheme.Name)
		}
	}
	for _, signer := range signers {
		if len(signer.Certificates) > 0 {
			a.certs = append(a.certs, signer.Certificates[0])
		}
	}
	if len(a.certs) > 0 {
		a.Signer, a.SignerKind = a.certs[0].SHA256, keyKind(a.certs[0].SHA256, a.certs[0].SHA1, a.certs[0].Subject)
	}
	// A v1 signature covers the entries of the archive and not the bytes before them: a program
	// put there is run by Android up to 7 in place of the app's.
	a.Janus = slices.Equal(a.Schemes, []string{"v1"}) && a.dexBefore(l)
}

// dexBefore reports whether the file starts as a program instead of an archive.
func (a *apkFile) dexBefore(l *apkLook) bool {
	head, err := l.in.Device.FS().Head(a.Path)
	return err == nil && len(head) > 4 && string(head[:4]) == "dex\n"
}

// packageFiles adds to the inventory what the files of app packages tell: all of it where there
// is no list, and labels and signers where there is.
func (r *appReader) packageFiles() {
	files := scanner.Aux[[]apkFile](r.in, "apk_files")
	listed := len(r.apps.rows) > 0
	for i := range files {
		f := &files[i]
		if f.manifest == nil || isShared(f.Path) {
			continue
		}
		a := r.apps.get(f.Package)
		if a == nil {
			if listed {
				continue // not installed: a copy, or a leftover
			}
			a, _ = r.app(f.Package, f.Path)
			r.fromFile(a, f)
		} else if !sameFile(a, f) {
			continue
		}
		a.Label = or(a.Label, labelText(f.Label))
		a.Signature, a.SignatureError = signatureWord(f.Signature), f.Error
		for j, c := range f.certs {
			a.addCertificate(c.SHA256, c.SHA1, c.MD5)
			if j == 0 {
				a.Signer, a.SignerName = c.SHA256, c.Subject
				raw := r.raw[a.Package]
				raw.signers = append(raw.signers, c.SHA256)
				r.raw[a.Package] = raw
			}
		}
	}
}

func isShared(p string) bool {
	for _, pattern := range sharedAPKs {
		dir, _, _ := strings.Cut(pattern, "*")
		if strings.HasPrefix(p, dir) {
			return true
		}
	}
	return false
}

// sameFile reports whether a file is the installed app: it lies where the app's code does, or it
// is the copy that an acquisition made and has the same version.
func sameFile(a *App, f *apkFile) bool {
	return strings.HasPrefix(f.Path, a.CodePath) && a.CodePath != "" || strings.HasPrefix(f.Path, "/apks/") && (a.VersionCode == 0 || a.VersionCode == f.Code)
}

func signatureWord(s string) string {
	if s == "unsupported" {
		return ""
	}
	return s
}

// labelText leaves out references that could not be resolved.
func labelText(s string) string {
	if strings.HasPrefix(s, "@0x") {
		return ""
	}
	return s
}

// fromFile fills the row of an app that is known by its file alone.
func (r *appReader) fromFile(a *App, f *apkFile) {
	m := f.manifest
	a.CodePath, a.VersionName, a.VersionCode, a.TargetSDK, a.MinSDK = f.Path, m.VersionName, m.VersionCode, m.TargetSDK, m.MinSDK
	a.System = !strings.HasPrefix(f.Path, "/data/") && !strings.HasPrefix(f.Path, "/apks/")
	a.SharedUID = m.SharedUserID
	a.Debuggable, a.TestOnly = m.Debuggable.Or(false), m.TestOnly.Or(false)
	a.Backup, a.HasCode = m.AllowBackup.Or(true), m.HasCode.Or(true)
	a.Cleartext = m.UsesCleartext.Or(m.TargetSDK < 28)
	a.Launcher = m.Launcher()
	for _, c := range m.Components {
		a.BootReceiver = a.BootReceiver || c.Kind == "receiver" && c.Has("android.intent.action.BOOT_COMPLETED")
		a.SMSReceiver = a.SMSReceiver || c.Kind == "receiver" && (c.Has("android.provider.Telephony.SMS_RECEIVED") || c.Has("android.provider.Telephony.SMS_DELIVER"))
		a.VPNService = a.VPNService || c.Role() == "vpn"
		a.InputMethod = a.InputMethod || c.Role() == "input-method"
	}
	for _, p := range m.UsesPermissions {
		a.Requested = append(a.Requested, p.Name)
	}
	a.Requested = shortNames(a.Requested)
	raw := rawApp{reason: -1, source: -1}
	r.raw[a.Package] = raw
	r.unread(a, "a file alone does not tell", "source", "sideloaded", "installer", "granted", "groups", "first_installed", "last_updated", "age_days", "disabled", "hidden", "suspended")
}

// apiLevel is the device's API level, 0 when unknown.
func apiLevel(p *properties) int {
	n := 0
	for _, c := range p.get("ro.build.version.sdk", "ro.system.build.version.sdk") {
		if c < '0' || c > '9' || n > 1000 {
			return 0
		}
		n = n*10 + int(c-'0')
	}
	return n
}
