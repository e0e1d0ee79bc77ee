package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Where Android keeps who manages it.
var policyFiles = []string{"/data/system/device_policies.xml", "/data/system/users/*/device_policies.xml", "/data/system/device_owner_2.xml", "/data/system/device_owner.xml",
	"/data/system/users/*/profile_owner.xml"}

func deviceAdminsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "device_admins", Doc: "apps that manage the device or a profile", Row: DeviceAdmin{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("device_policy")}, Globs: append([]string{"/data/system"}, policyFiles...)}, Needs: []string{"packages"}, Collect: collectDeviceAdmins,
	}
}

type policyReader struct {
	*powers
	rows []DeviceAdmin
}

func collectDeviceAdmins(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &policyReader{powers: newPowers(ctx, in, &t), rows: []DeviceAdmin{}}
	d, err := asked(r.powers, "device_policy", parse.DevicePolicies)
	if err == nil {
		r.service(&d)
	} else if fileErr := r.files(); fileErr != nil {
		return scanner.Table{Absent: why(err, fileErr)}
	}
	slices.SortStableFunc(r.rows, func(a, b DeviceAdmin) int {
		return compareUserComponents(userComponent{a.User, a.Receiver}, userComponent{b.User, b.Receiver})
	})
	t.Rows = r.rows
	return t
}

func (r *policyReader) service(d *parse.DevicePolicy) {
	for _, a := range d.Admins {
		r.add(DeviceAdmin{Kind: "admin", Receiver: a.Component, User: a.User, Policies: a.Policies, TestAdmin: a.TestOnly, Where: at("dumpsys/device_policy", a.Line)})
	}
	for _, o := range d.Owners[:min(len(d.Owners), maxAdmins)] {
		r.owner(o.Device, o.User, o.Package, o.Component, o.OrganizationOwned, at("dumpsys/device_policy", o.Line))
	}
}

const maxAdmins = 2000 // of all users; phones have a handful

func (r *policyReader) add(row DeviceAdmin) {
	if len(r.rows) >= maxAdmins {
		if len(r.t.Partial) == 0 {
			r.t.Partial = append(r.t.Partial, "more administrators than are kept")
		}
		return
	}
	row.AppTraits = r.traits(componentPackage(row.Receiver), &row.Unread)
	row.KnownDPC = row.Known == "mdm"
	r.rows = append(r.rows, row)
}

// owner makes an administrator the owner, or adds an owner that is in no list of administrators.
func (r *policyReader) owner(device bool, user int, pkg, receiver string, org bool, where string) {
	kind := "profile_owner"
	if device {
		kind = "device_owner"
	}
	for i := range r.rows {
		row := &r.rows[i]
		if row.User == user && row.Package == pkg && (receiver == "" || row.Receiver == receiver) {
			if row.Kind != "device_owner" { // an owner of the device is one of its user too
				row.Kind = kind
			}
			row.OrgOwned = row.OrgOwned || org
			row.Where = wheres(row.Where, where)
			return
		}
	}
	row := DeviceAdmin{Kind: kind, Receiver: or(receiver, pkg+"/"), User: user, OrgOwned: org, Where: where}
	for _, c := range []string{"policies", "test_admin"} {
		row.MarkUnread(c, "it is in no list of administrators")
	}
	r.add(row)
}

// files reads the policy files, of which Android makes none until somebody manages the device.
func (r *policyReader) files() error {
	fsys := r.in.Device.FS()
	if _, err := fsys.ReadDir("/data/system"); err != nil {
		return err
	}
	read := func(name string, user int) {
		f, err := fromFile(r.powers, name, parse.DevicePoliciesXML)
		if err != nil {
			if !missing(err) {
				r.partial(err)
			}
			return
		}
		for _, a := range f.Admins {
			if full, _, ok := component(a.Component); ok {
				r.add(DeviceAdmin{Kind: "admin", Receiver: full, User: user, Policies: adminPolicies(a.Policies), TestAdmin: a.TestOnly, Where: name})
			}
		}
	}
	owners := func(name string, user int) {
		f, err := fromFile(r.powers, name, parse.OwnersXML)
		if err != nil {
			if !missing(err) {
				r.partial(err)
			}
			return
		}
		for _, o := range f.Owners[:min(len(f.Owners), maxAdmins)] {
			full, _, _ := component(o.Component)
			if o.User < 0 {
				o.User = user
			}
			r.owner(o.Device, o.User, o.Package, full, o.Organization, name)
		}
	}
	read(policyFiles[0], 0)
	r.eachUser(policyFiles[1], read)
	owners(policyFiles[2], 0)
	owners(policyFiles[3], 0)
	r.eachUser(policyFiles[4], owners)
	return nil
}

// eachUser hands the files that match a pattern to f, by user.
func (p *powers) eachUser(pattern string, f func(name string, user int)) {
	files := p.userFiles(pattern)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if files[a] != files[b] {
			return files[a] - files[b]
		}
		return strings.Compare(a, b)
	})
	for _, name := range names {
		f(name, files[name])
	}
}

// adminPolicies are the bits of android.app.admin.DeviceAdminInfo.USES_POLICY_*, as the service
// prints them.
func adminPolicies(bits uint32) []string {
	var out []string
	for i, name := range []string{"limit-password", "watch-login", "reset-password", "force-lock", "wipe-data", "set-global-proxy", "expire-password", "encrypted-storage",
		"disable-camera", "disable-keyguard-features"} {
		if bits&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}
