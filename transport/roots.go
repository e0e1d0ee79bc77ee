package transport

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// AndroidRoots are the folders in which Android keeps the roots it trusts, the newer first: since
// version 14 they come with the module Conscrypt. Each file is a certificate in PEM.
func AndroidRoots() []string {
	return []string{"/apex/com.android.conscrypt/cacerts", "/system/etc/security/cacerts"}
}

const (
	rootFiles = 1000
	rootBytes = 64 << 10
)

// FolderRoots reads the certificates of the first of the folders that has any.
func FolderRoots(folders ...string) (*x509.CertPool, error) {
	var failed error
	for _, dir := range folders {
		entries, err := os.ReadDir(dir)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		pool, found := x509.NewCertPool(), false
		for _, e := range entries[:min(len(entries), rootFiles)] {
			info, err := e.Info()
			if err != nil || !info.Mode().IsRegular() || info.Size() > rootBytes {
				continue
			}
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				failed = errors.Join(failed, err)
				continue
			}
			found = pool.AppendCertsFromPEM(b) || found
		}
		if found {
			return pool, nil
		}
		failed = errors.Join(failed, fmt.Errorf("%s has no certificates", dir))
	}
	return nil, fmt.Errorf("reading roots: %w", failed)
}
