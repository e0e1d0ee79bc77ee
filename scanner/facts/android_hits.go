package facts

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// hostOnly takes the port or the rest of an address off.
func hostOnly(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" {
		return u.Hostname()
	}
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}

// files compares files that were seen, and the lists that an acquisition made of them. The same
// folder has several names on Android.
func (h *hitReader) files() {
	rows, _ := scanner.Rows[DroppedFile](h.in, "dropped_files")
	for _, f := range rows {
		h.file(f.Path, f.Where, f.SHA256)
	}
	b, err := h.in.Device.Probe(h.ctx, scanner.SourceQFFiles)
	if err != nil {
		return
	}
	if err := eachQFFile(b, func(f qfFile) { h.file(f.Path, string(scanner.SourceQFFiles), f.SHA256, f.SHA1, f.MD5) }); err != nil {
		h.miss("files", err.Error())
	}
}

func (h *hitReader) file(name, where string, digests ...string) {
	h.check(scanner.IndicatorFilePath, name, "", "file", where)
	h.check(scanner.IndicatorFileName, path.Base(name), "", "file", where)
	for _, d := range digests {
		h.check(scanner.IndicatorFileHash, d, "", "file", where)
	}
	if rest, ok := strings.CutPrefix(name, "/data/user/0/"); ok {
		h.check(scanner.IndicatorFilePath, "/data/data/"+rest, "", "file", where)
	}
	for _, alias := range []string{"/storage/emulated/0/", "/data/media/0/", "/mnt/sdcard/"} {
		if rest, ok := strings.CutPrefix(name, alias); ok {
			h.check(scanner.IndicatorFilePath, "/sdcard/"+rest, "", "file", where)
		}
	}
}

// qfFile is an element of AndroidQF's files.json.
type qfFile struct {
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	Mode    string `json:"mode"`
	UserID  int    `json:"user_id"`
	Context string `json:"context"`
	SHA256  string `json:"sha256"`
	SHA1    string `json:"sha1"`
	MD5     string `json:"md5"`
}

const maxQFFiles = 2_000_000

// eachQFFile reads files.json, an array of objects or objects one after the other, an object at
// a time: a phone has a million files.
func eachQFFile(b []byte, do func(qfFile)) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("files.json: %w", err)
		}
	}
	for n := 0; dec.More(); n++ {
		if n >= maxQFFiles {
			return fmt.Errorf("files.json: more than %d files", maxQFFiles)
		}
		var f qfFile
		if err := dec.Decode(&f); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("files.json: at %d: %w", dec.InputOffset(), err)
		}
		do(f)
	}
	return nil
}

// network compares whom the device was connected to.
func (h *hitReader) network() {
	b, err := h.in.Device.Probe(h.ctx, scanner.SourceNetstat)
	if err != nil {
		return
	}
	socks, _, err := parse.Netstat(b)
	if err != nil {
		h.miss("connections", err.Error())
		return
	}
	for _, s := range socks {
		if s.Remote.Port() != 0 {
			h.check(scanner.IndicatorIP, s.Remote.Addr().String(), "", "network", at(string(scanner.SourceNetstat), s.Line))
		}
	}
}

// intrusion compares the names and addresses of Android's own log of them. What does not match
// is forgotten: whom somebody talks to is no concern of a report.
func (h *hitReader) intrusion() {
	b, err := h.in.Device.Probe(h.ctx, scanner.SourceIntrusion)
	if err != nil {
		return
	}
	bad := 0
	err = parse.IntrusionLog(bytes.NewReader(b), func(e parse.IntrusionEvent) error {
		where := at(string(scanner.SourceIntrusion), e.Line)
		switch {
		case e.DNS != nil:
			h.check(scanner.IndicatorDomain, e.DNS.Host, e.DNS.Package, "network", where)
			for _, a := range e.DNS.Addresses {
				h.check(scanner.IndicatorIP, a.String(), e.DNS.Package, "network", where)
			}
		case e.Connect != nil:
			h.check(scanner.IndicatorDomain, e.Connect.Host, e.Connect.Package, "network", where)
			h.check(scanner.IndicatorIP, e.Connect.Addr.Addr().String(), e.Connect.Package, "network", where)
		}
		return nil
	}, func(*parse.Error) { bad++ })
	if err != nil {
		h.miss("intrusion log", err.Error())
	}
	if bad > 0 {
		h.miss("intrusion log", fmt.Sprintf("%d lines could not be read", bad))
	}
}
