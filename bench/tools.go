package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// goTools are the other tools that can be built from the module proxy.
var goTools = []string{
	"github.com/google/osv-scalibr/binary/scalibr@v0.5.3",
	"github.com/anchore/syft/cmd/syft@v1.57.0",
	"github.com/aquasecurity/trivy/cmd/trivy@latest",
}

// installGoTools builds what is not there yet, one after the other. What cannot be built is
// left out, and its rows say that it is not installed.
func (b *bench) installGoTools() {
	for _, module := range goTools {
		name, _, _ := strings.Cut(filepath.Base(module), "@")
		if _, err := os.Stat(filepath.Join(b.tools, name)); err == nil {
			continue
		}
		fmt.Println("building", module)
		cmd := exec.CommandContext(b.ctx, "go", "install", module)
		cmd.Dir = b.temp // outside our module, whose versions are no concern of theirs
		cmd.Env = append(os.Environ(), "GOBIN="+b.tools, "GOFLAGS=-p=1", "CGO_ENABLED=0")
		if name == "trivy" {
			cmd.Env = append(cmd.Env, "GOEXPERIMENT=jsonv2") // it uses a package of the standard library that is not in it yet
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			fmt.Printf("%s: %v\n%s\n", module, err, out)
		}
	}
}

// find looks a program up in the folder of tools and in PATH.
func (b *bench) find(name, program, hint string, args ...string) tool {
	t := tool{name: name}
	path := filepath.Join(b.tools, program)
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath(program); err != nil {
			t.skipped = "not installed; " + hint
			return t
		}
	}
	t.args = append([]string{path}, args...)
	return t
}

const (
	byGo  = "run with -install to build it from the Go module proxy"
	byApt = "install the Debian package of that name"
)

func (b *bench) picketInventory(image string) tool {
	return tool{name: "picket inventory", found: lines(`"type":"package"`, "packages"),
		args: []string{b.picket, "inventory", "--format", "ndjson", "--image", image}}
}

func (b *bench) picketScan(image, digests string) tool {
	return tool{name: "picket scan --digests " + digests, found: lines(`"type":"finding"`, "findings"),
		args: []string{b.picket, "scan", "--format", "ndjson", "--digests", digests, "--image", image}}
}

func (b *bench) picketLive() tool {
	return tool{name: "picket scan", found: lines(`"type":"finding"`, "findings"), args: []string{b.picket, "scan", "--format", "ndjson"}}
}

// owners is our own program around the scanner's packages: no command prints the index.
func (b *bench) owners(image string) tool {
	return tool{name: "picket's scanner, inventory and index", found: firstLine, args: []string{b.self, "worker-owners", image}}
}

func (b *bench) digests(image string) tool {
	return tool{name: "picket's scanner, packaged files hashed on one core", found: firstLine,
		args: []string{b.self, "worker-digests", image}}
}

func (b *bench) dpkgQuery(tree string) tool {
	t := b.find("dpkg-query", "dpkg-query", byApt, "--admindir="+tree+"/var/lib/dpkg", "-W",
		"-f", "${Package}\\t${Version}\\t${Architecture}\\t${Installed-Size}\\n")
	t.found = lines("", "packages")
	return t
}

// dpkgSearch makes dpkg-query read all file lists.
func (b *bench) dpkgSearch(tree string) tool {
	return b.find("dpkg-query --search", "dpkg-query", byApt, "--admindir="+tree+"/var/lib/dpkg", "-S", "/usr/share/doc")
}

func (b *bench) scalibr(tree string) tool {
	return b.find("scalibr, dpkg alone", "scalibr", byGo, "--root="+tree, "--plugins=os/dpkg",
		"-o", "cdx-json="+filepath.Join(b.temp, "scalibr.json"))
}

// trivy lists packages without its vulnerability database, which needs a network.
func (b *bench) trivy(tree string) tool {
	t := b.find("trivy, OS packages", "trivy", byGo, "rootfs", "--format", "cyclonedx", "--pkg-types", "os",
		"--offline-scan", "--quiet", "--cache-dir", filepath.Join(b.temp, "trivy"), tree)
	t.found = lines(`"purl":`, "packages")
	return t
}

// syft runs with one cataloger, or with all when it is empty.
func (b *bench) syft(tree, cataloger string) tool {
	args := []string{"scan", "dir:" + tree, "--output", "purls", "--quiet"}
	name := "syft, all catalogers"
	if cataloger != "" {
		name, args = "syft, "+cataloger+" alone", append(args, "--override-default-catalogers", cataloger)
	}
	t := b.find(name, "syft", byGo, args...)
	t.found = lines("pkg:", "packages")
	return t
}

func (b *bench) lynis() tool {
	return b.find("lynis --quick", "lynis", byApt, "audit", "system", "--quick", "--no-colors",
		"--logfile", filepath.Join(b.temp, "lynis.log"), "--report-file", filepath.Join(b.temp, "lynis.dat"))
}

func (b *bench) rkhunter() tool {
	return b.find("rkhunter --check", "rkhunter", byApt, "--check", "--skip-keypress", "--nocolors",
		"--logfile", filepath.Join(b.temp, "rkhunter.log"))
}

func (b *bench) chkrootkit(tree string) tool {
	if tree == "" {
		return b.find("chkrootkit", "chkrootkit", byApt)
	}
	return b.find("chkrootkit -r", "chkrootkit", byApt, "-r", tree)
}
