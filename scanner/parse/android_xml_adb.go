package parse

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

// AdbTrust is a computer that may debug the device.
type AdbTrust struct {
	MD5            string // of the key, AB:CD:..., as the device asks for consent with it; "" when the key is damaged
	SHA256         string // of the key, lower-case hex; as MD5
	Host           string // the computer's own word for itself, user@host
	LastConnection int64  // milliseconds since 1970; 0 unknown
	Line           int    // 1-based; 0 in XML
}

// AdbKeysFile reads adb_keys: a public key in base64 and a name per line. Lines that hold no
// key are told in bad and kept without digests, since adbd has its own idea of them.
func AdbKeysFile(b []byte) (keys []AdbTrust, bad *Complaints) {
	bad = &Complaints{}
	eachLine(b, func(text []byte, n int) bool {
		if len(keys) >= maxKeys {
			bad.Add(n, "more than 10000 keys")
			return false
		}
		if strings.TrimSpace(string(text)) == "" {
			return true
		}
		k := adbTrust(string(text))
		k.Line = n
		if k.SHA256 == "" {
			bad.Add(n, "no public key")
		}
		keys = append(keys, k)
		return true
	})
	return keys, bad
}

// adbTrust reads a key and the name behind it.
func adbTrust(line string) AdbTrust {
	key, host := cutBlank(strings.TrimSpace(line))
	k := AdbTrust{Host: strings.ToValidUTF8(strings.TrimSpace(host), "\uFFFD")}
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(raw) < 64 {
		return k
	}
	short, long := md5.Sum(raw), sha256.Sum256(raw) // MD5 because it is what the device shows
	k.MD5, k.SHA256 = strings.ReplaceAll(fmt.Sprintf("% X", short), " ", ":"), hex.EncodeToString(long[:])
	return k
}

// AdbKeystoreXML reads adb_temp_keys.xml (Android 10 on): when each key was used last, and
// how many networks are trusted for debugging without a cable. Android 10 writes a root for
// each key, later releases one for all, as text or ABX.
func AdbKeystoreXML(b []byte) (keys []AdbTrust, networks int, err error) {
	x := newXMLReader(b)
	entry := func(name string) {
		switch name {
		case "adbKey":
			k := adbTrust(x.attr("key"))
			k.LastConnection = x.int("lastConnection", 0)
			keys = keepXML(x, keys, k)
		case "wifiAP":
			networks++
		}
	}
	for name := range x.roots("keyStore", "adbKey", "wifiAP") {
		if name != "keyStore" {
			entry(name)
			continue
		}
		for child := range x.children() {
			entry(child)
		}
	}
	return keys, networks, x.end()
}
