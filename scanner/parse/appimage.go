package parse

import "strings"

// IsAppImage says whether a file's first bytes are those of an AppImage: an ELF program with
// "AI" and the type, 1 or 2, in the padding of its identification.
func IsAppImage(head []byte) bool {
	return len(head) > 10 && string(head[:4]) == "\x7fELF" && head[8] == 'A' && head[9] == 'I' &&
		(head[10] == 1 || head[10] == 2)
}

// AppImageName takes a name, a version and an architecture out of an AppImage's file name, as
// its specification recommends it: Name-Version-Arch.AppImage. The image itself does not say
// them in its first bytes.
func AppImageName(base string) (name, version, arch string) {
	if i := len(base) - len(".appimage"); i > 0 && strings.EqualFold(base[i:], ".appimage") {
		base = base[:i]
	}
	for _, a := range []string{"x86_64", "aarch64", "arm64", "armhf", "armv7l", "i686", "i386", "amd64"} {
		for _, sep := range []string{"-", "_", "."} {
			if rest, ok := strings.CutSuffix(base, sep+a); ok && rest != "" {
				base, arch = rest, a
			}
		}
	}
	for i := 1; i+1 < len(base); i++ {
		v := base[i+1:]
		if base[i] != '-' && base[i] != '_' && base[i] != ' ' {
			continue
		}
		if len(v) > 1 && v[0] == 'v' {
			v = v[1:]
		}
		if '0' <= v[0] && v[0] <= '9' {
			return base[:i], v, arch
		}
	}
	return base, "", arch
}
