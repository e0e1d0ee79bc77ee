package parse

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

func TestRedactSettings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"psk=correct horse\n":                   "psk=xxxxxxxxxxxxx\n",
		"\tpsk=\"correct horse\"\n":             "\tpsk=\"xxxxxxxxxxxxx\"\n",
		"# old: psk=correct horse\n":            "# old: psk=correct horse\n",
		"#psk=correct horse\n":                  "#psk=xxxxxxxxxxxxx\n",
		"psk=password1\n":                       "psk=password1\n",
		"psk=4711\n":                            "psk=1111\n",
		"  option key 'topsecret9'\n":           "  option key 'xxxxxxxxxx'\n",
		"  option key '1'\n":                    "  option key '1'\n",
		"  option key2 'abcdefghijklm'\n":       "  option key2 'xxxxxxxxxxxxx'\n",
		"\toption ssid 'home'\n":                "\toption ssid 'home'\n",
		"wep_key0=0123456789\n":                 "wep_key0=1234567890\n",
		"PrivateKey = aGVsbG8gd29ybGQ=\n":       "PrivateKey = xxxxxxxxxxxxxxxx\n",
		"requirepass hunter2hunter2\n":          "requirepass xxxxxxxxxxxxxx\n",
		"monkey=banana\n":                       "monkey=banana\n",
		"password: \"a b c d\"\r\nssid=keep\n":  "password: \"xxxxxxx\"\r\nssid=keep\n",
		"Passphrase=ünïcödé passphrase\nSSID=x": "Passphrase=" + strings.Repeat("x", len("ünïcödé passphrase")) + "\nSSID=x",
		"-----BEGIN PRIVATE KEY-----\nMIIB\nAB==\n-----END PRIVATE KEY-----\n":                                                           "-----BEGIN PRIVATE KEY-----\n\n\n-----END PRIVATE KEY-----\n",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAA\nSECRET\n-----END OPENSSH PRIVATE KEY-----\n": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5v\n\n-----END OPENSSH PRIVATE KEY-----\n",
		"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n":                                                                 "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
	} {
		if in == "wep_key0=0123456789\n" {
			want = "wep_key0=xxxxxxxxxx\n"
		}
		if got := string(RedactSettings([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRedactAccountsKeepsWhatIsParsed(t *testing.T) {
	t.Parallel()
	in := "root:$y$j9T$secretsalt$secrethash:19000:0:99999:7:::\nold:abSECRETxyz12:1\ndes:_J9..SECRETsecret:\nlocked:!$6$salt$secret:19000\nbin:*:1::\nempty::1\nx:x:0:0::/root:/bin/sh\nhalf:$1$a$secret"
	out := RedactAccounts([]byte(in), nil)
	if bytes.Contains(bytes.ToLower(out), []byte("secret")) {
		t.Errorf("a hash is left: %s", out)
	}
	before, _ := Shadow([]byte(in))
	after, _ := Shadow(out)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("parsed differently:\n%+v\n%+v", before, after)
	}
}

func FuzzRedactKeepsWhatIsParsed(f *testing.F) {
	f.Add([]byte("root:$y$j9T$a$b:19000:0:99999:7:::\nbin:*:1::\n"))
	f.Add([]byte("[wifi-security]\nkey-mgmt=wpa-psk\npsk=correct horse\n[connection]\ntype=wifi\n[wifi]\nssid=a\n"))
	f.Add([]byte("network={\n\tssid=\"a\"\n\tpsk=\"12345678\"\n}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		before, _ := Shadow(b)
		after, _ := Shadow(RedactAccounts(b, nil))
		if !reflect.DeepEqual(before, after) {
			t.Errorf("shadow: %+v became %+v", before, after)
		}
		if got := RedactSettings(b); bytes.Count(got, []byte("\n")) != bytes.Count(b, []byte("\n")) {
			t.Error("lines were lost")
		}
	})
}
