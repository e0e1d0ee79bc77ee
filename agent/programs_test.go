package agent

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// built are the programs that tests run as others would, static and without the race detector.
type built struct {
	once sync.Once
	dir  string
	err  error
}

var programs built

// builtPrograms builds the command and a stand-in for the agent that it runs, once for all tests,
// and gives the folder with both. The flags are those of `make build`, whose work they so share.
func builtPrograms(t *testing.T) (dir string) {
	t.Helper()
	programs.once.Do(programs.build)
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return programs.dir
}

func (b *built) build() {
	if b.dir, b.err = os.MkdirTemp("", "picket-built-"); b.err != nil {
		return
	}
	for name, pkg := range map[string]string{"picket": "picket", "standin": "../packaging/testdata/standin"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(b.dir, name), pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.err = errors.Join(b.err, errors.New("go build "+pkg+": "+err.Error()+": "+string(out)))
		}
	}
}

// remove is for when no test runs any more.
func (b *built) remove() error { return os.RemoveAll(b.dir) }

// writeProgram writes what is then run. Meanwhile this process starts no other: it would be born with
// the file open for writing, and as long as it has that, nobody can run the file.
func writeProgram(t testing.TB, name string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	err := os.WriteFile(name, content, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
}

// copyProgram puts a built program elsewhere.
func copyProgram(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeProgram(t, to, b)
}
