package adbtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
)

// Recorded gives the commands of a phone whose sources a device has: commands are, for each
// source, the lines that ask for it. A source that the device has not is a program that the
// phone has not; one that may not be asked is refused.
func Recorded(dev scanner.Device, commands map[scanner.Source][]string) func(line string) Output {
	return func(line string) Output {
		for source, lines := range commands {
			for _, l := range lines {
				if l != line {
					continue
				}
				b, err := dev.Probe(context.Background(), source)
				switch {
				case errors.Is(err, fs.ErrPermission):
					return Output{Stderr: "Permission denied\n", Status: 1}
				case err != nil:
					return missing(line)
				}
				return Output{Stdout: string(b)}
			}
		}
		return missing(line)
	}
}

func missing(line string) Output {
	name, _, _ := strings.Cut(line, " ")
	return Output{Stderr: "/system/bin/sh: " + name + ": inaccessible or not found\n", Status: 127}
}

// withStatus is a line that also prints the exit status of what it runs.
var withStatus = regexp.MustCompile(`^(.*) 2>/dev/null; echo (\S*)\$\?$`)

// shell runs a line as the phone's shell does.
func (p *Phone) shell(line string) Output {
	if m := withStatus.FindStringSubmatch(line); m != nil {
		out := p.shell(m[1])
		return Output{Stdout: out.Stdout + m[2] + strconv.Itoa(out.Status) + "\n"}
	}
	words := split(line)
	last := words[len(words)-1]
	switch command := strings.Join(words[:len(words)-1], " "); {
	case line == "/system/bin/id":
		name := map[int]string{0: "root", 2000: "shell"}[p.UID]
		return Output{Stdout: fmt.Sprintf("uid=%d(%s) gid=%d(%s) groups=%d(%s)\n", p.UID, name, p.UID, name, p.UID, name)}
	case line == "/system/bin/date +%s":
		now := p.Clock
		if now.IsZero() {
			now = time.Now()
		}
		return Output{Stdout: fmt.Sprintln(now.Unix())}
	case command == "/system/bin/readlink" && p.Old:
		return missing(line)
	case command == "/system/bin/readlink":
		to, err := p.Files.Readlink(last)
		return fileOutput(to+"\n", err)
	case command == "/system/bin/ls -l":
		to, err := p.Files.Readlink(last)
		return fileOutput(fmt.Sprintf("lrwxrwxrwx root     root              2013-01-01 00:00 %s -> %s\n", last[strings.LastIndexByte(last, '/')+1:], to), err)
	case strings.HasSuffix(command, "sum") && p.Old:
		return missing(line)
	case strings.HasSuffix(command, "sum"):
		algo := map[string]scanner.Algo{"md5sum": scanner.MD5, "sha1sum": scanner.SHA1, "sha256sum": scanner.SHA256, "sha512sum": scanner.SHA512}
		sum, err := p.Files.Digest(last, algo[strings.TrimPrefix(command, "/system/bin/")])
		return fileOutput(fmt.Sprintf("%x  %s\n", sum, last), err)
	case command == "/system/bin/stat -c %C":
		label, err := p.Files.Xattr(last, "security.selinux")
		return fileOutput(strings.TrimRight(string(label), "\x00")+"\n", err)
	}
	return p.Run(line)
}

func fileOutput(text string, err error) Output {
	if err != nil {
		return Output{Stderr: err.Error() + "\n", Status: 1}
	}
	return Output{Stdout: text}
}

// split cuts a line into words as a shell does, with its two ways of quoting.
func split(line string) []string {
	words := []string{""}
	inside := false
	for i := 0; i < len(line); i++ {
		at := &words[len(words)-1]
		switch c := line[i]; {
		case c == '\'':
			inside = !inside
		case inside:
			*at += string(line[i : i+1])
		case c == '\\' && i+1 < len(line):
			i++
			*at += string(line[i : i+1])
		case c == ' ':
			words = append(words, "")
		default:
			*at += string(line[i : i+1])
		}
	}
	return words
}

var le = binary.LittleEndian

// sync answers requests of the sync service until one is refused, as phones do.
func (s *Server) sync(c net.Conn, p *Phone) {
	for {
		var head [8]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return
		}
		name := make([]byte, le.Uint32(head[4:]))
		if _, err := io.ReadFull(c, name); err != nil {
			return
		}
		word := string(head[:4])
		if f := s.fault("sync:" + word + " " + string(name)); f != 0 {
			s.breakSync(c, f, word)
			return
		}
		ok := false
		switch word {
		case "STAT", "LST2":
			_, err := c.Write(p.stat(word, string(name)))
			ok = err == nil
		case "LIST", "LIS2":
			ok = p.list(c, word, string(name))
		case "RECV":
			ok = p.send(c, string(name))
		}
		if !ok {
			return
		}
	}
}

// breakSync misbehaves within the sync protocol.
func (s *Server) breakSync(c net.Conn, f Fault, word string) {
	fail := "FAIL" + string(le.AppendUint32(nil, 7)) + "go away"
	one := func(word string, size int) string { return word + strings.Repeat("\x01", size) }
	switch word {
	case "LIST":
		s.misbehave(c, f, fail, one("DENT", 12)+"\xff\xff\xff\xff", one("DENT", 12)+"\x01\x00\x00\x00x")
	case "LIS2":
		s.misbehave(c, f, fail, one("DNT2", 68)+"\xff\xff\xff\xff", one("DNT2", 68)+"\x01\x00\x00\x00x")
	case "RECV":
		s.misbehave(c, f, fail, "DATA\xff\xff\xff\x7f", "DATA"+string(le.AppendUint32(nil, 1<<16))+strings.Repeat("z", 1<<16))
	default:
		s.misbehave(c, f, fail, "FAIL\xff\xff\xff\xff", one("WHAT", 16))
	}
}

func errno(err error) uint32 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, fs.ErrPermission):
		return 13
	case errors.Is(err, fs.ErrNotExist):
		return 2
	}
	return 5
}

func (p *Phone) stat(word, name string) []byte {
	in, err := p.Files.Lstat(name)
	if word == "STAT" {
		return describe([]byte(word), false, in, err)
	}
	return describe([]byte(word), true, in, err)
}

// describe appends a description as the protocol has it, version 1 or 2.
func describe(b []byte, second bool, in scanner.Info, err error) []byte {
	if !second {
		if err != nil {
			return append(b, make([]byte, 12)...)
		}
		b = le.AppendUint32(b, unixMode(in.Mode))
		b = le.AppendUint32(b, uint32(min(in.Size, math.MaxUint32)))
		return le.AppendUint32(b, uint32(in.ModTime.Unix()))
	}
	b = le.AppendUint32(b, errno(err))
	if err != nil {
		return append(b, make([]byte, 64)...)
	}
	b = le.AppendUint64(b, in.Dev)
	b = le.AppendUint64(b, in.Ino)
	b = le.AppendUint32(b, unixMode(in.Mode))
	b = le.AppendUint32(b, uint32(in.Nlink))
	b = le.AppendUint32(b, uint32(in.UID))
	b = le.AppendUint32(b, uint32(in.GID))
	b = le.AppendUint64(b, uint64(in.Size))
	change := int64(0)
	if !in.ChangeTime.IsZero() {
		change = in.ChangeTime.Unix()
	}
	for _, t := range []int64{0, in.ModTime.Unix(), change} {
		b = le.AppendUint64(b, uint64(t))
	}
	return b
}

func unixMode(m fs.FileMode) uint32 {
	in := scanner.Info{Mode: m}
	v := in.Perm()
	switch m.Type() {
	case fs.ModeDir:
		return v | 0o040000
	case fs.ModeSymlink:
		return v | 0o120000
	case fs.ModeNamedPipe:
		return v | 0o010000
	case fs.ModeSocket:
		return v | 0o140000
	case fs.ModeDevice:
		return v | 0o060000
	case fs.ModeDevice | fs.ModeCharDevice:
		return v | 0o020000
	}
	return v | 0o100000
}

// list sends a listing. A directory that may not be read is an empty one, without "." and "..".
func (p *Phone) list(c io.Writer, word, name string) bool {
	second := word == "LIS2"
	entry, size := "DENT", 16
	if second {
		entry, size = "DNT2", 72
	}
	list, err := p.Files.ReadDir(name)
	if err == nil {
		dot := scanner.Info{Mode: fs.ModeDir | 0o755, ModTime: time.Unix(0, 0)}
		list = append([]scanner.Info{dot, dot}, list...)
		list[0].Name, list[1].Name = ".", ".."
	}
	for _, in := range list {
		b := describe([]byte(entry), second, in, nil)
		b = append(le.AppendUint32(b, uint32(len(in.Name))), in.Name...)
		if _, err := c.Write(b); err != nil {
			return false
		}
	}
	_, err = c.Write(append([]byte("DONE"), make([]byte, size)...))
	return err == nil
}

// send sends a file's content.
func (p *Phone) send(c io.Writer, name string) bool {
	refuse := func(err error) bool {
		text := "open failed: " + map[uint32]string{13: "Permission denied", 2: "No such file or directory", 5: "I/O error"}[errno(err)]
		io.WriteString(c, "FAIL"+string(le.AppendUint32(nil, uint32(len(text))))+text)
		return false
	}
	f, err := p.Files.Open(name)
	if err != nil {
		return refuse(err)
	}
	defer f.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := f.Read(b)
		if n > 0 {
			if _, err := c.Write(append(le.AppendUint32([]byte("DATA"), uint32(n)), b[:n]...)); err != nil {
				return false
			}
		}
		if err == io.EOF {
			break
		} else if err != nil {
			return refuse(err)
		}
	}
	_, err = io.WriteString(c, "DONE\x00\x00\x00\x00")
	return err == nil
}
