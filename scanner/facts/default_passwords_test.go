package facts

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"picket/scanner/parse"
)

// Hashes made for this test: alpine, bob and two passwords that nobody ships.
const (
	hashAlpine = `$6$saltsalt$bkkji9kuxmbOWBRC2QWbplcvevc/WIq8gqHNUov.ph9qedENDYuJZ83dcrPFu5cXN/TevoYcctg55Px4rHxET.`
	hashBob    = `$1$saltsalt$r/FXUkKVgKVX7Oo.GDYis/`
	hashLong   = `$5$saltsalt$oIF4PAUaywSUMsjLKcIMWiZEFZr7pmM16CErx3x9qqB`
	hashOther  = `$6$saltsalt$G9wFFnnUFCPffgjGaIp8t6onbqx3zGbMIn93ecLfBFGJpBV3/0HPLZ17qYbjb.WJDtXbmuMlQ9NnvzVms5ZXj.`
)

func TestDefaultPasswords(t *testing.T) {
	t.Parallel()
	tree := "-- etc/passwd --\nroot:x:0:0::/root:/bin/sh\nbob:" + hashBob + ":1000:1000::/home/bob:/bin/sh\nann:x:1001:1001::/home/ann:/bin/sh\n" +
		"eve:x:1002:1002::/:/bin/sh\nold:x:1003:1003::/:/bin/sh\nslow:x:1004:1004::/:/bin/sh\nbad:x:1005:1005::/:/bin/sh\nshut:x:1006:1006::/:/bin/sh\nd:x:7:7::/:/sbin/nologin\n" +
		"-- etc/shadow mode=0640 --\nroot:" + hashAlpine + ":20000::::::\nann:" + hashLong + ":20000::::::\neve:$y$j9T$abc$def:20000::::::\nold:" + hashOther + ":1::::::\n" +
		"slow:$6$rounds=999999999$salt$abc:1::::::\nbad:$6$$:1::::::\nshut:!" + hashAlpine + ":1::::::\nd:" + hashAlpine + ":1::::::\n"
	want := map[string]string{"root": "true", "bob": "true", "ann": "false", "eve": "false unread", "old": "false", "slow": "false unread", "bad": "false unread", "d": "true"}
	files := strings.SplitN(tree, "-- etc/shadow mode=0640 --\n", 2)
	recorded := "-- etc/passwd --\n" + string(Redact("/etc/passwd", []byte(strings.TrimPrefix(files[0], "-- etc/passwd --\n")))) +
		"-- etc/shadow mode=0640 --\n" + string(Redact("/etc/shadow", []byte(files[1])))
	for _, h := range []string{hashAlpine[12:], hashBob[12:], hashLong[12:], hashOther[12:], "abc$def"} {
		if strings.Contains(recorded, h) {
			t.Errorf("a hash is left: %s", recorded)
		}
	}
	for kind, tree := range map[string]string{"device": tree, "recording": recorded} {
		got := map[string]string{}
		for name, p := range rowsBy(t, collectLive(t, "default_passwords", tree), func(p *DefaultPassword) string { return p.Account }) {
			got[name] = fmt.Sprint(p.Default)
			if p.Unread.Unread["default"] != "" {
				got[name] += " unread"
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v", kind, got)
		}
	}
	gap(t, collectLive(t, "default_passwords", strings.Replace(tree, "mode=0640", "mode=0640 denied", 1)), "/etc/shadow")
}

func TestRecordedByOthersIsUntried(t *testing.T) {
	t.Parallel()
	tree := "-- etc/passwd --\nroot:x:0:0::/root:/bin/sh\n-- etc/shadow --\nroot:$6$xxxxxxxxxxxxxxxxxxxx:1::::::\n"
	if rows := collectLive(t, "default_passwords", tree).Rows.([]DefaultPassword); len(rows) != 1 || rows[0].Unread.Unread["default"] == "" {
		t.Errorf("%+v", rows)
	}
}

// The work for a file is bounded, however many hashes it has.
func TestGuessingIsBounded(t *testing.T) {
	t.Parallel()
	var shadow strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&shadow, "u%d:%s:1::::::\n", i, hashOther)
	}
	begin := time.Now()
	marks := map[byte]int{}
	for _, m := range parse.AccountMarks(markPasswords([]byte(shadow.String()))) {
		marks[m]++
	}
	if marks[markOther] == 0 || marks[markOther] > 10 || marks[markUntried] < 4990 {
		t.Errorf("%v", marks)
	}
	t.Logf("took %v", time.Since(begin))
}

func FuzzMarkPasswords(f *testing.F) {
	f.Add([]byte("root:" + hashAlpine + ":20000::::::\n"))
	f.Add([]byte("a:$5$rounds=1000$s$x:1\nb:$1$$:\n:$6$::\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		out := markPasswords(b)
		if again := markPasswords(out); string(again) != string(out) {
			t.Errorf("%q becomes %q", out, again)
		}
	})
}
