package facts

import (
	"testing"

	"picket/scanner"
	"picket/scanner/parse"
)

func TestWebScripts(t *testing.T) {
	t.Parallel()
	const fixture = filesDB + `
-- var/www/html/index.php --
<?php echo htmlspecialchars($_GET['q']);
-- var/www/html/a.php mtime=2024-01-01T00:00:00Z --
-- var/www/html/b.php mtime=2024-01-01T00:00:00Z --
-- var/www/html/c.php mtime=2024-01-01T00:00:00Z --
-- var/www/html/x.php uid=33 mtime=2024-06-01T00:00:00Z --
<?php
system($_POST['c']);
-- var/www/html/uploads/photo.jpg --
-- var/www/html/uploads/index.php --
<?php // silence
-- var/www/html/uploads/run.cgi mode=0755 --
#!/bin/sh
-- var/www/html/uploads/miner elf --
-- var/www/html/uploads/deny.php denied --
-- etc/x.php --
<?php system($_POST['c']);
`
	table := tableOf(t, "web_scripts", fixture, scanner.Options{})
	got := map[string]WebScript{}
	for _, r := range table.Rows.([]WebScript) {
		got[r.Path] = r
	}
	shell := got["/var/www/html/x.php"]
	if !shell.Runs || shell.Line != 2 || shell.Where != "/var/www/html/x.php:2" || !shell.Service || shell.NewerDays != 152 || shell.Owned {
		t.Errorf("shell: %+v", shell)
	}
	if f := got["/var/www/html/uploads/run.cgi"]; !f.Program || !f.Uploads || f.Runs {
		t.Errorf("script among uploads: %+v", f)
	}
	if f := got["/var/www/html/uploads/miner"]; !f.Program {
		t.Errorf("program among uploads: %+v", f)
	}
	if f := got["/var/www/html/uploads/deny.php"]; f.Unread.Unread["runs_request"] == "" {
		t.Errorf("unreadable: %+v", f)
	}
	if len(got) != 4 {
		t.Errorf("%d rows", len(got))
	}
}

func TestWebScriptsWithoutWebRoot(t *testing.T) {
	t.Parallel()
	if table := tableOf(t, "web_scripts", filesDB, scanner.Options{}); table.Inapplicable == "" {
		t.Errorf("got %+v", table)
	}
}

func TestWebExtensionsAreThoseOfTheParser(t *testing.T) {
	t.Parallel()
	for _, e := range webExtensions {
		if parse.WebLanguage(e) == "" {
			t.Errorf("%s has no language", e)
		}
	}
}

// filesDB is a device with a package database.
const filesDB = `
-- etc/os-release --
ID=debian
-- var/lib/dpkg/status --
Package: tools
Status: install ok installed
Version: 1
Architecture: amd64

-- var/lib/dpkg/info/tools.list --
/.
`
