package facts

import (
	"path"
	"strings"

	"picket/scanner"
)

// downloadDirs gives the directories that people's desktops name as places for downloads and
// documents (xdg-user-dirs, user-dirs.dirs): in every language but English they have other
// names than the usual.
func (s *fileScan) downloadDirs() []string {
	var out []string
	for _, home := range s.homes {
		b, err := scanner.ReadFile(s.fs, home+"/.config/user-dirs.dirs", maxSmallFile)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "XDG_DOWNLOAD_DIR", "XDG_DESKTOP_DIR", "XDG_DOCUMENTS_DIR":
			default:
				continue
			}
			dir := strings.Replace(strings.Trim(value, `"`), "$HOME", home, 1)
			if ok && path.IsAbs(dir) && path.Clean(dir) != home {
				out = append(out, path.Clean(dir))
			}
		}
	}
	return out
}
