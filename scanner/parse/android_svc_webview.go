package parse

import (
	"strconv"
	"strings"
)

// WebViewState is the browser engine that apps show pages with.
type WebViewState struct {
	Package   string // of the provider in use; empty when there is none
	Version   string
	Providers []WebViewProvider
}

// WebViewProvider is a package that could be the engine.
type WebViewProvider struct {
	Package     string
	Valid       bool
	Version     string
	VersionCode int64
	Enabled     bool // installed and enabled for all users
	Line        int  // 1-based
}

// WebView reads dumpsys webviewupdate of Android 7 to 16.
func WebView(b []byte) (WebViewState, error) {
	if err := ServiceRefusal(b); err != nil {
		return WebViewState{}, err
	}
	var s WebViewState
	known := false
	serviceText(b, func(n int, line string) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "Current WebView Update Service state"):
			known = true
		case strings.HasPrefix(text, "Current WebView package"):
			known = true
			_, pair, _ := strings.Cut(text, ": (")
			pkg, version, _ := strings.Cut(strings.TrimSuffix(pair, ")"), ", ")
			if isPackage(pkg) && pkg != "null" {
				s.Package, s.Version = pkg, clip(version, 80)
			}
		case strings.HasPrefix(text, "Valid package "), strings.HasPrefix(text, "Invalid package "):
			valid := text[0] == 'V'
			_, rest, _ := strings.Cut(text, "package ")
			pkg, rest, _ := strings.Cut(rest, " (")
			in, rest, _ := strings.Cut(rest, ")")
			if !isPackage(pkg) || len(s.Providers) >= 64 {
				return
			}
			p := WebViewProvider{Package: pkg, Valid: valid, Line: n, Enabled: valid && strings.Contains(rest, "is  installed/enabled") || strings.Contains(rest, "is installed/enabled")}
			for _, f := range strings.Split(in, ", ") {
				switch key, value, _ := strings.Cut(f, ": "); key {
				case "versionName":
					p.Version = clip(value, 80)
				case "versionCode":
					p.VersionCode, _ = strconv.ParseInt(value, 10, 64)
				}
			}
			s.Providers = append(s.Providers, p)
		}
	})
	if !known {
		return s, ErrOtherFormat
	}
	return s, nil
}
