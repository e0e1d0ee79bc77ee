package facts

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// accountFiles hold password hashes in their second field.
var accountFiles = []string{"passwd", "passwd-", "shadow", "shadow-", "gshadow", "gshadow-", "opasswd"}

// settingsDirs hold configuration whose values may be secrets.
var settingsDirs = []string{
	"/etc/NetworkManager", "/run/NetworkManager", "/usr/lib/NetworkManager", "/etc/wpa_supplicant", "/etc/wpa_supplicant.conf",
	"/var/lib/iwd", "/var/lib/connman", "/etc/config", "/etc/hostapd", "/etc/hostapd.conf", "/etc/wireguard", "/etc/openvpn",
	"/etc/ipsec.secrets", "/etc/swanctl", "/etc/ppp", "/etc/netplan", "/etc/systemd/network", "/etc/redis", "/etc/mosquitto",
	"/etc/samba", "/etc/snmp", "/etc/rsyncd.conf", "/etc/frp", "/etc/docker", "/etc/vsftpd.conf", "/boot", "/var/lib/cloud", "/var/lib/bluetooth",
}

// Redact gives a file's content without passwords, passphrases, hashes, tokens and private keys, and
// what a source said (name is "probe/" and the source's) without what is personal. What the
// collectors make of it stays the same, so that a recording gives the report of the device.
func Redact(name string, content []byte) []byte {
	if source, ok := strings.CutPrefix(name, "probe/"); ok {
		return redactProbe(source, content)
	}
	if strings.HasPrefix(name, "/data/") {
		content = redactAndroidFile(name, content)
	}
	base := path.Base(name)
	switch {
	case name == "/etc/shadow" || name == "/etc/passwd":
		return parse.RedactPersons(markPasswords(content))
	case slices.Contains(accountFiles, base) && (strings.HasPrefix(name, "/etc/")):
		return parse.RedactPersons(parse.RedactAccounts(content, nil))
	case withoutSecrets(name):
		return parse.RedactPEM(content)
	case strings.HasPrefix(name, "/etc/snmp/"):
		return parse.RedactText(parse.RedactSNMP(content), parse.CommandText)
	case strings.HasPrefix(base, ".vault_pass") || strings.HasPrefix(base, "vault_pass"):
		return redactWhole(content)
	}
	return parse.RedactText(content, textKind(name, content))
}

// withoutSecrets tells the files of package databases, which are the same everywhere and large, what
// the kernel says of itself, files of Android's services, of which redactAndroidFile knows what is
// personal, and a file whose names only look like those of secrets.
func withoutSecrets(name string) bool {
	switch {
	case strings.HasPrefix(name, "/data/") && !strings.HasPrefix(name, "/data/adb/") && !strings.HasPrefix(name, "/data/local/"):
		return true
	case strings.HasPrefix(name, "/proc/"), strings.HasPrefix(name, "/sys/"):
		return path.Base(name) != "cmdline" && path.Base(name) != "mountinfo" && path.Base(name) != "mounts" && name != "/proc/bootconfig"
	case name == "/etc/nsswitch.conf":
		return true
	}
	return slices.ContainsFunc(packageDatabases, func(d string) bool { return strings.HasPrefix(name, d) })
}

var packageDatabases = []string{"/var/lib/dpkg/", "/lib/apk/", "/usr/lib/apk/", "/var/lib/apt/lists/", "/usr/lib/opkg/", "/var/lib/opkg/", "/var/opkg-lists/", "/var/lib/pacman/",
	"/usr/lib/sysimage/", "/var/lib/rpm/", "/usr/share/rpm/", "/lib/modules/", "/usr/lib/modules/"}

// redactWhole hides a file that is nothing but a password.
func redactWhole(content []byte) []byte {
	if safe := parse.RedactText(content, parse.SettingText); !bytes.Equal(safe, content) || len(bytes.TrimSpace(content)) == 0 {
		return safe
	}
	return append(bytes.Repeat([]byte("x"), 8), bytes.Repeat([]byte("\n"), bytes.Count(content, []byte("\n")))...)
}

// Endings and names of files by how they are written. What is in neither list is read as commands,
// of which no more than a word is hidden.
var (
	settingEndings = []string{"conf", "cfg", "cnf", "ini", "yaml", "yml", "toml", "json", "properties", "repo", "list", "sources", "xml", "config", "service", "socket", "timer", "mount", "container",
		"nmconnection", "desktop", "network", "netdev", "ks", "pref", "prefs"}
	settingNames = []string{".npmrc", "npmrc", ".wgetrc", "wgetrc", ".gitconfig", "gitconfig", ".netrc", "fstab", "user-data", "network-config", "user-data.txt", "autoinstall-user-data", "torrc",
		"kioslaverc", "kscreenlockerrc"}
	codeEndings = []string{"php", "php3", "php4", "php5", "php7", "php8", "phtml", "phar", "inc", "py", "pth", "pl", "pm", "lua", "js", "jsp", "jspx", "asp", "aspx", "ashx", "rb"}
)

// textKind tells how a file is written, by its name and its first line.
func textKind(name string, content []byte) parse.TextKind {
	if slices.ContainsFunc(settingsDirs, func(d string) bool { return name == d || strings.HasPrefix(name, d+"/") }) {
		return parse.JudgedText
	}
	ending := extension(name)
	if bytes.HasPrefix(content, []byte("#!")) {
		if isShellText(content) {
			return parse.CommandText
		}
		return parse.CodeText
	}
	switch {
	case slices.Contains(codeEndings, ending), ending == "rules" && strings.Contains(name, "/polkit-1/"):
		return parse.CodeText
	case slices.Contains(settingEndings, ending), slices.Contains(settingNames, path.Base(name)):
		return parse.SettingText
	}
	return parse.CommandText
}

// Everything names all tables: what a recording has to hold for every rule there is or may be.
func Everything(collectors []scanner.Collector) []string {
	var out []string
	for _, c := range collectors {
		out = append(out, c.Table)
	}
	return out
}
