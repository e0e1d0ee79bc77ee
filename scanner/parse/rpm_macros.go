package parse

import (
	"bytes"
	"strings"
)

// RPMMacros is what rpm's macro files say of where its database is.
type RPMMacros struct {
	DBPath  string // folder; empty unknown
	Backend string // sqlite, ndb, bdb or bdb_ro; empty unknown
}

// rpmFolders are the macros that database paths are written with.
var rpmFolders = strings.NewReplacer(
	"%{_var}", "/var", "%{_localstatedir}", "/var", "%{_sharedstatedir}", "/var/lib",
	"%{_usr}", "/usr", "%{_prefix}", "/usr", "%{_datadir}", "/usr/share",
)

// Read takes in one macro file, lines of "%name value"; files read later win. Values that
// need other macros to expand are passed over.
func (m *RPMMacros) Read(b []byte) {
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		if len(f) != 2 {
			continue
		}
		value := rpmFolders.Replace(string(f[1]))
		if strings.Contains(value, "%") {
			continue
		}
		switch string(f[0]) {
		case "%_dbpath":
			m.DBPath = value
		case "%_db_backend":
			m.Backend = value
		}
	}
}
