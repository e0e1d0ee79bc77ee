package agent

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	notifyTime = time.Second // a service manager that does not read must not hold up the agent
	maxState   = 512         // bytes of one assignment; a message must fit the manager's buffer of 4 KiB
)

// States of the service, as sd_notify(3) names them.
const (
	notifyReady    = "READY=1"
	notifyStopping = "STOPPING=1"
	notifyAlive    = "WATCHDOG=1"
)

// notifyStatus is one line that the service manager shows to a person.
func notifyStatus(text string) string { return "STATUS=" + text }

// notify tells the service manager that started this process about its state, by the protocol of
// sd_notify(3): one message of NAME=VALUE lines to the socket that NOTIFY_SOCKET names. Where no
// service manager asked to be told, it does nothing.
func notify(state ...string) error { return notifyTo(os.Getenv("NOTIFY_SOCKET"), state...) }

// notifyReloading tells that the configuration is being read again; notifyReady ends that.
func notifyReloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("reading the monotonic clock: %w", err)
	}
	return notify("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// notifyTo is notify for a socket: a path, or with @ before it a name in the abstract namespace.
func notifyTo(socket string, state ...string) error {
	if socket == "" || len(state) == 0 {
		return nil
	}
	if socket[0] != '/' && socket[0] != '@' {
		return fmt.Errorf("telling the service manager: NOTIFY_SOCKET %q is no Unix socket", socket)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTime)); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	lines := make([]string, len(state))
	for i, s := range state {
		lines[i] = stateLine(s)
	}
	if _, err := conn.Write([]byte(strings.Join(lines, "\n"))); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}

// stateLine makes a state one line of bounded length: a newline in a status, which may quote what
// a device said, would start an assignment of its own.
func stateLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxState {
		s = strings.ToValidUTF8(s[:maxState], "")
	}
	return s
}

// watchdogInterval is how often the service manager wants to hear notifyAlive at least; zero
// where it does not. getenv is the environment, pid this process.
func watchdogInterval(getenv func(string) string, pid int) (time.Duration, error) {
	text := getenv("WATCHDOG_USEC")
	if text == "" {
		return 0, nil
	}
	if who := getenv("WATCHDOG_PID"); who != "" && who != strconv.Itoa(pid) {
		return 0, nil // meant for the process that started this one
	}
	usec, err := strconv.ParseUint(text, 10, 64)
	switch {
	case err != nil:
		return 0, fmt.Errorf("WATCHDOG_USEC is %q: %w", text, errors.Unwrap(err))
	case usec == 0 || usec > uint64((1<<63-1)/time.Microsecond):
		return 0, fmt.Errorf("WATCHDOG_USEC is %q, which is no time to wait", text)
	}
	return time.Duration(usec) * time.Microsecond, nil
}
