package facts

import (
	"bufio"
	_ "embed"
	"strings"
)

// knownAppsText is android_known.txt: what well-known apps are, one kind and package id a line.
//
//go:embed android_known.txt
var knownAppsText string

// knownApps gives the kind of a well-known app by its package id.
var knownApps = readKnown(knownAppsText)

func readKnown(text string) map[string]string {
	out := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) == 2 && f[0][0] != '#' {
			out[f[1]] = f[0]
		}
	}
	return out
}

// Published test keys of the Android Open Source Project (build/target/product/security), by the
// SHA-256 and SHA-1 of their certificates. Anyone can sign with them.
var testKeys = map[string]string{
	"a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc": "testkey",
	"61ed377e85d386a8dfee6b864bd85b0bfaa5af81":                         "testkey",
	"c8a2e9bccf597c2fb6dc66bee293fc13f2fc47ec77bc6b2b0d52c11f51192ab8": "platform",
	"27196e386b875e76adf700e7ea84e4c6eee33dfa":                         "platform",
	"28bbfe4a7b97e74681dc55c2fbb6ccb8d6c74963733f6af6ae74d8c3a6e879fd": "shared",
	"5b368cff2da2686996bc95eac190eaa4f5630fe5":                         "shared",
	"b79df4a82e90b57ea76525ab7037ab238a42f5d3":                         "media",
}

// leakedKeys are makers' keys that became known and that malware was signed with, by the SHA-256
// of the certificate.
var leakedKeys = map[string]string{}

// keyKind tells what a certificate is known as: debug, testkey, leaked, or "" for one's own.
func keyKind(sha256, sha1, subject string) string {
	switch {
	case testKeys[sha256] != "" || testKeys[sha1] != "":
		return "testkey"
	case leakedKeys[sha256] != "":
		return "leaked"
	case strings.Contains(subject, "CN=Android Debug") || subject == "Android Debug":
		return "debug"
	}
	return ""
}
