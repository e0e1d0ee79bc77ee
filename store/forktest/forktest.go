// Package forktest shows tests of locks what a child has that was just forked.
package forktest

import (
	"os"
	"strconv"
	"syscall"
	"testing"
)

// Hold duplicates this process's descriptors of a file, as a child has them from its fork until it runs its
// program, and until the test ends.
func Hold(t testing.TB, name string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range fds {
		if at, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || at != name {
			continue
		}
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		copied, err := syscall.Dup(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(copied) })
		found = true
	}
	if !found {
		t.Fatalf("nobody has %s open", name)
	}
}
