package facts

import (
	"context"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

func webviewCollector() scanner.Collector {
	return scanner.Collector{
		Table: "webview", Doc: "the program that shows web pages inside apps", Row: WebView{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.Dumpsys("webviewupdate")}}, Needs: []string{"packages"}, Collect: collectWebView,
	}
}

// webViewPackages are providers that Android has had, in the order in which it prefers them.
var webViewPackages = []string{"com.google.android.webview", "com.android.chrome", "com.android.webview", "app.vanadium.webview", "org.mozilla.geckoview", "com.huawei.webview"}

func collectWebView(ctx context.Context, in *scanner.Input) scanner.Table {
	row := WebView{Where: "dumpsys/webviewupdate"}
	b, err := in.Device.Probe(ctx, scanner.Dumpsys("webviewupdate"))
	if err == nil {
		if s, e := parse.WebView(b); e == nil {
			row.Package, row.Version = s.Package, s.Version
		}
	}
	apps := androidTables(in)
	for _, pkg := range webViewPackages { // which of several is in use, only the service tells
		if a := apps.get(pkg); row.Package == "" && a != nil && !a.Disabled && a.VersionName != "" {
			row.Package, row.Version, row.Where = pkg, a.VersionName, a.Where
		}
	}
	if row.Package == "" {
		return scanner.Table{Absent: unavailable(err)}
	}
	row.Major = leadingNumber(row.Version)
	if chromiumVersion(row.Version) {
		row.Behind = max(0, chromiumMajor(in.Options.Now)-row.Major)
	} else if row.Major > 0 {
		row.MarkUnread("behind", "its maker counts versions in another way than Chromium does")
	}
	return scanner.Table{Rows: []WebView{row}}
}

// chromiumVersion tells Chromium's own numbers: 113.0.5672.77, or those of its first years inside
// Android, 37 (1448693-arm64). Huawei's 14.0.0.331 is a Chromium of a version that it does not say.
func chromiumVersion(version string) bool {
	first, rest, dotted := strings.Cut(version, ".")
	if !dotted {
		return leadingNumber(first) >= 30
	}
	parts := strings.Split(rest, ".")
	return leadingNumber(first) >= 30 && len(parts) >= 2 && leadingNumber(parts[1]) >= 1000
}

// leadingNumber is the number that a text starts with, 0 for none.
func leadingNumber(s string) int {
	n, _ := strconv.Atoi(s[:len(s)-len(strings.TrimLeft(s, "0123456789"))])
	return n
}

// chromiumMajor estimates the newest major version at a time: 94 came out on 21 September 2021,
// and since then one every four weeks but for pauses, which make it one in 31 days: 120 in
// December 2023, 125 in May 2024, 141 in October 2025. Before, it was every six weeks. The estimate
// is hardly ever ahead of the real one, so that a current engine is not called old.
func chromiumMajor(now time.Time) int {
	const day = 24 * time.Hour
	since := now.Sub(time.Date(2021, 9, 21, 0, 0, 0, 0, time.UTC))
	if since < 0 {
		return max(0, 94-int(-since/(42*day))-1)
	}
	return 94 + int(since/(32*day))
}
