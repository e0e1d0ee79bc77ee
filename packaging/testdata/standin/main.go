// Standin behaves to a service manager as the agent does: it says that it is ready, keeps the
// watchdog quiet, and ends when told to. It leaves a file in its state folder.
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "run" {
		fmt.Fprintln(os.Stderr, "standin: only run")
		os.Exit(64)
	}
	dir := os.Getenv("STATE_DIRECTORY")
	if dir == "" {
		dir = "/var/lib/picket"
	}
	if err := os.MkdirAll(dir, 0o700); err == nil {
		err = os.WriteFile(filepath.Join(dir, "picket.db"), []byte("state\n"), 0o600)
		if err != nil {
			fmt.Fprintln(os.Stderr, "standin:", err)
			os.Exit(1)
		}
	}
	tell("READY=1\nSTATUS=standing in")
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	for {
		select {
		case <-end:
			tell("STOPPING=1")
			return
		case <-time.After(30 * time.Second):
			tell("WATCHDOG=1")
		}
	}
}

func tell(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	if rest, abstract := strings.CutPrefix(name, "@"); abstract {
		name = "\x00" + rest
	}
	conn, err := net.Dial("unixgram", name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "standin:", err)
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, state)
}
