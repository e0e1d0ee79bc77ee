package facts

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// tombstoneGlobs are where debuggerd keeps the records of native crashes, as text and since
// Android 12 in a binary form beside it.
var tombstoneGlobs = []string{"/data/tombstones/tombstone_??", "/data/tombstones/tombstone_??.pb"}

const maxTombstone = 16 << 20 // bytes

func crashesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "crashes", Doc: "crashes by process", Row: Crash{}, Platforms: onAndroid,
		Reads: scanner.Reads{Globs: append([]string{"/data/tombstones"}, tombstoneGlobs...)},
		Needs: []string{"packages"}, Collect: collectCrashes,
	}
}

// exposedProcesses handle what strangers send: the daemons of media, radio, Bluetooth, Wi-Fi and
// web pages.
var exposedProcesses = []string{"mediaserver", "media.codec", "media.extractor", "media.swcodec", "mediacodec", "mediaextractor", "mediaswcodec", "media.metrics", "stagefright", "rild", "qcrild", "radio",
	"com.android.phone", "bluetooth", "com.android.bluetooth", "wpa_supplicant", "hostapd", "wifi", "cnss", "sandboxed_process", "webview", "com.android.chrome", "org.chromium", "com.whatsapp", "org.telegram",
	"org.thoughtcrime", "com.google.android.apps.messaging", "com.android.mms", "nfc", "com.android.nfc", "imsdatadaemon", "ims_rtp", "gnss", "camera", "samsung.android.messaging"}

func collectCrashes(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	fsys := in.Device.FS()
	var stones []parse.Tombstone
	where := map[string]string{}
	names := map[string]bool{}
	entries, err := fsys.ReadDir("/data/tombstones")
	// A bugreport takes all of the folder along, so what it holds is all there was.
	whole := err == nil || errors.Is(err, scanner.ErrNotRecorded) && len(entries) > 0 || missing(err) && in.Device.Identity().Root
	if !whole {
		return scanner.Table{Absent: scanner.Reason(err)}
	}
	for _, e := range entries {
		names[e.Name] = true
	}
	for _, e := range entries {
		name := "/data/tombstones/" + e.Name
		binary := strings.HasSuffix(e.Name, ".pb")
		if !strings.HasPrefix(e.Name, "tombstone_") || binary && names[strings.TrimSuffix(e.Name, ".pb")] {
			continue // the text beside it says the same
		}
		b, err := scanner.ReadFile(fsys, name, maxTombstone)
		if err != nil {
			t.Partial = append(t.Partial, scanner.Reason(err))
			continue
		}
		got, err := readTombstone(b, binary)
		if err != nil {
			t.Partial = append(t.Partial, fmt.Sprintf("%s: %v", name, err))
		}
		for _, s := range got {
			stones = append(stones, s)
			if _, ok := where[s.Process]; !ok {
				where[s.Process] = name
			}
		}
	}
	t.Rows = crashRows(stones, where, androidTables(in), in.Options.Now)
	return t
}

func readTombstone(b []byte, binary bool) ([]parse.Tombstone, error) {
	if !binary {
		return parse.Tombstones(b)
	}
	s, err := parse.TombstoneProto(b)
	if err != nil {
		return nil, err
	}
	return []parse.Tombstone{s}, nil
}

// crashRows groups crashes by process. Places are told apart by where in the code they happened,
// or by the address that was at fault.
func crashRows(stones []parse.Tombstone, where map[string]string, apps *androidApps, now time.Time) []Crash {
	index := map[string]int{}
	places := map[string]map[string]bool{}
	last := map[string]time.Time{}
	rows := []Crash{}
	for _, s := range stones {
		name := s.Process
		i, ok := index[name]
		if !ok {
			i = len(rows)
			index[name], places[name] = i, map[string]bool{}
			rows = append(rows, Crash{Process: name, Days: -1, Where: where[name], Exposed: isExposed(name)})
			if pkg, _, _ := strings.Cut(name, ":"); apps.get(pkg) != nil {
				rows[i].Package = pkg
			}
		}
		r := &rows[i]
		r.Count++
		r.Signal = s.SignalName
		memory := s.SignalName == "SIGSEGV" || s.SignalName == "SIGBUS" || strings.HasPrefix(s.CodeName, "SEGV_MTE")
		if memory {
			r.Memory++
			places[name][crashPlace(&s)] = true
		}
		if len(s.Backtrace) > 0 {
			if lib := path.Base(s.Backtrace[0].File); lib != "." && !slices.Contains(r.Libraries, lib) && len(r.Libraries) < 8 {
				r.Libraries = append(r.Libraries, lib)
			}
		}
		if s.Time.After(last[name]) {
			last[name] = s.Time
			r.Last = when(s.Time)
			r.Days = max(0, int(now.Sub(s.Time).Hours())/24)
		}
	}
	for i := range rows {
		rows[i].Places = len(places[rows[i].Process])
	}
	return rows
}

func crashPlace(s *parse.Tombstone) string {
	if len(s.Backtrace) > 0 && s.Backtrace[0].File != "" {
		f := s.Backtrace[0]
		return fmt.Sprintf("%s+%x", f.File, f.PC)
	}
	return fmt.Sprintf("%x", s.FaultAddr)
}

func isExposed(process string) bool {
	low := strings.ToLower(process)
	return slices.ContainsFunc(exposedProcesses, func(p string) bool { return strings.Contains(low, p) })
}
