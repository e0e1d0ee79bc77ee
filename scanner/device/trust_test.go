package device

import (
	"strings"
	"testing"
)

func TestTreesThatLostTheirModesAreTold(t *testing.T) {
	t.Parallel()
	// A tree as debootstrap makes it, in short.
	const debian = `
-- bin link=usr/bin --
-- etc/passwd --
x
-- etc/group --
x
-- etc/hosts --
x
-- etc/os-release --
x
-- etc/shadow mode=640 gid=42 --
x
-- usr/bin/sh elf --
-- usr/bin/env elf --
-- usr/bin/id elf --
-- usr/bin/find elf --
-- usr/bin/su elf mode=4755 --
-- tmp/ mode=1777 --
`
	lost := strings.NewReplacer("mode=640 gid=42", "", "mode=4755", "", "mode=1777", "").Replace(debian)
	for name, c := range map[string]struct{ tree, want string }{
		"as it was":                           {debian, ""},
		"a setuid program is left":            {strings.NewReplacer("mode=640 gid=42", "", "mode=1777", "").Replace(debian), ""},
		"hardened: setuid bits taken away":    {strings.Replace(debian, "mode=4755", "", 1), ""},
		"shadow opened by an attacker":        {strings.Replace(debian, "mode=640 gid=42", "", 1), ""},
		"no special file":                     {lost, "modes seem lost on the way: /usr/bin/su is not setuid, /tmp is not sticky, /etc/shadow may be read by all"},
		"unpacked by a user":                  {asUser(debian), "every file belongs to uid 1000"},
		"a git checkout":                      {lost + "-- .git/HEAD --\nx\n", "git checkout"},
		"etckeeper at the top of a good tree": {debian + "-- .git/HEAD --\nx\n", ""},
		"from a foreign filesystem":           {strings.ReplaceAll(debian, "elf", "elf mode=0644"), "no program may be executed"},
		"without anything that tells":         {"-- etc/os-release --\nx\n-- usr/bin/app elf --\n-- etc/passwd --\nx\n", ""},
		"docker export's empty console":       {debian + "-- dev/console --\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := Txtar([]byte(c.tree))
			if err != nil {
				t.Fatal(err)
			}
			got := untrustedModes(d.FS())
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// asUser gives every file of a fixture, and its directories, to one user.
func asUser(tree string) string {
	var b strings.Builder
	b.WriteString("-- / uid=1000 gid=1000 --\n-- etc/ uid=1000 gid=1000 --\n-- usr/ uid=1000 gid=1000 --\n-- usr/bin/ uid=1000 gid=1000 --\n")
	for l := range strings.Lines(tree) {
		if h, ok := strings.CutSuffix(l, " --\n"); ok {
			l = strings.Replace(h, "gid=42", "", 1) + " uid=1000 gid=1000 --\n"
		}
		b.WriteString(l)
	}
	return b.String()
}
