package device

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
)

// Packets of the shell protocol, version 2: a kind, the length of what follows in four bytes,
// little-endian, and that. (packages/modules/adb: shell_protocol.h of AOSP.)
const (
	shellStdout = 1
	shellStderr = 2
	shellExit   = 3

	maxShellPacket = 1 << 20 // bytes; no phone sends more at a time
	maxComplaint   = 4 << 10
)

// statusMark comes before the exit status on phones before Android 7, whose shell service does
// not tell it.
const statusMark = "picket-status="

// run runs a command line on the phone: the one way for commands of the table.
func (p *phone) run(ctx context.Context, line string) (ran, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, err := p.runAny(ctx, line)
	if err != nil && ctx.Err() != nil {
		return ran{}, ctx.Err() // a command that takes long is not the phone's end
	}
	p.count(err)
	return r, err
}

func (p *phone) runAny(ctx context.Context, line string) (ran, error) {
	if p.has("shell_v2") {
		c, err := p.connect(ctx, "shell,v2,raw:"+line)
		if err != nil {
			return ran{}, err
		}
		defer c.Close()
		c.untilContext(ctx)
		return readShell(c.in, p.server.output)
	}
	return p.runOld(ctx, line)
}

// untilContext lets the connection be silent until the context ends, which closes it: a
// command may think for long before it prints.
func (c *adbConn) untilContext(ctx context.Context) {
	if until, ok := ctx.Deadline(); ok {
		c.end = until.Add(time.Second)
		c.wait = time.Until(c.end)
	}
}

// readShell reads the packets of a command until its exit status.
func readShell(r io.Reader, limit int) (ran, error) {
	var out ran
	var complaint []byte
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return ran{}, fmt.Errorf("adb: the command's answer ends without an exit status: %w", cutOff(err))
		}
		n := binary.LittleEndian.Uint32(head[1:])
		if n > maxShellPacket {
			return ran{}, fmt.Errorf("adb: a packet of %d bytes, over the limit of %d", n, maxShellPacket)
		}
		switch kind := head[0]; kind {
		case shellStdout:
			if len(out.out)+int(n) > limit {
				return ran{}, &scanner.TooLargeError{Size: int64(len(out.out)) + int64(n), Limit: int64(limit)}
			}
			at := len(out.out)
			out.out = append(out.out, make([]byte, n)...)
			if _, err := io.ReadFull(r, out.out[at:]); err != nil {
				return ran{}, fmt.Errorf("adb: reading what the command prints: %w", cutOff(err))
			}
		case shellExit:
			if n != 1 {
				return ran{}, fmt.Errorf("adb: an exit status of %d bytes", n)
			}
			if _, err := io.ReadFull(r, head[:1]); err != nil {
				return ran{}, fmt.Errorf("adb: reading the exit status: %w", cutOff(err))
			}
			out.status, out.complaint = int(head[0]), firstLine(complaint)
			return out, nil
		default: // its errors, and kinds that a later Android may add
			b := make([]byte, n)
			if _, err := io.ReadFull(r, b); err != nil {
				return ran{}, fmt.Errorf("adb: reading what the command prints: %w", cutOff(err))
			}
			if kind == shellStderr {
				complaint = append(complaint, b[:min(len(b), maxComplaint-len(complaint))]...)
			}
		}
	}
}

// runOld runs a command on a phone before Android 7. Its exec service (since Android 5) gives
// what a command prints as it is; shell gives it as a terminal would, lines ending in "\r\n".
func (p *phone) runOld(ctx context.Context, line string) (ran, error) {
	line += " 2>/dev/null; echo " + statusMark + "$?"
	c, err := p.connect(ctx, "exec:"+line)
	terminal := false
	var no *adbFail
	if errors.As(err, &no) || errors.Is(err, io.ErrUnexpectedEOF) {
		terminal = true
		c, err = p.connect(ctx, "shell:"+line)
	}
	if err != nil {
		return ran{}, err
	}
	defer c.Close()
	c.untilContext(ctx)
	return readOldShell(c.in, p.server.output, terminal)
}

func readOldShell(r io.Reader, limit int, terminal bool) (ran, error) {
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return ran{}, fmt.Errorf("adb: reading what the command prints: %w", err)
	}
	if len(b) > limit {
		return ran{}, &scanner.TooLargeError{Size: int64(len(b)), Limit: int64(limit)}
	}
	if terminal {
		b = bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\r\n"), []byte("\n")), []byte("\r\n"), []byte("\n"))
	}
	i := bytes.LastIndex(b, []byte(statusMark))
	if i < 0 {
		return ran{}, fmt.Errorf("adb: the command's answer ends without an exit status: %w", io.ErrUnexpectedEOF)
	}
	status, err := strconv.ParseUint(strings.TrimSpace(string(b[i+len(statusMark):])), 10, 8)
	if err != nil {
		return ran{}, fmt.Errorf("adb: exit status: %w", err)
	}
	return ran{out: b[:i], status: int(status)}, nil
}

// quoted makes a name one word for a shell.
func quoted(name string) string { return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'" }
