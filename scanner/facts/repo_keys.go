package facts

import (
	"context"
	"encoding/hex"
	"strings"

	"picket/scanner"
)

// RepoKey is a key that a package manager or updater trusts for everything.
type RepoKey struct {
	Manager string `expr:"manager" json:"manager" doc:"apt, apk, opkg or rpm"`
	Path    string `expr:"path" json:"path" doc:"key file"`
	SHA256  string `expr:"sha256" json:"sha256" doc:"digest of the file, lower-case hex"`
	Owned   bool   `expr:"owned" json:"owned" doc:"a package owns the file"`
	Where   string `expr:"where" json:"-" doc:"key file"`
	scanner.Unread
}

// repoKeyPlaces are folders whose keys are good for every source. Keys that a source names by
// itself (signed-by) are good for that one only, and are not here.
var repoKeyPlaces = []struct{ pattern, manager string }{
	{"/etc/apt/trusted.gpg", "apt"}, {"/etc/apt/trusted.gpg.d/*.gpg", "apt"}, {"/etc/apt/trusted.gpg.d/*.asc", "apt"},
	{"/etc/apk/keys/*", "apk"}, {"/etc/opkg/keys/*", "opkg"}, {"/etc/pki/rpm-gpg/*", "rpm"},
}

func repoKeysCollector() scanner.Collector {
	var meta []string
	for _, p := range repoKeyPlaces {
		meta = append(meta, p.pattern)
	}
	return scanner.Collector{
		Table: "repo_keys", Doc: "keys that a package manager trusts for every source", Row: RepoKey{},
		Reads: scanner.Reads{Meta: meta}, Needs: []string{"packages"}, Collect: collectRepoKeys,
	}
}

func collectRepoKeys(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r, own := newReader(in, &t), ownershipOf(in)
	rows := []RepoKey{}
	for _, p := range repoKeyPlaces {
		for _, name := range r.glob(p.pattern) {
			i, err := r.fs.Stat(name)
			if err != nil || !i.Mode.IsRegular() || i.Size == 0 || strings.HasSuffix(name, "~") {
				r.note(err)
				continue
			}
			sum, err := r.fs.Digest(name, scanner.SHA256)
			r.note(err)
			row := RepoKey{Manager: p.manager, Path: name, SHA256: hex.EncodeToString(sum), Where: name}
			if err != nil {
				row.MarkUnread("sha256", scanner.Reason(err))
			}
			var unknown string
			if _, row.Owned, unknown = own.of(name); unknown != "" {
				row.MarkUnread("owned", unknown)
			}
			rows = append(rows, row)
		}
	}
	t.Rows = rows
	return t
}
