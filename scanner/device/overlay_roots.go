package device

import (
	"encoding/binary"
	"strings"
)

// overlaid puts before the roots an overlay of each two that belong together: a read-only
// system, and a filesystem with overlayfs's directories "upper" and "work" at its top.
func overlaid(roots []imageRoot) []imageRoot {
	var lowers, uppers []imageRoot
	var upper upperTree
	for _, r := range roots {
		if l, ok := r.t.(upperTree); ok && isDir(r.t, "/upper") && isDir(r.t, "/work") {
			uppers, upper = append(uppers, r), l
		} else if isDir(r.t, "/etc") {
			lowers = append(lowers, r)
		}
	}
	if len(uppers) != 1 {
		return roots // none, or nobody knows which
	}
	up := uppers[0]
	var out []imageRoot
	for _, low := range lowers {
		// OpenWrt's systems have mount points for the lower tree and the overlay.
		if len(lowers) > 1 && !(isDir(low.t, "/rom") && isDir(low.t, "/overlay")) {
			continue
		}
		label := strings.TrimPrefix(low.label+"+overlay", "+")
		note := "system " + named(low) + " with the changes of " + named(up) + " over it"
		out = append(out, imageRoot{label: label, kind: "overlay", t: newOverlay(low.t, upper, "/upper"), notes: append([]string{note}, append(low.notes, up.notes...)...)})
	}
	return append(out, roots...)
}

func named(r imageRoot) string { return strings.TrimSpace(r.label + " (" + r.kind + ")") }

func isDir(t tree, name string) bool {
	info, err := t.lstat(name)
	return err == nil && info.Mode.IsDir()
}

// behindSquashfs looks for the filesystem that OpenWrt keeps its changes in, in the same
// partition behind the squashfs, where a block of 64 KiB or more starts. It gives a note if
// there is one that cannot be read.
func behindSquashfs(win *window, root imageRoot, dev uint64) (imageRoot, bool, string) {
	if root.kind != "squashfs" {
		return imageRoot{}, false, ""
	}
	var b [8]byte
	if win.read(squashUsedAt, b[:]) != nil {
		return imageRoot{}, false, ""
	}
	used := int64(binary.LittleEndian.Uint64(b[:])) // checked when it was opened
	var tried int64
	for _, block := range []int64{64 << 10, 128 << 10, 256 << 10} {
		at := (used + block - 1) &^ (block - 1)
		if at == tried {
			continue
		}
		tried = at
		rest := win.sub(at, win.size)
		head, err := headOf(rest)
		if err != nil || len(head) < 2048 {
			return imageRoot{}, false, ""
		}
		what := foreign(head)
		if what == "" && knownFilesystem(head) != "ext4" {
			continue
		}
		up, err := openFilesystem(rest, head, dev)
		if err != nil {
			return imageRoot{}, false, "what the device changed since it was installed is not seen: " + err.Error()
		}
		up.label = "data"
		return up, true, ""
	}
	return imageRoot{}, false, ""
}
