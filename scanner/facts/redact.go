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

// Redact gives a file's content without passwords, passphrases, hashes and private keys, and what
// a source of Android said (name is "probe/" and the source's) without what is personal. What the
// collectors make of it stays the same, so that a recording gives the report of the device.
func Redact(name string, content []byte) []byte {
	if source, ok := strings.CutPrefix(name, "probe/"); ok {
		return redactProbe(source, content)
	}
	if strings.HasPrefix(name, "/data/") {
		content = redactAndroidFile(name, content)
	}
	switch {
	case name == "/etc/shadow" || name == "/etc/passwd":
		return markPasswords(content)
	case slices.Contains(accountFiles, path.Base(name)) && (strings.HasPrefix(name, "/etc/")):
		return parse.RedactAccounts(content, nil)
	case slices.ContainsFunc(settingsDirs, func(d string) bool { return name == d || strings.HasPrefix(name, d+"/") }):
		return parse.RedactSettings(content)
	case bytes.Contains(content, []byte("PRIVATE KEY-----")):
		return parse.RedactPEM(content)
	}
	return content
}

// Everything names all tables: what a recording has to hold for every rule there is or may be.
func Everything(collectors []scanner.Collector) []string {
	var out []string
	for _, c := range collectors {
		out = append(out, c.Table)
	}
	return out
}
