package facts

import "picket/scanner"

// File is one file that a rule may have something to say about. The table has a row for
// each file that stands out by its mode, place, name or content, not for every file.
type File struct {
	Path   string `expr:"path" json:"path" doc:"absolute path; links in the parents are resolved"`
	Dir    string `expr:"dir" json:"-" doc:"directory"`
	Name   string `expr:"name" json:"-" doc:"base name"`
	Group  string `expr:"group" json:"-" doc:"folder that findings about dropped or foreign programs are grouped by"`
	Zone   string `expr:"zone" json:"zone" doc:"kind of place: bin, lib, usr, local, boot, etc, dev, temp, home, download, cache, web, var, or empty"`
	System string `expr:"system" json:"system,omitempty" doc:"top of another system's tree (a chroot) that it lies in; empty for this system"`

	Type    string `expr:"type" json:"type" doc:"file or dir"`
	Mode    string `expr:"mode" json:"mode" doc:"permission bits in octal, four digits"`
	UID     int    `expr:"uid" json:"uid" doc:"owner"`
	GID     int    `expr:"gid" json:"gid" doc:"group"`
	Size    int64  `expr:"size" json:"size" doc:"bytes"`
	ModTime int64  `expr:"mtime" json:"mtime" doc:"content changed last, Unix seconds"`

	Executable bool `expr:"executable" json:"executable,omitempty" doc:"a regular file with an x bit"`
	ELF        bool `expr:"elf" json:"elf,omitempty" doc:"starts as a compiled program or library"`
	Script     bool `expr:"script" json:"script,omitempty" doc:"starts with #!"`

	Suid   bool     `expr:"suid" json:"suid,omitempty" doc:"set-user-ID and executable"`
	Sgid   bool     `expr:"sgid" json:"sgid,omitempty" doc:"set-group-ID and executable"`
	NoSuid bool     `expr:"nosuid" json:"nosuid,omitempty" doc:"the file system is mounted so that these bits do nothing"`
	Caps   []string `expr:"caps" json:"caps,omitempty" doc:"capabilities that the file gives to whoever runs it, without cap_"`
	Power  string   `expr:"power" json:"power,omitempty" doc:"what it hands out: runs as root, runs as user N, runs with group N, or capabilities; empty for nothing"`
	Tool   bool     `expr:"tool" json:"tool,omitempty" doc:"an interpreter, shell, editor or file tool: given rights, it gives them to anyone"`

	Owned        bool   `expr:"owned" json:"owned" doc:"a package owns it"`
	Package      string `expr:"package" json:"package,omitempty" doc:"package that owns it, or empty"`
	ExpectedMode string `expr:"expected_mode" json:"expected_mode,omitempty" doc:"mode that the package database or dpkg-statoverride records; empty when it does not tell"`
	MoreThanPkg  bool   `expr:"more_than_packaged" json:"more_than_packaged,omitempty" doc:"it hands out rights that the package database does not record"`
	PackagedCopy bool   `expr:"packaged_copy" json:"packaged_copy,omitempty" doc:"a file without owner in a system directory whose bytes equal a packaged file's"`
	CopyOf       string `expr:"copy_of" json:"copy_of,omitempty" doc:"packaged shell, interpreter or network tool whose bytes it has under another name; empty for none"`

	WorldWritable  bool   `expr:"world_writable" json:"world_writable,omitempty" doc:"every account may write to it; for directories only without the sticky bit"`
	InPath         bool   `expr:"in_path" json:"in_path,omitempty" doc:"a directory in which root's commands are looked up"`
	WritableBy     string `expr:"writable_by" json:"writable_by,omitempty" doc:"who besides root may write to it: everyone, or user N; empty for nobody"`
	ParentWritable bool   `expr:"parent_writable" json:"parent_writable,omitempty" doc:"every account may put files into its directory"`

	Hidden    bool   `expr:"hidden" json:"hidden,omitempty" doc:"its name, or that of a directory above it within its zone, starts with a dot"`
	HiddenOwn bool   `expr:"hidden_name" json:"-" doc:"its own name starts with a dot"`
	Deceptive string `expr:"deceptive" json:"deceptive,omitempty" doc:"what is deceptive about its name: blank, dots, control, invisible, extension; empty for nothing"`
	Noise     bool   `expr:"noise" json:"noise,omitempty" doc:"below a cache of a package manager, a module folder or test data"`
	Service   bool   `expr:"service_owner" json:"service_owner,omitempty" doc:"belongs to a daemon's account (uid 1 to 999 or 65534)"`

	Shadows    string `expr:"shadows" json:"shadows,omitempty" doc:"packaged command that it hides for accounts whose PATH has its directory first; empty for none"`
	ShadowsKey bool   `expr:"shadows_sensitive" json:"-" doc:"that command asks for passwords, shows the system's state or manages it"`
	Lie        string `expr:"content_lie" json:"content_lie,omitempty" doc:"what it is in truth (program or script) under a document's extension; empty when both agree"`
	Secret     string `expr:"secret" json:"secret,omitempty" doc:"what secret it holds: password hashes, private key, host key, Wi-Fi or VPN secret, stored password, cloud credential, backup; empty for none"`
	ReadableBy string `expr:"readable_by" json:"readable_by,omitempty" doc:"who besides its owner may read it: everyone, or group NAME; empty for nobody or root only"`
	Where      string `expr:"where" json:"-" doc:"its path"`
	scanner.Unread
}
