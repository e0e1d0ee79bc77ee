package parse

import "bytes"

// InstallSession is an installation that was begun: one that is going on, or one of the last
// that ended (AOSP PackageInstallerSession.java). Addresses that it came from are left out: they
// tell what somebody browsed.
type InstallSession struct {
	ID    int
	State string // Active, Finalized (staged until the next boot), Historical
	User  int    // -1 not said
	// Package is the one the caller announced; callers need not, and adb does not.
	Package                            string
	Installer, Initiating, Originating string
	InstallerUID                       int   // -1 not said
	OriginatingUID                     int   // -1 not said
	Created                            int64 // ms since 1970, 0 not said
	PackageSource                      int   // as in DumpedPackage
	StageDir                           string
	FinalStatus                        int // PackageManager.INSTALL_: 1 succeeded, below 0 failed; 0 not ended
	FinalMessage                       string
}

// maxSessionText bounds what is kept of a session while it is put together.
const maxSessionText = 16 << 10

// sessions reads the sessions of a section. Their lines are wrapped at 120 characters, within
// words, so they are put together before they are read.
func (p *packageDumper) sessions(state string) (section func([]byte, int), end func()) {
	var text []byte
	var id, depth int
	open := false
	end = func() {
		if open && len(p.d.Sessions) < maxDumpItems {
			p.d.Sessions = append(p.d.Sessions, p.session(id, state, text))
		}
		open, text = false, text[:0]
	}
	section = func(line []byte, indent int) {
		head := bytes.TrimRight(line, " ")
		for _, prefix := range []string{"Session ", "Active Session ", "Active Child Session ", "Child Session "} {
			rest, ok := bytes.CutPrefix(head, []byte(prefix))
			if n, numeric := smallNumber(bytes.TrimSuffix(rest, []byte{':'})); ok && numeric {
				end()
				id, depth, open = n, indent, true
				return
			}
		}
		if !open || indent < depth || len(text)+len(line) > maxSessionText {
			return
		}
		text = append(text, line...)
		// A line that ends before the margin was not wrapped; its last blank may be lost.
		if indent+len(line) < 118 && line[len(line)-1] != ' ' {
			text = append(text, ' ')
		}
	}
	return section, end
}

// session reads the "key=value" pairs of a session. The app's label, an address and the final
// message stand among them and may hold anything, so what stands before the label is looked for
// from the start, and what stands behind it from the end.
func (p *packageDumper) session(id int, state string, text []byte) InstallSession {
	before, behind, _ := bytes.Cut(text, []byte(" appLabel="))
	s := InstallSession{ID: id, State: state, User: -1, InstallerUID: -1, OriginatingUID: -1, PackageSource: -1}
	name := func(keys ...string) string {
		for _, key := range keys {
			if v := pairValue(before, key); len(v) > 0 && string(v) != "null" {
				return p.names.intern(v)
			}
		}
		return ""
	}
	num := func(to *int, text []byte) {
		if n, ok := smallNumber(text); ok {
			*to = n
		}
	}
	s.Package, s.StageDir = name("appPackageName"), name("stageDir")
	s.Installer = name("installerPackageName", "mInstallerPackageName", "mOriginalInstallerPackageName")
	s.Initiating, s.Originating = name("installInitiatingPackageName"), name("installOriginatingPackageName")
	num(&s.User, pairValue(before, "userId"))
	num(&s.InstallerUID, pairValue(before, "mInstallerUid"))
	if s.InstallerUID < 0 {
		num(&s.InstallerUID, pairValue(before, "installerUid"))
	}
	s.Created, _ = number(pairValue(before, "createdMillis"), 10)
	num(&s.OriginatingUID, lastPairValue(behind, "originatingUid"))
	num(&s.PackageSource, lastPairValue(behind, "packageSource"))
	num(&s.FinalStatus, lastPairValue(behind, "mFinalStatus"))
	if at := bytes.LastIndex(behind, []byte(" mFinalMessage=")); at >= 0 {
		message := bytes.TrimRight(behind[at+len(" mFinalMessage="):], " ")
		message, _, _ = bytes.Cut(message, []byte(" params."))
		if string(message) != "null" {
			s.FinalMessage = string(message[:min(len(message), 512)])
		}
	}
	return s
}

// lastPairValue gives the value of the last " key=value" in text.
func lastPairValue(text []byte, key string) []byte {
	at := bytes.LastIndex(text, []byte(" "+key+"="))
	if at < 0 {
		return nil
	}
	value, _ := word(text[at+len(key)+2:])
	return value
}
