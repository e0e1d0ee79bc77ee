package agent

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner/report"
)

// Config is how the agent works: plain values, checked by Load. The tags of a field are its key,
// its default, the bounds of its value and what it means; `picket config example` and
// docs/config.md are written from them.
type Config struct {
	StateDir         string        `key:"state_dir" kind:"path" default:"/var/lib/picket" doc:"folder of the store: open findings, inventory, outbox"`
	Socket           string        `key:"socket" kind:"path" default:"/run/picket/picket.sock" doc:"Unix socket of the local API"`
	SocketGroup      string        `key:"socket_group" kind:"group" default:"" doc:"group, by name or number, whose members may read over the socket; empty: only root and the agent's own user"`
	Profile          string        `key:"profile" kind:"profile" default:"" doc:"role of the device; empty: guessed"`
	RulesDir         string        `key:"rules_dir" kind:"path" default:"" doc:"folder of rules in place of the built-in ones; empty: built-in"`
	Allow            []string      `key:"allow" kind:"path" default:"[]" doc:"allow lists: files of findings that the owner accepts"`
	Indicators       []string      `key:"indicators" kind:"path" default:"[]" doc:"lists of indicators of compromise, or folders of them"`
	Digests          string        `key:"digests" kind:"all none" default:"all" doc:"which packaged programs are compared with their recorded digests"`
	ScanInterval     time.Duration `key:"scan_interval" min:"1m" max:"31d" default:"6h" doc:"time from one whole scan to the next"`
	ScanJitter       Percent       `key:"scan_jitter" min:"0%" max:"50%" default:"10%" doc:"part of scan_interval by which a scan comes earlier or later, so that a fleet does not move in step"`
	Watch            time.Duration `key:"watch" min:"10ms" max:"1m" off:"yes" default:"250ms" doc:"how long a changed file must rest before it is looked at again; off: files are not watched, only scan_interval counts"`
	SampleInterval   time.Duration `key:"sample_interval" min:"1s" max:"1d" off:"yes" default:"30s" doc:"time from one look at processes and sockets to the next; off: with whole scans only"`
	CPUBudget        Percent       `key:"cpu_budget" min:"0.1%" max:"100%" default:"5%" doc:"share of one core that watching files and looks between whole scans may use, over an hour"`
	OutboxSize       Size          `key:"outbox_size" min:"1MiB" max:"240MiB" default:"64MiB" doc:"events that wait to be delivered, in bytes; beyond it the least severe go first and are counted"`
	OutboxAge        time.Duration `key:"outbox_age" min:"1h" max:"366d" default:"90d" doc:"how long an event waits to be delivered before it is dropped and counted"`
	SnapshotInterval time.Duration `key:"snapshot_interval" min:"1h" max:"31d" default:"1d" doc:"time from one full snapshot of inventory and open findings in the outbox to the next"`
	SinkFile         string        `key:"sink_file" kind:"path" default:"" doc:"file that events are delivered to, one JSON object a line; empty: events.ndjson in state_dir"`
	SinkSize         Size          `key:"sink_size" min:"64KiB" max:"64GiB" default:"64MiB" doc:"bytes of sink_file and its older turns together; it turns at an eighth of that"`
	NetworkProbe     string        `key:"network_probe" kind:"probe" default:"upstream" doc:"host, as NAME or NAME:PORT, that is asked once per new network, by its name, over TLS and over plain HTTP, to tell interception and sign-in pages (networks.md); upstream: the device's own, if it has one; off: nothing is sent"`
	LogLevel         string        `key:"log_level" kind:"debug info warn error" default:"info" doc:"least severe line that is logged"`
}

// Where things are when nothing says otherwise.
const (
	systemConfig  = "/etc/picket/config.yaml"
	androidConfig = "/data/adb/picket/config.yaml"
	androidState  = "/data/adb/picket/state"
	androidSocket = "/data/adb/picket/picket.sock"
	sinkName      = "events.ndjson"
	socketName    = "picket.sock"
)

// Env is what Load needs to know of the process and its place.
type Env struct {
	Getenv  func(string) string
	UID     int      // effective user id
	Android bool     // Android runs here, whatever the binary was built for
	State   string   // folder of the state of this device's service, where that gives its agent one
	Set     []string // KEY=VALUE from the command line; these win over the file
}

// HostEnv describes this process.
func HostEnv(set []string) Env {
	_, err := os.Stat("/system/build.prop")
	env := Env{
		Getenv:  os.Getenv,
		UID:     os.Geteuid(),
		Android: runtime.GOOS == "android" || err == nil || errors.Is(err, fs.ErrPermission),
		Set:     set,
	}
	if env.hasService() {
		_, env.State = serviceHere()
	}
	return env
}

// hasService tells whether the agent of this device's service is this user's to command.
func (e Env) hasService() bool { return e.UID == 0 && !e.Android }

// Origin says where a value came from. The zero value is the default.
type Origin struct {
	File string // path of the configuration file
	Line int    // in File, from 1
	Flag bool   // --set on the command line
}

func (o Origin) String() string {
	switch {
	case o.Flag:
		return "flag"
	case o.File != "":
		return report.Clean(o.File) + ":" + strconv.Itoa(o.Line)
	}
	return "default"
}

// Origins says where the values of a Config came from.
type Origins struct {
	File string            // the configuration file
	Read bool              // false when there is no such file
	Keys map[string]Origin // of the keys that are set; the others have their default
}

// Load gives the configuration: the defaults, what the file says, and what env.Set says, each
// over the one before. The file is path, else PICKET_CONFIG, else the platform's own, which
// alone may be missing. Whatever is wrong is told at once, as a *ConfigError, and then no value is to be used.
func Load(path string, env Env) (Config, Origins, error) {
	file, named := configPath(path, env)
	src, err := readConfig(file, env.UID)
	if errors.Is(err, fs.ErrNotExist) && !named {
		return parseConfig(file, nil, false, env)
	}
	if err != nil {
		return Config{}, Origins{File: file}, &ConfigError{[]ConfigProblem{{File: file, Message: err.Error()}}}
	}
	return parseConfig(file, src, true, env)
}

// configPath gives the file to read, and whether somebody named it.
func configPath(path string, env Env) (file string, named bool) {
	if path == "" {
		path = env.Getenv("PICKET_CONFIG")
	}
	switch {
	case path != "":
		return filepath.Clean(path), true
	case env.Android:
		return androidConfig, false
	}
	return systemConfig, false
}

// parseConfig is Load of a file's content.
func parseConfig(file string, src []byte, read bool, env Env) (Config, Origins, error) {
	l := &configLoad{all: settings(), from: Origins{File: file, Read: read, Keys: map[string]Origin{}}}
	l.defaults()
	l.document(src)
	for _, s := range env.Set {
		l.flag(s)
	}
	l.places(env)
	if len(l.problems) > 0 {
		return Config{}, l.from, &ConfigError{l.problems}
	}
	return l.cfg, l.from, nil
}

// places fills in the paths that depend on who runs the agent, and where.
func (l *configLoad) places(env Env) {
	if _, set := l.from.Keys["state_dir"]; !set {
		l.cfg.StateDir = env.stateDir()
	}
	if l.cfg.SinkFile == "" {
		l.cfg.SinkFile = filepath.Join(l.cfg.StateDir, sinkName)
	}
	if _, set := l.from.Keys["socket"]; !set {
		l.cfg.Socket = env.socket(l.cfg.StateDir)
	}
	l.checkPlaces()
}

// checkPlaces looks at the paths together, those that were derived among them.
func (l *configLoad) checkPlaces() {
	if n := len(l.cfg.Socket); n > maxSocketPath {
		at, set := l.from.Keys["socket"]
		if !set {
			at = l.from.Keys["state_dir"]
		}
		l.problem(at, "socket", "socket: its path has %d bytes, and the system takes %d", n, maxSocketPath)
	}
	taken := map[string]string{l.from.File: "the configuration itself", l.cfg.StateDir: "state_dir"}
	for _, p := range []struct{ key, path string }{{"socket", l.cfg.Socket}, {"sink_file", l.cfg.SinkFile}} {
		if other := taken[p.path]; other != "" {
			l.problem(l.from.Keys[p.key], p.key, "%s: %s is %s", p.key, quoted(p.path), other)
		}
		taken[p.path] = p.key
	}
}

// stateDir is the default folder of the state. An init system names one in STATE_DIRECTORY, which
// the agent alone sees: root's commands mean the same.
func (e Env) stateDir() string {
	switch {
	case e.folder("STATE_DIRECTORY") != "":
		return e.folder("STATE_DIRECTORY")
	case e.UID == 0 && e.Android:
		return androidState
	case e.UID == 0 && e.State != "":
		return e.State
	case e.UID == 0:
		return settingOf("state_dir").def
	case e.folder("XDG_STATE_HOME") != "":
		return filepath.Join(e.folder("XDG_STATE_HOME"), "picket")
	case e.folder("HOME") != "": // not "/", which Android's shell has
		return filepath.Join(e.folder("HOME"), ".local/state/picket")
	case e.Android:
		return "/data/local/tmp/picket" // the shell's own folder
	}
	return settingOf("state_dir").def
}

func (e Env) socket(stateDir string) string {
	switch {
	case e.folder("RUNTIME_DIRECTORY") != "":
		return filepath.Join(e.folder("RUNTIME_DIRECTORY"), socketName)
	case e.UID == 0 && e.Android:
		return androidSocket
	case e.UID == 0:
		return settingOf("socket").def
	case e.folder("XDG_RUNTIME_DIR") != "":
		return filepath.Join(e.folder("XDG_RUNTIME_DIR"), "picket", socketName)
	}
	return filepath.Join(stateDir, socketName)
}

// folder gives the absolute path in a variable, the first where systemd lists several.
func (e Env) folder(variable string) string {
	first, _, _ := strings.Cut(e.Getenv(variable), ":")
	if checkPath(first) != nil {
		return ""
	}
	return filepath.Clean(first)
}

// Changes says which values differ, as "key: old -> new" in the order of the keys; none when
// the two mean the same.
func Changes(old, new Config) []string {
	var out []string
	for _, s := range settings() {
		a, b := s.format(old), s.format(new)
		if a != b {
			out = append(out, s.key+": "+a+" -> "+b)
		}
	}
	return out
}

// settingOf gives the description of a key that Config has.
func settingOf(key string) setting {
	all := settings()
	return all[slices.IndexFunc(all, func(s setting) bool { return s.key == key })]
}

// field gives the value of a setting in a Config.
func (s setting) field(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().Field(s.index) }
