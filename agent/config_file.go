package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"picket/scanner/report"
)

const (
	maxConfigFile     = 1 << 20 // bytes
	maxConfigProblems = 20      // told of one configuration
	maxConfigMessage  = 300     // bytes of one problem
)

// ConfigProblem is one thing that is wrong with a configuration.
type ConfigProblem struct {
	File    string `json:"file,omitempty"` // path, or --set of the command line
	Line    int    `json:"line,omitempty"` // from 1; 0 when it is about the file as a whole
	Key     string `json:"key,omitempty"`
	Message string `json:"message"`
}

// problem is one with a value that came from here.
func (o Origin) problem(key, message string) ConfigProblem {
	if o.Flag {
		return ConfigProblem{File: "--set", Key: key, Message: message}
	}
	return ConfigProblem{o.File, o.Line, key, message}
}

func (p ConfigProblem) String() string {
	at := report.Clean(p.File)
	if p.Line > 0 {
		at += ":" + strconv.Itoa(p.Line)
	}
	if at != "" {
		at += ": "
	}
	return at + p.Message
}

// ConfigError is all that is wrong with a configuration, a line each.
type ConfigError struct{ Problems []ConfigProblem }

func (e *ConfigError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// readConfig reads the file if nobody but root and the user can have written it: who writes the
// configuration of an agent that runs as root can have root write files and open a socket.
func readConfig(name string, uid int) ([]byte, error) {
	// Opening a device or a pipe can have effects of its own, or wait for ever.
	if st, err := os.Stat(name); err != nil {
		if _, there := os.Lstat(name); there == nil && errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("this is a link to a file that is not there")
		}
		return nil, plainPathError(err)
	} else if !st.Mode().IsRegular() {
		return nil, errors.New("this is not a regular file")
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, plainPathError(err)
	}
	defer f.Close()
	if err := checkWriters(f, name, uid); err != nil {
		return nil, err
	}
	src, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err != nil {
		return nil, plainPathError(err)
	}
	if len(src) > maxConfigFile {
		return nil, fmt.Errorf("a configuration may have %d bytes at most", maxConfigFile)
	}
	return src, nil
}

// plainPathError leaves out the path, which the problem names.
func plainPathError(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// checkWriters refuses an open file that others may write, or put another in the place of.
func checkWriters(f *os.File, name string, uid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.New("this is not a regular file")
	}
	if why := writers(&st, uid, false); why != "" {
		return fmt.Errorf("others may write this file: %s; it must belong to root or the agent's own user, mode 0644 or less", why)
	}
	folders := []string{filepath.Dir(name)}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	for _, dir := range slices.Compact(folders) {
		if err := unix.Stat(dir, &st); err != nil {
			return fmt.Errorf("looking at the folder %s: %w", dir, err)
		}
		if why := writers(&st, uid, true); why != "" {
			return fmt.Errorf("others may replace this file: %s of the folder %s", why, dir)
		}
	}
	return nil
}

// writers says why others than root and the user may write what st describes, or "". Members of
// a group count as others for root alone: a user's own group often has write access, and names
// nobody else. In a sticky folder nobody replaces what is another's.
func writers(st *unix.Stat_t, uid int, folder bool) string {
	var mask uint32 = 0o002
	if uid == 0 {
		mask = 0o022
	}
	switch {
	case st.Uid != 0 && int64(st.Uid) != int64(uid):
		return fmt.Sprintf("owner %d", st.Uid)
	case folder && st.Mode&unix.S_ISVTX != 0:
		return ""
	case uint32(st.Mode)&mask != 0:
		return fmt.Sprintf("mode %04o", uint32(st.Mode)&0o7777)
	}
	return ""
}
