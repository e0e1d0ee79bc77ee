package facts

import (
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// walkMounts says how to treat each mount point of a running device.
type walkMounts map[string]walkMount

type walkMount struct {
	skip   bool
	note   string // what to say of a skipped one
	nosuid bool
}

// kernelFS are file systems whose files are not on any disk but answers of the kernel.
var kernelFS = []string{"proc", "sysfs", "cgroup", "cgroup2", "bpf", "tracefs", "debugfs", "securityfs",
	"configfs", "pstore", "efivarfs", "fusectl", "devpts", "selinuxfs", "smackfs", "binfmt_misc", "autofs",
	"rpc_pipefs", "nfsd", "nsfs", "hugetlbfs"}

// networkFS are file systems of other machines: not this device, slow, and sometimes hanging.
var networkFS = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre",
	"ocfs2", "gfs2", "davfs", "ncpfs", "coda"}

// readWalkMounts reads the mounts of a running device. On others there are none; the
// directories that a kernel would fill are empty there.
func readWalkMounts(fsys scanner.FS) walkMounts {
	out := walkMounts{"/proc": {skip: true}, "/sys": {skip: true}}
	b, err := scanner.ReadFile(fsys, "/proc/self/mountinfo", maxMountInfo)
	if err != nil {
		return out
	}
	list, _ := parse.MountInfo(b)
	for i, m := range list {
		w := walkMount{nosuid: slices.Contains(m.Options, "nosuid")}
		switch {
		case m.Target == "/":
			continue
		case slices.Contains(kernelFS, m.FSType):
			w.skip = true
		case slices.Contains(networkFS, m.FSType), strings.HasPrefix(m.FSType, "fuse.") && m.FSType != "fuse.ntfs-3g":
			w.skip, w.note = true, m.Target+": a "+m.FSType+" file system, not looked into"
		case m.FSType == "squashfs" && (underDir(m.Target, "/snap") || underDir(m.Target, "/var/lib/snapd/snap")):
			w.skip = true
		case mountedTwice(list[:i], &m):
			w.skip = true
		}
		out[m.Target] = w // the last mount on a directory is the one that shows
	}
	return out
}

// mountedTwice tells whether an earlier mount shows the same files.
func mountedTwice(earlier []parse.Mount, m *parse.Mount) bool {
	for i := range earlier {
		e := &earlier[i]
		if e.Dev == m.Dev && e.Target != m.Target && underDir(m.Root, e.Root) && !slices.Contains(kernelFS, e.FSType) {
			return true
		}
	}
	return false
}

// underDir tells whether p is dir or lies below it.
func underDir(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir) && len(p) > len(dir) && p[len(dir)] == '/'
}
