package agent

import (
	"bytes"
	"fmt"
)

const configPageHead = `# Configuration

Written by ` + "`make docs`" + ` from the configuration itself.

The agent reads one YAML file: the one that ` + "`--config`" + ` names, else the one that ` + "`PICKET_CONFIG`" + ` names, else
` + "`/etc/picket/config.yaml`" + `, or on Android ` + "`/data/adb/picket/config.yaml`" + `. Every key has a default, so no file is
needed; but a file that was named must be there. ` + "`--set KEY=VALUE`" + ` wins over the file.

    picket config example > config.yaml   a file with every key, commented out
    picket config check config.yaml       what is wrong with it, by line; exit status 0 or 1
    picket config show                    every key, its value, and where that came from

## Keys

`

const configPageTail = `
The defaults are those of root on Linux. On Android root's state_dir is ` + "`/data/adb/picket/state`" + ` and its socket
` + "`/data/adb/picket/picket.sock`" + `. Others than root have ` + "`$XDG_STATE_HOME/picket`" + `, else ` + "`~/.local/state/picket`" + `, else on
Android ` + "`/data/local/tmp/picket`" + `, and ` + "`$XDG_RUNTIME_DIR/picket/picket.sock`" + `, else a socket in state_dir. The folders that
systemd hands to a service (STATE_DIRECTORY, RUNTIME_DIRECTORY) come before all of these. On OpenWrt, where ` + "`/var`" + ` is in memory, the
state of root is in ` + "`/etc/picket/state`" + `. Where Picket is installed as a service, root's commands take the configuration and the folder that its
definition gives the agent, unless --config or PICKET_CONFIG names another configuration.

## Values

| kind | form |
| --- | --- |
| duration | numbers with units: ` + "`250ms`, `30s`, `90m`, `6h`, `7d`, `1d12h`" + ` |
| size | a whole number and a unit: ` + "`B`, `kB`, `MB`, `GB`" + ` of 1000, ` + "`KiB`, `MiB`, `GiB`" + ` of 1024 |
| share | ` + "`5%`, `0.5%`" + ` |
| path | absolute; printable; not ` + "`/`" + ` |
| list | ` + "`[/a, /b]`" + ` or a line each with ` + "`- `" + `; 64 entries at most. With ` + "`--set`" + `, commas part them |
| host | a name with a dot (` + "`example.org`, `router.`" + `) or an address, and at will a port: ` + "`192.0.2.1:8443`, `\"[2001:db8::1]:443\"`" + ` |

A number without its unit is refused: nobody has to guess whether 6 is hours.

## What is refused

Everything that is wrong is told at once, each with file and line, and nothing is taken from a file that has anything wrong in it:
an unknown key (with the nearest one), a key that is there twice, a value of the wrong kind or out of its range, more than one
document, anchors, aliases, merges and tags of YAML, bytes that are no text.

Who may write the configuration can have root write files where they like. So it must be a regular file of at most 1 MiB that
belongs to root or to the user the agent runs as, and that others cannot write. Where the agent runs as root, a group must not be able to write
it either. The same goes for the folder it is in, unless that is sticky, like ` + "`/tmp`" + `. A link is followed, and both
its folder and that of the file are looked at. ` + "`config check`" + ` also loads the rules, allow lists and lists of indicators that are
named; who may write those is not looked at.
`

func configPage(b *bytes.Buffer) error {
	c, _, err := parseConfig(systemConfig, nil, false, rootEnv())
	if err != nil {
		return err
	}
	b.WriteString(configPageHead)
	fmt.Fprintf(b, "| key | default | value | meaning |\n| --- | --- | --- | --- |\n")
	for _, s := range settings() {
		fmt.Fprintf(b, "| %s | `%s` | %s | %s |\n", s.key, s.format(c), s.wants(), s.doc)
	}
	b.WriteString(configPageTail)
	return nil
}
