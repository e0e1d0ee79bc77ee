package agent

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"picket/scanner/indicators"
	"picket/transport/tuf"
)

// packFolder makes the files of a repository from a folder, checked as devices check them.
func packFolder(dir string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, p := range []struct {
		name, from string
		check      func(*zip.Reader) error
	}{
		{tuf.Rules, "rules", func(z *zip.Reader) error { _, err := packRules(z); return err }},
		{tuf.Indicators, "indicators", func(z *zip.Reader) error {
			set, err := indicators.LoadWith(z, "indicators")
			if err == nil && set.Len() == 0 {
				err = errors.New("the lists of indicators hold none that can be used")
			}
			return err
		}},
	} {
		b, err := zipFolder(filepath.Join(dir, p.from))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return nil, fmt.Errorf("packing %s: %w", p.from, err)
		}
		z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
		if err == nil {
			err = p.check(z)
		}
		if err != nil {
			return nil, err
		}
		out[p.name] = b
	}
	policy := filepath.Join(dir, "policy.yaml")
	b, err := readSmall(policy)
	if err == nil {
		if _, err := ParsePolicy(policy, b); err != nil {
			return nil, err
		}
		out[tuf.Policy] = b
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has neither rules/, indicators/ nor policy.yaml", dir)
	}
	return out, nil
}

// zipFolder packs the regular files of a folder: the same files give the same bytes.
func zipFolder(dir string) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	err = fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no regular file", p)
		}
		f, err := root.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		w, err := z.CreateHeader(&zip.FileHeader{Name: p, Method: zip.Deflate, Modified: time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			return err
		}
		_, err = io.Copy(w, f)
		return err
	})
	if err == nil {
		err = z.Close()
	}
	return b.Bytes(), err
}

func publicKeys(files []string) ([]tuf.PublicKey, error) {
	var out []tuf.PublicKey
	for _, name := range files {
		b, err := readSmall(name)
		if err != nil {
			return nil, fmt.Errorf("reading a public key: %w", err)
		}
		k, err := tuf.ParsePublicKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, k)
	}
	return out, nil
}

// privateKeys reads keys that sign; the one named - from stdin.
func privateKeys(stdin io.Reader, files []string) ([]tuf.Key, error) {
	var out []tuf.Key
	for _, name := range files {
		var (
			b   []byte
			err error
		)
		if name == "-" {
			b, err = readBounded(stdin, 64<<10)
		} else {
			b, err = readSmall(name)
		}
		if err != nil {
			return nil, fmt.Errorf("reading a private key: %w", err)
		}
		k, err := tuf.ParseKey(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, k)
	}
	return out, nil
}
