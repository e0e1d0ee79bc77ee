package facts

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

// WebScript is a script or program below a web root that stands out.
type WebScript struct {
	Path      string `expr:"path" json:"path" doc:"absolute path"`
	Root      string `expr:"root" json:"root" doc:"web root that it lies below"`
	Language  string `expr:"language" json:"language,omitempty" doc:"php, jsp, asp, perl, python, lua or shell; empty for other programs"`
	Line      int    `expr:"line" json:"line,omitempty" doc:"line that runs what a request brings; 0 for none"`
	Runs      bool   `expr:"runs_request" json:"runs_request,omitempty" doc:"it runs commands or code that a request brings"`
	Program   bool   `expr:"program" json:"program,omitempty" doc:"among uploads: a compiled program, or a script with an x bit"`
	Uploads   bool   `expr:"uploads" json:"uploads,omitempty" doc:"lies in a folder for uploaded files"`
	Owned     bool   `expr:"owned" json:"owned" doc:"a package owns it"`
	UID       int    `expr:"uid" json:"uid" doc:"owner"`
	Service   bool   `expr:"service_owner" json:"service_owner,omitempty" doc:"belongs to a daemon's account, as files that a web server wrote do"`
	NewerDays int    `expr:"newer_days" json:"newer_days,omitempty" doc:"days by which it is newer than most files of its folder; 0 with fewer than four of them"`
	Where     string `expr:"where" json:"-" doc:"path and line"`
	scanner.Unread
}

const (
	maxWebFile  = 1 << 20  // bytes of a script
	maxWebBytes = 32 << 20 // bytes of all scripts
	maxWebFiles = 100_000
	maxWebDepth = 24
)

// webRoots are where web servers look for what they show, unless told otherwise.
var webRoots = []string{"/var/www", "/www", "/srv/http", "/srv/www", "/usr/share/nginx/html", "/usr/local/www"}

// webExtensions are those of parse.WebLanguage.
var webExtensions = []string{"php", "php3", "php4", "php5", "php7", "php8", "phtml", "phar", "inc", "jsp", "jspx", "asp", "aspx", "ashx",
	"pl", "pm", "py", "lua", "cgi", "sh"}

// uploadNames are usual names of folders for what visitors send.
var uploadNames = []string{"upload", "uploads", "files", "images", "media", "attachments", "userfiles", "tmp", "cache"}

func webScriptsCollector() scanner.Collector {
	var reads scanner.Reads
	for _, r := range webRoots {
		reads.Meta = append(reads.Meta, r, r+"/**")
		for _, e := range webExtensions {
			reads.Globs = append(reads.Globs, r+"/**/*."+e)
		}
	}
	return scanner.Collector{
		Table: "web_scripts", Doc: "scripts and programs below the usual web roots that run what a request brings, or lie among uploads",
		Row: WebScript{}, Reads: reads, Needs: []string{"packages"}, Collect: collectWebScripts,
	}
}

func collectWebScripts(ctx context.Context, in *scanner.Input) scanner.Table {
	t := scanner.Table{}
	w := &webReader{ctx: ctx, reader: newReader(in, &t), owners: ownershipOf(in), rows: []WebScript{}}
	found := false
	for _, root := range webRoots {
		if info, err := w.reader.fs.Lstat(root); err == nil && info.Mode.IsDir() {
			found = true
			w.dir(root, root, 0, false)
		} else if !missing(err) {
			w.reader.note(err)
		}
	}
	if !found {
		return scanner.Table{Inapplicable: "no web root", Partial: t.Partial}
	}
	if w.left > 0 {
		t.Partial = append(t.Partial, fmt.Sprintf("%d scripts below web roots were not read: too many", w.left))
	}
	t.Rows = w.rows
	return t
}

type webReader struct {
	ctx    context.Context
	reader *treeReader
	owners ownership
	rows   []WebScript
	files  int
	bytes  int64
	left   int
}

func (w *webReader) dir(root, dir string, depth int, uploads bool) {
	if w.ctx.Err() != nil || depth > maxWebDepth || w.files > maxWebFiles {
		w.left++
		return
	}
	entries, err := w.reader.fs.ReadDir(dir)
	if err != nil {
		w.reader.note(err)
		return
	}
	w.files += len(entries)
	usual := usualTime(entries)
	for i := range entries {
		e := &entries[i]
		name := dir + "/" + e.Name
		switch {
		case e.Mode.IsDir():
			w.dir(root, name, depth+1, uploads || slices.Contains(uploadNames, strings.ToLower(e.Name)))
		case e.Mode.IsRegular():
			row := WebScript{Path: name, Root: root, Uploads: uploads, UID: e.UID, Service: e.UID > 0 && e.UID < 1000 || e.UID == 65534, Where: name}
			if !usual.IsZero() {
				row.NewerDays = max(0, int(e.ModTime.Sub(usual).Hours()/24))
			}
			w.file(e, &row)
		}
	}
}

// usualTime is the time that half of a folder's files are older than; none with fewer than four.
func usualTime(entries []scanner.Info) time.Time {
	var times []time.Time
	for i := range entries {
		if entries[i].Mode.IsRegular() {
			times = append(times, entries[i].ModTime)
		}
	}
	if len(times) < 4 {
		return time.Time{}
	}
	slices.SortFunc(times, time.Time.Compare)
	return times[len(times)/2]
}

// file keeps a row when the file runs what a request brings or is a program among uploads.
func (w *webReader) file(e *scanner.Info, row *WebScript) {
	row.Language = parse.WebLanguage(extension(path.Base(row.Path)))
	if row.Language != "" {
		w.script(e, row)
	}
	row.Program = row.Uploads && w.program(e, row)
	if !row.Runs && !row.Program && row.Unread.Unread == nil {
		return
	}
	var unknown string
	if _, row.Owned, unknown = w.owners.of(row.Path); unknown != "" {
		row.MarkUnread("owned", unknown)
	}
	w.rows = append(w.rows, *row)
}

func (w *webReader) script(e *scanner.Info, row *WebScript) {
	if w.bytes += e.Size; e.Size > maxWebFile || w.bytes > maxWebBytes {
		w.left++
		return
	}
	b, err := scanner.ReadFile(w.reader.fs, row.Path, maxWebFile)
	if err != nil {
		row.MarkUnread("runs_request", scanner.Reason(err))
		return
	}
	if row.Line = parse.WebShell(b, row.Language); row.Line > 0 {
		row.Runs, row.Where = true, at(row.Path, row.Line)
	}
}

func (w *webReader) program(e *scanner.Info, row *WebScript) bool {
	head, err := w.reader.fs.Head(row.Path)
	w.reader.note(err)
	return isELF(head) || e.Mode&fs.FileMode(0o111) != 0 && isScript(head)
}
