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

// bootKeysText is android_boot_keys.txt: keys of verified boot, one system, digest and device a
// line.
//
//go:embed android_boot_keys.txt
var bootKeysText string

// trustedBootKeys gives the system whose makers publish a verified-boot key, by the digest that
// ro.boot.vbmeta.public_key_digest has: SHA-256 in lower-case hex of the key in libavb's form.
var trustedBootKeys = readBootKeys(bootKeysText)

func readBootKeys(text string) map[string]string {
	out := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		if f := strings.Fields(lines.Text()); len(f) >= 3 && f[0][0] != '#' {
			out[f[1]] = f[0]
		}
	}
	return out
}

// testKeys are the keys that the Android Open Source Project publishes with its sources
// (build/make/target/product/security), by the SHA-256 and SHA-1 of their certificates. Anyone
// can sign with them.
var testKeys = map[string]string{
	"a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc": "testkey",
	"61ed377e85d386a8dfee6b864bd85b0bfaa5af81":                         "testkey",
	"c8a2e9bccf597c2fb6dc66bee293fc13f2fc47ec77bc6b2b0d52c11f51192ab8": "platform",
	"27196e386b875e76adf700e7ea84e4c6eee33dfa":                         "platform",
	"28bbfe4a7b97e74681dc55c2fbb6ccb8d6c74963733f6af6ae74d8c3a6e879fd": "shared",
	"5b368cff2da2686996bc95eac190eaa4f5630fe5":                         "shared",
	"465983f7791f2abeb43ea2cbdc7f21a8260b72bc08a55c839fc1a43bc741a81e": "media",
	"b79df4a82e90b57ea76525ab7037ab238a42f5d3":                         "media",
	"e1dbadce60dc080d15b58a014b0dcf9400e24de23fa00b287a5a982bfebda2ee": "networkstack",
	"7c8bdabd21f953a1b18ccbe7b91393d9fdf94830":                         "networkstack",
	"abf21f9e2af1d881cc673fddcefa6ed9c269a437bd64b279cf45844cfd589126": "sdk_sandbox",
	"74847689bd67577964ae628af2301acf8910b499":                         "sdk_sandbox",
	"a6ccc500ff0e7421200eb66a7fe174ef1b00e52ca91727070cbedf061ff76c35": "bluetooth",
	"dc0605cdd6552d84481d8fcce4a8d28e294e570b":                         "bluetooth",
	"fae9122a8721d6e2a196d2224dffcf773c9127e2bb956cbddb40b009192ffdfd": "nfc",
	"2cdc0be9a0b9ec3d4a0d3a958023a770ba5a0a6d":                         "nfc",
	"ce7b2b47ae2b7552c8f92cc29124279883041fb623a5f194a82c9bf15d492aa0": "cts_uicc_2021",
	"0697713921e865d01c45c4a88d457a9d96f43927":                         "cts_uicc_2021",
}

// shortTestKeys are the same keys by the short hash that dumpsys prints from Android 9 on:
// java.util.Arrays.hashCode over the certificate, in hex. Of 32 bits, it is no proof: one in four
// billion other keys has it, and whoever wants to can make a certificate that does.
var shortTestKeys = map[string]string{
	"d7f1f224": "testkey", "b4addb29": "platform", "9542d9b9": "shared", "aa7e44b2": "media", "e708811f": "networkstack",
	"fc01139a": "sdk_sandbox", "d77294ce": "bluetooth", "27387c38": "nfc", "d37ff0c9": "cts_uicc_2021",
}

// leakedKeys are makers' platform keys that malware was signed with, by the SHA-256 of the
// certificate: the ten that the Android Partner Vulnerability Initiative published in 2022. It
// does not tell whose they are; Samsung's is known from its apps, which it still signs with it.
var leakedKeys = map[string]string{
	"2464ddfefa071f268ea7667123df05ead2293272ff2a64d9cee021c38b46c6af": "a maker's",
	"2bfa22964760a25d99ab9a14910e44fe2063b51d5b4ac2e4282573ce94996aa3": "a maker's",
	"34df0e7a9f1cf1892e45c056b4973cd81ccf148a4050d11aea4ac5a65f900a42": "Samsung",
	"369c38b18401ea16785f11720e37d7a2bc5a4d209e76955c0858ea469ad62fdf": "a maker's",
	"4274243d7a954ac6482866f0cc67ca1843ca94d68a0ee53f837d6740a8134421": "a maker's",
	"5304915c4bb7baca28776231993996fde1baffcbbe6500fb0fc7f2d3a2888cb7": "a maker's",
	"9200c550f2374706eff37e3a8674bc03aeba8b25c052de638972ab94365af0a2": "a maker's",
	"9fc510e167d8d312e758273285414e77edac9fed944741f5682be92501f095d4": "a maker's",
	"a7a0e10a61a5af93624376df60e9def9436358f50aa6174e5423633b856e2be1": "a maker's",
	"b01dcea669eefdd991fc6a24678a8b6e6a6d0ad8986950328c69d0eea1dec0d5": "a maker's",
}

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
