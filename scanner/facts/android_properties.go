package facts

import (
	"context"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// onAndroid are the platforms of Android's own tables.
var (
	onAndroid = []string{"android"}
	onBoth    = []string{"linux", "android"}
)

// AndroidProperty is one property of the system.
type AndroidProperty struct {
	Name  string `expr:"name" json:"name" doc:"name: ro.build.type"`
	Value string `expr:"value" json:"value" doc:"value; serial numbers and the like are left out"`
	Where string `expr:"where" json:"-" doc:"source and line"`
}

// propertyFiles are read where no getprop was asked, those that win first.
var propertyFiles = []string{"/system/build.prop", "/system/system/build.prop", "/build.prop", "/system/etc/prop.default", "/default.prop", "/vendor/build.prop",
	"/vendor/default.prop", "/system/vendor/build.prop", "/odm/etc/build.prop", "/odm/build.prop", "/product/etc/build.prop", "/product/build.prop",
	"/system/product/etc/build.prop", "/system/product/build.prop", "/system_ext/etc/build.prop", "/system/system_ext/etc/build.prop", "/vendor/odm/etc/build.prop"}

// privateProperties identify the person's device or line, and say nothing of its health.
var privateProperties = []string{"serialno", "imei", "meid", "iccid", "msisdn", "imsi", "macaddr", "bdaddr", "wlan.mac", ".mac_", "phone_number", "adb.pubkey", "gsm.sim.operator", "hostname", "bluetooth.address", "deviceid", "device_id"}

func androidPropertiesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_properties", Doc: "properties of the system, without those that name the device or its line", Row: AndroidProperty{}, Platforms: onAndroid,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.SourceGetprop}, Globs: propertyFiles},
		Collect: collectAndroidProperties,
	}
}

func collectAndroidProperties(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	rows := []AndroidProperty{}
	seen := map[string]bool{}
	add := func(p parse.Property, where string) {
		if !seen[p.Key] && !privateProperty(p.Key) {
			seen[p.Key] = true
			rows = append(rows, AndroidProperty{p.Key, p.Value, at(where, p.Line)})
		}
	}
	b, err := in.Device.Probe(ctx, scanner.SourceGetprop)
	if err == nil {
		var c parse.Complaints
		for _, p := range parse.Getprop(b, &c) {
			add(p, string(scanner.SourceGetprop))
		}
		t.Partial = append(t.Partial, complaints(string(scanner.SourceGetprop), &c)...)
	}
	if len(rows) > 0 {
		t.Rows = rows
		return t
	}
	r := newReader(in, &scanner.Table{}) // files that are not there are no gap: every device has others
	for _, name := range propertyFiles {
		var c parse.Complaints
		props, _ := parse.BuildProp(r.file(name), &c)
		for _, p := range props {
			add(p, name)
		}
		t.Partial = append(t.Partial, complaints(name, &c)...)
	}
	if len(rows) == 0 {
		t.Absent = unavailable(err)
		return t
	}
	t.Notes = append(t.Notes, "read from files: properties that are set as the device starts are not among them")
	t.Rows = rows
	return t
}

func privateProperty(name string) bool {
	low := strings.ToLower(name)
	for _, p := range privateProperties {
		if strings.Contains(low, p) {
			return true
		}
	}
	return false
}

// properties gives the table's values by name, and where each was read; live tells whether they are those of a running system.
type properties struct {
	rows  []AndroidProperty
	index map[string]int
	live  bool
}

func propertiesOf(in *scanner.Input) (*properties, string) {
	rows, why := scanner.Rows[AndroidProperty](in, "android_properties")
	if why != "" {
		return &properties{}, why
	}
	p := &properties{rows: rows, index: make(map[string]int, len(rows))}
	for i, r := range rows {
		p.index[r.Name] = i
		p.live = p.live || strings.HasPrefix(r.Where, string(scanner.SourceGetprop))
	}
	return p, ""
}

// get gives the value of the first property that is set.
func (p *properties) get(names ...string) string {
	for _, n := range names {
		if i, ok := p.index[n]; ok && p.rows[i].Value != "" {
			return p.rows[i].Value
		}
	}
	return ""
}
