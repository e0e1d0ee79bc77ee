package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// shells gives the shells of this machine that scripts are held to: Debian's, BusyBox's (which
// Magisk and OpenWrt use) and Android's.
func shells(t *testing.T) [][]string {
	t.Helper()
	var out [][]string
	for _, sh := range [][]string{{"sh"}, {"dash"}, {"busybox", "sh"}, {"mksh"}} {
		if _, err := exec.LookPath(sh[0]); err == nil {
			out = append(out, sh)
		}
	}
	if len(out) == 0 {
		t.Skip("no shell here")
	}
	return out
}

func TestScriptsAreShell(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"openrc/picket", "sysv/picket", "procd/picket", "android/module/customize.sh", "android/module/service.sh",
		"android/module/uninstall.sh", "responses/nftables", "responses/vpn", "android/module/META-INF/com/google/android/update-binary"} {
		for _, sh := range shells(t) {
			out, err := exec.Command(sh[0], append(sh[1:], "-n", file)...).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("%v -n %s: %v: %s", sh, file, err, out)
			}
		}
	}
}

// analyze runs systemd-analyze, which needs no running systemd.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	out, err := exec.Command(tool, args...).CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skipf("systemd-analyze is too old: %s", out)
	}
	if err != nil {
		t.Fatalf("systemd-analyze %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestSystemdUnitVerifies(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("systemd/picket.service")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary, unit := filepath.Join(dir, "picket"), filepath.Join(dir, "picket.service")
	text := strings.ReplaceAll(string(b), "/usr/bin/picket", binary)
	if os.WriteFile(binary, []byte("#!/bin/sh\n"), 0o755) != nil || os.WriteFile(unit, []byte(text), 0o644) != nil {
		t.Fatal("cannot write")
	}
	if out := analyze(t, "verify", "--man=no", unit); out != "" {
		t.Errorf("systemd-analyze verify complains: %s", out)
	}
	more, err := os.ReadFile("responses/systemd.conf")
	if err != nil || os.WriteFile(unit, append([]byte(text), more...), 0o644) != nil {
		t.Fatal("cannot write", err)
	}
	if out := analyze(t, "verify", "--man=no", unit); out != "" {
		t.Errorf("systemd-analyze verify complains of responses/systemd.conf: %s", out)
	}
	if err := os.WriteFile(unit, []byte(text+"NoSuchKey=yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := analyze(t, "verify", "--man=no", unit); !strings.Contains(out, "NoSuchKey") {
		t.Errorf("systemd-analyze verify sees nothing: %q", out)
	}
}

// TestSystemdUnitIsHardened holds the unit to an exposure below 4 of 10.
func TestSystemdUnitIsHardened(t *testing.T) {
	t.Parallel()
	out := analyze(t, "security", "--offline=true", "--no-pager", "systemd/picket.service")
	m := regexp.MustCompile(`exposure level for picket\.service: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no exposure level: %s", out)
	}
	level, err := strconv.ParseFloat(m[1], 64)
	if err != nil || level >= 4 {
		t.Errorf("exposure %s, want below 4:\n%s", m[1], out)
	}
}

// TestSystemdUnitHidesNothing keeps out what would hide from the agent what it looks for.
func TestSystemdUnitHidesNothing(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("systemd/picket.service")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		for _, no := range []string{"PrivateTmp=", "PrivateDevices=", "ProtectKernelModules=", "ProtectProc=", "ProcSubset=", "PrivateNetwork=",
			"PrivateUsers=", "ProtectHostname=", "ProtectHome=yes", "ProtectHome=tmpfs", "InaccessiblePaths=", "TemporaryFileSystem=", "RootDirectory="} {
			if strings.HasPrefix(line, no) {
				t.Errorf("%s hides what the agent is there to see", line)
			}
		}
	}
}
