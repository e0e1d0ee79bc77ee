package parse

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"strconv"
	"strings"
	"time"
)

// AdbState is what dumpsys adb, or the debugging part of dumpsys usb on Android 9 and older,
// says of computers that may debug the device.
type AdbState struct {
	Connected       bool     // adbd is connected to the framework
	LastKey         string   // fingerprint of the last computer that asked, as the dialog showed it; may be empty
	Keys            []AdbKey // always allowed: /data/misc/adb/adb_keys
	Keystore        []AdbKey // allowed, with the time of their last connection (Android 10 on)
	KeystoreRead    bool     // a key store was printed as XML and read
	KeystoreBinary  []byte   // the key store when it is Android binary XML, for who can read it; nil otherwise
	KeystoreDamaged bool     // the binary one went through a text converter: bytes are lost
	TrustedAPs      int      // Wi-Fi networks on which wireless debugging stays on
}

// AdbKey is the key of one computer.
type AdbKey struct {
	MD5    string    // 01:23:..., as the device's dialog shows it; empty when the key is damaged
	SHA256 string    // of the same bytes, in hex
	Host   string    // the comment of the key, user@host; the computer's own word
	Last   time.Time // last connection; zero when not known
	System bool      // from the vendor's own list, where the output says so
}

// maxAdbKeys bounds the keys of one list.
const maxAdbKeys = 4096

// ParseAdbKey reads one line of adb_keys: an RSA public key in adb's own form, in base64, and
// a comment. ok is false for what is no key at all; a key that does not decode has no prints.
func ParseAdbKey(line string) (k AdbKey, ok bool) {
	word, comment := cutField(strings.TrimSpace(line))
	if len(word) < 64 {
		return k, false
	}
	k.Host = clip(strings.TrimSpace(comment), 200)
	raw, err := base64.StdEncoding.DecodeString(word)
	if err != nil {
		return k, strings.HasPrefix(word, "QAAAA")
	}
	sum := md5.Sum(raw) // not for safety: it is the print that Android shows
	hexed := strings.ToUpper(hex.EncodeToString(sum[:]))
	pairs := make([]string, 0, len(sum))
	for i := 0; i < len(hexed); i += 2 {
		pairs = append(pairs, hexed[i:i+2])
	}
	k.MD5 = strings.Join(pairs, ":")
	long := sha256.Sum256(raw)
	k.SHA256 = hex.EncodeToString(long[:])
	return k, true
}

// AdbKeys reads /data/misc/adb/adb_keys.
func AdbKeys(b []byte) (keys []AdbKey) {
	lines(b, func(_ int, line string) {
		if k, ok := ParseAdbKey(line); ok && len(keys) < maxAdbKeys {
			keys = append(keys, k)
		}
	})
	return keys
}

// abxMagic starts Android binary XML (com.android.internal.util.BinaryXmlSerializer); a zero follows,
// which some converters drop.
const abxMagic = "ABX"

// AdbDump reads dumpsys adb (Android 10 to 16) and the debugging_manager block of dumpsys usb.
func AdbDump(b []byte) (AdbState, error) {
	if err := ServiceRefusal(b); err != nil {
		return AdbState{}, err
	}
	var s AdbState
	_, body, ok := bytes.Cut(b, []byte("debugging_manager={"))
	if !ok {
		if bytes.Contains(b, []byte("ADB MANAGER STATE")) {
			return s, nil // adb was never on
		}
		return s, ErrOtherFormat
	}
	s.keystore(body)
	part := ""
	serviceText(body, func(_ int, line string) {
		text := strings.TrimSpace(line)
		if key, value, ok := strings.Cut(text, "="); ok {
			switch key {
			case "connected_to_adb":
				s.Connected, part = value == "true", ""
				return
			case "last_key_received", "last_key_recevied": // the release's own spelling
				s.LastKey, part = clip(value, 200), ""
				return
			case "user_keys", "system_keys":
				part, text = key, value
			case "keystore":
				part = ""
				return
			}
		}
		if text == "}" {
			part = ""
		}
		if k, ok := ParseAdbKey(text); ok && part != "" && len(s.Keys) < maxAdbKeys {
			k.System = part == "system_keys"
			s.Keys = append(s.Keys, k)
		}
	})
	return s, nil
}

// keystore finds the key store in the block, in any of its forms.
func (s *AdbState) keystore(body []byte) {
	_, store, ok := bytes.Cut(body, []byte("keystore="))
	if !ok {
		return
	}
	switch {
	case bytes.HasPrefix(store, []byte(abxMagic)):
		// The store has no length here: it ends where the braces of the text do.
		end := bytes.LastIndex(store, []byte("\n  }"))
		if end < 0 {
			end = len(store)
		}
		s.KeystoreBinary = bytes.Clone(bytes.TrimRight(store[:end], "\r\n"))
		s.KeystoreDamaged = bytes.Contains(s.KeystoreBinary, []byte("\uFFFD"))
	case bytes.HasPrefix(store, []byte("<")):
		// It ends with the block: an indented brace alone on its line.
		if end := bytes.Index(store, []byte("\n  }")); end >= 0 {
			store = store[:end]
		}
		s.Keystore, s.TrustedAPs, s.KeystoreRead = adbKeystore(store)
	}
}

// AdbKeystore reads /data/misc/adb/adb_temp_keys.xml in its text form. Android 10 writes one
// root element for each key. whole is false when it is damaged; what was read before counts.
func AdbKeystore(b []byte) (keys []AdbKey, whole bool) {
	keys, _, whole = adbKeystore(b)
	return keys, whole
}

func adbKeystore(b []byte) (keys []AdbKey, accessPoints int, whole bool) {
	// Several roots and a declaration between them are no XML document; as one element they are.
	b = bytes.ReplaceAll(b, []byte("<?xml"), []byte("<?pi"))
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	for len(keys) < maxAdbKeys {
		t, err := d.Token()
		if err != nil {
			return keys, accessPoints, err.Error() == "EOF"
		}
		e, ok := t.(xml.StartElement)
		if !ok {
			continue
		}
		if e.Name.Local == "wifiAP" {
			accessPoints++
		}
		if e.Name.Local != "adbKey" {
			continue
		}
		var k AdbKey
		for _, a := range e.Attr {
			switch a.Name.Local {
			case "key":
				last := k.Last
				k, _ = ParseAdbKey(a.Value)
				k.Last = last
			case "lastConnection":
				if ms, err := strconv.ParseInt(a.Value, 10, 64); err == nil && ms > 0 {
					k.Last = time.UnixMilli(ms).UTC()
				}
			}
		}
		keys = append(keys, k)
	}
	return keys, accessPoints, false
}
