package facts

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// AdminPort is a door for administration or debugging, as its configuration opens it.
type AdminPort struct {
	Service string `expr:"service" json:"service" doc:"whose door it is: Docker, Redis, MQTT broker, ..."`
	Address string `expr:"address" json:"address" doc:"address or port that it listens on"`
	Exposed bool   `expr:"exposed" json:"exposed" doc:"others on the network can reach it"`
	Auth    bool   `expr:"auth" json:"auth" doc:"it asks who is there"`
	Setting string `expr:"setting" json:"setting,omitempty" doc:"setting that opens it"`
	Where   string `expr:"where" json:"-" doc:"file and line, or process"`
}

var adminGlobs = []string{"/etc/docker/daemon.json", "/etc/default/docker", "/etc/systemd/system/docker.service.d/*.conf",
	"/etc/systemd/system/docker.service", "/etc/redis.conf", "/etc/redis/*.conf", "/etc/mosquitto/mosquitto.conf", "/etc/mosquitto/conf.d/*.conf",
	"/etc/mongod.conf", "/etc/mongodb.conf", "/etc/memcached.conf", "/etc/elasticsearch/elasticsearch.yml", "/var/lib/kubelet/config.yaml",
	"~/.jupyter/jupyter_*_config.py", "/etc/jupyter/jupyter_*_config.py", "~/.config/code-server/config.yaml", "~/.vnc/config",
	"/etc/tigervnc/*", "/etc/systemd/system/x11vnc.service"}

func adminPortsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "admin_ports", Doc: "doors for administration and debugging that configuration opens", Row: AdminPort{},
		Reads: scanner.Reads{Globs: adminGlobs}, Needs: []string{"users", "processes"}, Collect: collectAdminPorts,
	}
}

type adminReader struct {
	*treeReader
	rows []AdminPort
}

func collectAdminPorts(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	a := &adminReader{treeReader: newReader(in, &t), rows: []AdminPort{}}
	users, _ := scanner.Rows[User](in, "users")
	a.docker()
	a.redis()
	a.mosquitto()
	a.yaml()
	a.memcached()
	a.personal(homes(users))
	processes, _ := scanner.Rows[Process](in, "processes")
	a.debuggers(processes)
	t.Rows = a.rows
	return t
}

func (a *adminReader) add(service, address, setting, where string, exposed, auth bool) {
	a.rows = append(a.rows, AdminPort{Service: service, Address: address, Setting: setting, Exposed: exposed, Auth: auth, Where: where})
}

// everywhere reports whether a service bound to that address, with or without a port, can be
// reached by others.
func everywhere(addr string) bool {
	addr = strings.Trim(addr, `"'`)
	host := addr
	if h, _, err := net.SplitHostPort(addr); err == nil {
		host = h
		if host == "" {
			return true // ":8080"
		}
	}
	host = strings.Trim(host, "[]")
	return host != "" && host != "localhost" && !strings.HasPrefix(host, "127.") && host != "::1" && host[0] != '/' && !strings.HasPrefix(host, "unix")
}

func (a *adminReader) docker() {
	const name = "/etc/docker/daemon.json"
	if b := a.file(name); b != nil {
		var conf struct {
			Hosts     []string `json:"hosts"`
			TLSVerify bool     `json:"tlsverify"`
		}
		if err := json.Unmarshal(b, &conf); err != nil {
			a.table.Partial = append(a.table.Partial, fmt.Sprintf("%s: %v", name, err))
		}
		for _, h := range conf.Hosts {
			a.dockerHost(h, conf.TLSVerify, name)
		}
	}
	for _, name := range a.glob("/etc/default/docker", "/etc/systemd/system/docker.service", "/etc/systemd/system/docker.service.d/*.conf") {
		for _, d := range parse.Directives(a.file(name)) {
			line := strings.Join(d.Words, " ")
			for _, w := range strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '=' }) {
				a.dockerHost(w, strings.Contains(line, "--tlsverify"), at(name, d.Line))
			}
		}
	}
}

func (a *adminReader) dockerHost(h string, tls bool, where string) {
	if addr, ok := strings.CutPrefix(h, "tcp://"); ok {
		a.add("Docker", addr, h, where, everywhere(addr), tls)
	}
}

// redis: protected mode, on by default, keeps others out while no password is set.
func (a *adminReader) redis() {
	for _, name := range a.glob("/etc/redis.conf", "/etc/redis/*.conf") {
		exposed, protected, auth, line, bind := true, true, false, 1, "all addresses"
		ds := parse.Directives(a.file(name))
		for _, d := range ds {
			switch strings.ToLower(d.Words[0]) {
			case "bind":
				exposed, line, bind = false, d.Line, strings.Join(d.Words[1:], " ")
				for _, w := range d.Words[1:] {
					exposed = exposed || everywhere(strings.TrimPrefix(w, "-"))
				}
			case "protected-mode":
				protected = !no(d.Arg(0))
			case "requirepass", "aclfile", "user":
				auth = true
			}
		}
		if len(ds) > 0 {
			a.add("Redis", bind, "bind "+bind, at(name, line), exposed, auth || protected)
		}
	}
}

func (a *adminReader) mosquitto() {
	anonymous, exposed, where, address := false, false, "", ""
	for _, name := range a.glob("/etc/mosquitto/mosquitto.conf", "/etc/mosquitto/conf.d/*.conf") {
		for _, d := range parse.Directives(a.file(name)) {
			switch d.Words[0] {
			case "listener":
				if d.Arg(1) == "" || everywhere(d.Arg(1)) {
					exposed, address = true, strings.TrimSpace(d.Arg(1)+" "+d.Arg(0))
				}
			case "port":
				exposed, address = true, d.Arg(0)
			case "allow_anonymous":
				anonymous, where = yes(d.Arg(0)), at(name, d.Line)
			}
		}
	}
	if where != "" {
		a.add("MQTT broker", address, "allow_anonymous true", where, exposed, !anonymous)
	}
}

// yaml reads services whose settings are YAML, by the lines that matter.
func (a *adminReader) yaml() {
	for _, name := range []string{"/etc/mongod.conf", "/etc/mongodb.conf"} {
		if kv := parse.YAMLScalars(a.file(name)); len(kv) > 0 {
			bind := kv["net.bindip"]
			a.add("MongoDB", bind, "net.bindIp", name, kv["net.bindipall"] == "true" || bind != "" && anywhere(bind), kv["security.authorization"] == "enabled")
		}
	}
	if kv := parse.YAMLScalars(a.file("/etc/elasticsearch/elasticsearch.yml")); len(kv) > 0 {
		host := kv["network.host"] + kv["http.host"]
		a.add("Elasticsearch", host, "xpack.security.enabled", "/etc/elasticsearch/elasticsearch.yml", host != "" && everywhere(host) && host != "_local_", kv["xpack.security.enabled"] != "false")
	}
	if kv := parse.YAMLScalars(a.file("/var/lib/kubelet/config.yaml")); len(kv) > 0 {
		a.add("kubelet", "10250", "authentication.anonymous.enabled", "/var/lib/kubelet/config.yaml", true, kv["authentication.anonymous.enabled"] != "true")
	}
}

func anywhere(list string) bool {
	for _, x := range strings.Split(list, ",") {
		if everywhere(strings.TrimSpace(x)) {
			return true
		}
	}
	return false
}

func (a *adminReader) memcached() {
	const name = "/etc/memcached.conf"
	b := a.file(name)
	if b == nil {
		return
	}
	exposed, auth, line, addr := true, false, 1, "all addresses"
	for _, d := range parse.Directives(b) {
		switch d.Words[0] {
		case "-l":
			exposed, line, addr = anywhere(d.Arg(0)), d.Line, d.Arg(0)
		case "-S":
			auth = true
		}
	}
	a.add("memcached", addr, "-l "+addr, at(name, line), exposed, auth)
}

// personal reads servers that people run from their home.
func (a *adminReader) personal(homes []string) {
	for _, name := range append(a.below(homes, "/.jupyter/jupyter_*_config.py"), a.glob("/etc/jupyter/jupyter_*_config.py")...) {
		ip, auth, line := "", true, 1
		for _, e := range parse.Assignments(a.file(name)) {
			switch key := strings.ToLower(e.Key); {
			case strings.HasSuffix(key, ".ip"):
				ip, line = e.Value, e.Line
			case strings.HasSuffix(key, ".token"):
				auth = e.Value != ""
			}
		}
		if ip != "" {
			a.add("Jupyter", ip, "token is empty", at(name, line), everywhere(ip), auth)
		}
	}
	for _, name := range a.below(homes, "/.config/code-server/config.yaml") {
		if kv := parse.YAMLScalars(a.file(name)); len(kv) > 0 {
			a.add("code-server", kv["bind-addr"], "auth: none", name, everywhere(kv["bind-addr"]), kv["auth"] != "none")
		}
	}
	for _, name := range append(a.below(homes, "/.vnc/config"), a.glob("/etc/tigervnc/*")...) {
		for _, e := range parse.Assignments(a.file(name)) {
			if strings.EqualFold(strings.TrimPrefix(e.Key, "$"), "SecurityTypes") && strings.Contains(strings.ToLower(e.Value), "none") {
				a.add("VNC", "5900", "SecurityTypes "+e.Value, at(name, e.Line), true, false)
			}
		}
	}
	for _, e := range parse.INI(a.file("/etc/systemd/system/x11vnc.service")) {
		if e.Key == "ExecStart" {
			a.add("VNC", "5900", "x11vnc", at("/etc/systemd/system/x11vnc.service", e.Line), !strings.Contains(e.Value, "-localhost"),
				strings.Contains(e.Value, "-rfbauth") || strings.Contains(e.Value, "-passwd"))
		}
	}
}

// debuggers looks for programs that were started with an open debugging port.
func (a *adminReader) debuggers(processes []Process) {
	for _, p := range processes {
		for _, arg := range p.Args {
			flag, value, _ := strings.Cut(arg, "=")
			switch {
			case flag == "--remote-debugging-address" && everywhere(value):
				a.add("browser debugging", value, arg, p.Where, true, false)
			case (flag == "--inspect" || flag == "--inspect-brk") && strings.Contains(value, ":") && everywhere(value):
				a.add("Node.js debugging of "+path.Base(p.Exe), value, arg, p.Where, true, false)
			}
		}
	}
}
