package parse

import (
	"bytes"
	"strconv"
	"strings"
)

// Mount is one line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	ID, Parent   int
	Dev          string // major:minor
	Root         string // what of the file system is mounted; "/" is all of it
	Target       string
	Options      []string // of this mount
	FSType       string
	Source       string
	SuperOptions []string // of the file system, for all its mounts
	Line         int      // 1-based
}

// MountInfo reads /proc/PID/mountinfo. Lines of another form are told in bad.
func MountInfo(b []byte) (mounts []Mount, bad []error) {
	for n := 1; len(b) > 0; n++ {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		f := strings.Split(string(line), " ")
		if len(line) == 0 {
			continue
		}
		dash := 6
		for dash < len(f) && f[dash] != "-" {
			dash++
		}
		id, err1 := strconv.Atoi(f[0])
		if err1 != nil || len(f) < dash+4 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "not a mount"})
			continue
		}
		up, err2 := strconv.Atoi(f[1])
		if err2 != nil {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "parent mount is no number"})
			continue
		}
		mounts = append(mounts, Mount{
			ID: id, Parent: up, Dev: f[2], Root: octal(f[3]), Target: octal(f[4]), Options: strings.Split(f[5], ","),
			FSType: f[dash+1], Source: octal(f[dash+2]), SuperOptions: strings.Split(octal(f[dash+3]), ","), Line: n,
		})
	}
	return mounts, bad
}

// FstabEntry is one line of fstab(5).
type FstabEntry struct {
	Source, Target, FSType string
	Options                []string
	Line                   int // 1-based
}

// Fstab reads /etc/fstab. Lines with fewer than three fields are told in bad.
func Fstab(b []byte) (entries []FstabEntry, bad []error) {
	lines(b, func(n int, line string) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0][0] == '#' {
			return
		}
		if len(f) < 3 {
			bad = append(bad, &Error{Offset: -1, Line: n, Msg: "a mount has a source, a target and a type"})
			return
		}
		e := FstabEntry{Source: octal(f[0]), Target: octal(f[1]), FSType: f[2], Line: n}
		if len(f) > 3 {
			e.Options = strings.Split(f[3], ",")
		}
		entries = append(entries, e)
	})
	return entries, bad
}

// octal undoes the \040 escapes of blanks, tabs, line ends and backslashes.
func octal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
