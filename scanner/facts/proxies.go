package facts

import (
	"context"
	"net/netip"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Proxy is a setting that sends traffic through somebody else.
type Proxy struct {
	Program  string `expr:"program" json:"program" doc:"who obeys it: environment, apt, systemd, NetworkManager, desktop, git, pip, wget, npm"`
	Setting  string `expr:"setting" json:"setting" doc:"name of the setting"`
	URL      string `expr:"url" json:"url" doc:"proxy, or address of its rules, without a password"`
	Host     string `expr:"host" json:"host" doc:"host of the proxy"`
	Loopback bool   `expr:"loopback" json:"loopback,omitempty" doc:"a program of this device"`
	Private  bool   `expr:"private" json:"private,omitempty" doc:"an address of a private network"`
	PAC      bool   `expr:"pac" json:"pac,omitempty" doc:"rules are fetched from the address (proxy auto-configuration)"`
	Plain    bool   `expr:"plain" json:"plain,omitempty" doc:"the rules are fetched without encryption"`
	Where    string `expr:"where" json:"-" doc:"file and line"`
}

var proxyGlobs = []string{"/etc/environment", "/etc/environment.d/*.conf", "/etc/profile.d/*.sh", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*",
	"/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf", "/etc/dconf/db/*.d/*", "/etc/NetworkManager/system-connections/*",
	"/etc/xdg/kioslaverc", "~/.config/kioslaverc", "/etc/wgetrc", "~/.wgetrc", "/etc/gitconfig", "~/.gitconfig", "/etc/pip.conf", "~/.config/pip/pip.conf",
	"/etc/npmrc", "~/.npmrc", "~/.config/environment.d/*.conf"}

func proxiesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "proxies", Doc: "proxies that programs are told to use", Row: Proxy{},
		Reads: scanner.Reads{Globs: proxyGlobs}, Needs: []string{"users"}, Collect: collectProxies,
	}
}

type proxyReader struct {
	*treeReader
	rows []Proxy
}

func collectProxies(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	p := &proxyReader{treeReader: newReader(in, &t), rows: []Proxy{}}
	users, _ := scanner.Rows[User](in, "users")
	h := homes(users)
	p.environment(append(p.glob("/etc/environment", "/etc/environment.d/*.conf", "/etc/profile.d/*.sh"), p.below(h, "/.config/environment.d/*.conf")...))
	for _, name := range p.glob("/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*") {
		for _, e := range parse.AptConf(p.file(name)) {
			if k := strings.ToLower(e.Key); strings.HasPrefix(k, "acquire::") && strings.HasSuffix(k, "proxy") && !strings.EqualFold(e.Value, "direct") {
				p.add("apt", e, name)
			}
		}
	}
	for _, name := range p.glob("/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf") {
		for _, e := range parse.INI(p.file(name)) {
			if e.Key == "DefaultEnvironment" {
				p.words(e, name)
			}
		}
	}
	p.desktop(h)
	p.programs(h)
	t.Rows = p.rows
	return t
}

func (p *proxyReader) environment(files []string) {
	for _, name := range files {
		for _, e := range parse.Assignments(p.file(name)) {
			if isProxyVariable(e.Key) {
				p.add("environment", e, name)
			}
		}
	}
}

func isProxyVariable(k string) bool {
	switch strings.ToLower(k) {
	case "http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "socks_proxy":
		return true
	}
	return false
}

// words takes the assignments inside one value apart.
func (p *proxyReader) words(e parse.Setting, file string) {
	for _, w := range strings.Fields(strings.ReplaceAll(e.Value, `"`, " ")) {
		if k, v, ok := strings.Cut(w, "="); ok && isProxyVariable(k) {
			p.add("systemd", parse.Setting{Key: k, Value: v, Line: e.Line}, file)
		}
	}
}

// desktop reads what graphical programs obey.
func (p *proxyReader) desktop(homes []string) {
	for _, name := range p.glob("/etc/dconf/db/*.d/*") {
		for _, e := range parse.INI(p.file(name)) {
			if strings.HasPrefix(e.Section, "system/proxy") && (e.Key == "host" || e.Key == "autoconfig-url") {
				e.Value = strings.Trim(e.Value, "'")
				p.add("desktop", e, name)
			}
		}
	}
	for _, name := range append(p.glob("/etc/xdg/kioslaverc"), p.below(homes, "/.config/kioslaverc")...) {
		set := parse.INI(p.file(name))
		kind := set.Get("Proxy Settings", "ProxyType")
		for _, e := range set {
			if kind == "1" && strings.HasSuffix(e.Key, "Proxy") || kind == "2" && e.Key == "Proxy Config Script" {
				e.Value = strings.ReplaceAll(e.Value, " ", ":")
				p.add("desktop", e, name)
			}
		}
	}
	for _, name := range p.glob("/etc/NetworkManager/system-connections/*") {
		for _, e := range parse.INI(p.file(name)) {
			if e.Section == "proxy" && e.Key == "pac-url" {
				p.add("NetworkManager", e, name)
			}
		}
	}
}

// programs reads the settings of single programs.
func (p *proxyReader) programs(homes []string) {
	for _, f := range []struct {
		program string
		files   []string
		section string
		keys    []string
	}{
		{"wget", append(p.glob("/etc/wgetrc"), p.below(homes, "/.wgetrc")...), "", []string{"http_proxy", "https_proxy", "ftp_proxy"}},
		{"git", append(p.glob("/etc/gitconfig"), p.below(homes, "/.gitconfig")...), "http", []string{"proxy"}},
		{"pip", append(p.glob("/etc/pip.conf"), p.below(homes, "/.config/pip/pip.conf")...), "global", []string{"proxy"}},
		{"npm", append(p.glob("/etc/npmrc"), p.below(homes, "/.npmrc")...), "", []string{"proxy", "https-proxy", "http-proxy"}},
	} {
		for _, name := range f.files {
			set := parse.INI(p.file(name))
			for _, k := range f.keys {
				if e, ok := set.Find(f.section, k); ok {
					p.add(f.program, e, name)
				}
			}
		}
	}
}

func (p *proxyReader) add(program string, e parse.Setting, file string) {
	url := strings.TrimSpace(e.Value)
	if url == "" || strings.ContainsAny(url, "$`") && !strings.Contains(url, "://") {
		return
	}
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "", url
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 { // a password stands before the host
		rest = rest[i+1:]
		url = rest
		if ok {
			url = scheme + "://" + rest
		}
	}
	row := Proxy{Program: program, Setting: path.Base(strings.ReplaceAll(e.Key, "::", "/")), URL: url, Host: hostOf("x://" + rest), Where: at(file, e.Line)}
	row.PAC = strings.Contains(e.Key, "pac") || strings.Contains(e.Key, "autoconfig") || e.Key == "Proxy Config Script"
	row.Plain = row.PAC && scheme == "http"
	if addr, err := netip.ParseAddr(strings.Trim(row.Host, "[]")); err == nil {
		row.Loopback, row.Private = addr.IsLoopback(), addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	row.Loopback = row.Loopback || row.Host == "localhost"
	p.rows = append(p.rows, row)
}
