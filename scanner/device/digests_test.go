package device

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"picket/scanner"
)

// Many digests at once are what one after the other gives, errors included.
func TestDigestManyAsDigest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "usr/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	names := []string{"/usr/bin", "/usr/bin/gone", "/usr/bin/dangling", "/bin/file-3", "/nowhere/at/all"}
	for i := range 60 {
		name := fmt.Sprintf("/usr/bin/file-%d", i)
		names = append(names, name)
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{byte(i), 1}, i*i*i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for to, name := range map[string]string{"usr/bin": "bin", "/etc/none": "usr/bin/dangling"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	dev, err := Directory(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, algo := range []scanner.Algo{scanner.MD5, scanner.SHA256} {
		next, answers := 0, 0
		scanner.DigestMany(dev.FS(), algo, func() (string, func([]byte, error)) {
			if next == len(names) {
				return "", nil
			}
			name := names[next]
			next++
			return name, func(sum []byte, err error) {
				answers++
				want, wantErr := dev.FS().Digest(name, algo)
				if !bytes.Equal(sum, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
					t.Errorf("%s: %x, %v; want %x, %v", name, sum, err, want, wantErr)
				}
			}
		})
		if answers != len(names) {
			t.Errorf("%d answers to %d names", answers, len(names))
		}
	}
}
