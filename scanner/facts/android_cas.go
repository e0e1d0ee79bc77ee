package facts

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// Where authorities are kept: those that people and managers add, by user, and the system's,
// which is a module's from Android 14 on. A module is mounted by its version too, which who
// mounts over the store seldom thinks of.
var (
	userCAs = []string{"/data/misc/user/*/cacerts-added/*", "/data/misc/keychain/cacerts-added/*"}
	caDirs  = []string{"/system/etc/security/cacerts", "/apex/com.android.conscrypt/cacerts"}
	caSpare = "/apex/com.android.conscrypt@*/cacerts/*"
)

// interceptors make certificates of such names to read encrypted traffic, most of them for the
// person who installed them.
var interceptors = []struct{ name, program string }{
	{"mitmproxy", "mitmproxy"}, {"portswigger", "Burp"}, {"charles proxy", "Charles"}, {"fiddler", "Fiddler"}, {"http toolkit", "HTTP Toolkit"}, {"proxyman", "Proxyman"}, {"owasp z", "ZAP"}, {"zed attack proxy", "ZAP"},
	{"pcapdroid", "PCAPdroid"}, {"httpcanary", "HttpCanary"}, {"packet capture", "Packet Capture"}, {"reqable", "Reqable"}, {"whistle", "Whistle"}, {"anyproxy", "AnyProxy"}, {"adguard personal", "AdGuard"},
	{"sslsplit", "SSLsplit"}, {"bettercap", "bettercap"}, {"superfish", "Superfish"}, {"edellroot", "eDellRoot"}, {"requestly", "Requestly"}, {"squid proxy", "Squid"}, {"networkminer", "PolarProxy"}, {"polarproxy", "PolarProxy"},
	{"burp suite", "Burp"}, {"hetty", "Hetty"}, {"caido", "Caido"}, {"evilginx", "Evilginx"}, {"lightproxy", "LightProxy"}, {"stream generated ca", "Stream"}, {"surge generated ca", "Surge"}, {"quantumult", "Quantumult"},
}

func androidCAsCollector() scanner.Collector {
	globs := append(slices.Clone(userCAs), caSpare, "/data/misc")
	for _, d := range caDirs {
		globs = append(globs, d+"/*")
	}
	return scanner.Collector{
		Table: "android_cas", Doc: "certificate authorities added by people, managers or intruders", Row: AndroidCA{}, Platforms: onAndroid,
		Reads: scanner.Reads{Globs: globs}, Needs: []string{"android_mounts"}, Collect: collectAndroidCAs,
	}
}

// androidCAReader gathers certificates. Of the system's stores only what does not belong has a row.
type androidCAReader struct {
	*treeReader
	rows []AndroidCA
}

const maxAndroidCAs = 2000 // files of one store

// storeFile is a certificate of a system store.
type storeFile struct {
	name  string
	cert  parse.Certificate
	mtime time.Time
}

func collectAndroidCAs(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := &androidCAReader{treeReader: newReader(in, &t), rows: []AndroidCA{}}
	noUsers := r.users()
	stores := map[string][]storeFile{}
	for _, d := range caDirs {
		if files := r.store(d + "/*"); len(files) > 0 {
			stores[d] = files
		}
	}
	spare := r.store(caSpare)
	for _, d := range caDirs {
		r.system(d, stores, spare, mountedOver(in, d))
	}
	switch {
	case noUsers != nil && len(stores) == 0:
		return scanner.Table{Absent: scanner.Reason(noUsers)}
	case noUsers != nil:
		t.Partial = append(t.Partial, "authorities that people added: "+scanner.Reason(noUsers))
	case len(stores) == 0:
		t.Partial = append(t.Partial, "the system's store of authorities could not be seen")
	}
	t.Rows = r.rows
	return t
}

// users reads the stores of users. The error says why it is not known what is in them.
func (r *androidCAReader) users() error {
	if _, err := r.fs.ReadDir("/data/misc"); err != nil {
		return err
	}
	for _, pattern := range userCAs {
		names, err := scanner.Glob(r.fs, pattern)
		if err != nil && len(names) == 0 && !missing(err) {
			return err
		}
		r.note(err)
		for _, name := range names[:min(len(names), maxAndroidCAs)] {
			for _, c := range r.certificates(name) {
				r.add(c, "user", userOfStore(name), false, name)
			}
		}
	}
	return nil
}

func (r *androidCAReader) certificates(name string) []parse.Certificate {
	b := r.upTo(name, maxBundle)
	certs, _ := parse.Certificates(b)
	if len(certs) == 0 && len(b) > 0 {
		r.note(fmt.Errorf("%s: no certificate that can be read", name))
	}
	return certs
}

// userOfStore gives the user of /data/misc/user/N/..., the first for the place before Android 4.2.
func userOfStore(name string) int {
	n, _ := strconv.Atoi(path.Base(path.Dir(path.Dir(name))))
	return n
}

func (r *androidCAReader) store(pattern string) []storeFile {
	var out []storeFile
	names, err := scanner.Glob(r.fs, pattern)
	r.note(err)
	for _, name := range names[:min(len(names), maxAndroidCAs)] {
		info, err := r.fs.Stat(name)
		if err != nil || !info.Mode.IsRegular() {
			r.note(err)
			continue
		}
		for _, c := range r.certificates(name) {
			out = append(out, storeFile{name, c, info.ModTime})
		}
	}
	return out
}

// mountedOver tells whether something is mounted over a store, or inside it.
func mountedOver(in *scanner.Input, dir string) bool {
	mounts, _ := scanner.Rows[AndroidMount](in, "android_mounts")
	return slices.ContainsFunc(mounts, func(m AndroidMount) bool { return m.Target == dir || strings.HasPrefix(m.Target, dir+"/") })
}

// system adds what does not belong in a system store. Its files come from one image and have
// one time; who adds one by hand leaves another. A store that is mounted over may have been made
// anew, with one time again: it is compared with one that is not.
func (r *androidCAReader) system(dir string, stores map[string][]storeFile, spare []storeFile, over bool) {
	files := stores[dir]
	usual := imageTime(files)
	var reference map[string]bool
	if over {
		if reference = digests(spare); len(reference) == 0 {
			for _, other := range caDirs {
				if other != dir && len(stores[other]) > 0 {
					reference = digests(stores[other])
				}
			}
		}
		if len(files) > 0 && len(reference) == 0 {
			r.note(fmt.Errorf("%s: something is mounted over the store, and there is no other to compare it with", dir))
		}
	}
	for _, f := range files {
		newer := !usual.IsZero() && f.mtime.Sub(usual) > 24*time.Hour
		foreign := newer || over && len(reference) > 0 && !reference[f.cert.SHA256]
		r.add(f.cert, "system", -1, foreign, f.name)
	}
}

func digests(files []storeFile) map[string]bool {
	out := map[string]bool{}
	for _, f := range files {
		out[f.cert.SHA256] = true
	}
	return out
}

// imageTime is the time that most files of a store have; zero when no time is shared by half of them.
func imageTime(files []storeFile) time.Time {
	count := map[time.Time]int{}
	for _, f := range files {
		t := f.mtime.UTC().Truncate(time.Hour)
		if count[t]++; count[t]*2 > len(files) && len(files) >= 10 && f.mtime.Unix() > 0 {
			return f.mtime
		}
	}
	return time.Time{}
}

func (r *androidCAReader) add(c parse.Certificate, kind string, user int, foreign bool, name string) {
	row := AndroidCA{SHA256: c.SHA256, Kind: kind, User: user, Foreign: foreign, Path: name, Where: at(name, c.Line)}
	x, err := x509.ParseCertificate(c.DER)
	if err != nil {
		row.Subject = "unreadable certificate"
		row.MarkUnread("self_signed", "a certificate that cannot be read")
		row.MarkUnread("interceptor", "a certificate that cannot be read")
	} else {
		row.Subject, _, _ = c.Describe()
		row.SelfSigned = bytes.Equal(x.RawSubject, x.RawIssuer)
		text := strings.ToLower(x.Subject.String() + " " + x.Issuer.String())
		for _, i := range interceptors {
			if strings.Contains(text, i.name) {
				row.Interceptor = i.program
				break
			}
		}
	}
	if kind == "user" || foreign || row.Interceptor != "" {
		r.rows = append(r.rows, row)
	}
}
