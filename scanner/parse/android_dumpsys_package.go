package parse

import (
	"bytes"
	"strings"
)

// Bounds of a package dump. A phone has some 500 packages, 2,000 permissions and 60,000 handlers.
const (
	maxDumpPackages = 1 << 14
	maxDumpUsers    = 1 << 16 // states of packages for users, together
	maxDumpHandlers = 1 << 18
	maxDumpGrants   = 1 << 20 // grants, requests, components and other items of packages, together
	maxDumpItems    = 1 << 16 // entries of each of the smaller sections
	maxDumpLine     = 64 << 10
	maxDumpMessages = 1024
)

// PackageDump is what "dumpsys package" printed (AOSP services/core/.../pm/Settings.java,
// DumpHelper.java, IntentResolver.java; PackageManagerService.java before Android 12), of every
// package or of one. Sections that the dump does not have leave their fields nil.
//
// Apps choose their version's name and the names of permissions and actions, which are printed
// as they are: line ends in them can imitate anything. What stands twice where the service prints
// it once is listed in Conflicts of the package or in the Complaints.
type PackageDump struct {
	Sections    []string        // titles, without the colon, in the order of the text
	Packages    []DumpedPackage // installed for a user, or kept with their data
	Hidden      []DumpedPackage // the system's own versions of updated system packages
	SharedUsers []DumpedSharedUser
	Renamed     map[string]string // package's name in its manifest: the older name it goes by
	Permissions []DumpedPermission
	// AppOpPermissions has the packages that request each permission which an app-op decides.
	AppOpPermissions map[string][]string

	Activities, Receivers, Services, Providers *ResolverTable
	Preferred                                  map[int]*ResolverTable // user: what it chose to open things with

	RequiredVerifiers []string            // packages that check installs
	DomainVerifier    string              // package; of intent filters before Android 12
	KnownPackages     map[string][]string // role as printed (System, Setup Wizard, Installer): packages
	Libraries         []DumpedLibrary
	Features          []string
	Changes           []PackageChange
	Sessions          []InstallSession
	Messages          []string // the package manager's own log: what it repaired, refused, renamed
	// ServicePermissions has the services that only holders of a permission may bind to, and so
	// what they are: BIND_ACCESSIBILITY_SERVICE, BIND_VPN_SERVICE (Android 8 and newer).
	ServicePermissions []ServicePermission
	SecondaryDex       []SecondaryDex
	Apexes             []DumpedApex // active and inactive ones (Android 10 and newer)
}

// ServicePermission is the permission that binding to a service takes.
type ServicePermission struct{ Package, Class, Permission string }

// SecondaryDex is code that a package loaded from its data since it was installed.
type SecondaryDex struct{ Package, Path string }

// DumpedApex is a module of the system that is updated by itself.
type DumpedApex struct {
	Name            string
	Version         int64
	Path            string
	Active, Factory bool
}

// DumpedPermission is a permission that the system knows.
type DumpedPermission struct {
	Name       string
	Package    string  // that defines it
	Protection FlagSet // signature|privileged
}

// DumpedLibrary is a shared library: its file (kinds jar and so) or the package it is in (apk).
type DumpedLibrary struct{ Name, Kind, Target string }

// PackageChange says that a package was installed, changed or removed for a user since boot.
type PackageChange struct {
	User, Sequence int
	Package        string
}

// FlagSet is a list of flags by their names, joined by "|". A number is a flag without name.
type FlagSet string

// Has says whether the flag of that name is set.
func (f FlagSet) Has(flag string) bool {
	for s := string(f); s != ""; {
		var one string
		if one, s, _ = strings.Cut(s, "|"); one == flag {
			return true
		}
	}
	return false
}

// packageDumper is the state of a pass over a dump.
type packageDumper struct {
	d        *PackageDump
	c        *Complaints
	names    interner
	flags    map[string]FlagSet
	comps    map[string][2]string // "package/.Class": both in full
	items    int                  // of packages and shared users so far
	users    int                  // states of packages for users so far
	handlers int                  // of the resolver tables so far
	line     int

	// section reads an indented line of the present section, nil skips it.
	section func(text []byte, indent int)
	end     func() // what is to be done when the section ends
	known   bool   // there was a section that this knows
	log     bool   // the section's own lines are not indented
	reading string // title of the present section
	stray   packageStray
}

// DumpsysPackage reads the output of "dumpsys package". The error says that it has none of the
// sections.
func DumpsysPackage(b []byte, c *Complaints) (*PackageDump, error) {
	p := &packageDumper{d: &PackageDump{}, c: c, names: interner{}, flags: map[string]FlagSet{}, comps: map[string][2]string{}, end: func() {}}
	eachLine(b, func(text []byte, line int) bool {
		p.line = line
		text = bytes.TrimRight(text, "\r")
		indent := 0
		for indent < len(text) && text[indent] == ' ' {
			indent++
		}
		switch {
		case indent == len(text):
		case len(text) > maxDumpLine:
			c.Add(line, "the line is too long")
		case indent == 0:
			p.title(bytes.TrimRight(text, " "))
		case indent == 2 && p.strays(text[indent:]):
		case p.section != nil:
			p.section(text[indent:], indent)
		}
		return true
	})
	p.end()
	p.settleHidden()
	if !p.known {
		return nil, &Error{Msg: "no section of the package service"}
	}
	return p.d, nil
}

// title begins a section.
func (p *packageDumper) title(text []byte) {
	name := strings.TrimSuffix(string(text[:min(len(text), 128)]), ":")
	if p.strayTitle(name) {
		return
	}
	section, end := p.reader(name)
	if section == nil && p.log {
		p.message(text)
		return
	}
	if section == nil && p.reading == titlePackages {
		return // more of the list may follow
	}
	p.end()
	p.section, p.end, p.log, p.reading = section, end, name == "Package warning messages", name
	if section == nil && (text[len(text)-1] != ':' || len(text) > 64 || strings.HasPrefix(name, "DUMP OF SERVICE ")) {
		return // no title
	}
	p.known = p.known || section != nil
	for _, s := range p.d.Sections {
		if s == name {
			p.c.Add(p.line, "a section stands twice")
			return
		}
	}
	if len(p.d.Sections) < 256 {
		p.d.Sections = append(p.d.Sections, name)
	}
}

// reader gives what reads the lines of a section, and what ends it.
func (p *packageDumper) reader(name string) (section func([]byte, int), end func()) {
	end = func() {}
	switch name {
	case "Packages":
		p.stray.resume = p.packages(&p.d.Packages)
		return p.stray.resume, end
	case "Hidden system packages":
		return p.packages(&p.d.Hidden), end
	case "Shared users":
		return p.sharedUsers(), end
	case "Activity Resolver Table":
		return p.resolver(&p.d.Activities), end
	case "Receiver Resolver Table":
		return p.resolver(&p.d.Receivers), end
	case "Service Resolver Table":
		return p.resolver(&p.d.Services), end
	case "Provider Resolver Table":
		return p.resolver(&p.d.Providers), end
	case "Permissions":
		return p.permission, end
	case "AppOp Permissions":
		return p.appOpPermissions(), end
	case "Renamed packages":
		return p.renamed, end
	case "Verifiers":
		return p.verifier, end
	case "Intent Filter Verifier", "Domain Verifier":
		return p.domainVerifier, end
	case "Known Packages":
		return p.knownPackages(), end
	case "Libraries":
		return p.library, end
	case "Features":
		return p.feature, end
	case "Package Changes":
		return p.changes(), end
	case "Active install sessions", "Finalized install sessions", "Historical install sessions":
		return p.sessions(strings.TrimSuffix(name, " install sessions"))
	case "Service permissions":
		return p.servicePermission, end
	case "Dexopt state":
		return p.dexopt(), end
	case "Active APEX packages", "Inactive APEX packages":
		return p.apex(), end
	case "Package warning messages":
		return func(text []byte, _ int) { p.message(text) }, end
	case "Database versions", "Registered ContentProviders", "ContentProvider Authorities", "Key Set Manager", "Queries",
		"Frozen packages", "Loaded volumes", "Compiler stats", "Settings parse messages", "Factory APEX packages":
		return func([]byte, int) {}, end
	}
	if user, ok := strings.CutPrefix(name, "Preferred Activities User "); ok {
		if id, ok := smallNumber([]byte(user)); ok {
			return p.preferred(id), end
		}
	}
	return nil, end
}

// room counts an item of a package, and says whether there is room for it.
func (p *packageDumper) room() bool {
	p.items++
	if p.items == maxDumpGrants {
		p.c.Add(p.line, "too many grants and components")
	}
	return p.items < maxDumpGrants
}

// flagSet reads "[ A B ]", "[ A|B]" and "A|B|C". The same text gives the same string.
func (p *packageDumper) flagSet(text []byte) FlagSet {
	if f, ok := p.flags[string(text)]; ok {
		return f
	}
	var out []byte
	for _, c := range text {
		switch {
		case c != ' ' && c != '|' && c != '[' && c != ']':
			out = append(out, c)
		case len(out) > 0 && out[len(out)-1] != '|':
			out = append(out, '|')
		}
	}
	f := FlagSet(bytes.TrimSuffix(out, []byte{'|'}))
	if len(p.flags) >= maxInterned {
		clear(p.flags)
	}
	p.flags[string(text)] = f
	return f
}

// component takes "package/.Class" or "package/full.Class" apart.
func (p *packageDumper) component(text []byte) (pkg, class string, ok bool) {
	if both, ok := p.comps[string(text)]; ok {
		return both[0], both[1], true
	}
	name, rest, ok := bytes.Cut(text, []byte{'/'})
	if !ok || len(name) == 0 || len(rest) == 0 {
		return "", "", false
	}
	pkg, class = p.names.intern(name), string(rest)
	if class[0] == '.' {
		class = pkg + class
	}
	if len(p.comps) >= maxInterned {
		clear(p.comps)
	}
	p.comps[string(text)] = [2]string{pkg, class}
	return pkg, class, true
}

// bracketed gives what stands between "open" and the "]" that ends text: the name in
// "Package [name] (hash):".
func bracketed(text []byte, open string) (name []byte, ok bool) {
	rest, ok := bytes.CutPrefix(text, []byte(open))
	end := bytes.LastIndexByte(rest, ']')
	if !ok || end < 1 {
		return nil, false
	}
	return rest[:end], true
}

// smallNumber reads a decimal number, a sign allowed, that fits 32 bits.
func smallNumber(text []byte) (int, bool) {
	digits, negative := bytes.CutPrefix(text, []byte{'-'})
	n, ok := number(digits, 10)
	if !ok || n > 1<<31-1 {
		return 0, false
	}
	if negative {
		n = -n
	}
	return int(n), true
}
