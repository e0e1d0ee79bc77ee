package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"picket/scanner"
)

const (
	commandTime = 5 * time.Second
	maxOutput   = 16 << 20 // bytes that a command may print
)

// command is a program that a probe may run. These are all of them; each only prints.
type command struct {
	paths []string // absolute; the first that exists is run
	args  []string
}

var (
	nftList     = command{[]string{"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"}, []string{"-j", "list", "ruleset"}}
	iptablesOld = command{[]string{"/usr/sbin/iptables-legacy-save", "/sbin/iptables-legacy-save", "/usr/sbin/iptables-save",
		"/sbin/iptables-save", "/system/bin/iptables-save"}, nil}
)

// run runs a command with an empty environment and bounded time and output.
func (c command) run(ctx context.Context) ([]byte, error) {
	for _, p := range c.paths {
		info, err := os.Stat(p)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		return runFile(ctx, p, c.args)
	}
	return nil, fmt.Errorf("%s is not installed: %w", filepath.Base(c.paths[0]), scanner.ErrUnavailable)
}

func runFile(ctx context.Context, path string, args []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	out := &limited{limit: maxOutput, full: cancel}
	complaint := &limited{limit: 4 << 10, full: func() {}}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Dir = []string{"LC_ALL=C"}, "/"
	cmd.Stdout, cmd.Stderr = out, complaint
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	switch {
	case out.over:
		return nil, fmt.Errorf("%s: %w", path, &scanner.TooLargeError{Size: maxOutput, Limit: maxOutput})
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", path, ctx.Err())
	case err != nil:
		line, _, _ := strings.Cut(strings.TrimSpace(string(complaint.kept)), "\n")
		return nil, fmt.Errorf("%s: %w: %s", path, err, line)
	}
	return out.kept, nil
}

// limited keeps what is written up to a limit, and calls full when more comes. It is no
// bytes.Buffer itself: io.Copy would fill that through ReadFrom, past the limit.
type limited struct {
	kept  []byte
	limit int
	over  bool
	full  func()
}

func (l *limited) Write(p []byte) (int, error) {
	n := len(p)
	if room := l.limit - len(l.kept); n > room {
		l.over = true
		l.full()
		p = p[:room]
	}
	l.kept = append(l.kept, p...)
	return n, nil
}

// nftables prints the ruleset. Asking a kernel that has not loaded nf_tables would load it,
// and one that has not loaded it has no rules.
func nftables(ctx context.Context) ([]byte, error) {
	if unix.Geteuid() != 0 {
		return nil, pathErr("list", "the nftables ruleset", unix.EPERM)
	}
	if !kernelHas("nf_tables") {
		return []byte(`{"nftables":[]}`), nil
	}
	return nftList.run(ctx)
}

// iptables prints the rules of the older kernel interface; those that iptables makes through
// nftables are in its ruleset. No table in use means no rules.
func iptables(ctx context.Context) ([]byte, error) {
	b, err := os.ReadFile(threadSelf() + "/net/ip_tables_names")
	if errors.Is(err, os.ErrNotExist) || err == nil && len(bytes.TrimSpace(b)) == 0 {
		return []byte{}, nil
	}
	if err != nil {
		return nil, err
	}
	return iptablesOld.run(ctx)
}
