package facts

import (
	"context"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// Where app operations are kept, the modes first.
var appOpFiles = []string{"/data/system/appops.xml", "/data/system/appops_accesses.xml"}

func appOpsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "app_ops", Doc: "uses of the camera, microphone, location and other guarded things", Row: AppOp{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("appops")}, Globs: appOpFiles}, Needs: []string{"packages"}, Collect: collectAppOps,
	}
}

// guardedOps are the operations that are told: what reaches the person's data and surroundings,
// and what gives power over the device. The many that count vibrations and wake-ups are left out.
var guardedOps = map[string]bool{
	"COARSE_LOCATION": true, "FINE_LOCATION": true, "MONITOR_LOCATION": true, "MONITOR_HIGH_POWER_LOCATION": true, "GPS": true, "CAMERA": true, "RECORD_AUDIO": true, "RECORD_AUDIO_HOTWORD": true,
	"RECORD_AUDIO_OUTPUT": true, "RECEIVE_AMBIENT_TRIGGER_AUDIO": true, "RECORD_INCOMING_PHONE_AUDIO": true, "PHONE_CALL_MICROPHONE": true, "PHONE_CALL_CAMERA": true, "PROJECT_MEDIA": true, "READ_CLIPBOARD": true,
	"READ_CONTACTS": true, "READ_CALL_LOG": true, "WRITE_CALL_LOG": true, "READ_CALENDAR": true, "READ_SMS": true, "WRITE_SMS": true, "RECEIVE_SMS": true, "SEND_SMS": true, "RECEIVE_MMS": true,
	"CALL_PHONE": true, "PROCESS_OUTGOING_CALLS": true, "READ_PHONE_STATE": true, "READ_PHONE_NUMBERS": true, "ANSWER_PHONE_CALLS": true, "READ_MEDIA_IMAGES": true, "READ_EXTERNAL_STORAGE": true,
	"MANAGE_EXTERNAL_STORAGE": true, "ACCESS_NOTIFICATIONS": true, "GET_USAGE_STATS": true, "SYSTEM_ALERT_WINDOW": true, "WRITE_SETTINGS": true, "REQUEST_INSTALL_PACKAGES": true,
	"REQUEST_DELETE_PACKAGES": true, "ACTIVATE_VPN": true, "ACTIVATE_PLATFORM_VPN": true, "ESTABLISH_VPN_SERVICE": true, "MOCK_LOCATION": true, "ACCESS_RESTRICTED_SETTINGS": true, "USE_FULL_SCREEN_INTENT": true,
	"BIND_ACCESSIBILITY_SERVICE": true, "ACCESS_ACCESSIBILITY": true, "RUN_IN_BACKGROUND": true, "RUN_ANY_IN_BACKGROUND": true, "GET_ACCOUNTS": true, "BODY_SENSORS": true, "ASSIST_SCREENSHOT": true, "TOAST_WINDOW": true,
	"AUTO_REVOKE_PERMISSIONS_IF_UNUSED": true, "MANAGE_MEDIA": true, "INTERACT_ACROSS_PROFILES": true, "MANAGE_IPSEC_TUNNELS": true,
}

// opName gives the service's name of an operation that goes by the one that apps use (android:camera).
func opName(name string) string {
	if public, ok := strings.CutPrefix(name, "android:"); ok {
		return strings.ToUpper(public)
	}
	return name
}

const maxAppOps = 100000

// opReader merges the modes of user ids, which go first, with those of their packages.
type opReader struct {
	*powers
	rows    []AppOp
	index   map[opKey]int
	named   map[opKey][]int // rows by user id and operation, whatever the package
	byUID   map[int][]*App
	dropped bool
}

type opKey struct {
	uid     int
	pkg, op string
}

func collectAppOps(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &opReader{powers: newPowers(ctx, in, &t), rows: []AppOp{}, index: map[opKey]int{}, named: map[opKey][]int{}}
	r.byUID = appsByUID(r.apps.rows)
	ops, err := asked(r.powers, "appops", parse.AppOps)
	if err == nil {
		r.service(ops)
	} else if fileErr := r.files(err); fileErr != nil {
		return scanner.Table{Absent: why(err, fileErr)}
	}
	if r.dropped {
		t.Partial = append(t.Partial, "more operations than are kept")
	}
	slices.SortStableFunc(r.rows, func(a, b AppOp) int {
		if a.UID != b.UID {
			return a.UID - b.UID
		}
		return strings.Compare(a.Package+" "+a.Op, b.Package+" "+b.Op)
	})
	t.Rows = r.rows
	return t
}

// service takes what the service printed: packages first, then the modes of their user ids.
func (r *opReader) service(ops []parse.AppOp) {
	states := slices.ContainsFunc(ops, func(o parse.AppOp) bool { return o.States })
	for i := range ops {
		o := &ops[i]
		name := opName(o.Op)
		if o.Package == "" || !guardedOps[name] {
			continue
		}
		row := r.row(o.UID, o.Package, name, at("dumpsys/appops", o.Line))
		if row == nil {
			return
		}
		if row.Mode == "" {
			row.Mode = o.Mode
		}
		if o.Accessed && (o.AccessAgo > 0 || !o.LastAccess.IsZero()) && (row.UsedMinutes < 0 || minutes(o.AccessAgo) < row.UsedMinutes) {
			row.UsedMinutes = minutes(o.AccessAgo)
		}
		row.Running = row.Running || o.Running
		if o.Running {
			row.UsedMinutes = 0
		}
		if o.Background {
			row.Background, row.BackMinutes = true, minutes(o.BackAgo)
		}
		row.Seconds = int(o.Duration / time.Second)
		if o.Accessed && !states {
			row.MarkUnread("background", "this release does not tell where the app was")
			row.MarkUnread("background_minutes", "this release does not tell where the app was")
		}
	}
	for i := range ops {
		if o := &ops[i]; o.Package == "" && guardedOps[opName(o.Op)] {
			r.uidMode(o.UID, opName(o.Op), o.Mode, at("dumpsys/appops", o.Line))
		}
	}
}

// uidMode gives a user id's mode to each of its packages.
func (r *opReader) uidMode(uid int, op, mode, where string) {
	apps := r.byUID[uid%perUser]
	for _, a := range apps[:min(len(apps), 64)] {
		if len(a.Users) > 0 && !slices.Contains(a.Users, uid/perUser) {
			continue
		}
		if row := r.row(uid, a.Package, op, where); row != nil {
			row.Mode = mode
		}
	}
	if len(apps) == 0 {
		for _, i := range r.named[opKey{uid, "", op}] { // no list of apps, or one that lacks it: the packages that the service named
			r.rows[i].Mode = mode
		}
	}
}

func minutes(d time.Duration) int { return int(max(d, 0) / time.Minute) }

// row gives the row of an operation, a new one when it is not there yet; nil when there are too many.
func (r *opReader) row(uid int, pkg, op, where string) *AppOp {
	key := opKey{uid, pkg, op}
	if i, ok := r.index[key]; ok {
		return &r.rows[i]
	}
	if len(r.rows) >= maxAppOps {
		r.dropped = true
		return nil
	}
	row := AppOp{UID: uid, Op: op, UsedMinutes: -1, BackMinutes: -1, ByShell: pkg == "com.android.shell", Where: where}
	row.AppTraits = r.traits(pkg, &row.Unread)
	r.index[key] = len(r.rows)
	r.named[opKey{uid, "", op}] = append(r.named[opKey{uid, "", op}], len(r.rows))
	r.rows = append(r.rows, row)
	return &r.rows[len(r.rows)-1]
}

// opModes are AppOpsManager.MODE_*.
var opModes = []string{"allow", "ignore", "deny", "default", "foreground"}

// files reads what the service keeps. Uses while it runs are written with delay.
func (r *opReader) files(noService error) error {
	modes, err := fromFile(r.powers, appOpFiles[0], parse.AppOpsXML)
	if err != nil {
		return err
	}
	r.stored(modes, appOpFiles[0])
	if accesses, err := fromFile(r.powers, appOpFiles[1], parse.AppOpsXML); err == nil {
		r.stored(accesses, appOpFiles[1])
	} else if !missing(err) {
		r.partial(err)
	}
	for i := range r.rows {
		for _, c := range []string{"running", "background", "background_minutes", "seconds"} {
			r.rows[i].MarkUnread(c, unavailable(noService))
		}
	}
	return nil
}

func (r *opReader) stored(list []parse.AppOpMode, where string) {
	for i := range list {
		o := &list[i]
		if o.Package == "" || !guardedOps[o.Name] {
			continue
		}
		uid := o.UID
		if uid < 0 {
			if a := r.apps.get(o.Package); a != nil && a.UID >= 0 {
				uid = max(o.User, 0)*perUser + a.UID
			}
		}
		row := r.row(uid, o.Package, o.Name, where)
		if row == nil {
			return
		}
		if o.Mode >= 0 && o.Mode < len(opModes) {
			row.Mode = opModes[o.Mode]
		}
		row.Mode = or(row.Mode, "default")
		if o.Accessed > 0 {
			row.UsedMinutes = minutes(r.in.Options.Now.Sub(time.UnixMilli(o.Accessed)))
		}
	}
	for i := range list {
		if o := &list[i]; o.Package == "" && guardedOps[o.Name] && o.Mode >= 0 && o.Mode < len(opModes) {
			r.uidMode(o.UID, o.Name, opModes[o.Mode], where)
		}
	}
}
