package facts

import (
	"path"
	"slices"
	"strings"
)

// What is deceptive about a name.
const (
	deceptiveBlank     = "blank"     // starts or ends with a blank
	deceptiveDots      = "dots"      // nothing but dots, or dots and blanks: looks like . or ..
	deceptiveControl   = "control"   // control characters
	deceptiveInvisible = "invisible" // characters without a shape, or that turn the text around
	deceptiveExtension = "extension" // a document's extension before a program's
)

// plainName is the quick test that nearly every name passes: printable ASCII without blanks
// at its ends, not starting with a dot.
func plainName(name string) bool {
	if name[0] == '.' || name[0] == ' ' || name[len(name)-1] == ' ' {
		return false
	}
	for i := 0; i < len(name); i++ {
		if name[i] < 0x20 || name[i] > 0x7e {
			return false
		}
	}
	return true
}

// deceptiveName says what about a name is made to mislead the eye.
func deceptiveName(name string) string {
	if strings.Trim(name, ". ") == "" {
		return deceptiveDots
	}
	if strings.TrimSpace(name) != name && strings.Trim(name, " ") != name {
		return deceptiveBlank
	}
	for _, r := range name {
		switch {
		case r < 0x20 && r != '\r', r == 0x7f: // "Icon\r" is a file of another system's desktop
			return deceptiveControl
		case r == 0x200b, r == 0x2060, r == 0xfeff, r == 0x00a0, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return deceptiveInvisible
		}
	}
	return ""
}

// documentTypes are extensions of things that people open rather than run.
var documentTypes = []string{"pdf", "doc", "docx", "odt", "rtf", "txt", "xls", "xlsx", "ods", "csv", "ppt", "pptx",
	"odp", "jpg", "jpeg", "png", "gif", "bmp", "webp", "heic", "svg", "mp3", "ogg", "wav", "flac", "m4a", "mp4",
	"mkv", "avi", "mov", "webm", "zip", "rar", "7z", "gz", "eml", "html", "htm"}

// extension gives a name's last extension in lower case without the dot.
func extension(name string) string {
	return strings.ToLower(strings.TrimPrefix(path.Ext(name), "."))
}

func isDocument(name string) bool { return slices.Contains(documentTypes, extension(name)) }

// twoFaced tells names like invoice.pdf.desktop.
func twoFaced(name string) bool {
	if !slices.Contains([]string{"desktop", "sh", "run", "py", "elf", "bin"}, extension(name)) {
		return false
	}
	return isDocument(strings.TrimSuffix(name, path.Ext(name)))
}

// sensitiveCommands are commands that see passwords, show the system's state, or manage it:
// what a program of the same name, found first, would gain from most.
var sensitiveCommands = []string{"sudo", "su", "doas", "pkexec", "ssh", "scp", "sftp", "login", "passwd", "gpg",
	"gpg2", "ps", "ls", "ss", "netstat", "lsof", "top", "who", "w", "last", "find", "grep", "cat", "ip", "ifconfig",
	"iptables", "nft", "systemctl", "journalctl", "service", "mount", "umount", "crontab", "curl", "wget", "apt",
	"apt-get", "dpkg", "rpm", "dnf", "yum", "apk", "opkg", "pacman", "kill", "id", "env", "sh", "bash", "lsmod",
	"modprobe", "insmod", "dmesg", "md5sum", "sha256sum", "chmod", "chown", "nmcli", "mokutil", "cryptsetup"}

// toolNames are programs that, with rights of their own, hand these on to whoever runs them:
// they run commands or read and write any file. Versions are cut off before the lookup.
var toolNames = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "busybox",
	"toybox", "python", "pypy", "perl", "ruby", "lua", "luajit", "php", "node", "nodejs", "tclsh", "expect", "gdb",
	"strace", "env", "find", "xargs", "awk", "gawk", "mawk", "sed", "vi", "vim", "nvim", "nano", "ed", "emacs",
	"less", "more", "cp", "mv", "dd", "install", "tar", "rsync", "tee", "cat", "head", "tail", "nc", "ncat", "netcat",
	"socat", "nmap", "curl", "wget", "make", "git", "systemctl", "docker", "podman", "chroot", "unshare", "nsenter",
	"openssl", "base64", "xxd", "od", "cut", "sort", "timeout", "nice", "nohup", "setarch", "taskset", "stdbuf",
	"watch", "script", "screen", "zip", "gcc", "ld", "chmod", "chown", "capsh", "setpriv"}

// interpreterNames are programs that are copied under another name to run code unnoticed.
var interpreterNames = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh", "busybox",
	"toybox", "python", "pypy", "perl", "ruby", "lua", "luajit", "php", "node", "nc", "ncat", "netcat", "socat"}

// family cuts a version off a program's name: python3.11 is python.
func family(name string) string {
	name, _, _ = strings.Cut(name, ".")
	return strings.TrimRight(name, "0123456789-.")
}

func isTool(name string) bool {
	return slices.Contains(toolNames, name) || slices.Contains(toolNames, family(name))
}

func isInterpreter(name string) bool {
	return slices.Contains(interpreterNames, name) || slices.Contains(interpreterNames, family(name))
}
