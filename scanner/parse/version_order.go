package parse

import (
	"cmp"
	"strings"
)

// CompareVersions orders versions as dpkg does (deb-version(7)) and with it opkg: by epoch,
// upstream version and revision, each as runs of non-digits and numbers in turn; "~" sorts
// before everything, the end included. It gives -1, 0 or +1, and takes any text.
func CompareVersions(a, b string) int {
	epochA, a := cutEpoch(a)
	epochB, b := cutEpoch(b)
	if c := compareNumbers(epochA, epochB); c != 0 {
		return c
	}
	upA, revA := cutRevision(a)
	upB, revB := cutRevision(b)
	if c := compareParts(upA, upB); c != 0 {
		return c
	}
	return compareParts(revA, revB)
}

func cutEpoch(v string) (epoch, rest string) {
	if i := strings.IndexByte(v, ':'); i >= 0 && digits(v[:i]) {
		return v[:i], v[i+1:]
	}
	return "", v
}

func cutRevision(v string) (upstream, revision string) {
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return v[:i], v[i+1:]
	}
	return v, ""
}

func compareParts(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			if c := cmp.Compare(rank(a), rank(b)); c != 0 {
				return c
			}
			a, b = a[min(1, len(a)):], b[min(1, len(b)):]
		}
		numA, numB := leadingNumber(a), leadingNumber(b)
		if c := compareNumbers(numA, numB); c != 0 {
			return c
		}
		a, b = a[len(numA):], b[len(numB):]
	}
	return 0
}

// rank orders the first byte of a run: "~", the end or a digit, letters, all else.
func rank(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z':
		return int(s[0])
	}
	return int(s[0]) + 256
}

func leadingNumber(s string) string {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return s[:n]
}

// compareNumbers compares digits of any length; none is zero.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
