package facts

import (
	"context"
	"path"
	"slices"
	"strings"

	"picket/scanner"
)

// IdentityFile is a file that should exist once in the world: it tells this device from all
// others.
type IdentityFile struct {
	Path string `expr:"path" json:"path" doc:"absolute path"`
	Kind string `expr:"kind" json:"kind" doc:"SSH host key, TLS server key or machine id"`
	// Image says why every device made from the same image has this file.
	Image       string `expr:"image" json:"image,omitempty" doc:"what image it is part of, so that every device made from it has the same; empty for none"`
	Regenerated bool   `expr:"regenerated" json:"regenerated,omitempty" doc:"something on the device makes a new one at the first start"`
	Where       string `expr:"where" json:"-" doc:"its path"`
	scanner.Unread
}

// imageKinds are containers that devices are made from, as against copies of a device.
var imageKinds = []string{"squashfs", "erofs", "oci", "docker-archive"}

// lowerLayer is where OpenWrt and its like show the read-only image below the running tree.
const lowerLayer = "/rom"

var identityGlobs = []string{"/etc/ssh/ssh_host_*_key", "/etc/dropbear/dropbear_*_host_key", "/etc/machine-id",
	"/etc/uhttpd.key", "/etc/lighttpd/*.pem", "/etc/lighttpd/*.key", "/etc/nginx/*.key", "/etc/nginx/conf.d/*.key", "/etc/stunnel/*.pem"}

// regenerators are what makes new keys at the first start, on the systems that think of it.
var regenerators = []string{"/etc/systemd/system/*regenerate*", "/usr/lib/systemd/system/*regenerate*", "/lib/systemd/system/*regenerate*",
	"/etc/systemd/system/*/*regenerate*", "/etc/init.d/*regenerate*", "/etc/uci-defaults/*hostkey*"}

func identitiesCollector() scanner.Collector {
	reads := scanner.Reads{Globs: []string{"/etc/machine-id", lowerLayer + "/etc/machine-id"}, Meta: slices.Clone(regenerators)}
	for _, g := range identityGlobs {
		reads.Meta = append(reads.Meta, g, lowerLayer+g)
	}
	return scanner.Collector{
		Table: "identity_files", Doc: "keys and ids that should be this device's alone", Row: IdentityFile{},
		Reads: reads, Collect: collectIdentities,
	}
}

func collectIdentities(_ context.Context, in *scanner.Input) scanner.Table {
	t := scanner.Table{}
	r := newReader(in, &t)
	whole := ""
	if kind := in.Device.Identity().Kind; slices.Contains(imageKinds, kind) {
		whole = kind + " image"
	}
	regenerated := len(r.glob(regenerators...)) > 0
	rows := []IdentityFile{}
	for _, layer := range []string{"", lowerLayer} {
		for _, g := range identityGlobs {
			for _, name := range r.glob(layer + g) {
				row := IdentityFile{Path: name, Kind: identityKind(name), Image: whole, Regenerated: regenerated, Where: name}
				if layer != "" {
					row.Image = "read-only layer " + layer
				}
				if r.isIdentity(&row) {
					rows = append(rows, row)
				}
			}
		}
	}
	t.Rows = rows
	return t
}

func identityKind(name string) string {
	switch base := path.Base(name); {
	case base == "machine-id":
		return "machine id"
	case strings.HasSuffix(base, "_key"):
		return "SSH host key"
	}
	return "TLS server key"
}

// isIdentity tells files that hold something from empty ones and placeholders.
func (r *treeReader) isIdentity(row *IdentityFile) bool {
	info, err := r.fs.Stat(row.Path)
	if err != nil || !info.Mode.IsRegular() || info.Size == 0 {
		r.note(err)
		return false
	}
	switch row.Kind {
	case "machine id":
		id := strings.TrimSpace(string(r.file(row.Path)))
		return len(id) == 32 && strings.Trim(id, "0") != ""
	case "TLS server key":
		head, err := r.fs.Head(row.Path)
		r.note(err)
		key, _ := isPrivateKey(head)
		return key
	}
	return true
}
