package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"picket/scanner"
)

// openImageFile opens a filesystem image as a device: the root that opt asks for, or the
// first that holds a system.
func openImageFile(f *os.File, name string, size int64, opt OpenOptions) (*recorded, error) {
	roots, err := openImage(filepath.Base(name), f, size)
	if errors.Is(err, errNoFilesystem) {
		return nil, nothingRecognised(err.Error())
	}
	if err != nil {
		return nil, err
	}
	i, err := chooseRoot(roots, opt.Root)
	if err != nil {
		return nil, err
	}
	root := roots[i]
	d := &recorded{fs: newFS(root.t)}
	d.identity = scanner.Identity{
		Origin: root.kind + " " + filepath.Base(name), Kind: root.kind, Platform: platformOf(d.fs), Root: true, Notes: root.notes,
	}
	d.identity.Acquired = acquiredAsImage(d.identity.Platform)
	if root.label != "" {
		d.identity.Origin = root.kind + " " + root.label + " of " + filepath.Base(name)
	}
	var others []string
	for j, r := range roots {
		if j != i {
			others = append(others, named(r))
		}
	}
	if len(others) > 0 {
		d.identity.Notes = append(d.identity.Notes, "the image also holds "+strings.Join(others, ", "))
	}
	return d, nil
}

// chooseRoot gives the index of the root with a label, or of the first that holds a system.
func chooseRoot(roots []imageRoot, label string) (int, error) {
	var have []string
	for i, r := range roots {
		if label == "" && hasRootMark(newFS(r.t)) || label != "" && r.label == label {
			return i, nil
		}
		have = append(have, named(r))
	}
	if label != "" {
		return 0, fmt.Errorf("no root %q in the image, which holds %s", label, strings.Join(have, ", "))
	}
	return 0, nothingRecognised("no root filesystem in the image, which holds " + strings.Join(have, ", "))
}
