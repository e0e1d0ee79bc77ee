package facts

import (
	"context"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	adbKeysFile     = "/data/misc/adb/adb_keys"
	adbKeystoreFile = "/data/misc/adb/adb_temp_keys.xml"
)

func adbKeysCollector() scanner.Collector {
	return scanner.Collector{
		Table: "adb_keys", Doc: "computers that may use adb without asking", Row: ADBKey{}, Platforms: onAndroid,
		Reads:   scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("adb"), scanner.Dumpsys("usb")}, Globs: []string{adbKeysFile, adbKeystoreFile}},
		Collect: collectADBKeys,
	}
}

// adbKeyReader gathers keys by their fingerprint: the list of those that are always allowed has
// no times, the store of those that connected has.
type adbKeyReader struct {
	now  time.Time
	rows []ADBKey
	by   map[string]int
	read bool
}

func collectADBKeys(ctx context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &adbKeyReader{now: in.Options.Now, by: map[string]int{}, rows: []ADBKey{}}
	var first error
	for _, service := range []string{"adb", "usb"} { // usb on Android 9 and older
		source := scanner.Dumpsys(service)
		b, err := in.Device.Probe(ctx, source)
		if err == nil {
			var s parse.AdbState
			if s, err = parse.AdbDump(b); err == nil {
				r.dump(s, string(source), &t)
				break
			}
		}
		if first == nil {
			first = err
		}
	}
	fsys := in.Device.FS()
	if b, err := scanner.ReadFile(fsys, adbKeysFile, maxSmallFile); err == nil {
		keys, bad := parse.AdbKeysFile(b)
		r.read = true
		t.Partial = append(t.Partial, complaints(adbKeysFile, bad)...)
		for _, k := range keys {
			r.add(k.MD5, k.Host, time.Time{}, at(adbKeysFile, k.Line))
		}
	} else if missing(err) && in.Device.Identity().Root {
		r.read = true // no computer was ever allowed
	}
	if b, err := scanner.ReadFile(fsys, adbKeystoreFile, maxSmallFile); err == nil {
		r.store(b, adbKeystoreFile, &t)
	}
	if !r.read {
		return scanner.Table{Absent: unavailable(first)}
	}
	for i := range r.rows {
		r.rows[i].Keys = len(r.rows)
	}
	t.Rows = r.rows
	return t
}

func (r *adbKeyReader) dump(s parse.AdbState, where string, t *scanner.Table) {
	r.read = true
	for _, k := range append(s.Keys, s.Keystore...) {
		if !k.System {
			r.add(k.MD5, k.Host, k.Last, where)
		}
	}
	if len(s.KeystoreBinary) > 0 {
		r.store(s.KeystoreBinary, where, t)
	}
	if s.KeystoreDamaged {
		t.Partial = append(t.Partial, where+": the store of keys was damaged as it was copied")
	}
}

func (r *adbKeyReader) store(b []byte, where string, t *scanner.Table) {
	keys, _, err := parse.AdbKeystoreXML(b)
	if err != nil {
		t.Partial = append(t.Partial, where+": "+err.Error())
	}
	r.read = r.read || err == nil
	for _, k := range keys {
		var last time.Time
		if k.LastConnection > 0 {
			last = time.UnixMilli(k.LastConnection).UTC()
		}
		r.add(k.MD5, k.Host, last, where)
	}
}

func (r *adbKeyReader) add(md5, host string, last time.Time, where string) {
	key := or(md5, host)
	i, ok := r.by[key]
	if !ok {
		if len(r.rows) >= 1000 {
			return
		}
		i = len(r.rows)
		r.by[key] = i
		r.rows = append(r.rows, ADBKey{Fingerprint: or(md5, "damaged"), Host: host, LastDays: -1, Where: where})
	}
	k := &r.rows[i]
	k.Host = or(k.Host, host)
	if !last.IsZero() {
		days := int(r.now.Sub(last).Hours()) / 24
		k.LastDays = max(0, days)
		k.Acquisition = r.now.Sub(last) < 24*time.Hour
	}
}
