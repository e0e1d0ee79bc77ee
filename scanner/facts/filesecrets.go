package facts

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

const passwordHashes = "password hashes"

// shadowFiles hold password hashes, the backups that tools make of them included.
var shadowFiles = []string{"shadow", "shadow-", "shadow.bak", "shadow.old", "shadow~", "gshadow", "gshadow-",
	"master.passwd", "smbpasswd"}

// secretKind says by name and place what secret a file should hold. content means that only
// its first bytes can tell whether it does.
func secretKind(p *place, name string) (kind string, content bool) {
	dir := p.dir
	switch base := path.Base(dir); {
	case base == ".ssh" && strings.HasPrefix(name, "id_") && !strings.HasSuffix(name, ".pub"):
		return "private key", true
	case dir == "/etc" && slices.Contains(shadowFiles, name), dir == "/etc/security" && name == "opasswd":
		return passwordHashes, false
	case dir == "/etc/ssh" && strings.HasPrefix(name, "ssh_host_") && strings.HasSuffix(name, "_key"):
		return "host key", false
	case dir == "/etc/dropbear" && strings.HasSuffix(name, "_host_key"):
		return "host key", false
	case dir == "/etc/NetworkManager/system-connections", dir == "/run/NetworkManager/system-connections",
		dir == "/var/lib/iwd" && (strings.HasSuffix(name, ".psk") || strings.HasSuffix(name, ".8021x")),
		dir == "/var/lib/connman" && strings.HasSuffix(name, ".config"):
		return "Wi-Fi or VPN secret", false
	case dir == "/etc/wpa_supplicant" && strings.HasSuffix(name, ".conf"), dir == "/etc" && name == "wpa_supplicant.conf":
		return "Wi-Fi or VPN secret", false
	case dir == "/etc/wireguard" && strings.HasSuffix(name, ".conf"):
		return "Wi-Fi or VPN secret", false
	case base == ".aws" && name == "credentials", base == "gcloud" && strings.HasSuffix(name, "credentials.json"),
		base == ".kube" && name == "config", base == ".azure" && name == "accessTokens.json":
		return "cloud credential", false
	case p.home == dir && p.home != "" && (name == ".pgpass" || name == ".netrc" || name == ".my.cnf" || name == ".git-credentials"),
		base == ".docker" && name == "config.json" && p.home != "":
		return "stored password", false
	case base == "private-keys-v1.d" && strings.HasSuffix(name, ".key"):
		return "private key", false
	}
	switch p.zone {
	case zoneEtc, zoneWeb, zoneVar:
		if ext := extension(name); ext == "key" || ext == "pem" || dir == "/etc/ssl/private" {
			return "private key", true
		}
		if p.zone == zoneWeb && isBackup(name) {
			return "backup", false
		}
	case zoneHome:
		if ext := extension(name); (ext == "key" || ext == "pem") && (dir == p.home || path.Base(dir) == ".ssh") {
			return "private key", true
		}
	}
	return "", false
}

// isBackup tells archives and dumps that a web server would hand to anyone who asks.
func isBackup(name string) bool {
	for _, suffix := range []string{".tar.gz", ".tgz", ".sql", ".sql.gz", ".bak", ".tar", ".dump"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return name == ".env" || name == ".htpasswd"
}

// isPrivateKey tells from a file's first bytes whether it is a private key, and whether a
// passphrase protects it as far as they show.
func isPrivateKey(head []byte) (key, encrypted bool) {
	rest, ok := bytes.CutPrefix(bytes.TrimLeft(head, "\r\n\t "), []byte("-----BEGIN "))
	if !ok {
		return bytes.HasPrefix(head, []byte("PuTTY-Us")), false // of a recording no more than 8 bytes may be left
	}
	kind, body, ok := bytes.Cut(rest, []byte("-----"))
	if !ok || !bytes.HasSuffix(kind, []byte("PRIVATE KEY")) {
		return false, false
	}
	switch {
	case bytes.HasPrefix(kind, []byte("ENCRYPTED")):
		return true, true
	case bytes.HasPrefix(kind, []byte("OPENSSH")):
		// The format names its cipher next: base64 of "openssh-key-v1", 0, and the length 4
		// of "none".
		const plain = "b3BlbnNzaC1rZXktdjEAAAAABG5v"
		body = bytes.TrimLeft(body, "\r\n")
		return true, len(body) >= len(plain) && !bytes.HasPrefix(body, []byte(plain))
	}
	return true, bytes.Contains(body, []byte("Proc-Type: 4,ENC"))
}
