package facts

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"picket/scanner"
)

// OverlayFile is a program that the writable layer of a device puts over the one of its
// read-only image.
type OverlayFile struct {
	Path     string `expr:"path" json:"path" doc:"absolute path, as the running system sees it"`
	Deleted  bool   `expr:"deleted" json:"deleted,omitempty" doc:"the writable layer hides the file instead of replacing it"`
	Package  string `expr:"package" json:"package,omitempty" doc:"package that owns it, or empty"`
	Upgraded bool   `expr:"upgraded" json:"upgraded,omitempty" doc:"its package was installed again after the image, which explains the change"`
	Where    string `expr:"where" json:"-" doc:"path in the writable layer"`
	scanner.Unread
}

const (
	overlayUpper    = "/overlay/upper"
	maxOverlayFiles = 20_000
)

// overlayCode are the folders of code in which the writable layer should hold nothing of the
// image.
var overlayCode = []string{"/bin", "/sbin", "/lib", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/etc/init.d"}

func overlayFilesCollector() scanner.Collector {
	reads := scanner.Reads{Meta: []string{overlayUpper, lowerLayer, overlayUpper + "/usr/lib/opkg/info/*.list"}}
	for _, d := range overlayCode {
		reads.Meta = append(reads.Meta, d+"/**", overlayUpper+d, overlayUpper+d+"/**", lowerLayer+d+"/**")
	}
	return scanner.Collector{
		Table: "overlay_files", Doc: "programs of the read-only image that the writable layer replaces", Row: OverlayFile{},
		Reads: reads, Needs: []string{"packages"}, Collect: collectOverlayFiles,
	}
}

func collectOverlayFiles(ctx context.Context, in *scanner.Input) scanner.Table {
	fsys := in.Device.FS()
	for _, d := range []string{overlayUpper, lowerLayer} {
		if _, err := fsys.Lstat(d); errors.Is(err, fs.ErrNotExist) {
			return scanner.Table{Inapplicable: "no writable layer over a read-only image"}
		} else if err != nil {
			return scanner.Table{Absent: scanner.Reason(err)}
		}
	}
	t := scanner.Table{}
	o := &overlayReader{ctx: ctx, reader: newReader(in, &t), owners: ownershipOf(in), rows: []OverlayFile{}}
	for _, d := range overlayCode {
		o.dir(d)
	}
	t.Rows = o.rows
	return t
}

type overlayReader struct {
	ctx    context.Context
	reader *treeReader
	owners ownership
	rows   []OverlayFile
}

func (o *overlayReader) dir(dir string) {
	entries, err := o.reader.fs.ReadDir(overlayUpper + dir)
	o.reader.note(err)
	for i := range entries {
		e := &entries[i]
		name := dir + "/" + e.Name
		if o.ctx.Err() != nil || len(o.rows) >= maxOverlayFiles {
			o.reader.note(&fs.PathError{Op: "list", Path: overlayUpper, Err: errors.New("too much to list")})
			return
		}
		if e.Mode.IsDir() {
			o.dir(name)
			continue
		}
		lower, err := o.reader.fs.Lstat(lowerLayer + name)
		if err != nil || lower.Mode.IsDir() {
			o.reader.note(err)
			continue
		}
		o.add(name, e)
	}
}

func (o *overlayReader) add(name string, e *scanner.Info) {
	// overlayfs marks a deleted file by a character device 0/0 of its name.
	row := OverlayFile{Path: name, Deleted: e.Mode&fs.ModeCharDevice != 0, Where: overlayUpper + name}
	pkg, owned, unknown := o.owners.of(name)
	if unknown != "" {
		row.MarkUnread("package", unknown)
		row.MarkUnread("upgraded", unknown)
	}
	row.Package = pkg
	row.Upgraded = owned && o.upgraded(pkg, name)
	o.rows = append(o.rows, row)
}

// upgraded tells whether a package explains the file in the writable layer: by its digest
// where the database records one, else by the package's list, which lies in that layer too
// when the package was installed after the image.
func (o *overlayReader) upgraded(pkg, name string) bool {
	if w, ok := o.owners.owner(name); ok && len(w.Digest) > 0 {
		return o.owners.pristine(o.reader.fs, name, name)
	}
	short, _, _ := strings.Cut(pkg, ":")
	return o.reader.exists(overlayUpper + "/usr/lib/opkg/info/" + short + ".list")
}
