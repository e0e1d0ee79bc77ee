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

// PackageSource is one place that software comes from, or one setting that concerns all places
// of a manager (URL is then empty).
type PackageSource struct {
	Manager    string `expr:"manager" json:"manager" doc:"apt, apk, opkg, yum, zypper, pacman, flatpak, pip, npm, rauc, swupdate or mender"`
	Name       string `expr:"name" json:"name" doc:"repository or option name"`
	URL        string `expr:"url" json:"url,omitempty" doc:"where it is fetched from, without a password; empty for a setting of the manager"`
	Host       string `expr:"host" json:"host,omitempty" doc:"host of the url"`
	Suite      string `expr:"suite" json:"suite,omitempty" doc:"release that the source names"`
	Enabled    bool   `expr:"enabled" json:"enabled" doc:"in use"`
	Weak       string `expr:"weak" json:"weak,omitempty" doc:"the setting that lets unsigned or wrongly signed software in; empty when checks are on"`
	Insecure   string `expr:"insecure" json:"insecure,omitempty" doc:"why somebody on the way can replace what is fetched, for managers without signatures"`
	Official   bool   `expr:"official" json:"official" doc:"the host belongs to a distribution or to a large public store"`
	Local      bool   `expr:"local" json:"local,omitempty" doc:"a directory or medium of the device"`
	PreRelease bool   `expr:"prerelease" json:"prerelease,omitempty" doc:"a development branch on a stable release"`
	Where      string `expr:"where" json:"-" doc:"file and line"`
}

var sourceGlobs = []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d/*", "/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*",
	"/etc/apk/repositories", "/etc/apk/repositories.d/*", "/etc/opkg.conf", "/etc/opkg/*.conf", "/etc/yum.conf", "/etc/dnf/dnf.conf",
	"/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo", "/etc/zypp/zypp.conf", "/etc/pacman.conf", "/etc/pacman.d/*.conf",
	"/var/lib/flatpak/repo/config", "~/.local/share/flatpak/repo/config", "/etc/pip.conf", "~/.config/pip/pip.conf", "~/.pip/pip.conf",
	"/etc/npmrc", "/usr/etc/npmrc", "~/.npmrc", "/etc/rauc/system.conf", "/etc/swupdate.cfg", "/etc/mender/mender.conf"}

func packageSourcesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "package_sources", Doc: "software sources and the settings that guard them", Row: PackageSource{},
		Reads: scanner.Reads{Globs: sourceGlobs}, Needs: []string{"os", "users"}, Collect: collectPackageSources,
	}
}

// sourceReader gathers rows; release is the device's own, to tell development branches.
type sourceReader struct {
	*treeReader
	rows    []PackageSource
	rolling bool
}

func collectPackageSources(_ context.Context, in *scanner.Input) scanner.Table {
	t := scanner.Table{}
	s := &sourceReader{treeReader: newReader(in, &t), rows: []PackageSource{}}
	if rows, _ := scanner.Rows[scanner.OS](in, "os"); len(rows) > 0 {
		s.rolling = rows[0].Rolling
	}
	users, _ := scanner.Rows[User](in, "users")
	h := homes(users)
	s.apt()
	s.apk()
	s.opkg()
	s.yum()
	s.pacman()
	s.flatpak(h)
	s.languages(h)
	s.updaters()
	t.Rows = s.rows
	return t
}

// add completes a row from its URL.
func (s *sourceReader) add(p PackageSource) {
	if i := strings.IndexByte(p.URL, '@'); i > 0 && strings.Contains(p.URL[:i], "://") {
		p.URL = p.URL[:strings.Index(p.URL, "://")+3] + p.URL[i+1:]
	}
	p.Host = hostOf(p.URL)
	p.Local = p.URL != "" && (strings.HasPrefix(p.URL, "file:") || strings.HasPrefix(p.URL, "cdrom:") || strings.HasPrefix(p.URL, "/") || strings.HasPrefix(p.URL, "copy:"))
	p.Official = p.Local || p.URL == "" || official(p.Host)
	s.rows = append(s.rows, p)
}

// hostOf gives the host of a URL in lower case, without port and user; "" when it has none.
func hostOf(url string) string {
	_, rest, ok := strings.Cut(url, "://")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "/")
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	if i := strings.LastIndexByte(rest, ':'); i > 0 && !strings.HasSuffix(rest, "]") {
		rest = rest[:i]
	}
	return strings.ToLower(rest)
}

// officialHosts are the domains of distributions and of the large public stores.
var officialHosts = []string{"debian.org", "debian.net", "ubuntu.com", "raspberrypi.org", "raspberrypi.com", "raspbian.org",
	"alpinelinux.org", "openwrt.org", "fedoraproject.org", "centos.org", "redhat.com", "rockylinux.org", "almalinux.org", "oracle.com",
	"suse.com", "opensuse.org", "archlinux.org", "archlinuxarm.org", "manjaro.org", "postmarketos.org", "mobian.org", "mobian-project.org",
	"kali.org", "devuan.org", "voidlinux.org", "linuxmint.com", "pop-os.org", "system76.com", "flathub.org", "fedora.org", "kernel.org",
	"yoctoproject.org", "turris.cz", "ubports.com", "puri.sm", "pine64.org", "snapcraft.io", "gnome.org", "kde.org"}

func official(host string) bool {
	for _, d := range officialHosts {
		if host == d || strings.HasSuffix(host, "."+d) {
			return true
		}
	}
	return false
}

// aptWeak are options of one source that switch a check off.
var aptWeak = []string{"trusted", "allow-insecure", "allow-weak", "allow-downgrade-to-insecure"}

// aptWeakKeys are keys of apt.conf that switch a check off, with the value that does.
var aptWeakKeys = map[string]bool{"apt::get::allowunauthenticated": true, "apt::get::force-yes": true, "acquire::allowinsecurerepositories": true,
	"acquire::allowweakrepositories": true, "acquire::allowdowngradetoinsecurerepositories": true, "acquire::https::verify-peer": false,
	"acquire::https::verify-host": false, "acquire::check-valid-until": false}

func (s *sourceReader) apt() {
	for _, name := range s.glob("/etc/apt/sources.list", "/etc/apt/sources.list.d/*") {
		var found []parse.AptSource
		switch path.Ext(name) {
		case ".list":
			found = parse.AptList(s.file(name))
		case ".sources":
			found = parse.AptStanzas(s.file(name))
		}
		for _, f := range found {
			for _, uri := range f.URIs {
				p := PackageSource{Manager: "apt", Name: path.Base(name), URL: uri, Suite: strings.Join(f.Suites, " "), Enabled: f.Enabled, Where: at(name, f.Line)}
				for _, o := range aptWeak {
					if yes(f.Options[o]) {
						p.Weak = o + "=" + f.Options[o]
					}
				}
				p.PreRelease = !s.rolling && developmentSuite(f.Suites)
				s.add(p)
			}
		}
	}
	for _, name := range s.glob("/etc/apt/apt.conf", "/etc/apt/apt.conf.d/*") {
		for _, e := range parse.AptConf(s.file(name)) {
			weak, known := aptWeakKeys[strings.ToLower(e.Key)]
			if known && (yes(e.Value) && weak || no(e.Value) && !weak) {
				s.add(PackageSource{Manager: "apt", Name: e.Key, Enabled: true, Weak: e.Key + " " + e.Value, Where: at(name, e.Line)})
			}
		}
	}
}

func developmentSuite(suites []string) bool {
	for _, x := range suites {
		if base, _, _ := strings.Cut(x, "/"); slices.Contains([]string{"sid", "unstable", "testing", "experimental", "rc-buggy", "devel"}, base) {
			return true
		}
	}
	return false
}

func (s *sourceReader) apk() {
	for _, name := range s.glob("/etc/apk/repositories", "/etc/apk/repositories.d/*") {
		for _, d := range parse.Directives(s.file(name)) {
			url := d.Words[len(d.Words)-1] // behind an @tag
			s.add(PackageSource{Manager: "apk", Name: path.Base(name), URL: url, Enabled: true, Where: at(name, d.Line),
				PreRelease: !s.rolling && strings.Contains(url+"/", "/edge/")})
		}
	}
}

// opkg checks signatures only when told to, once for all feeds.
func (s *sourceReader) opkg() {
	files := s.glob("/etc/opkg.conf", "/etc/opkg/*.conf")
	checked := false
	for _, name := range files {
		for _, d := range parse.Directives(s.file(name)) {
			if d.Words[0] == "option" && d.Arg(0) == "check_signature" && d.Arg(1) != "0" {
				checked = true
			}
		}
	}
	for _, name := range files {
		for _, d := range parse.Directives(s.file(name)) {
			if !strings.HasPrefix(d.Words[0], "src") || len(d.Words) < 3 {
				continue
			}
			p := PackageSource{Manager: "opkg", Name: d.Arg(0), URL: d.Arg(1), Enabled: true, Where: at(name, d.Line)}
			if !checked {
				p.Weak = "option check_signature is not set"
			}
			s.add(p)
		}
	}
}

// yum reads the repositories of yum, dnf and zypper, which share a format.
func (s *sourceReader) yum() {
	for _, name := range s.glob("/etc/yum.conf", "/etc/dnf/dnf.conf", "/etc/zypp/zypp.conf", "/etc/yum.repos.d/*.repo", "/etc/zypp/repos.d/*.repo") {
		set := parse.INI(s.file(name))
		manager := "yum"
		if strings.HasPrefix(name, "/etc/zypp/") {
			manager = "zypper"
		}
		for _, repo := range set.Sections() {
			p := PackageSource{Manager: manager, Name: repo, Enabled: !no(set.Get(repo, "enabled")), Where: name}
			for _, k := range []string{"baseurl", "mirrorlist", "metalink"} {
				if e, ok := set.Find(repo, k); ok && p.URL == "" {
					p.URL, _, _ = strings.Cut(e.Value, " ")
					p.Where = at(name, e.Line)
				}
			}
			for _, k := range []string{"gpgcheck", "pkg_gpgcheck", "sslverify"} {
				if e, ok := set.Find(repo, k); ok && no(e.Value) {
					p.Weak, p.Where = k+"="+e.Value, at(name, e.Line)
				}
			}
			if p.URL != "" || p.Weak != "" {
				s.add(p)
			}
		}
	}
}

func (s *sourceReader) pacman() {
	for _, name := range s.glob("/etc/pacman.conf", "/etc/pacman.d/*.conf") {
		set := parse.INI(s.file(name))
		for _, e := range set {
			switch {
			case e.Key == "SigLevel":
				p := PackageSource{Manager: "pacman", Name: e.Section, Enabled: true, Where: at(name, e.Line)}
				if strings.Contains(e.Value, "Never") || strings.Contains(e.Value, "TrustAll") || e.Value == "Optional" {
					p.Weak = "SigLevel = " + e.Value
					s.add(p)
				}
			case e.Key == "Server":
				s.add(PackageSource{Manager: "pacman", Name: e.Section, URL: e.Value, Enabled: true, Where: at(name, e.Line),
					PreRelease: strings.HasSuffix(e.Section, "-testing")})
			}
		}
	}
}

func (s *sourceReader) flatpak(homes []string) {
	for _, name := range append(s.glob("/var/lib/flatpak/repo/config"), s.below(homes, "/.local/share/flatpak/repo/config")...) {
		set := parse.INI(s.file(name))
		for _, sec := range set.Sections() {
			remote, ok := strings.CutPrefix(sec, `remote "`)
			if !ok || set.Get(sec, "xa.disable") == "true" {
				continue
			}
			url, _ := set.Find(sec, "url")
			p := PackageSource{Manager: "flatpak", Name: strings.TrimSuffix(remote, `"`), URL: strings.TrimPrefix(url.Value, "oci+"), Enabled: true, Where: at(name, url.Line)}
			if set.Get(sec, "gpg-verify") == "false" && !strings.HasPrefix(url.Value, "oci+") && set.Get(sec, "xa.noenumerate") != "true" {
				p.Weak = "gpg-verify=false"
			}
			s.add(p)
		}
	}
}

// languages reads the settings of pip and npm, whose packages carry no signature: what guards
// them is TLS alone.
func (s *sourceReader) languages(homes []string) {
	for _, name := range append(s.glob("/etc/pip.conf"), append(s.below(homes, "/.config/pip/pip.conf"), s.below(homes, "/.pip/pip.conf")...)...) {
		for _, e := range parse.INI(s.file(name)) {
			switch key := strings.ReplaceAll(e.Key, "_", "-"); {
			case key == "trusted-host" && e.Value != "":
				s.add(PackageSource{Manager: "pip", Name: key, Enabled: true, Insecure: "certificates of " + e.Value + " are not checked", Where: at(name, e.Line)})
			case (key == "index-url" || key == "extra-index-url") && strings.HasPrefix(e.Value, "http://"):
				s.add(PackageSource{Manager: "pip", Name: key, URL: e.Value, Enabled: true, Insecure: "fetched without encryption", Where: at(name, e.Line)})
			}
		}
	}
	for _, name := range append(s.glob("/etc/npmrc", "/usr/etc/npmrc"), s.below(homes, "/.npmrc")...) {
		for _, e := range parse.INI(s.file(name)) {
			switch {
			case e.Key == "strict-ssl" && e.Value == "false":
				s.add(PackageSource{Manager: "npm", Name: e.Key, Enabled: true, Insecure: "certificates are not checked", Where: at(name, e.Line)})
			case strings.HasSuffix(e.Key, "registry") && strings.HasPrefix(e.Value, "http://"):
				s.add(PackageSource{Manager: "npm", Name: e.Key, URL: e.Value, Enabled: true, Insecure: "fetched without encryption", Where: at(name, e.Line)})
			}
		}
	}
}

// updaters reads the settings of programs that replace whole system images.
func (s *sourceReader) updaters() {
	if b := s.file("/etc/rauc/system.conf"); b != nil {
		set := parse.INI(b)
		if set.Get("keyring", "path") == "" && set.Get("keyring", "directory") == "" {
			s.add(PackageSource{Manager: "rauc", Name: "keyring", Enabled: true, Weak: "no keyring is set", Where: "/etc/rauc/system.conf"})
		}
	}
	if b := s.file("/etc/swupdate.cfg"); b != nil && !strings.Contains(string(b), "public-key-file") && !strings.Contains(string(b), "ca-path") {
		s.add(PackageSource{Manager: "swupdate", Name: "globals", Enabled: true, Weak: "public-key-file is not set", Where: "/etc/swupdate.cfg"})
	}
	b := s.file("/etc/mender/mender.conf")
	if b == nil {
		return
	}
	var conf struct {
		ArtifactVerifyKey  string
		ArtifactVerifyKeys []string
		ServerURL          string
		SkipVerify         bool
	}
	if err := json.Unmarshal(b, &conf); err != nil {
		s.table.Partial = append(s.table.Partial, fmt.Sprintf("/etc/mender/mender.conf: %v", err))
		return
	}
	p := PackageSource{Manager: "mender", Name: "mender", URL: conf.ServerURL, Enabled: true, Where: "/etc/mender/mender.conf"}
	switch {
	case conf.SkipVerify:
		p.Weak = "SkipVerify is true"
	case conf.ArtifactVerifyKey == "" && len(conf.ArtifactVerifyKeys) == 0:
		p.Weak = "ArtifactVerifyKey is not set"
	}
	s.add(p)
}

// yes and no read the words that configuration files use for on and off.
func yes(v string) bool {
	return slices.Contains([]string{"1", "yes", "true", "on", "with", "enable", "enabled"}, strings.ToLower(v))
}

func no(v string) bool {
	return slices.Contains([]string{"0", "no", "false", "off", "without", "disable", "disabled"}, strings.ToLower(v))
}
