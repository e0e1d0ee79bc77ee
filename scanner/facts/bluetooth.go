package facts

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// BluetoothFact is one setting of the Bluetooth service, or one paired input device.
type BluetoothFact struct {
	Kind    string `expr:"kind" json:"kind" doc:"setting or input-device"`
	Name    string `expr:"name" json:"name" doc:"setting, or hardware address of the device"`
	Value   string `expr:"value" json:"value,omitempty" doc:"value of the setting"`
	Weak    bool   `expr:"weak" json:"weak" doc:"the setting lets strangers pair or type"`
	Trusted bool   `expr:"trusted" json:"trusted,omitempty" doc:"the device connects without asking"`
	Where   string `expr:"where" json:"-" doc:"file and line"`
}

func bluetoothCollector() scanner.Collector {
	return scanner.Collector{
		Table: "bluetooth", Doc: "settings of Bluetooth and paired input devices", Row: BluetoothFact{},
		Reads:   scanner.Reads{Globs: []string{"/etc/bluetooth/main.conf", "/etc/bluetooth/input.conf", "/var/lib/bluetooth/*/*/info", "/var/lib/bluetooth/*/settings"}},
		Collect: collectBluetooth,
	}
}

func collectBluetooth(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	rows := []BluetoothFact{}
	set := func(file string, e parse.Setting, weak bool) {
		rows = append(rows, BluetoothFact{Kind: "setting", Name: e.Key, Value: e.Value, Weak: weak, Where: at(file, e.Line)})
	}
	main, input := "/etc/bluetooth/main.conf", "/etc/bluetooth/input.conf"
	discoverable := false
	for _, name := range r.glob("/var/lib/bluetooth/*/settings") {
		discoverable = discoverable || parse.INI(r.file(name)).Get("General", "Discoverable") == "true"
	}
	for _, e := range parse.INI(r.file(main)) {
		switch e.Key {
		case "DiscoverableTimeout":
			set(main, e, e.Value == "0" && discoverable)
		case "JustWorksRepairing":
			set(main, e, e.Value == "always")
		case "AlwaysPairable":
			set(main, e, e.Value == "true")
		}
	}
	for _, e := range parse.INI(r.file(input)) {
		if e.Key == "ClassicBondedOnly" || e.Key == "LEAutoSecurity" {
			set(input, e, e.Value == "false")
		}
	}
	for _, name := range r.glob("/var/lib/bluetooth/*/*/info") {
		info := parse.INI(r.file(name))
		if inputDevice(info) {
			rows = append(rows, BluetoothFact{Kind: "input-device", Name: path.Base(path.Dir(name)), Trusted: info.Get("General", "Trusted") == "true", Where: name})
		}
	}
	t.Rows = rows
	return t
}

// inputDevice tells keyboards and the like by their class, or the services that they offer
// (HID 0x1124, HID over GATT 0x1812).
func inputDevice(info parse.Settings) bool {
	class, err := strconv.ParseUint(strings.TrimPrefix(info.Get("General", "Class"), "0x"), 16, 32)
	if err == nil && class>>8&0x1f == 5 {
		return true
	}
	services := strings.Split(info.Get("General", "Services"), ";")
	return slices.ContainsFunc(services, func(s string) bool { return strings.HasPrefix(s, "00001124-") || strings.HasPrefix(s, "00001812-") })
}
