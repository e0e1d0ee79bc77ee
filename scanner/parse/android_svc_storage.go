package parse

import (
	"encoding/json"
	"slices"
	"strings"
)

// AppSize is what an app takes on storage, in bytes; -1 for what was not printed.
type AppSize struct {
	Package           string
	Code, Data, Cache int64
}

// AppSizes reads the four arrays at the end of dumpsys diskstats (Android 8 to 16): packages and
// their sizes, in the same order. They are missing until the service has measured once: then the
// result is nil without an error. It may name packages that were removed since.
func AppSizes(b []byte) ([]AppSize, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var names []string
	sizes := map[string][]int64{}
	known := false
	var bad error
	serviceText(b, func(n int, line string) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		known = known || key == "Latency" || key == "Data-Free"
		if !ok || !slices.Contains([]string{"Package Names", "App Sizes", "App Data Sizes", "Cache Sizes"}, key) {
			return
		}
		known = true
		if key == "Package Names" {
			if json.Unmarshal([]byte(value), &names) != nil {
				bad = &Error{Offset: -1, Line: n, Msg: "package names are no list"}
			}
			return
		}
		var list []int64
		if json.Unmarshal([]byte(value), &list) != nil {
			bad = &Error{Offset: -1, Line: n, Msg: strings.ToLower(key) + " are no list"}
		}
		sizes[key] = list
	})
	if !known {
		return nil, ErrOtherFormat
	}
	if bad != nil {
		return nil, bad
	}
	at := func(key string, i int) int64 {
		if list := sizes[key]; i < len(list) {
			return list[i]
		}
		return -1
	}
	var all []AppSize
	for i, name := range names {
		if isPackage(name) {
			all = append(all, AppSize{Package: name, Code: at("App Sizes", i), Data: at("App Data Sizes", i), Cache: at("Cache Sizes", i)})
		}
	}
	return all, nil
}

// StorageVolume is a volume that the storage service knows. Its label and identity are dropped.
type StorageVolume struct {
	ID     string // public:179,1, private, emulated;0
	Type   string // PUBLIC, PRIVATE, EMULATED, OBB, STUB; a number on Android 6 and 7
	State  string // MOUNTED, UNMOUNTED, ...
	FSType string
	Path   string
	Line   int // 1-based
}

// StorageVolumes reads dumpsys mount of Android 6 to 16.
func StorageVolumes(b []byte) ([]StorageVolume, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []StorageVolume
	known, open := false, false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case text == "Disks:" || text == "Volumes:":
			known, open = true, false
		case strings.HasPrefix(text, "VolumeInfo{") && len(all) < 256:
			id, _ := between(text, "{", "}")
			all = append(all, StorageVolume{ID: clip(id, 80), Line: n})
			open = true
		case indent(line) < 4:
			open = false
		case open:
			v := &all[len(all)-1]
			for key, into := range map[string]*string{"type": &v.Type, "state": &v.State, "fsType": &v.FSType, "path": &v.Path} {
				if value := valueOf(text, key); value != "" && value != "null" && *into == "" {
					*into = clip(value, 200)
				}
			}
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
