package agent

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestWatchTellsRealApk installs, upgrades and removes packages with Alpine's own apk, in a tree of
// Alpine that PICKET_SHARED_DATA has. PICKET_CHANGES and the log are as in the test of dpkg.
func TestWatchTellsRealApk(t *testing.T) {
	t.Parallel()
	archive := filepath.Join(os.Getenv("PICKET_SHARED_DATA"), "linux", "trivy-alpine-311.tar.gz")
	if _, err := os.Stat(archive); err != nil || os.Geteuid() != 0 {
		t.Skip("needs root, and PICKET_SHARED_DATA naming a folder with linux/trivy-alpine-311.tar.gz")
	}
	root := t.TempDir()
	if out, err := exec.Command("tar", "-xzf", archive, "-C", root).CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	for _, version := range []string{"1.0-r0", "2.0-r0"} {
		if err := os.WriteFile(root+"/tmp/"+version+".apk", makeAPKPackage(t, version), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	apk := func(args ...string) {
		t.Helper()
		cmd := exec.Command("chroot", append([]string{root, "/sbin/apk", "--no-network", "--no-progress"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apk %q: %v\n%s", args, err, out)
		}
	}
	watchChanges(t, root, "picket-probe", [2]string{"1.0-r0", "2.0-r0"}, [3]func(){
		func() { apk("add", "--allow-untrusted", "/tmp/1.0-r0.apk") },
		func() { apk("add", "--allow-untrusted", "/tmp/2.0-r0.apk") },
		func() { apk("del", "picket-probe") },
	})
}

// watchChanges runs a daemon over a root file system, has a package installed, upgraded and
// removed over and over, and waits for each change to be delivered.
func watchChanges(t *testing.T, root, name string, versions [2]string, do [3]func()) {
	t.Helper()
	b := newBench(t, root)
	b.config.Watch = 250 * time.Millisecond // the default
	d, stop := b.start(t)
	eventually(t, "the first scan", func() bool { return d.scans.Load() > 0 })
	wants := [3]string{name + " " + versions[0] + " installed", name + " " + versions[1] + " updated", name + " " + versions[1] + " removed"}
	took := timeChanges(t, b, func(i int) (what, about string) {
		do[i%3]()
		return name, wants[i%3]
	})
	t.Logf("%s after the package manager ended", took)
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// makeAPKPackage builds a package of apk's second format without a signature: two archives, each
// compressed by itself, of which the first has no end. It holds one file.
func makeAPKPackage(t *testing.T, version string) []byte {
	t.Helper()
	content := []byte("version " + version + "\n")
	var data bytes.Buffer
	packed := gzip.NewWriter(&data)
	w := tar.NewWriter(packed)
	for _, h := range []*tar.Header{
		{Name: "usr/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: "usr/share/", Mode: 0o755, Typeflag: tar.TypeDir},
		{Name: "usr/share/picket-probe", Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(content)), Format: tar.FormatPAX,
			PAXRecords: map[string]string{"APK-TOOLS.checksum.SHA1": fmt.Sprintf("%x", sha1.Sum(content))}},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	closeAll(t, w, packed)
	info := fmt.Appendf(nil, "pkgname = picket-probe\npkgver = %s\npkgdesc = a package with one file\nurl = https://example.org\nbuilddate = 1700000000\n"+
		"size = %d\narch = noarch\norigin = picket-probe\nlicense = MIT\ndatahash = %x\n", version, len(content), sha256.Sum256(data.Bytes()))
	var out bytes.Buffer
	packed = gzip.NewWriter(&out)
	w = tar.NewWriter(packed)
	if err := w.WriteHeader(&tar.Header{Name: ".PKGINFO", Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(info))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(info); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); err != nil { // and not Close, which would end the archive
		t.Fatal(err)
	}
	closeAll(t, packed)
	return append(out.Bytes(), data.Bytes()...)
}
