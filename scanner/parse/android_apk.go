package parse

import (
	"errors"
	"fmt"
	"io"
)

const (
	maxManifestSize  = 16 << 20
	maxResourcesSize = 64 << 20
)

// APK is an opened Android package. It reads from what it was opened on, when asked; it is not
// for several goroutines at once.
type APK struct {
	zip          *apkZip
	manifest     *AndroidManifest
	manifestErr  error
	manifestRead bool
}

// OpenAPK reads the central directory of an APK. It holds the whole directory in memory, which
// has at most 65535 entries. An error says that Android could not open the file either, or that
// it is beyond the limits; see Problems for what else is wrong.
func OpenAPK(r io.ReaderAt, size int64) (*APK, error) {
	z, err := openAPKZip(r, size)
	if err != nil {
		return nil, fmt.Errorf("APK: %w", err)
	}
	a := &APK{zip: z}
	for _, name := range [...]string{"AndroidManifest.xml", "resources.arsc", "classes.dex"} {
		i, ok := z.index[name]
		if !ok {
			continue
		}
		if _, lie, err := z.data(&z.entries[i]); err != nil {
			z.problems.add("%v", err)
		} else if lie.text != "" {
			z.problems.add("%s", lie.text)
		}
	}
	return a, nil
}

// Entries lists the files of the APK in the order of its central directory. The caller must
// not change them.
func (a *APK) Entries() []APKEntry { return a.zip.entries }

// Has says whether the APK has a file of that name.
func (a *APK) Has(name string) bool {
	_, ok := a.zip.index[name]
	return ok
}

// Read gives the content of a file, and an error when it has more than limit bytes.
func (a *APK) Read(name string, limit int64) ([]byte, error) { return a.zip.read(name, limit) }

// Problems tells what contradicts itself in the container: two entries of one name, names that
// lead out of it, headers that disagree, foreign compression methods. Tools that hide code from
// analysis leave such traces.
func (a *APK) Problems() []string { return a.zip.problems.texts() }

// Manifest reads AndroidManifest.xml, once. What was read before an error comes with it.
func (a *APK) Manifest() (*AndroidManifest, error) {
	if a.manifestRead {
		return a.manifest, a.manifestErr
	}
	a.manifestRead = true
	b, err := a.zip.read("AndroidManifest.xml", maxManifestSize)
	if err != nil {
		a.manifestErr = fmt.Errorf("APK: %w", err)
		return nil, a.manifestErr
	}
	a.manifest, a.manifestErr = ParseAndroidManifest(b, a.resources)
	if a.manifestErr != nil {
		a.manifestErr = fmt.Errorf("APK: %w", a.manifestErr)
	}
	return a.manifest, a.manifestErr
}

// resources reads the resource table; nil without an error when the APK has none.
func (a *APK) resources() (*ResourceTable, error) {
	b, err := a.zip.read("resources.arsc", maxResourcesSize)
	if errors.Is(err, errNoEntry) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := ParseResourceTable(b)
	if err != nil {
		return t, fmt.Errorf("resources.arsc: %w", err)
	}
	return t, nil
}
