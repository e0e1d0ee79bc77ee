package parse

import "strings"

// VirtualDisplay is a display that an app made: a copy of the screen, or one of its own.
type VirtualDisplay struct {
	Package    string
	UID        int
	Name       string // that the app gave it: scrcpy, ScreenCapture; empty when not printed
	OwnContent bool   // shows only what is put on it, and is no copy of the screen
	Line       int    // 1-based
}

// VirtualDisplays reads dumpsys display of Android 5 to 16: devices whose unique id is
// virtual:PACKAGE,UID,NAME,NUMBER, which older releases end at the name.
func VirtualDisplays(b []byte) ([]VirtualDisplay, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []VirtualDisplay
	known := false
	seen := map[string]bool{}
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		known = known || strings.HasPrefix(text, "DISPLAY MANAGER") || strings.HasPrefix(text, "Display Devices:")
		_, id, ok := strings.Cut(text, "virtual:")
		if !known || !ok || len(all) >= 256 {
			return
		}
		pkg, rest, _ := strings.Cut(id, ",")
		uid, name, _ := strings.Cut(rest, ",")
		number, ok := leadingInt(uid)
		if !ok || !isPackage(pkg) {
			return
		}
		d := VirtualDisplay{Package: pkg, UID: number, Line: n}
		name, _, _ = strings.Cut(name, `"`)
		d.Name, _, _ = strings.Cut(clip(name, 200), ",")
		d.OwnContent = strings.Contains(text, "FLAG_OWN_CONTENT_ONLY")
		if key := pkg + " " + d.Name; !seen[key] {
			seen[key] = true
			all = append(all, d)
		}
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
