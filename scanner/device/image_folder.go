package device

import (
	"fmt"
	"io"
	"strings"

	"picket/scanner"
)

// maxFolderImages is how many images of a folder are opened, by name.
const maxFolderImages = 64

// minFolderImage is the smallest file that is looked at for being an image.
const minFolderImage = 64 << 10

// openImageFolder opens a folder that holds images of an Android device's partitions: nil when it
// holds none of these.
func openImageFolder(fsys scanner.FS, name string, opt OpenOptions) (*recorded, error) {
	entries, err := fsys.ReadDir("/")
	if err != nil {
		return nil, nil // who opens it as a directory says why
	}
	f := &imageFolder{fsys: fsys}
	for _, e := range entries {
		if e.Mode.IsRegular() && e.Size >= minFolderImage {
			f.add(e.Name)
		}
	}
	if len(composeAndroid(f.roots)) == 0 {
		closeAll(f.files)
		return nil, nil
	}
	d, err := imageDevice(f.roots, name, opt)
	if err != nil {
		closeAll(f.files)
		return nil, err
	}
	d.files = f.files
	if len(f.unread) > 0 {
		d.identity.Notes = append(d.identity.Notes, "not read: "+strings.Join(f.unread, "; "))
	}
	return d, nil
}

type imageFolder struct {
	fsys   scanner.FS
	roots  []imageRoot
	files  []io.Closer
	unread []string
	opened int
}

// add opens a file if it is an image. One with a single filesystem is labelled by its name.
func (f *imageFolder) add(name string) {
	file, err := f.fsys.Open("/" + name)
	if err != nil {
		return
	}
	head := make([]byte, min(imageHead, file.Size()))
	if n, err := file.ReadAt(head, 0); n < len(head) && err != nil || !isImage(head) {
		file.Close()
		return
	}
	if f.opened++; f.opened > maxFolderImages {
		f.unread = append(f.unread[:min(len(f.unread), maxFolderImages)], fmt.Sprintf("more than %d images", maxFolderImages))
		file.Close()
		return
	}
	roots, err := openImage(name, file, file.Size())
	if err != nil {
		f.unread = append(f.unread, err.Error())
		file.Close()
		return
	}
	f.files = append(f.files, file)
	for i := range roots {
		if roots[i].label == "" {
			roots[i].label = name
		}
	}
	f.roots = append(f.roots, roots...)
}
