// Package facts holds the typed tables and the collectors that fill them, one file per
// table. A collector reads a scanner.Device, hands bytes to package parse and returns rows;
// it never judges.
package facts

import "picket/scanner"

// Package is one installed package as its manager knows it.
type Package struct {
	ID           string `expr:"id" json:"id" doc:"manager-unique id, as name or name:arch where several may be installed"`
	Name         string `expr:"name" json:"name" doc:"package name"`
	Version      string `expr:"version" json:"version" doc:"full version as the manager writes it"`
	ShortVersion string `expr:"short_version" json:"short_version" doc:"upstream version without epoch and revision"`
	Manager      string `expr:"manager" json:"manager" doc:"dpkg, apk, rpm, opkg, pacman, flatpak, snap or unpackaged, android"`
	Arch         string `expr:"arch" json:"arch,omitempty" doc:"architecture as the manager writes it"`
	Source       string `expr:"source" json:"source,omitempty" doc:"source package or origin package name"`
	// BundleSize and DynamicSize are -1 when the manager does not tell.
	BundleSize  int64  `expr:"bundle_size" json:"bundle_size" doc:"bytes the package installed; -1 unknown"`
	DynamicSize int64  `expr:"dynamic_size" json:"dynamic_size" doc:"bytes its state folders have grown to; -1 unknown"`
	Installer   string `expr:"installer" json:"installer,omitempty" doc:"who put it there: repository, remote, store or program"`
	Origin      string `expr:"origin" json:"origin,omitempty" doc:"vendor or distribution that built it"`
	Maintainer  string `expr:"maintainer" json:"maintainer,omitempty" doc:"maintainer or packager as written"`
	Signer      string `expr:"signer" json:"signer,omitempty" doc:"key id or certificate digest that signed it"`
	InstallTime string `expr:"install_time" json:"install_time,omitempty" doc:"RFC 3339 UTC, or empty"`
	Scope       string `expr:"scope" json:"scope" doc:"system, or user:NAME"`
	Status      string `expr:"status" json:"status" doc:"installed, or the manager's word for a half-installed state"`
	Summary     string `expr:"summary" json:"summary,omitempty" doc:"one line of description"`
	PURL        string `expr:"purl" json:"purl,omitempty" doc:"package URL"`
	// App is what Android knows of it beyond that; nil elsewhere.
	App *App `expr:"-" json:"android,omitempty"`
	// Where is the evidence: the database file (and line where there is one) that lists it.
	Where string `expr:"where" json:"-" doc:"database file and line"`
}

// Owned is what the package databases know of one path.
type Owned struct {
	Package int          // index into the packages rows
	Algo    scanner.Algo // of Digest; 0 when the database has none
	Digest  []byte       // expected content digest, nil when the database has none
	Mode    int32        // expected permission bits as in stat(2) & 07777; -1 unknown
	UID     int32        // expected owner, -1 unknown (names that could not be mapped too)
	GID     int32
	Caps    string // expected file capabilities as cap_to_text writes them (rpm), "" unknown
	Config  bool   // a configuration file: change is expected
	Link    bool   // a symbolic link
}
