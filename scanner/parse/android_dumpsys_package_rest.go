package parse

import "bytes"

// permission reads "Permissions:", entries of
//
//	Permission [NAME] (hash):
//	  sourcePackage=android
//	  uid=1000 gids=null type=0 prot=signature|privileged
func (p *packageDumper) permission(text []byte, indent int) {
	if indent == 2 {
		if name, ok := bracketed(text, "Permission ["); ok && len(p.d.Permissions) < maxDumpItems {
			p.d.Permissions = append(p.d.Permissions, DumpedPermission{Name: p.names.intern(name)})
		}
		return
	}
	if len(p.d.Permissions) == 0 {
		return
	}
	last := &p.d.Permissions[len(p.d.Permissions)-1]
	if source, ok := bytes.CutPrefix(text, []byte("sourcePackage=")); ok && last.Package == "" {
		last.Package = p.names.intern(source)
	} else if prot := pairValue(text, "prot"); len(prot) > 0 && last.Protection == "" {
		last.Protection = p.flagSet(prot)
	}
}

// appOpPermissions reads "AppOp Permission NAME:" and the packages below.
func (p *packageDumper) appOpPermissions() func([]byte, int) {
	var name string
	if p.d.AppOpPermissions == nil {
		p.d.AppOpPermissions = map[string][]string{}
	}
	return func(text []byte, indent int) {
		if rest, ok := bytes.CutPrefix(text, []byte("AppOp Permission ")); ok && indent == 2 {
			name = p.names.intern(bytes.TrimSuffix(rest, []byte{':'}))
		} else if indent == 4 && name != "" && p.room() {
			p.d.AppOpPermissions[name] = append(p.d.AppOpPermissions[name], p.names.intern(text))
		}
	}
}

// renamed reads "  new -> old"; from Android 4.4 on there is a comma instead.
func (p *packageDumper) renamed(text []byte, _ int) {
	current, old, ok := bytes.Cut(text, []byte(" -> "))
	if !ok {
		current, old, ok = bytes.Cut(text, []byte{','})
	}
	if !ok || len(p.d.Renamed) >= maxDumpItems {
		return
	}
	if p.d.Renamed == nil {
		p.d.Renamed = map[string]string{}
	}
	p.d.Renamed[string(current)] = string(bytes.TrimSpace(old))
}

func (p *packageDumper) verifier(text []byte, _ int) {
	if rest, ok := bytes.CutPrefix(text, []byte("Required: ")); ok && len(p.d.RequiredVerifiers) < 64 {
		name, _ := word(rest)
		p.d.RequiredVerifiers = append(p.d.RequiredVerifiers, string(name))
	}
}

func (p *packageDumper) domainVerifier(text []byte, _ int) {
	if rest, ok := bytes.CutPrefix(text, []byte("Using: ")); ok {
		name, _ := word(rest)
		p.d.DomainVerifier = string(name)
	}
}

// knownPackages reads a role and the packages below it, or "none".
func (p *packageDumper) knownPackages() func([]byte, int) {
	var role string
	if p.d.KnownPackages == nil {
		p.d.KnownPackages = map[string][]string{}
	}
	return func(text []byte, indent int) {
		switch {
		case indent == 2:
			role = string(bytes.TrimSuffix(text, []byte{':'}))
		case role != "" && string(text) != "none" && p.room():
			p.d.KnownPackages[role] = append(p.d.KnownPackages[role], p.names.intern(text))
		}
	}
}

// library reads "NAME -> (jar) /system/framework/NAME.jar". Before Android 4.3 the kind is missing.
func (p *packageDumper) library(text []byte, _ int) {
	name, rest, ok := bytes.Cut(text, []byte(" -> "))
	if !ok || len(p.d.Libraries) >= maxDumpItems {
		return
	}
	l := DumpedLibrary{Name: string(bytes.TrimSpace(name))}
	rest = bytes.TrimSpace(rest)
	if kind, target, ok := bytes.Cut(rest, []byte(") ")); ok && kind[0] == '(' {
		l.Kind, rest = string(kind[1:]), target
	}
	l.Target = string(rest)
	p.d.Libraries = append(p.d.Libraries, l)
}

func (p *packageDumper) feature(text []byte, _ int) {
	if name, _ := word(text); len(p.d.Features) < maxDumpItems {
		p.d.Features = append(p.d.Features, string(name))
	}
}

// changes reads "  User 0:" and "    seq=6, package=NAME".
func (p *packageDumper) changes() func([]byte, int) {
	user := -1
	return func(text []byte, indent int) {
		if rest, ok := bytes.CutPrefix(text, []byte("User ")); ok && indent == 2 {
			user, _ = smallNumber(bytes.TrimSuffix(rest, []byte{':'}))
			return
		}
		rest, ok := bytes.CutPrefix(text, []byte("seq="))
		seq, name, both := bytes.Cut(rest, []byte(", package="))
		if n, numeric := smallNumber(seq); ok && both && numeric && len(p.d.Changes) < maxDumpItems {
			p.d.Changes = append(p.d.Changes, PackageChange{User: user, Sequence: n, Package: p.names.intern(name)})
		}
	}
}

func (p *packageDumper) message(text []byte) {
	if len(p.d.Messages) < maxDumpMessages {
		p.d.Messages = append(p.d.Messages, string(text[:min(len(text), 512)]))
	}
}

// servicePermission reads "    PACKAGE/.CLASS: PERMISSION".
func (p *packageDumper) servicePermission(text []byte, _ int) {
	name, permission, ok := bytes.Cut(text, []byte(": "))
	pkg, class, isComponent := p.component(name)
	if ok && isComponent && len(p.d.ServicePermissions) < maxDumpItems {
		p.d.ServicePermissions = append(p.d.ServicePermissions, ServicePermission{pkg, class, p.names.intern(permission)})
	}
}

// dexopt reads the files under "known secondary dex files:" of a package "  [NAME]". Words in
// parentheses may follow the path.
func (p *packageDumper) dexopt() func([]byte, int) {
	var pkg string
	depth := 0 // of the list's title, 0 outside it
	return func(text []byte, indent int) {
		name, isPackage := bracketed(text, "[")
		switch {
		case indent == 2 && isPackage:
			pkg, depth = p.names.intern(name), 0
		case bytes.HasPrefix(text, []byte("known secondary dex files:")):
			depth = indent
		case depth > 0 && indent <= depth:
			depth = 0
		case depth > 0 && indent == depth+2 && text[0] == '/' && len(p.d.SecondaryDex) < maxDumpItems:
			path, _, _ := bytes.Cut(text, []byte(" ("))
			p.d.SecondaryDex = append(p.d.SecondaryDex, SecondaryDex{pkg, string(path)})
		}
	}
}

// apex reads a name and the "Version: 1", "Path: ..." lines below it.
func (p *packageDumper) apex() func([]byte, int) {
	open := false
	return func(text []byte, indent int) {
		key, value, ok := bytes.Cut(text, []byte(": "))
		switch {
		case indent == 2:
			if open = !ok && text[0] != '(' && len(p.d.Apexes) < maxDumpItems; open {
				p.d.Apexes = append(p.d.Apexes, DumpedApex{Name: string(text)})
			}
		case indent == 4 && open:
			a := &p.d.Apexes[len(p.d.Apexes)-1]
			switch string(key) {
			case "Version":
				a.Version, _ = number(value, 10)
			case "Path":
				a.Path = string(value)
			case "IsActive":
				a.Active = string(value) == "true"
			case "IsFactory":
				a.Factory = string(value) == "true"
			}
		}
	}
}
