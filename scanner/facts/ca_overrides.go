package facts

import (
	"context"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// CAOverride is a setting that makes programs believe other authorities than the system's.
type CAOverride struct {
	Variable string `expr:"variable" json:"variable" doc:"environment variable: SSL_CERT_FILE, NODE_EXTRA_CA_CERTS, ..."`
	Path     string `expr:"path" json:"path" doc:"certificates that it names"`
	Owned    bool   `expr:"owned" json:"owned" doc:"a package owns them, or they are the system's own store"`
	Disables bool   `expr:"disables" json:"disables,omitempty" doc:"certificates are not checked at all"`
	Scope    string `expr:"scope" json:"scope" doc:"system, or the home directory that it is set in"`
	Where    string `expr:"where" json:"-" doc:"file and line"`
	scanner.Unread
}

// caVariables name certificates for OpenSSL, curl, Python, Node.js, Git and others.
var caVariables = []string{"SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "PIP_CERT"}

// uncheckedVariables switch checks off when set to the value.
var uncheckedVariables = map[string]string{"NODE_TLS_REJECT_UNAUTHORIZED": "0", "GIT_SSL_NO_VERIFY": "true", "PYTHONHTTPSVERIFY": "0"}

var overrideFiles = []string{"/etc/environment", "/etc/environment.d/*.conf", "/etc/profile", "/etc/profile.d/*.sh", "/etc/bash.bashrc"}
var overrideHomeFiles = []string{"/.profile", "/.bashrc", "/.bash_profile", "/.zshrc", "/.zshenv", "/.pam_environment", "/.config/environment.d/*.conf"}

func caOverridesCollector() scanner.Collector {
	globs := slices.Clone(overrideFiles)
	for _, f := range overrideHomeFiles {
		globs = append(globs, "~"+f)
	}
	return scanner.Collector{
		Table: "ca_overrides", Doc: "settings that make programs believe other authorities than the system's", Row: CAOverride{},
		Reads: scanner.Reads{Globs: globs}, Needs: []string{"packages", "users"}, Collect: collectCAOverrides,
	}
}

func collectCAOverrides(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	r, own := newReader(in, &t), ownershipOf(in)
	rows := []CAOverride{}
	read := func(name, scope string) {
		for _, e := range parse.Assignments(r.file(name)) {
			row := CAOverride{Variable: e.Key, Path: e.Value, Scope: scope, Where: at(name, e.Line)}
			switch off, known := uncheckedVariables[e.Key]; {
			case known && strings.EqualFold(e.Value, off), known && e.Value == "1" && off == "true":
				row.Disables = true
			case slices.Contains(caVariables, e.Key) && strings.HasPrefix(e.Value, "/"):
				var unknown string
				_, row.Owned, unknown = own.of(e.Value)
				row.Owned = row.Owned || slices.Contains(caBundles, e.Value) || e.Value == "/etc/ssl/certs"
				if unknown != "" && !row.Owned {
					row.MarkUnread("owned", unknown)
				}
			default:
				continue
			}
			rows = append(rows, row)
		}
	}
	for _, name := range r.glob(overrideFiles...) {
		read(name, "system")
	}
	users, _ := scanner.Rows[User](in, "users")
	for _, h := range homes(users) {
		for _, f := range overrideHomeFiles {
			for _, name := range r.glob(h + f) {
				read(name, h)
			}
		}
	}
	t.Rows = rows
	return t
}
