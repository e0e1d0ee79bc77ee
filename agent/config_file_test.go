package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name string, mode os.FileMode, content string) string {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, mode); err != nil {
			t.Fatal(err)
		}
		return name
	}
	env := envOf(os.Geteuid())
	good := write("good.yaml", 0o644, "watch: off\n")
	if c, from, err := Load(good, env); err != nil || c.Watch != 0 || !from.Read || from.File != good {
		t.Errorf("a good file: %+v, %v", from, err)
	}
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink("good.yaml", link); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(link, env); err != nil {
		t.Errorf("a link to a good file: %v", err)
	}
	dangling := filepath.Join(dir, "dangling.yaml")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	fill := "watch: off\n#"
	atLimit := write("limit.yaml", 0o644, fill+strings.Repeat("x", maxConfigFile-len(fill)))
	if _, _, err := Load(atLimit, env); err != nil {
		t.Errorf("a file of the largest size: %v", err)
	}
	open := write("open/c.yaml", 0o644, "")
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	throughOpen := filepath.Join(dir, "through.yaml")
	if err := os.Symlink("open/c.yaml", throughOpen); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		filepath.Join(dir, "none.yaml"):   "no such file or directory",
		filepath.Join(good, "below.yaml"): "not a directory",
		dangling:                          "a link to a file that is not there",
		dir:                               "not a regular file",
		"/dev/null":                       "not a regular file",
		write("world.yaml", 0o646, ""):    "others may write this file: mode 0646",
		open:                              "others may replace this file: mode 0777 of the folder",
		throughOpen:                       "others may replace this file: mode 0777 of the folder",
		write("big.yaml", 0o644, fill+strings.Repeat("x", maxConfigFile)): "1048576 bytes at most",
	} {
		_, _, err := Load(name, env)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: got %v, want %s", name, err, want)
		}
	}
	sticky := write("sticky/c.yaml", 0o644, "")
	if err := os.Chmod(filepath.Dir(sticky), 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(sticky, env); err != nil {
		t.Errorf("in a sticky folder: %v", err)
	}
}

// TestConfigOwner gives files away, which takes root.
func TestConfigOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	name := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(name, []byte("watch: off\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(name, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(name, rootEnv()); err == nil || !strings.Contains(err.Error(), "others may write this file: owner 65534") {
		t.Errorf("a file of another: %v", err)
	}
	if err := os.Chown(name, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(name), 65534, 0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Load(name, rootEnv()); err == nil || !strings.Contains(err.Error(), "others may replace this file: owner 65534 of the folder") {
		t.Errorf("a file in a folder of another: %v", err)
	}
	if _, _, err := Load(name, envOf(65534)); err != nil {
		t.Errorf("root's file in one's own folder: %v", err)
	}
}

func TestConfigWriters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		uid    int
		owner  uint32
		mode   uint32
		folder bool
		want   string
	}{
		{0, 0, 0o644, false, ""},
		{0, 0, 0o600, false, ""},
		{0, 0, 0o664, false, "mode 0664"},
		{0, 0, 0o646, false, "mode 0646"},
		{0, 0, 0o1666, false, "mode 1666"}, // sticky means nothing on a file
		{0, 1000, 0o644, false, "owner 1000"},
		{0, 1000, 0o400, false, "owner 1000"},
		{1000, 1000, 0o664, false, ""},
		{1000, 1000, 0o666, false, "mode 0666"},
		{1000, 0, 0o644, false, ""},
		{1000, 1001, 0o644, false, "owner 1001"},
		{0, 0, 0o755, true, ""},
		{0, 0, 0o775, true, "mode 0775"},
		{0, 0, 0o1777, true, ""},
		{0, 1000, 0o1777, true, "owner 1000"},
		{1000, 1000, 0o775, true, ""},
		{1000, 0, 0o777, true, "mode 0777"},
	} {
		st := unix.Stat_t{Uid: tt.owner, Mode: tt.mode}
		if got := writers(&st, tt.uid, tt.folder); got != tt.want {
			t.Errorf("%+v: got %q", tt, got)
		}
	}
}
