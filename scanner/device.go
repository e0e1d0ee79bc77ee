package scanner

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"
)

// Device is the one door through which the scanner sees the world. It is read-only: nothing
// reached through it can change what is scanned.
type Device interface {
	// Identity says what the device is and how it was recognised.
	Identity() Identity
	// FS is the device's tree. Links resolve inside it.
	FS() FS
	// Probe returns the raw output of a live source, or an error that wraps ErrUnavailable
	// when this device has no such source (a root filesystem has no processes).
	Probe(ctx context.Context, s Source) ([]byte, error)
}

// Identity is what the container knows about the device. What the device's own files say
// (os-release and the like) is a fact, read by a collector.
type Identity struct {
	// Origin names where the device came from in one line: "live", or "tar.gz image.tar.gz".
	Origin string
	// Kind is how the container was recognised: live, directory, tar, oci, docker-archive,
	// squashfs, ext4, erofs, recording, txtar; of Android also android-images, bugreport,
	// androidqf, and what device.Open names single files.
	Kind string
	// Platform is "linux" or "android".
	Platform string
	// Profile is what the container says the device serves as (phone, router, kiosk, server,
	// workstation, container-image). Empty when it does not: the scan then tells from the tree.
	Profile string
	// RecordedAt is when the device was seen. Zero when the container does not say (a root
	// filesystem); the scan then judges as of the time it runs and says so.
	RecordedAt time.Time
	// Live is true when processes and kernel state were there to read when the device was
	// seen: the live machine and recordings of one.
	Live bool
	// Root is true when the reader could read everything (euid 0, or an image).
	Root bool
	// Acquired is how a phone's answers were taken, because taking them leaves traces on it:
	// "adb" (USB debugging is on, the shell used app ops, a computer's key is among the
	// phone's), "androidqf" (the same), "bugreport" (the shell made it), "root" (Picket ran
	// on the phone itself), "image" (nothing ran on it). Empty for what is no phone.
	Acquired string
	// ModesUntrusted says why modes, owners and xattrs mean nothing here ("" when they do).
	ModesUntrusted string
	// Notes are remarks on how the container was read: skipped layers, unread entries, limits met.
	Notes []string
}

// Source names a live source whose output Probe returns. A path under /proc or /sys is not a
// Source: those are files and read through FS.
type Source string

// The sources. Each constant's comment gives the shape of its bytes.
const (
	// SourceProcesses is a JSON array of probe.Process, one element a process.
	SourceProcesses Source = "processes"
	// SourceSockets is a JSON array of probe.Socket.
	SourceSockets Source = "sockets"
	// SourceMappings is a JSON array of probe.Mapping: files that processes have mapped as code.
	SourceMappings Source = "mappings"
	// SourceHiddenPIDs is a JSON object probe.HiddenPIDs: ids that answer the kernel but are in
	// no listing of /proc, in two passes.
	SourceHiddenPIDs Source = "hidden-pids"
	// SourceHiddenPorts is a JSON object probe.HiddenPorts: ports in use that no socket table
	// lists.
	SourceHiddenPorts Source = "hidden-ports"
	// SourceNftables is the text of `nft -j list ruleset` (JSON).
	SourceNftables Source = "nftables"
	// SourceIptables is the text of iptables-save.
	SourceIptables Source = "iptables"
	// SourceRoutes is a JSON array of probe.Route from netlink.
	SourceRoutes Source = "routes"
	// SourceNeighbours is a JSON array of probe.Neighbour from netlink (ARP and NDP).
	SourceNeighbours Source = "neighbours"
	// SourceInterfaces is a JSON array of probe.Interface.
	SourceInterfaces Source = "interfaces"
	// SourceUname is a JSON object {"sysname","release","version","machine"}.
	SourceUname Source = "uname"
	// The sources below are of Android: text as its own commands print it, whether they ran
	// now, over adb, or in a bugreport long ago.

	// SourceDumpstate is the head of a bugreport's main text: date, build, kernel.
	SourceDumpstate Source = "dumpstate"
	// SourceGetprop is the text of `getprop`: "[name]: [value]" lines.
	SourceGetprop Source = "getprop"
	// SourcePS is the text of ps in the form of its Android version, all processes.
	SourcePS Source = "ps"
	// SourceGetenforce is the text of `getenforce`.
	SourceGetenforce Source = "getenforce"
	// SourceSettings* are the texts of `settings list NAMESPACE`: "key=value" lines, where a
	// value may hold line ends.
	SourceSettingsSystem Source = "settings/system"
	SourceSettingsSecure Source = "settings/secure"
	SourceSettingsGlobal Source = "settings/global"
	// SourceIP* are the texts of `ip addr`, `ip link` where it was asked apart, `ip route show
	// table all`, `ip rule` and `ip neigh`.
	SourceIPAddr  Source = "ip/addr"
	SourceIPLink  Source = "ip/link"
	SourceIPRoute Source = "ip/route"
	SourceIPRule  Source = "ip/rule"
	SourceIPNeigh Source = "ip/neigh"
	// SourceNetstat is the text of `netstat -nap` or what there is of it.
	SourceNetstat Source = "netstat"
	// SourceLsmod is the text of lsmod.
	SourceLsmod Source = "lsmod"
	// SourceMount is the text of `mount`, or of /proc/mounts.
	SourceMount Source = "mount"
	// SourceMountInfo is the text of /proc/self/mountinfo.
	SourceMountInfo Source = "mountinfo"
	// SourceCmdline is the kernel's command line.
	SourceCmdline Source = "cmdline"
	// SourcePackageList is the text of `pm list packages -f -i -U` with or without -s, -3.
	SourcePackageList Source = "pm/packages"
	// SourceRootBinaries is a text of paths of su and the like that were found, one a line.
	SourceRootBinaries Source = "root-binaries"
	// SourceQFPackages, SourceQFProcesses and SourceQFFiles are the JSON arrays packages.json,
	// processes.json and files.json of an AndroidQF acquisition.
	SourceQFPackages  Source = "androidqf/packages"
	SourceQFProcesses Source = "androidqf/processes"
	SourceQFFiles     Source = "androidqf/files"
	// SourceIntrusion is the NDJSON of Android's intrusion log: dns_event, connect_event and
	// security_event objects, one a line.
	SourceIntrusion Source = "intrusion-log"

	// SourceBPF is a JSON array of probe.BPFProgram: programs loaded into the kernel.
	SourceBPF Source = "bpf"
	// SourceNetworkHistory is a JSON object facts.NetworkHistory: what is remembered of networks.
	// No device has it: whoever scans again and again answers it (the agent, from its store).
	SourceNetworkHistory Source = "network-history"
	// SourceNetworkProbe is a JSON object probe.NetworkProbes: what was learnt by asking a host
	// through the network. No device has it either: the agent asks, and answers it to its scans.
	SourceNetworkProbe Source = "network-probe"
	// SourceNetworkHeard is a JSON object probe.Heard: what was overheard on the links. It is
	// answered by whoever goes on listening, too.
	SourceNetworkHeard Source = "network-heard"
	// SourceWiFi is a JSON array of probe.WiFi: access points that the kernel has heard lately,
	// the one in use among them.
	SourceWiFi Source = "wifi"
)

// Dumpsys is the source of the text that `dumpsys SERVICE` prints on Android.
func Dumpsys(service string) Source { return Source("dumpsys/" + service) }

// ErrUnavailable is wrapped by errors of sources and files that this device cannot give, as
// against ones that are not there (fs.ErrNotExist) or may not be read (fs.ErrPermission).
var ErrUnavailable = errors.New("not available on this device")

// ErrNotRecorded is wrapped when a recording does not hold what was asked: nobody knows
// whether the file exists.
var ErrNotRecorded = errors.New("not recorded")

// FS is a device's tree. Names are absolute, slash-separated and cleaned by the
// implementation ("/etc/passwd"); ".." never leaves the root. Links are followed inside the
// tree with a loop limit, in every component but the last where a method says so.
//
// Errors wrap fs.ErrNotExist, fs.ErrPermission, ErrUnavailable or ErrNotRecorded and carry
// the name (*fs.PathError).
type FS interface {
	// Lstat describes name itself, a link included. Links in the parents are followed.
	Lstat(name string) (Info, error)
	// Stat follows a final link too.
	Stat(name string) (Info, error)
	// ReadDir lists a directory, sorted by name; entries are described as by Lstat.
	ReadDir(name string) ([]Info, error)
	// Readlink returns a link's text as stored.
	Readlink(name string) (string, error)
	// Resolve returns the link-free name that name stands for.
	Resolve(name string) (string, error)
	// Open opens a regular file; anything else (FIFO, device, socket, directory) is refused.
	Open(name string) (File, error)
	// Head returns up to 64 first bytes of a regular file. It may work where Open cannot
	// (streamed archives keep heads and digests of programs, not their content).
	Head(name string) ([]byte, error)
	// Digest returns a regular file's digest. It may work where Open cannot.
	Digest(name string, algo Algo) ([]byte, error)
	// Xattr returns an extended attribute ("security.capability", "security.selinux") or,
	// of files and directories, the flags of chattr(1) that bar changes (FlagsAttr), or
	// an error wrapping fs.ErrNotExist (has none) or ErrUnavailable (container lost them).
	Xattr(name, attr string) ([]byte, error)
}

// FlagsAttr is the name under which Xattr gives the flags that bar changes to a file: "i" for
// immutable, "a" for append only. A file without any has no such attribute; a container that
// does not keep them says ErrUnavailable.
const FlagsAttr = "linux.flags"

// File is an open regular file.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	// Size is the length in bytes as the container says; /proc and /sys files say 0 or 4096.
	Size() int64
}

// Info describes one file. Fields the container does not record are -1 (UID, GID) or zero.
type Info struct {
	Name       string      // base name
	Mode       fs.FileMode // type, permission, setuid, setgid and sticky bits as in io/fs
	Size       int64       // bytes
	UID, GID   int
	ModTime    time.Time
	ChangeTime time.Time // zero when the container has none (archives)
	Nlink      uint64
	Dev, Ino   uint64
}

// Perm returns the twelve permission bits as in stat(2): 04755 for a setuid program.
func (i Info) Perm() uint32 {
	p := uint32(i.Mode.Perm())
	if i.Mode&fs.ModeSetuid != 0 {
		p |= 0o4000
	}
	if i.Mode&fs.ModeSetgid != 0 {
		p |= 0o2000
	}
	if i.Mode&fs.ModeSticky != 0 {
		p |= 0o1000
	}
	return p
}

// ModeOf turns a stat(2) st_mode into Go's FileMode.
func ModeOf(st uint32) fs.FileMode {
	m := fs.FileMode(st & 0o777)
	switch st & 0o170000 {
	case 0o040000:
		m |= fs.ModeDir
	case 0o120000:
		m |= fs.ModeSymlink
	case 0o010000:
		m |= fs.ModeNamedPipe
	case 0o140000:
		m |= fs.ModeSocket
	case 0o060000:
		m |= fs.ModeDevice
	case 0o020000:
		m |= fs.ModeDevice | fs.ModeCharDevice
	}
	if st&0o4000 != 0 {
		m |= fs.ModeSetuid
	}
	if st&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if st&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m
}

// Algo is a digest algorithm that package databases use.
type Algo uint8

// The digest algorithms.
const (
	MD5 Algo = iota + 1
	SHA1
	SHA256
	SHA512
)

// String is the algorithm's usual lower-case name.
func (a Algo) String() string {
	switch a {
	case MD5:
		return "md5"
	case SHA1:
		return "sha1"
	case SHA256:
		return "sha256"
	case SHA512:
		return "sha512"
	}
	return "unknown"
}

// Held tells whether a file had content of that digest where the device was seen. In a recording what
// a file shows may lack secrets, and its own digest then tells nothing.
func Held(fsys FS, name string, algo Algo, digest []byte) bool {
	v, ok := fsys.(interface {
		Held(name string, algo Algo, digest []byte) bool
	})
	return ok && v.Held(name, algo, digest)
}

// ReadFile reads a whole file, refusing one longer than limit bytes: what a device holds is
// hostile, and so is what it says of its size.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := f.Size()
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: &TooLargeError{Size: size, Limit: limit}}
	}
	b := make([]byte, 0, max(size+1, 512))
	for {
		n, err := f.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err == io.EOF {
			return b, nil
		}
		if err != nil {
			return nil, err
		}
		if int64(len(b)) > limit {
			return nil, &fs.PathError{Op: "read", Path: name, Err: &TooLargeError{Size: int64(len(b)), Limit: limit}}
		}
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
	}
}
