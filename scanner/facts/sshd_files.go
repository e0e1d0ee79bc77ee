package facts

import (
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// sshdGlobs are the files of OpenSSH's server configuration; those that it includes from
// elsewhere are noted as not read.
var sshdGlobs = []string{"/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d/*", "/usr/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config.d/*"}

// sshdLine is a keyword of sshd_config with its file and the Match that it stands under.
type sshdLine struct {
	parse.SSHDLine
	File  string
	Match string // criteria, "" in the part that holds for everybody
}

// readSSHD reads sshd_config with what it includes, in the order in which sshd sees it.
func readSSHD(r *treeReader) []sshdLine {
	s := &sshdFiles{treeReader: r}
	for _, name := range []string{"/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config"} {
		if r.exists(name) {
			s.read(name, "", 0)
			break
		}
	}
	return s.out
}

type sshdFiles struct {
	*treeReader
	out   []sshdLine
	files int
}

const (
	maxSSHDFiles = 200
	maxSSHDDepth = 16 // as sshd's own limit on includes within one another
)

func (s *sshdFiles) read(name, match string, depth int) {
	if s.files++; s.files > maxSSHDFiles || depth > maxSSHDDepth {
		s.note(&scanner.TooLargeError{Size: int64(s.files), Limit: maxSSHDFiles})
		return
	}
	for _, l := range parse.SSHDConfig(s.file(name)) {
		switch l.Keyword {
		case "match":
			if match = l.Value; strings.EqualFold(match, "all") {
				match = ""
			}
		case "include":
			for _, pattern := range strings.Fields(l.Value) {
				s.include(name, pattern, match, depth)
			}
		default:
			s.out = append(s.out, sshdLine{l, name, match})
		}
	}
}

func (s *sshdFiles) include(from, pattern, match string, depth int) {
	if !strings.HasPrefix(pattern, "/") {
		pattern = "/etc/ssh/" + pattern
	}
	pattern = path.Clean(pattern)
	if dir := path.Dir(pattern); dir != "/etc/ssh/sshd_config.d" && dir != "/usr/etc/ssh/sshd_config.d" {
		s.table.Partial = append(s.table.Partial, from+" includes "+shown(pattern)+", which Picket does not read")
		return
	}
	for _, name := range s.glob(pattern) {
		s.read(name, match, depth+1)
	}
}
