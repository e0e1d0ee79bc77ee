package facts

import (
	"strings"
	"testing"

	"picket/scanner/parse"
)

func TestDeceptiveName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"...": deceptiveDots, ".. ": deceptiveDots, " ": deceptiveDots, ". .": deceptiveDots,
		"cron ": deceptiveBlank, " cron": deceptiveBlank,
		"a\x07b": deceptiveControl, "a\x7f": deceptiveControl, "tab\t": deceptiveControl,
		"a\u200bb": deceptiveInvisible, "gpj.\u202eexe": deceptiveInvisible, "sudo\u00a0": deceptiveInvisible,
		"plain": "", ".hidden": "", "two words": "", "Icon\r": "", "naïve": "", "\xff\xfe": "", "می\u200cخواهم": "",
	} {
		if got := deceptiveName(name); got != want {
			t.Errorf("%q: got %q, want %q", name, got, want)
		}
	}
}

// FuzzPlainName holds the quick test against the thorough one.
func FuzzPlainName(f *testing.F) {
	for _, s := range []string{"a", ".", "a ", "\x00", "é", "\u202e", "x\r"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if name != "" && plainName(name) && deceptiveName(name) != "" {
			t.Errorf("%q passes the quick test and is deceptive: %s", name, deceptiveName(name))
		}
	})
}

func TestToolsAreKnownInEveryVersion(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bash", "python3.11", "perl5.36.0", "php8.2", "lua5.4", "vim.basic", "nc.openbsd", "gdb"} {
		if !isTool(name) {
			t.Errorf("%s is no tool", name)
		}
	}
	for _, name := range []string{"sudo", "mount", "ping", "passwd", "shutdown", "ssh-agent", "fusermount3"} {
		if isTool(name) {
			t.Errorf("%s is a tool", name)
		}
	}
}

func TestPrivateKeysByTheirFirstBytes(t *testing.T) {
	t.Parallel()
	const openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA"
	for _, c := range []struct {
		name, head     string
		key, encrypted bool
	}{
		{"pkcs1", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", true, false},
		{"pkcs8", "-----BEGIN PRIVATE KEY-----\nMIIE", true, false},
		{"encrypted pkcs8", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE", true, true},
		{"old encryption", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", true, true},
		{"openssh without passphrase", openssh + "BG5v", true, false},
		{"openssh with passphrase", openssh + "CmFl", true, true},
		{"putty", "PuTTY-User-Key-File-3: ssh-rsa\n", true, false},
		{"certificate", "-----BEGIN CERTIFICATE-----\nMIID", false, false},
		{"public key", "-----BEGIN PUBLIC KEY-----\n", false, false},
		{"cut off", "-----BEGIN RSA PRI", false, false},
		{"empty", "", false, false},
	} {
		if key, encrypted := isPrivateKey([]byte(c.head)); key != c.key || encrypted != c.encrypted {
			t.Errorf("%s: key %v, encrypted %v", c.name, key, encrypted)
		}
	}
}

// TestRecordedKeysTellTheSame holds what a recording keeps of a key against the key itself.
func TestRecordedKeysTellTheSame(t *testing.T) {
	t.Parallel()
	const openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA"
	for _, head := range []string{openssh + "BG5vbmUAAAAE", openssh + "CmFlczI1Ni1j", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: ",
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v"} {
		key, encrypted := isPrivateKey([]byte(head))
		redacted := parse.RedactPEM([]byte(head))
		if k, e := isPrivateKey(redacted); k != key || e != encrypted {
			t.Errorf("%q: key %v %v, recorded as %q: %v %v", head, key, encrypted, redacted, k, e)
		}
		if strings.Contains(string(redacted), "MC4C") {
			t.Errorf("%q leaks", redacted)
		}
	}
}
