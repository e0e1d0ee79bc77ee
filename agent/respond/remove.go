package respond

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Bounds of a walk. Memory and descriptors hang on these alone, not on the tree.
const (
	walkBatch  = 256 // names read at once
	walkDepth  = 64  // folders held open; what is deeper is moved up first
	lookDepth  = 200 // the same where nothing may be moved
	walkPasses = 64  // over one folder into which somebody goes on writing
	walkReport = 4096
	maxLeft    = 20
)

// Removal is what came of emptying a folder, or what would come of it.
type Removal struct {
	Files   uint64 `json:"files"` // and links, sockets and the like
	Folders uint64 `json:"folders"`
	Bytes   int64  `json:"bytes"` // of files that had no other name
	// Shared counts files that have another name: where that is outside, the content is still there.
	Shared uint64 `json:"shared,omitempty"`
	// Left counts what is still there; Why says of some why, by name within the folder.
	Left uint64            `json:"left,omitempty"`
	Why  map[string]string `json:"why,omitempty"`
}

// walker empties a folder, or only counts what is in it. It goes by descriptors, one name at a
// time: no link is ever followed and no other mount entered, whatever others do to the tree
// meanwhile. Content is never overwritten, since it may have another name elsewhere.
type walker struct {
	keep   bool // only count
	old    bool // as on a kernel without openat2(2)
	top    *os.File
	mount  uint64 // of the top, for kernels without openat2
	moved  int
	out    Removal
	seen   int
	report func(Removal) // now and then; may be nil
	every  int           // names from one report to the next
}

// Empty removes all that is in a folder and leaves the folder. It may be called again after it
// was cut off. report is told now and then how far it is.
func Empty(ctx context.Context, folder string, report func(Removal)) (Removal, error) {
	w := &walker{report: report, every: walkReport}
	return w.run(ctx, folder)
}

// Look counts what Empty would remove, and changes nothing.
func Look(ctx context.Context, folder string) (Removal, error) {
	return (&walker{keep: true}).run(ctx, folder)
}

func (w *walker) run(ctx context.Context, folder string) (Removal, error) {
	top, err := openFolder(folder, w.old)
	if err != nil {
		return w.out, err
	}
	defer top.Close()
	w.top = top
	if w.mount, err = mountOf(int(top.Fd())); err != nil && w.old {
		return w.out, fmt.Errorf("%s: telling its mount: %w", folder, err)
	}
	if err := w.folder(ctx, top, "", 0); err != nil {
		return w.out, fmt.Errorf("%s: %w", folder, err)
	}
	if w.keep {
		return w.out, nil
	}
	left, err := (&walker{keep: true, old: w.old}).run(ctx, folder)
	w.out.Left = left.Files + left.Folders + left.Left
	if w.out.Left == 0 {
		w.out.Why = nil
	}
	return w.out, err
}

// folder goes over all names in a folder until a pass removes none.
func (w *walker) folder(ctx context.Context, dir *os.File, at string, depth int) error {
	for range walkPasses {
		removed, moved := false, w.moved
		for {
			names, err := dir.Readdirnames(walkBatch)
			for _, name := range names {
				if err := ctx.Err(); err != nil {
					return err
				}
				gone, err := w.entry(ctx, dir, name, path.Join(at, name), depth)
				if err != nil {
					return err
				}
				removed = removed || gone
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				w.left(at+"/", err)
				break
			}
		}
		if w.keep || !removed && w.moved == moved {
			return nil
		}
		if _, err := dir.Seek(0, io.SeekStart); err != nil {
			return fmt.Errorf("reading %s again: %w", at, err)
		}
	}
	return nil
}

// entry removes one name, and all below it, and tells whether it is gone.
func (w *walker) entry(ctx context.Context, dir *os.File, name, at string, depth int) (gone bool, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		w.left(at, err)
		return false, nil
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return w.file(dir, name, at, &st), nil
	case w.keep && depth >= lookDepth:
		w.left(at, errors.New("too deep to be looked at"))
		return false, nil
	case !w.keep && depth >= walkDepth:
		return w.lift(dir, name, at), nil
	}
	sub, err := w.open(dir, name)
	if err != nil {
		w.left(at, err)
		return false, nil
	}
	err = w.folder(ctx, sub, at, depth+1)
	sub.Close()
	if err != nil {
		return false, err
	}
	if !w.keep {
		if err := unix.Unlinkat(int(dir.Fd()), name, unix.AT_REMOVEDIR); err != nil {
			w.left(at, err)
			return false, nil
		}
	}
	w.out.Folders++
	w.step()
	return true, nil
}

func (w *walker) file(dir *os.File, name, at string, st *unix.Stat_t) (gone bool) {
	if !w.keep {
		if err := unix.Unlinkat(int(dir.Fd()), name, 0); err != nil {
			if !errors.Is(err, unix.ENOENT) {
				w.left(at, err)
			}
			return false
		}
	}
	w.out.Files++
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
	case st.Nlink > 1:
		w.out.Shared++
	default:
		w.out.Bytes += st.Size
	}
	w.step()
	return true
}

// lift moves a folder that is deep down to the top, where a later pass comes by it.
func (w *walker) lift(dir *os.File, name, at string) (gone bool) {
	var err error
	for range walkPasses {
		w.moved++
		to := fmt.Sprintf(".picket-wipe-%d-%d", os.Getpid(), w.moved)
		err = unix.Renameat2(int(dir.Fd()), name, int(w.top.Fd()), to, unix.RENAME_NOREPLACE)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // a file system or kernel without the flag: a name of ours is free
			err = unix.Renameat(int(dir.Fd()), name, int(w.top.Fd()), to)
		}
		if !errors.Is(err, unix.EEXIST) {
			break
		}
	}
	if err != nil {
		w.left(at, err)
	}
	return err == nil
}

func (w *walker) step() {
	if w.seen++; w.report != nil && w.seen%w.every == 0 {
		w.report(w.out)
	}
}

// left notes what cannot be removed. The count is made at the end.
func (w *walker) left(at string, err error) {
	why := err.Error()
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EBUSY):
		why = "another mount"
	case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST):
		why = "not empty"
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		why = "changed meanwhile"
	}
	if w.keep {
		w.out.Left++
	}
	if w.out.Why == nil {
		w.out.Why = map[string]string{}
	}
	if _, there := w.out.Why[at]; !there && len(w.out.Why) >= maxLeft {
		return
	}
	w.out.Why[at] = why
}

const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK

// open opens a folder within another, on the same mount and not by a link.
func (w *walker) open(dir *os.File, name string) (*os.File, error) {
	if !w.old {
		fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: openFlags,
			Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV})
		if !lacksOpenat2(err) {
			return fileOf(fd, name, err)
		}
		if w.mount == 0 {
			return nil, errors.New("its mount cannot be told")
		}
	}
	fd, err := unix.Openat(int(dir.Fd()), name, openFlags, 0)
	if err != nil {
		return nil, err
	}
	id, err := mountOf(fd)
	if err == nil && id != w.mount {
		err = unix.EXDEV
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openFolder opens a folder by its full name, no part of which may be a link.
func openFolder(name string, old bool) (*os.File, error) {
	if !old {
		fd, err := unix.Openat2(unix.AT_FDCWD, name, &unix.OpenHow{Flags: openFlags, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
		if !lacksOpenat2(err) {
			return fileOf(fd, name, err)
		}
	}
	fd, err := unix.Open("/", openFlags, 0)
	for _, part := range strings.Split(strings.Trim(name, "/"), "/") {
		if err != nil || part == "" {
			break
		}
		up := fd
		fd, err = unix.Openat(up, part, openFlags, 0)
		unix.Close(up)
	}
	return fileOf(fd, name, err)
}

// lacksOpenat2 is for kernels before 5.6, and sandboxes that know no newer call.
func lacksOpenat2(err error) bool {
	return errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM)
}

func fileOf(fd int, name string, err error) (*os.File, error) {
	switch {
	case errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENOTDIR):
		return nil, &os.PathError{Op: "open", Path: name, Err: fmt.Errorf("a part of it is a link or no folder: %w", err)}
	case err != nil:
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mountOf gives the id of the mount that a descriptor is on: a bind mount has the device of what
// it shows, and an id of its own. proc(5) has it since 3.15.
func mountOf(fd int) (uint64, error) {
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err == nil && st.Mask&unix.STATX_MNT_ID != 0 {
		return st.Mnt_id, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", fd))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var id uint64
		if n, _ := fmt.Sscanf(line, "mnt_id: %d", &id); n == 1 {
			return id, nil
		}
	}
	return 0, errors.New("the kernel does not tell mounts apart")
}
