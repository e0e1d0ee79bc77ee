package parse

import "strings"

// ScreenCapture is an app that is capturing the screen, or showing it elsewhere.
type ScreenCapture struct {
	Package string
	UID     int    // -1 when not printed
	Kind    string // screen capture, mirroring, presentation; empty when not printed
	Line    int    // 1-based
}

// ScreenCaptures reads dumpsys media_projection of Android 5 to 16.
func ScreenCaptures(b []byte) ([]ScreenCapture, error) {
	if err := ServiceRefusal(b); err != nil {
		return nil, err
	}
	var all []ScreenCapture
	known := false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		if strings.HasPrefix(text, "MEDIA PROJECTION MANAGER") || strings.HasPrefix(text, "Media Projection:") {
			known = true
			text = strings.TrimSpace(strings.TrimPrefix(text, "Media Projection:"))
		}
		if !known || len(all) >= 64 {
			return
		}
		c := ScreenCapture{UID: -1, Line: n}
		if pkg := valueOf(text, "mPackageName"); pkg != "" {
			c.Package = pkg
		} else if in, ok := between(text, "(", ")"); ok && strings.Contains(in, "uid=") {
			c.Package, _, _ = strings.Cut(in, ",")
		}
		if !isPackage(c.Package) || c.Package == "null" {
			return
		}
		if uid, ok := leadingInt(valueOf(text, "uid")); ok {
			c.UID = uid
		}
		switch {
		case strings.HasSuffix(text, "TYPE_SCREEN_CAPTURE"):
			c.Kind = "screen capture"
		case strings.HasSuffix(text, "TYPE_MIRRORING"):
			c.Kind = "mirroring"
		case strings.HasSuffix(text, "TYPE_PRESENTATION"):
			c.Kind = "presentation"
		}
		all = append(all, c)
	})
	if !known {
		return nil, ErrOtherFormat
	}
	return all, nil
}
