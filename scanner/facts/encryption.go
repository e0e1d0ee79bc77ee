package facts

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// Volume is the storage below a mount point that holds the system or people's files.
type Volume struct {
	Target    string `expr:"target" json:"target" doc:"/ or the mount point of the homes"`
	FSType    string `expr:"fstype" json:"fstype" doc:"file system type"`
	Source    string `expr:"source" json:"source" doc:"device as mounted or as fstab names it"`
	Encrypted bool   `expr:"encrypted" json:"encrypted" doc:"a dm-crypt layer lies below it, or crypttab opens its device"`
	How       string `expr:"how" json:"how,omitempty" doc:"what shows it: the dm uuid, or the crypttab line"`
	// KeyFile is told for images and live alike.
	KeyFile string `expr:"key_file" json:"key_file,omitempty" doc:"crypttab opens it with a key in this file rather than by asking"`
	Where   string `expr:"where" json:"where" doc:"file and line"`
	scanner.Unread
}

func volumesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "volumes", Doc: "whether the storage of the system and of homes is encrypted", Row: Volume{},
		Reads: scanner.Reads{Globs: []string{"/proc/self/mountinfo", "/etc/fstab", "/etc/crypttab", "/sys/dev/block/*/dm/uuid", "/sys/dev/block/*/slaves", "/sys/block/*/dm/uuid", "/sys/block/*/slaves"}},
		Needs: []string{"os"}, Collect: collectVolumes,
	}
}

// homeMounts are where people's files may be mounted.
var homeMounts = []string{"/", "/home", "/data", "/userdata", "/var/home"}

func collectVolumes(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	v := &volumeReader{treeReader: newReader(in, &t)}
	crypttab := parse.Crypttab(v.file("/etc/crypttab"))
	if in.Device.Identity().Live {
		b, err := scanner.ReadFile(v.fs, "/proc/self/mountinfo", maxSmallFile)
		if err != nil {
			return scanner.Table{Absent: scanner.Reason(err)}
		}
		t.Rows = v.live(b, crypttab)
		return t
	}
	if !v.exists("/etc/fstab") && !v.exists("/etc/crypttab") {
		return scanner.Table{Inapplicable: "neither fstab nor crypttab: the image does not say what it is stored on"}
	}
	t.Rows = v.image(v.file("/etc/fstab"), crypttab)
	return t
}

type volumeReader struct{ *treeReader }

// live follows each mount's device through the device mapper.
func (v *volumeReader) live(mountinfo []byte, crypttab []parse.CrypttabLine) []Volume {
	rows := []Volume{}
	mounts, bad := parse.MountInfo(mountinfo)
	v.table.Partial = append(v.table.Partial, damaged("/proc/self/mountinfo", bad)...)
	for _, m := range mounts {
		if !slices.Contains(homeMounts, m.Target) {
			continue
		}
		row := Volume{Target: m.Target, FSType: m.FSType, Source: m.Source, Where: at("/proc/self/mountinfo", m.Line)}
		if strings.HasPrefix(m.Dev, "0:") {
			row.MarkUnread("encrypted", m.Target+" is on "+m.FSType+", which has no block device to follow")
		} else {
			how, err := v.crypt("/sys/dev/block/"+m.Dev, 0)
			if err != nil {
				row.MarkUnread("encrypted", scanner.Reason(err))
			}
			row.Encrypted, row.How = how != "", how
		}
		row.KeyFile = keyFileOf(m.Source, crypttab)
		rows = append(rows, row)
	}
	return rows
}

const maxStack = 8 // device mapper layers followed

// crypt looks for a dm-crypt layer in a block device or in what it lies on.
func (v *volumeReader) crypt(dev string, depth int) (string, error) {
	if _, err := v.fs.Stat(dev); err != nil {
		return "", err
	}
	b, err := scanner.ReadFile(v.fs, dev+"/dm/uuid", maxSmallFile)
	if err == nil && strings.HasPrefix(string(b), "CRYPT-") {
		return strings.TrimSpace(string(b)[:min(len(b), 20)]), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	slaves, err := v.fs.ReadDir(dev + "/slaves")
	if err != nil && !errors.Is(err, fs.ErrNotExist) || depth == maxStack {
		return "", err
	}
	for _, s := range slaves {
		// A disk's whole device has a folder in /sys/block; a partition has no dm part anyway.
		if how, err := v.crypt("/sys/block/"+s.Name, depth+1); how != "" || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return how, err
		}
	}
	return "", nil
}

// image goes by fstab and crypttab.
func (v *volumeReader) image(fstab []byte, crypttab []parse.CrypttabLine) []Volume {
	rows := []Volume{}
	entries, bad := parse.Fstab(fstab)
	v.table.Partial = append(v.table.Partial, damaged("/etc/fstab", bad)...)
	for _, m := range entries {
		if !slices.Contains(homeMounts, m.Target) {
			continue
		}
		row := Volume{Target: m.Target, FSType: m.FSType, Source: m.Source, Where: at("/etc/fstab", m.Line)}
		for _, c := range crypttab {
			if path.Base(m.Source) == c.Name || strings.Contains(m.Source, "/mapper/"+c.Name) {
				row.Encrypted, row.How = true, at("/etc/crypttab", c.Line)
			}
		}
		row.KeyFile = keyFileOf(m.Source, crypttab)
		if !row.Encrypted && len(crypttab) > 0 {
			row.MarkUnread("encrypted", "crypttab opens volumes, and "+m.Source+" may lie on one of them")
		}
		rows = append(rows, row)
	}
	return rows
}

// keyFileOf gives the key file by which a mapped device is opened, "" when a person is asked.
func keyFileOf(source string, crypttab []parse.CrypttabLine) string {
	for _, c := range crypttab {
		if path.Base(source) == c.Name && strings.HasPrefix(c.KeyFile, "/") && !strings.HasPrefix(c.KeyFile, "/dev/") {
			return c.KeyFile
		}
	}
	return ""
}
