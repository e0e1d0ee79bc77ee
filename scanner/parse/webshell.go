package parse

import "bytes"

// WebLanguage says by its name's extension what a script below a web root is written in: php,
// jsp, asp, perl, python, lua or shell; empty for what no web server runs.
func WebLanguage(ext string) string {
	switch ext {
	case "php", "php3", "php4", "php5", "php7", "php8", "phtml", "phar", "inc":
		return "php"
	case "jsp", "jspx":
		return "jsp"
	case "asp", "aspx", "ashx":
		return "asp"
	case "pl", "pm":
		return "perl"
	case "py":
		return "python"
	case "lua":
		return "lua"
	case "cgi", "sh":
		return "shell"
	}
	return ""
}

// webWords are what a language takes a request's data from, and what it runs commands with.
type webWords struct {
	requests, runs []string
	// variable is the first byte of a variable's name, 0 where nothing marks one.
	variable byte
}

func webWordsOf(language string) (webWords, bool) {
	switch language {
	case "php":
		return webWords{
			requests: []string{"$_GET", "$_POST", "$_REQUEST", "$_COOKIE", "$HTTP_RAW_POST_DATA", "php://input", "getallheaders", "$_SERVER['HTTP_", `$_SERVER["HTTP_`},
			runs:     []string{"eval", "assert", "system", "exec", "shell_exec", "passthru", "popen", "proc_open", "pcntl_exec", "create_function"},
			variable: '$',
		}, true
	case "jsp":
		return webWords{requests: []string{"request.getParameter", "request.getHeader", "request.getReader", "request.getInputStream"},
			runs: []string{"exec", "ProcessBuilder", "defineClass", "eval"}}, true
	case "asp":
		return webWords{requests: []string{"Request.", "Request(", "Request["}, runs: []string{"eval", "Eval", "Execute", "execute", "Run", "Process.Start"}}, true
	case "perl":
		return webWords{requests: []string{"param", "$ENV{QUERY_STRING}", "$ENV{'QUERY_STRING'}"}, runs: []string{"system", "exec", "eval", "qx", "open"}, variable: '$'}, true
	case "python":
		return webWords{requests: []string{"QUERY_STRING", "FieldStorage", "getvalue", "request.args", "request.form"},
			runs: []string{"os.system", "os.popen", "subprocess.call", "subprocess.run", "subprocess.Popen", "subprocess.check_output", "exec", "eval"}}, true
	case "lua":
		return webWords{requests: []string{"formvalue", "QUERY_STRING", "get_uri_args", "get_post_args"}, runs: []string{"os.execute", "io.popen", "loadstring", "luci.sys.exec", "luci.sys.call"}}, true
	}
	return webWords{}, false
}

// WebShell looks for a statement that runs what a request brings, directly or by way of one
// variable, and gives its line (1-based), or 0. It reads the text as a person skims it: it
// finds the common back doors, and can be fooled.
func WebShell(b []byte, language string) int {
	if language == "shell" {
		return shellOfWeb(b)
	}
	words, ok := webWordsOf(language)
	if !ok || !containsAny(b, words.requests) {
		return 0
	}
	ends := ";{}"
	if language == "python" || language == "lua" || language == "asp" {
		ends = ";{}\n" // a statement ends with its line
	}
	tainted := map[string]bool{}
	line := 1
	for len(b) > 0 {
		statement, rest := b, []byte(nil)
		if n := bytes.IndexAny(b, ends); n >= 0 {
			statement, rest = b[:n], b[n+1:]
		}
		if at := words.runsRequest(statement, tainted); at >= 0 {
			return line + bytes.Count(statement[:at], []byte{'\n'})
		}
		words.taint(statement, tainted)
		line += bytes.Count(b[:len(b)-len(rest)], []byte{'\n'})
		b = rest
	}
	return 0
}

// runsRequest tells where a statement runs request data or a variable that holds some, or -1.
func (w *webWords) runsRequest(statement []byte, tainted map[string]bool) int {
	from := callIn(statement, w.runs)
	if from < 0 {
		if w.variable == '$' {
			return calledRequest(statement, w.requests)
		}
		return -1
	}
	argument := statement[from:]
	if containsAny(argument, w.requests) {
		return from
	}
	for name := range tainted {
		if hasWord(argument, name) {
			return from
		}
	}
	return -1
}

const maxTainted = 64 // variables followed in one file

// taint notes the variable that a statement gives request data to.
func (w *webWords) taint(statement []byte, tainted map[string]bool) {
	name, value, ok := bytes.Cut(statement, []byte{'='})
	if !ok || len(tainted) >= maxTainted || !containsAny(value, w.requests) {
		return
	}
	name = bytes.TrimRight(bytes.TrimSpace(name), ".:")
	if i := bytes.LastIndexAny(name, " \t(\n"); i >= 0 {
		name = name[i+1:]
	}
	if len(name) < 1 || len(name) > 64 || w.variable != 0 && name[0] != w.variable || containsAny(name, w.requests) {
		return
	}
	if w.variable == 0 && len(name) < 2 {
		return // a letter is found everywhere
	}
	tainted[string(name)] = true
}

// callIn finds a call of one of names and gives where its arguments begin, or -1.
func callIn(b []byte, names []string) int {
	for _, name := range names {
		for at := 0; ; {
			i := bytes.Index(b[at:], []byte(name))
			if i < 0 {
				break
			}
			start, end := at+i, at+i+len(name)
			at = end
			if start > 0 && (wordByte(b[start-1]) || b[start-1] == '$' || b[start-1] == '>' || b[start-1] == ':') {
				continue // part of another name, or a method
			}
			if rest := bytes.TrimLeft(b[end:], " \t"); len(rest) > 0 && (rest[0] == '(' || rest[0] == '`') {
				return end
			}
		}
	}
	return -1
}

// calledRequest finds $_GET['f'](...), a function whose name the request brings, or gives -1.
func calledRequest(b []byte, requests []string) int {
	for _, name := range requests {
		i := bytes.Index(b, []byte(name))
		if i < 0 {
			continue
		}
		rest := b[i+len(name):]
		if len(rest) > 0 && rest[0] == '[' {
			if end := bytes.IndexByte(rest, ']'); end > 0 && end+1 < len(rest) && rest[end+1] == '(' {
				return i
			}
		}
	}
	return -1
}

// shellOfWeb finds an eval of the query in a shell script.
func shellOfWeb(b []byte) int {
	n := 0
	for line := range bytes.Lines(b) {
		n++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || !containsAny(line, []string{"QUERY_STRING", "HTTP_", "POST_"}) {
			continue
		}
		for _, run := range []string{"eval ", "sh -c ", "bash -c ", "ash -c "} {
			if i := bytes.Index(line, []byte(run)); i >= 0 && bytes.IndexByte(line[i:], '$') > 0 {
				return n
			}
		}
	}
	return 0
}

func containsAny(b []byte, words []string) bool {
	for _, w := range words {
		if bytes.Contains(b, []byte(w)) {
			return true
		}
	}
	return false
}

// hasWord finds a name that is not part of a longer one.
func hasWord(b []byte, name string) bool {
	for at := 0; ; {
		i := bytes.Index(b[at:], []byte(name))
		if i < 0 {
			return false
		}
		start, end := at+i, at+i+len(name)
		if (start == 0 || !wordByte(b[start-1])) && (end == len(b) || !wordByte(b[end])) {
			return true
		}
		at = end
	}
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
