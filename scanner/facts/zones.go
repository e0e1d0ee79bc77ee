package facts

import "strings"

// zone is the kind of place a file lies in.
type zone string

const (
	zoneOther    zone = ""
	zoneBin      zone = "bin"      // programs of the system
	zoneLib      zone = "lib"      // libraries and helpers of the system
	zoneUsr      zone = "usr"      // the rest of /usr
	zoneLocal    zone = "local"    // /usr/local and /opt
	zoneBoot     zone = "boot"     // kernel and boot loader
	zoneEtc      zone = "etc"      // configuration
	zoneDev      zone = "dev"      // devices
	zoneTemp     zone = "temp"     // places for temporary files, open to every account
	zoneHome     zone = "home"     // home directories
	zoneDownload zone = "download" // where a person's downloads and documents go
	zoneCache    zone = "cache"    // ~/.cache
	zoneWeb      zone = "web"      // what a web server shows
	zoneVar      zone = "var"      // state
)

// zoneStart is a directory where another zone begins.
type zoneStart struct {
	zone zone
	home string
	skip string // the walk stays out, and says so with this reason
}

type zoneMap struct{ at map[string]zoneStart }

// zoneDirs are the directories at which zones begin on every device.
func zoneDirs() map[zone][]string {
	return map[zone][]string{
		zoneBin: {"/bin", "/sbin", "/usr/bin", "/usr/sbin"},
		zoneLib: {"/lib", "/lib32", "/lib64", "/libx32", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32",
			"/usr/libexec"},
		zoneUsr:   {"/usr"},
		zoneLocal: {"/usr/local", "/opt"},
		zoneBoot:  {"/boot", "/efi"},
		zoneEtc:   {"/etc"},
		zoneDev:   {"/dev"},
		zoneTemp:  {"/tmp", "/var/tmp", "/dev/shm", "/run/user", "/run/lock", "/var/lock"},
		zoneWeb:   {"/var/www", "/srv/http", "/srv/www", "/www", "/usr/share/nginx/html"},
		zoneVar:   {"/var", "/run", "/srv"},
		zoneHome:  {"/home", "/root"},
	}
}

// containerDirs hold the trees of containers, virtual machines and snapshots. What is in
// there belongs to another system, which has its own package database.
var containerDirs = map[string]string{
	"/var/lib/docker":            "storage of containers, not looked into",
	"/var/lib/containerd":        "storage of containers, not looked into",
	"/var/lib/containers":        "storage of containers, not looked into",
	"/var/lib/lxc":               "storage of containers, not looked into",
	"/var/lib/lxd":               "storage of containers, not looked into",
	"/var/lib/incus":             "storage of containers, not looked into",
	"/var/lib/machines":          "storage of containers, not looked into",
	"/var/lib/rancher":           "storage of containers, not looked into",
	"/var/lib/kubelet/pods":      "storage of containers, not looked into",
	"/var/lib/waydroid":          "an Android system's tree, not looked into",
	"/var/lib/flatpak":           "applications in sandboxes, not looked into",
	"/.snapshots":                "snapshots, not looked into",
	"/home/.snapshots":           "snapshots, not looked into",
	"/timeshift":                 "snapshots, not looked into",
	"/ostree":                    "objects of the base system, read at their place in the tree",
	"/sysroot":                   "the disk below the running system, read at its place in the tree",
	"/nix/store":                 "the Nix store, not looked into",
	"/gnu/store":                 "the Guix store, not looked into",
	"/rom":                       "the read-only lower layer, read through the running tree",
	"/overlay":                   "the upper layer, read through the running tree",
	"/var/lib/systemd/portables": "storage of containers, not looked into",
}

// newZoneMap makes the map for a device's accounts. downloads are directories of a person's
// downloads and documents besides the usual ones.
func newZoneMap(homes, downloads []string) *zoneMap {
	z := &zoneMap{at: map[string]zoneStart{}}
	for zone, dirs := range zoneDirs() {
		for _, d := range dirs {
			z.at[d] = zoneStart{zone: zone}
		}
	}
	for d, why := range containerDirs {
		z.at[d] = zoneStart{skip: why}
	}
	for _, h := range homes {
		if !personal(h) {
			continue
		}
		z.at[h] = zoneStart{zone: zoneHome, home: h}
		z.at[h+"/.cache"] = zoneStart{zone: zoneCache, home: h}
		for _, d := range []string{"/Downloads", "/Desktop", "/Documents"} {
			z.at[h+d] = zoneStart{zone: zoneDownload, home: h}
		}
	}
	for _, d := range downloads {
		for _, h := range homes {
			if strings.HasPrefix(d, h+"/") && personal(h) {
				z.at[d] = zoneStart{zone: zoneDownload, home: h}
			}
		}
	}
	return z
}

// personal tells home directories of people from those of daemons, which lie all over.
func personal(home string) bool {
	return home == "/root" || strings.HasPrefix(home, "/home/") || strings.HasPrefix(home, "/var/home/")
}

// noisyDirs are directories of caches and test data, by name.
var noisyDirs = map[string]bool{
	"node_modules": true, "__pycache__": true, "testdata": true, "site-packages": true, "dist-packages": true,
	".git": true, ".npm": true, ".cargo": true, ".rustup": true, ".gradle": true, ".m2": true, ".tox": true,
	".venv": true, "go-build": true, "fixtures": true, "test-data": true,
}

// noisy tells whether a directory is one of package managers' caches or test data.
func noisy(name, parent string) bool {
	if noisyDirs[name] {
		return true
	}
	return name == "mod" && strings.HasSuffix(parent, "/pkg") || name == "_cacache"
}
