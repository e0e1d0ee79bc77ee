package device

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
	return imageDevice(roots, filepath.Base(name), opt)
}

// imageDevice makes a device of the root that is asked for, or of the first that holds a system,
// of images that lie in something of a name.
func imageDevice(roots []imageRoot, name string, opt OpenOptions) (*recorded, error) {
	if len(roots) == 1 && roots[0].label == "" {
		alone := slices.Clone(roots)
		alone[0].label = name
		if c := composeAndroid(alone); len(c) > 0 {
			roots = c
		}
	} else {
		roots = append(roots[:len(roots):len(roots)], composeAndroid(roots)...)
	}
	i, err := chooseRoot(roots, opt.Root)
	if err != nil {
		return nil, err
	}
	root := roots[i]
	d := &recorded{fs: newFS(root.t)}
	d.identity = scanner.Identity{
		Origin: root.kind + " " + name, Kind: root.kind, Platform: platformOf(d.fs), Root: true, Notes: root.notes,
	}
	if root.android {
		d.identity.Platform = "android"
	}
	d.identity.Acquired = acquiredAsImage(d.identity.Platform)
	if root.label != "" {
		d.identity.Origin = root.kind + " " + root.label + " of " + name
	}
	var others []string
	for j, r := range roots {
		if j != i && !(root.android && slices.Contains(root.parts, j)) && !(r.android && !root.android) {
			others = append(others, named(r))
		}
	}
	if len(others) > 0 {
		d.identity.Notes = append(d.identity.Notes, "the image also holds "+strings.Join(others, ", "))
	}
	return d, nil
}

// chooseRoot gives the index of the root with a label, of the Android device that several make,
// or of the first that holds a system.
func chooseRoot(roots []imageRoot, label string) (int, error) {
	var have []string
	for i, r := range roots {
		if label == "" && r.android {
			return i, nil // better than one partition of it
		}
	}
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
