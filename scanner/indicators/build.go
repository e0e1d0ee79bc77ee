package indicators

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"picket/scanner"
)

// shortName is the length below which a process name proves little.
const shortName = 4

// maxName bounds the name of what an indicator points to, in bytes.
const maxName = 200

// limits bound what lists may make the index hold.
type limits struct {
	entries int // of all lists together
	bytes   int // of their values, keys and ids together
	objects int // of one STIX bundle
}

var errTooMuch = errors.New("more indicators than an index takes")

// errBroad says that an indicator would match what is on every device.
var errBroad = errors.New("it would match too much")

// errRelative says that a path begins at an app's own folder or a drive, as on other systems.
var errRelative = errors.New("no absolute path of Linux")

// rejectf makes an error that counts as Rejected.
func rejectf(format string, args ...any) error {
	return fmt.Errorf("%s (%w)", fmt.Sprintf(format, args...), errBroad)
}

// builder gathers the entries of one list after the other.
type builder struct {
	x      *Index
	labels map[label]uint32
	limits limits
}

func newBuilder() *builder {
	return &builder{x: &Index{}, labels: map[label]uint32{}, limits: limits{entries: 2 << 20, bytes: 256 << 20, objects: 2 << 20}}
}

// label gives the number of a name and class.
func (b *builder) label(name, class string) uint32 {
	l := label{strings.ToValidUTF8(clip(name, maxName), ""), class}
	n, ok := b.labels[l]
	if !ok {
		n = uint32(len(b.x.labels))
		b.labels[l] = n
		b.x.labels = append(b.x.labels, l)
	}
	return n
}

func (b *builder) put(s []byte) span {
	at := uint32(len(b.x.bytes))
	b.x.bytes = append(b.x.bytes, s...)
	return span{at, uint32(len(s))}
}

// full reports that no more is taken.
func (b *builder) full() bool {
	return len(b.x.entries) >= b.limits.entries || len(b.x.bytes) >= b.limits.bytes
}

// add takes a value of a kind under what e says of it. The kind is made right first: a name that
// is an address, a domain that is a URL. An error that is errBroad says that the value would
// match too much, another that it has not the form of its kind.
func (b *builder) add(kind scanner.IndicatorKind, value string, e entry) error {
	value = strings.TrimSpace(value)
	if len(value) > maxValue {
		return errLong
	}
	kind = trueKind(kind, value)
	key, text, weak, err := makeKey(kind, value)
	if err != nil {
		return err
	}
	e.kind = uint8(slices.Index(kinds[:], kind))
	e.weak = e.weak || weak
	e.key, e.value = b.put(key), span{}
	if text != "" {
		e.value = b.put([]byte(text))
	}
	b.x.entries = append(b.x.entries, e)
	if kind == scanner.IndicatorProcess && len(value) > commLen {
		b.addCut(value, e)
	}
	return nil
}

// addCut adds the forms of a process name that the kernel keeps: its first 15 bytes or, as
// Android's zygote sets it for a name with a dot and no @, its last.
func (b *builder) addCut(name string, e entry) {
	e.value, e.weak = e.key, true
	whole := e.key
	e.key = span{whole.at, commLen}
	b.x.entries = append(b.x.entries, e)
	if strings.Contains(name, ".") && !strings.Contains(name, "@") {
		e.key = span{whole.at + whole.len - commLen, commLen}
		b.x.entries = append(b.x.entries, e)
	}
}

// trueKind finds the kind that a value really has: lists put addresses and URLs among domains, and
// paths among names.
func trueKind(kind scanner.IndicatorKind, value string) scanner.IndicatorKind {
	switch kind {
	case scanner.IndicatorDomain:
		if _, _, err := parsePrefix(value); err == nil {
			return scanner.IndicatorIP
		}
		if strings.ContainsAny(value, "/:") {
			return scanner.IndicatorURL
		}
	case scanner.IndicatorFileName:
		if strings.HasPrefix(value, "/") {
			return scanner.IndicatorFilePath
		}
	}
	return kind
}

// makeKey checks an indicator's value and gives the key to find it by, and its text where that
// differs and cannot be made from the key.
func makeKey(kind scanner.IndicatorKind, value string) (key []byte, text string, weak bool, err error) {
	switch kind {
	case scanner.IndicatorPackage, scanner.IndicatorProperty:
		if value == "" || strings.ContainsAny(value, " \t\r\n/") {
			return nil, "", false, errors.New("no name of its kind")
		}
		if slices.Contains(stockPackages, value) && kind == scanner.IndicatorPackage {
			return nil, "", false, rejectf("a package of every Android system")
		}
		return []byte(value), "", false, nil
	case scanner.IndicatorProcess:
		if value == "" {
			return nil, "", false, errEmpty
		}
		if slices.Contains(stockProcesses, value) {
			return nil, "", false, rejectf("a process of every Android or Linux system")
		}
		return []byte(value), "", len(value) < shortName, nil
	case scanner.IndicatorCertificate, scanner.IndicatorFileHash:
		if key, err = appendDigest(nil, value); err == nil && kind == scanner.IndicatorFileHash && isEmptyFile(key) {
			err = rejectf("the digest of an empty file")
		}
		return key, "", kind == scanner.IndicatorCertificate && isPublicKey(key), err
	case scanner.IndicatorDomain:
		key, err = domainKey(value)
	case scanner.IndicatorURL:
		key, err = urlKey(value)
	case scanner.IndicatorIP:
		key, err = addressKey(value)
	case scanner.IndicatorFileName:
		key = []byte(value)
		if value == "" || value == "." || value == ".." || strings.Contains(value, "/") {
			err = errors.New("no file's name")
		}
	case scanner.IndicatorFilePath:
		key, err = pathKey(value)
	case scanner.IndicatorEmail:
		key, err = appendEmail(nil, value)
	}
	return key, "", false, err
}

func domainKey(value string) ([]byte, error) {
	value = strings.TrimPrefix(strings.TrimPrefix(value, "*"), ".")
	key, err := appendHost(nil, value)
	if err != nil {
		return nil, err
	}
	if why := tooBroad(string(key)); why != "" {
		return nil, rejectf("%s", why)
	}
	return key, nil
}

func urlKey(value string) ([]byte, error) {
	host, port, rest, err := splitURL(value)
	if err != nil {
		return nil, err
	}
	if rest != "/" && strings.IndexByte(rest, '?') < 0 {
		rest = strings.TrimSuffix(rest, "/")
	}
	key, err := appendURL(nil, host, port, rest)
	if err != nil {
		return nil, err
	}
	if addr, ok := parseAddr(host); ok {
		return key, checkAddress(addr)
	}
	if name, _ := appendHost(nil, host); rest == "" || !bytes.Contains(name, []byte(".")) {
		if why := tooBroad(string(name)); why != "" {
			return nil, rejectf("%s", why)
		}
	}
	return key, nil
}

func addressKey(value string) ([]byte, error) {
	addr, bits, err := parsePrefix(value)
	if err != nil {
		return nil, err
	}
	if err := checkAddress(addr); err != nil {
		return nil, err
	}
	if is4 := addr.Is4() || addr.Is4In6(); is4 && bits < 96+8 || !is4 && bits < 16 {
		return nil, rejectf("a network of too many addresses")
	}
	return appendPrefix(nil, addr, bits), nil
}

func checkAddress(addr netip.Addr) error {
	addr = addr.Unmap()
	if addr.IsPrivate() || addr.IsLoopback() || addr.IsUnspecified() || addr.IsLinkLocalUnicast() || addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return rejectf("an address that means another machine in every network")
	}
	return nil
}

// topLevel are directories and links at the root of every Unix system, Android's among them.
var topLevel = []string{"acct", "apex", "bin", "boot", "cache", "config", "data", "dev", "etc", "home", "init", "lib", "lib64", "linkerconfig", "media", "metadata", "mnt", "odm", "oem",
	"opt", "private", "proc", "product", "root", "run", "sbin", "sdcard", "srv", "storage", "sys", "system", "system_ext", "tmp", "usr", "var", "vendor"}

func pathKey(value string) ([]byte, error) {
	if !strings.HasPrefix(value, "/") {
		return nil, errRelative
	}
	p := path.Clean(value)
	if name := p[1:]; name == "" || slices.Contains(topLevel, name) || p == "/data/local/tmp" || p == "/data/data" || p == "/data/app" {
		return nil, rejectf("a directory that every device has")
	}
	return []byte(p), nil
}

func isEmptyFile(digest []byte) bool {
	m, s1, s256, s512 := md5.Sum(nil), sha1.Sum(nil), sha256.Sum256(nil), sha512.Sum512(nil)
	return bytes.Equal(digest, m[:]) || bytes.Equal(digest, s1[:]) || bytes.Equal(digest, s256[:]) || bytes.Equal(digest, s512[:])
}

// publicKeys are digests of the test certificates in AOSP (build/target/product/security), whose
// keys everybody has: testkey and platform.
var publicKeys = []string{"61ed377e85d386a8dfee6b864bd85b0bfaa5af81", "a40da80a59d170caa950cf15c18c454d47a39b26989d8b640ecd745ba71bf5dc",
	"27196e386b875e76adf700e7ea84e4c6eee33dfa", "c8a2e9bccf597c2fb6dc66bee293fc13f2fc47ec77bc6b2b0d52c11f51192ab8"}

func isPublicKey(digest []byte) bool { return slices.Contains(publicKeys, hex.EncodeToString(digest)) }

// finish sorts the entries, counts them list by list and drops what one list says twice.
func (b *builder) finish() *Index {
	x := b.x
	slices.SortFunc(x.entries, x.order)
	kept := x.entries[:0]
	var bits [129]bool
	for i := range x.entries {
		e := x.entries[i]
		same := len(kept) > 0 && kept[len(kept)-1].kind == e.kind && bytes.Equal(x.text(kept[len(kept)-1].key), x.text(e.key))
		if same && !x.isCut(&e) {
			x.lists[e.list].Duplicates++
		}
		if same && kept[len(kept)-1].list == e.list && kept[len(kept)-1].label == e.label {
			if last := &kept[len(kept)-1]; last.weak && !e.weak {
				*last = e
			}
			continue
		}
		kept = append(kept, e)
	}
	x.entries = slices.Clip(kept)
	for i := range x.entries {
		e := &x.entries[i]
		if !x.isCut(e) {
			x.lists[e.list].count(e)
		}
		if e.kind == kindIP {
			bits[x.text(e.key)[ipKey-1]] = true
		}
	}
	x.bytes = slices.Clip(x.bytes)
	for n := range bits {
		if bits[n] {
			x.bits = append(x.bits, byte(n))
		}
	}
	for k, at := 0, 0; k < len(kinds); k++ {
		for at < len(x.entries) && int(x.entries[at].kind) <= k {
			at++
		}
		x.first[k+1] = at
	}
	return x
}

func (l *List) count(e *entry) {
	l.Entries[kinds[e.kind]]++
	if d := day(e.from); d != "" {
		if l.First == "" || d < l.First {
			l.First = d
		}
		l.Last = max(l.Last, d)
	}
}

// seconds gives a time of RFC 3339 as seconds since 1970; 0 when it is none.
func seconds(s string) int64 {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0
	}
	return max(t.Unix(), 0)
}

// days gives a time of RFC 3339 as days since 1970; 0 when it is none.
func days(s string) int32 { return int32(min(seconds(s)/86400, math.MaxInt32)) }

func day(n int32) string {
	if n == 0 {
		return ""
	}
	return time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly)
}
