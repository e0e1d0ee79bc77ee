package parse

// AppOpMode is what appops.xml keeps of one operation: of a package, or of a whole uid when
// Package is empty. Operations that are as the system has them by default and were never used
// are not in the file.
type AppOpMode struct {
	Package  string
	UID      int // of the package for its user, up to Android 13; of the uid entry; -1 unknown
	User     int // from Android 14, where packages are by user; -1 otherwise
	Op       int // AppOpsManager.OP_*; -1 in access.abx, which has names
	Name     string
	Mode     int   // AppOpsManager.MODE_*: 0 allowed, 1 ignored, 2 errored, 3 default, 4 foreground; -1 the default
	Accessed int64 // last use, milliseconds since 1970; 0 none on record
	Rejected int64 // last refusal, as Accessed
}

// AppOpsXML reads /data/system/appops.xml of Android 4.3 to 16 and, for the times that
// Android 14 keeps apart, appops_accesses.xml (AppOpsService, AppOpsCheckingServiceImpl).
func AppOpsXML(b []byte) ([]AppOpMode, error) {
	x := newXMLReader(b)
	var out []AppOpMode
	if !x.root("app-ops") {
		return nil, x.end()
	}
	for name := range x.children() {
		switch name {
		case "uid":
			out = opElements(x, out, AppOpMode{UID: x.uid("n"), User: -1})
		case "pkg":
			pkg := x.attr("n")
			for child := range x.children() {
				if child == "uid" {
					out = opElements(x, out, AppOpMode{Package: pkg, UID: x.uid("n"), User: -1})
				}
			}
		case "user":
			user := x.uid("n")
			for child := range x.children() {
				if child == "pkg" {
					out = opElements(x, out, AppOpMode{Package: x.attr("n"), UID: -1, User: user})
				}
			}
		}
	}
	return out, x.end()
}

// opElements reads the <op> elements of one subject. Times are attributes of the element up to
// Android 9; then of <st> elements inside, one for each state of the process, which later
// releases group by attribution tag.
func opElements(x *xmlReader, out []AppOpMode, subject AppOpMode) []AppOpMode {
	for name := range x.children() {
		if name != "op" {
			continue
		}
		op := subject
		op.Op = x.uid("n")
		op.Mode, op.Name = x.uid("m"), appOpName(op.Op)
		op.times(x)
		op.uses(x)
		out = keepXML(x, out, op)
	}
	return out
}

// uses reads the elements inside an <op>, whatever it groups them by.
func (op *AppOpMode) uses(x *xmlReader) {
	for range x.children() {
		op.times(x)
		for range x.children() {
			op.times(x)
		}
	}
}

// times keeps the latest of the times that the current element has. Android 9 writes one for
// each state of the process: tp, tt, tfs, ... for accesses, rp, rt, ... for refusals.
func (op *AppOpMode) times(x *xmlReader) {
	for _, state := range []string{"", "p", "t", "fs", "f", "b", "c"} {
		op.Accessed = max(op.Accessed, x.int("t"+state, 0))
		op.Rejected = max(op.Rejected, x.int("r"+state, 0))
	}
}

// appOpName names the operations that matter for what an app can do unseen; "" for the others.
// The numbers are those of AppOpsManager.OP_*, which releases only add to.
func appOpName(op int) string {
	switch op {
	case 0:
		return "COARSE_LOCATION"
	case 1:
		return "FINE_LOCATION"
	case 4:
		return "READ_CONTACTS"
	case 6:
		return "READ_CALL_LOG"
	case 11:
		return "POST_NOTIFICATION"
	case 14:
		return "READ_SMS"
	case 15:
		return "WRITE_SMS"
	case 16:
		return "RECEIVE_SMS"
	case 20:
		return "SEND_SMS"
	case 23:
		return "WRITE_SETTINGS"
	case 24:
		return "SYSTEM_ALERT_WINDOW"
	case 25:
		return "ACCESS_NOTIFICATIONS"
	case 26:
		return "CAMERA"
	case 27:
		return "RECORD_AUDIO"
	case 43:
		return "GET_USAGE_STATS"
	case 46:
		return "PROJECT_MEDIA"
	case 47:
		return "ACTIVATE_VPN"
	case 58:
		return "MOCK_LOCATION"
	case 63:
		return "RUN_IN_BACKGROUND"
	case 66:
		return "REQUEST_INSTALL_PACKAGES"
	case 70:
		return "RUN_ANY_IN_BACKGROUND"
	case 73:
		return "BIND_ACCESSIBILITY_SERVICE"
	case 92:
		return "MANAGE_EXTERNAL_STORAGE"
	case 94:
		return "ACTIVATE_PLATFORM_VPN"
	case 107:
		return "SCHEDULE_EXACT_ALARM"
	case 119:
		return "ACCESS_RESTRICTED_SETTINGS"
	case 133:
		return "USE_FULL_SCREEN_INTENT"
	}
	return ""
}
