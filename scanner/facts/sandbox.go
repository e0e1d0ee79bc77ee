package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// SandboxOverride is a change that lets a Flatpak application out of its box further than its
// maker asked.
type SandboxOverride struct {
	App        string `expr:"app" json:"app" doc:"application; global for all"`
	Permission string `expr:"permission" json:"permission" doc:"what it may do, as the file says it"`
	Broad      bool   `expr:"broad" json:"broad" doc:"it leads out of the box: all files, all devices, a whole bus, or commands outside"`
	Scope      string `expr:"scope" json:"scope" doc:"system, or the home directory"`
	Where      string `expr:"where" json:"-" doc:"file and line"`
}

func sandboxOverridesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "sandbox_overrides", Doc: "changes that let Flatpak applications out of their box", Row: SandboxOverride{},
		Reads: scanner.Reads{Globs: []string{"/var/lib/flatpak/overrides/*", "~/.local/share/flatpak/overrides/*"}}, Needs: []string{"users"}, Collect: collectSandboxOverrides,
	}
}

func collectSandboxOverrides(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	rows := []SandboxOverride{}
	read := func(name, scope string) {
		for _, e := range parse.INI(r.file(name)) {
			for _, v := range strings.Split(e.Value, ";") {
				if v = strings.TrimSpace(v); v == "" || strings.HasPrefix(v, "!") {
					continue
				}
				permission := e.Key + "=" + v
				if strings.HasSuffix(e.Section, "Bus Policy") {
					permission = e.Key + " " + v
				}
				rows = append(rows, SandboxOverride{App: path.Base(name), Permission: cut(permission, maxEvidenceText), Broad: broadPermission(e, v), Scope: scope, Where: at(name, e.Line)})
			}
		}
	}
	for _, name := range r.glob("/var/lib/flatpak/overrides/*") {
		read(name, "system")
	}
	users, _ := scanner.Rows[User](in, "users")
	for _, h := range homes(users) {
		for _, name := range r.glob(h + "/.local/share/flatpak/overrides/*") {
			read(name, h)
		}
	}
	t.Rows = rows
	return t
}

func broadPermission(e parse.Setting, v string) bool {
	switch e.Section {
	case "Context":
		switch e.Key {
		case "filesystems":
			return slices.Contains([]string{"host", "home", "host-etc", "host-os", "host:rw", "home:rw", "/"}, v)
		case "devices":
			return v == "all"
		case "sockets":
			return v == "session-bus" || v == "system-bus"
		}
	case "Session Bus Policy", "System Bus Policy":
		return (e.Key == "org.freedesktop.Flatpak" || e.Key == "org.freedesktop.*" || e.Key == "*") && (v == "talk" || v == "own")
	}
	return false
}

// BrowserSetting is one rule that a browser is forced to follow, or a flag that it was started with.
type BrowserSetting struct {
	Kind    string `expr:"kind" json:"kind" doc:"policy or flag"`
	Name    string `expr:"name" json:"name" doc:"policy or flag that matters"`
	Browser string `expr:"browser" json:"browser" doc:"browser or folder of its policies"`
	Owned   bool   `expr:"owned" json:"owned" doc:"a package owns the policy file"`
	Path    string `expr:"path" json:"path,omitempty" doc:"policy file"`
	Where   string `expr:"where" json:"-" doc:"file or process"`
	scanner.Unread
}

var browserPolicyGlobs = []string{"/etc/opt/chrome/policies/*/*.json", "/etc/chromium/policies/*/*.json", "/etc/opt/edge/policies/*/*.json", "/etc/brave/policies/*/*.json",
	"/etc/firefox/policies/policies.json", "/usr/lib/firefox/distribution/policies.json", "/usr/lib/firefox-esr/distribution/policies.json", "/usr/lib64/firefox/distribution/policies.json"}

// strongPolicies put extensions or authorities in, lead traffic elsewhere, or set the first page.
var strongPolicies = []string{"ExtensionInstallForcelist", "ExtensionSettings", "Extensions", "ProxySettings", "ProxyMode", "ProxyServer", "ProxyPacUrl", "Proxy",
	"CACertificates", "Certificates", "HomepageLocation", "Homepage", "RestoreOnStartupURLs", "DefaultSearchProviderSearchURL"}

// strongFlags take a browser's guards away.
var strongFlags = []string{"--remote-debugging-port", "--disable-web-security", "--ignore-certificate-errors", "--load-extension", "--no-sandbox"}

var browserNames = []string{"chrome", "chromium", "brave", "msedge", "firefox", "firefox-esr", "opera", "vivaldi-bin"}

func browserSettingsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "browser_settings", Doc: "rules and flags that change what a browser guards", Row: BrowserSetting{},
		Reads: scanner.Reads{Globs: browserPolicyGlobs}, Needs: []string{"packages", "processes"}, Collect: collectBrowserSettings,
	}
}

func collectBrowserSettings(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r, own := newReader(in, &t), ownershipOf(in)
	rows := []BrowserSetting{}
	for _, name := range r.glob(browserPolicyGlobs...) {
		names, err := policyNames(r.file(name))
		if err != nil {
			t.Partial = append(t.Partial, fmt.Sprintf("%s: %v", name, err))
		}
		for _, n := range names {
			row := BrowserSetting{Kind: "policy", Name: n, Browser: path.Dir(name), Path: name, Where: name}
			var unknown string
			if _, row.Owned, unknown = own.of(name); unknown != "" {
				row.MarkUnread("owned", unknown)
			}
			rows = append(rows, row)
		}
	}
	processes, why := scanner.Rows[Process](in, "processes")
	if why != "" && in.Device.Identity().Live {
		t.Partial = append(t.Partial, "flags of running browsers: table processes: "+why)
	}
	for _, p := range processes {
		if !slices.Contains(browserNames, path.Base(p.Exe)) || slices.ContainsFunc(p.Args, func(a string) bool { return strings.HasPrefix(a, "--type=") }) {
			continue // of a browser's many processes the first one has all flags
		}
		for _, a := range p.Args {
			if flag, _, _ := strings.Cut(a, "="); slices.Contains(strongFlags, flag) {
				rows = append(rows, BrowserSetting{Kind: "flag", Name: flag, Browser: path.Base(p.Exe), Where: p.Where})
			}
		}
	}
	t.Rows = rows
	return t
}

// policyNames lists the strong policies of a file: of Chromium's kind, or Firefox's, whose are
// one level down.
func policyNames(b []byte) ([]string, error) {
	if b == nil {
		return nil, nil
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(b, &doc); err != nil {
		return nil, err
	}
	if inner, ok := doc["policies"]; ok {
		if err := json.Unmarshal(inner, &doc); err != nil {
			return nil, err
		}
	}
	var out []string
	for _, p := range strongPolicies {
		if _, ok := doc[p]; ok {
			out = append(out, p)
		}
	}
	return out, nil
}
