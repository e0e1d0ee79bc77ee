package parse

import (
	"bytes"
	"testing"
)

func TestWebShellFindsBackDoors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, language, text string
		line                 int
	}{
		{"the shortest", "php", "<?php system($_GET['c']);", 1},
		{"decoded", "php", "<?php\n\n@eval(base64_decode($_POST[\"x\"]));\n", 3},
		{"by a variable", "php", "<?php\n$cmd = $_REQUEST['cmd'];\necho shell_exec($cmd . ' 2>&1');\n", 3},
		{"function from the request", "php", "<?php $_GET['f']($_GET['a']); ?>", 1},
		{"over two lines", "php", "<?php\npassthru(\n  $_COOKIE['a']\n);\n", 2},
		{"jsp", "jsp", "<% Runtime.getRuntime().exec (request.getParameter(\"c\")); %>", 1},
		{"jsp process", "jsp", "<% new ProcessBuilder(request.getParameter(\"c\")).start(); %>", 1},
		{"python", "python", "import os, cgi\nf = cgi.FieldStorage()\ncmd = f.getvalue('c')\nos.system(cmd)\n", 4},
		{"lua", "lua", "local c = luci.http.formvalue('c')\nos.execute(luci.http.formvalue('c'))\n", 2},
		{"shell", "shell", "#!/bin/sh\n# eval $QUERY_STRING\neval \"$QUERY_STRING\"\n", 3},
		{"perl", "perl", "use CGI;\nmy $q = new CGI;\nsystem($q->param('c'));\n", 3},
	} {
		if got := WebShell([]byte(c.text), c.language); got != c.line {
			t.Errorf("%s: line %d, want %d", c.name, got, c.line)
		}
	}
}

func TestWebShellIsQuietOnWhatIsNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, language, text string }{
		{"a form", "php", "<?php echo htmlspecialchars($_GET['name']); exec('/usr/bin/uptime');"},
		{"a method", "php", "<?php $stmt->exec($_POST['x']); $curl = curl_exec($_POST['h']);"},
		{"another variable", "php", "<?php $c = $_GET['c']; system($command);"},
		{"no request", "php", "<?php eval($code);"},
		{"prose", "jsp", "request.getParameter(\"c\") is given to exec by others"},
		{"comment in shell", "shell", "#!/bin/sh\n# eval $QUERY_STRING\necho $QUERY_STRING\n"},
		{"unknown language", "cobol", "eval($_GET)"},
		{"empty", "php", ""},
	} {
		if got := WebShell([]byte(c.text), c.language); got != 0 {
			t.Errorf("%s: line %d", c.name, got)
		}
	}
}

func FuzzWebShell(f *testing.F) {
	f.Add([]byte("<?php system($_GET['c']);"), "php")
	f.Add([]byte("$a=$_POST['x']; eval($a)"), "php")
	f.Add([]byte("eval \"$QUERY_STRING\""), "shell")
	f.Add([]byte("os.system(form.getvalue('c'))"), "python")
	f.Fuzz(func(t *testing.T, b []byte, language string) {
		if line := WebShell(b, language); line < 0 || line > bytes.Count(b, []byte{'\n'})+1 {
			t.Errorf("line %d of %d", line, bytes.Count(b, []byte{'\n'})+1)
		}
	})
}
