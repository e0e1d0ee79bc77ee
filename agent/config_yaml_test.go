package agent

import (
	"strings"
	"testing"
)

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	tests := []struct{ src, want string }{
		{"# a\nscan_intervall: 6h\n", `c.yaml:2: unknown key "scan_intervall" (did you mean "scan_interval"?)`},
		{"zzzzzzzzzzzzzzzzzz: 1", `c.yaml:1: unknown key "zzzzzzzzzzzzzzzzzz"`},
		{"watch: off\nwatch: off\n", "c.yaml:2: watch is on line 1 already"},
		{"{watch: off, digests: all, watch: 1s}", "c.yaml:1: watch is on line 1 already"},

		{"scan_interval: 6\n", `c.yaml:1: scan_interval: "6" is no duration such as 250ms, 30s, 6h or 7d`},
		{"scan_interval: often\n", `c.yaml:1: scan_interval: "often" is no duration`},
		{"scan_interval: [6h]\n", `c.yaml:1: scan_interval needs a duration from 1m to 31d, not a list`},
		{"scan_interval: {a: 6h}\n", `c.yaml:1: scan_interval needs a duration from 1m to 31d, not a mapping`},
		{"scan_interval:\n", `c.yaml:1: scan_interval needs a duration from 1m to 31d, not nothing`},
		{"scan_interval: ~\n", `not nothing`},
		{"scan_interval: off\n", `c.yaml:1: scan_interval: "off" is no duration`},
		{"scan_interval: 10s\n", `c.yaml:1: scan_interval: "10s" is out of range: 1m to 31d`},
		{"scan_interval: 32d\n", `c.yaml:1: scan_interval: "32d" is out of range: 1m to 31d`},
		{"scan_interval: -6h\n", `"-6h" is no duration`},
		{"scan_interval: 99999999d\n", `"99999999d" is no duration`},
		{"scan_interval: 65535d65535h9999999h\n", `is no duration`},
		{"watch: true\n", `c.yaml:1: watch: "true" is no duration`},

		{"outbox_size: 64\n", `c.yaml:1: outbox_size: "64" is no size: a whole number and a unit, such as 500kB, 64MB or 1GiB`},
		{"outbox_size: 1.5GB\n", `is no size`},
		{"outbox_size: -1MB\n", `is no size`},
		{"outbox_size: 9223372036854775807GiB\n", `is no size`},
		{"outbox_size: 1kB\n", `c.yaml:1: outbox_size: "1kB" is out of range: 1MiB to 240MiB`},
		{"cpu_budget: 5\n", `c.yaml:1: cpu_budget: "5" is no share such as 5% or 0.5%`},
		{"cpu_budget: NaN%\n", `is no share`},
		{"cpu_budget: 0%\n", `"0%" is out of range: 0.1% to 100%`},
		{"scan_jitter: 51%\n", `"51%" is out of range: 0% to 50%`},

		{"digests: some\n", `c.yaml:1: digests: "some" is none of all, none`},
		{"log_level: warning\n", `c.yaml:1: log_level: "warning" is none of debug, info, warn, error (did you mean "warn"?)`},
		{"profile: fone\n", `(did you mean "phone"?)`},
		{"digests: \"\"\n", `"" is none of all, none`},

		{"state_dir: picket\n", `c.yaml:1: state_dir: "picket" is no absolute path`},
		{"state_dir: \"\"\n", `"" is no absolute path`},
		{"state_dir: 5\n", `"5" is no absolute path`},
		{"state_dir: /a/..\n", `is the root of everything`},
		{"state_dir: \"/a\\nb\"\n", `has characters that do not show`},
		{"state_dir: \"/a\\u202eb\"\n", `has characters that do not show`},
		{"state_dir: /" + strings.Repeat("x", 5000), `has more than 4095 bytes`},
		{"socket: /" + strings.Repeat("x", 107), `c.yaml:1: socket: its path has 108 bytes, and the system takes 107`},
		{"socket_group: a b\n", `c.yaml:1: socket_group: "a b" is no name or number of a group`},
		{"socket_group: 4294967295\n", `is no name or number`},
		{"socket_group: -1\n", `is no name or number`},

		{"socket: /a\nsink_file: /a\n", `c.yaml:2: sink_file: "/a" is socket`},
		{"state_dir: /a\nsocket: /a/\n", `c.yaml:2: socket: "/a" is state_dir`},
		{"sink_file: /var/lib/picket\n", `c.yaml:1: sink_file: "/var/lib/picket" is state_dir`},

		{"allow: /etc/a.yaml\n", `c.yaml:1: allow needs a list of absolute paths, not "/etc/a.yaml"`},
		{"allow:\n  - /a\n  - b\n", `c.yaml:3: allow: "b" is no absolute path`},
		{"allow:\n  - /a\n  - /a/\n", `c.yaml:3: allow: "/a" is listed twice`},
		{"allow:\n  - /a\n  -\n", `c.yaml:3: allow needs a list of absolute paths, not nothing`},
		{"allow: [[/a]]\n", `not a list`},
		{"allow: [\"\"]\n", `"" is no absolute path`},
		{"allow:\n" + strings.Repeat("  - /a\n", 65), "c.yaml:66: allow has more than 64 entries"},

		{"network_probe: upstraem\n", `is neither upstream, off, an address, nor a host name with a dot (did you mean "upstream"?)`},
		{"network_probe: false\n", `"false" is neither upstream, off`},
		{"network_probe: https://example.org/\n", `is no host: leave out scheme and path`},
		{"network_probe: example.org:0\n", `has no port from 1 to 65535`},
		{"network_probe: example.org:99999\n", `has no port from 1 to 65535`},
		{"network_probe: -a.example.org\n", `is neither`},
		{"network_probe: 300.1.1.1\n", `is neither`},

		{"watch: off\n---\nwatch: off\n", "c.yaml:2: a second document begins; one is wanted"},
		{"watch: off\n---\n[", "c.yaml:3: this is no YAML: did not find expected node content"},
		{"allow: &a [/x]\nindicators: *a\n", "c.yaml:1: anchors (&a) are not taken here"},
		{"watch: off\nindicators: *a\n", "c.yaml:2: aliases (*a) are not taken here: write the value"},
		{"&a watch: off\n", "c.yaml:1: anchors (&a)"},
		{"&a {}\n", "c.yaml:1: anchors (&a)"},
		{"<<: {watch: off}\n", "c.yaml:1: merges (<<) are not taken here"},
		{"watch: !!str off\n", "c.yaml:1: tags (!!str) are not taken here"},
		{"watch: !go/x off\n", "c.yaml:1: tags (!go/x) are not taken here"},
		{"root:$y$j9T$secret:1:0\nb: 1\n", "c.yaml:2: this is no YAML: mapping values"},
		{"root:$6$secret:1:0:\n", "c.yaml:1: what stands before the : is no key"},
		{"? [a]\n: b\n", "c.yaml:1: a key must be a plain name, not a list"},
		{"- watch\n", `c.yaml:1: lines of the form "key: value" are needed here`},
		{"watch\n", `c.yaml:1: lines of the form "key: value" are needed here`},
		{"digests: all\nallow: [/x\nwatch: off\n", "c.yaml:2: this is no YAML: did not find expected ',' or ']'"},
		{"digests: all\n\twatch: off\n", "c.yaml:2: this is no YAML: found a tab character that violates indentation"},
		{"a: b: c\n", "c.yaml:1: this is no YAML: mapping values are not allowed in this context"},
		{"digests: all\nwatch: \xff\n", "c.yaml:2: byte 0xff is no UTF-8"},
		{"digests: all\nwatch: \x00\n", "c.yaml:2: control character U+0000"},
		{"# a\rwatch: off\n", "c.yaml:1: control character U+000D"},
		{"# a\u2028watch: off\n", "c.yaml:1: control character U+2028"},
		{"network_probe: \"[::1]x\"", "is no host"},
		{strings.Repeat("[", 20000), "c.yaml:1: this is no YAML: exceeded max depth"},
	}
	for _, tt := range tests {
		_, _, err := parseConfig("c.yaml", []byte(tt.src), true, rootEnv())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60q: got %v\nwant %s", tt.src, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q is shown: %v", tt.src, err)
		}
	}
	for set, want := range map[string]string{
		"watch":         `--set: "watch" is not KEY=VALUE`,
		"wach=off":      `--set: unknown key "wach" (did you mean "watch"?)`,
		"watch=1":       `--set: watch: "1" is no duration`,
		"allow=/a,b":    `--set: allow: "b" is no absolute path`,
		"watch=\x1b[2J": `--set: watch: "\x1b[2J" is no duration`,
	} {
		env := rootEnv()
		env.Set = []string{set}
		if _, _, err := parseConfig("c.yaml", nil, false, env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--set %q: got %v, want %s", set, err, want)
		}
	}
}

// TestConfigTellsAll finds every problem of a file in its order, and no endless list of them.
func TestConfigTellsAll(t *testing.T) {
	t.Parallel()
	_, _, err := parseConfig("c.yaml", []byte("watch: 1\ndigest: all\ndigests: all\nlog_level: 7\n"), true, rootEnv())
	want := "c.yaml:1: watch: \"1\" is no duration such as 250ms, 30s, 6h or 7d\n" +
		"c.yaml:2: unknown key \"digest\" (did you mean \"digests\"?)\n" +
		"c.yaml:4: log_level: \"7\" is none of debug, info, warn, error"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	_, _, err = parseConfig("c.yaml", []byte(strings.Repeat(strings.Repeat("k", 40)+": 1\n", 100)), true, rootEnv())
	if e, ok := err.(*ConfigError); !ok || len(e.Problems) != maxConfigProblems || len(err.Error()) > 20*400 || !strings.HasSuffix(err.Error(), "and more, not told here") {
		t.Errorf("100 unknown keys: %.300v", err)
	}
}
