package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// ContainerFact is one way from containers to the whole device: a control socket, people who
// may use it, or a container without walls.
type ContainerFact struct {
	Kind       string   `expr:"kind" json:"kind" doc:"socket, group or container"`
	Name       string   `expr:"name" json:"name" doc:"socket, group, or container's name"`
	Everyone   bool     `expr:"everyone" json:"everyone,omitempty" doc:"any account may use the socket"`
	Members    []string `expr:"members" json:"members,omitempty" doc:"people in the group that controls the engine"`
	Privileged bool     `expr:"privileged" json:"privileged,omitempty" doc:"the container runs without walls"`
	HostMounts []string `expr:"host_mounts" json:"host_mounts,omitempty" doc:"sensitive directories or sockets of the device inside the container"`
	Caps       []string `expr:"caps" json:"caps,omitempty" doc:"powerful capabilities that were added"`
	HostPID    bool     `expr:"host_pid" json:"host_pid,omitempty" doc:"the container sees all processes of the device"`
	Where      string   `expr:"where" json:"-" doc:"file"`
	scanner.Unread
}

var engineSockets = []string{"/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock", "/run/crio/crio.sock"}

func containersCollector() scanner.Collector {
	return scanner.Collector{
		Table: "containers", Doc: "ways from containers to the whole device", Row: ContainerFact{},
		Reads: scanner.Reads{Globs: []string{"/etc/group", "/var/lib/docker/containers/*/hostconfig.json", "/var/lib/docker/containers/*/config.v2.json",
			"/etc/containers/systemd/*.container"}, Meta: engineSockets},
		Needs: []string{"users"}, Collect: collectContainers,
	}
}

func collectContainers(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r := newReader(in, &t)
	rows := []ContainerFact{}
	for _, s := range engineSockets {
		i, err := r.fs.Stat(s)
		if err != nil {
			r.note(err)
			continue
		}
		row := ContainerFact{Kind: "socket", Name: s, Everyone: i.Perm()&0o002 != 0, Where: s}
		if why := in.Device.Identity().ModesUntrusted; why != "" {
			row.MarkUnread("everyone", why)
		}
		rows = append(rows, row)
	}
	rows = append(rows, engineGroups(in, r)...)
	for _, name := range r.glob("/var/lib/docker/containers/*/hostconfig.json") {
		row, err := dockerContainer(r, name)
		if err != nil {
			t.Partial = append(t.Partial, err.Error())
			continue
		}
		rows = append(rows, row)
	}
	for _, name := range r.glob("/etc/containers/systemd/*.container") {
		rows = append(rows, quadlet(r, name))
	}
	t.Rows = rows
	return t
}

// engineGroups lists people who may give orders to an engine that runs as root.
func engineGroups(in *scanner.Input, r *treeReader) []ContainerFact {
	users, _ := scanner.Rows[User](in, "users")
	human := map[string]bool{}
	for _, u := range users {
		human[u.Name] = u.Human && u.LoginShell
	}
	var out []ContainerFact
	groups, _ := parse.Group(r.upTo("/etc/group", maxAccountFile))
	for _, g := range groups {
		if g.Name != "docker" && g.Name != "lxd" && g.Name != "incus-admin" {
			continue
		}
		row := ContainerFact{Kind: "group", Name: g.Name, Where: at("/etc/group", g.Line)}
		for _, m := range g.Members {
			if human[m] {
				row.Members = append(row.Members, m)
			}
		}
		out = append(out, row)
	}
	return out
}

// powerful are capabilities that undo the walls of a container.
var powerful = []string{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "DAC_READ_SEARCH", "BPF"}

func dockerContainer(r *treeReader, name string) (ContainerFact, error) {
	var host struct {
		Privileged bool
		Binds      []string
		PidMode    string
		CapAdd     []string
	}
	row := ContainerFact{Kind: "container", Name: path.Base(path.Dir(name)), Where: name}
	if err := json.Unmarshal(r.file(name), &host); err != nil {
		return row, fmt.Errorf("%s: %w", name, err)
	}
	var conf struct{ Name string }
	if json.Unmarshal(r.file(path.Dir(name)+"/config.v2.json"), &conf) == nil && conf.Name != "" {
		row.Name = strings.TrimPrefix(conf.Name, "/")
	}
	row.Privileged, row.HostPID = host.Privileged, host.PidMode == "host"
	for _, b := range host.Binds {
		row.mount(b)
	}
	for _, c := range host.CapAdd {
		row.cap(c)
	}
	return row, nil
}

func (c *ContainerFact) mount(bind string) {
	source, _, _ := strings.Cut(bind, ":")
	if sensitive := []string{"/", "/etc", "/root", "/boot", "/var/lib/docker", "/proc", "/sys", "/dev", "/var/run/docker.sock"}; slices.Contains(sensitive, source) || slices.Contains(engineSockets, source) {
		c.HostMounts = append(c.HostMounts, source)
	}
}

func (c *ContainerFact) cap(name string) {
	if name = strings.TrimPrefix(strings.ToUpper(name), "CAP_"); slices.Contains(powerful, name) {
		c.Caps = append(c.Caps, name)
	}
}

// quadlet reads a container unit of Podman (podman-systemd.unit(5)).
func quadlet(r *treeReader, name string) ContainerFact {
	row := ContainerFact{Kind: "container", Name: strings.TrimSuffix(path.Base(name), ".container"), Where: name}
	for _, e := range parse.INI(r.file(name)) {
		switch e.Key {
		case "Volume":
			row.mount(e.Value)
		case "AddCapability":
			for _, c := range strings.Fields(e.Value) {
				row.cap(c)
			}
		case "PodmanArgs":
			row.Privileged = row.Privileged || slices.Contains(strings.Fields(e.Value), "--privileged")
			row.HostPID = row.HostPID || strings.Contains(e.Value, "--pid=host")
		}
	}
	return row
}
