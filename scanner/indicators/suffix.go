package indicators

import (
	"slices"
	"strings"
)

// secondLevel are labels that registries sell names below, under a country's own.
var secondLevel = []string{"ac", "co", "com", "edu", "gen", "gob", "gouv", "gov", "govt", "gub", "info", "mil", "net", "nhs", "nom", "org", "plc", "sch"}

// registries are second-level domains that names are sold below in one country only.
var registries = []string{"ad.jp", "ed.jp", "go.id", "go.jp", "go.ke", "go.kr", "go.th", "go.tz", "gr.jp", "gv.at", "in.th", "lg.jp", "ltd.uk", "me.uk", "my.id",
	"ne.jp", "ne.kr", "or.at", "or.id", "or.jp", "or.ke", "or.kr", "or.th", "re.kr", "web.id", "web.tr", "web.za"}

// shared are domains below which anybody gets a host of their own: clouds, dynamic DNS, page
// builders. One tenant's crime is not the others'.
var shared = []string{"000webhostapp.com", "akamaihd.net", "akamaized.net", "altervista.org", "amazonaws.com", "app.link", "appspot.com", "azureedge.net", "azurewebsites.net",
	"b-cdn.net", "backblazeb2.com", "blob.core.windows.net", "blogspot.com", "br.com", "chickenkiller.com", "cloudapp.azure.com", "cloudapp.net", "cloudfront.net",
	"cloudfunctions.net", "core.windows.net", "ddns.net", "de.com", "digitaloceanspaces.com", "duckdns.org", "dyndns.org", "dynu.net", "eu.org", "fastly.net", "firebaseapp.com",
	"firebaseio.com", "firebasestorage.app", "fly.dev", "freeddns.org", "github.io", "githubusercontent.com", "gitlab.io", "glitch.me", "googleapis.com", "googleusercontent.com",
	"herokuapp.com", "hopto.org", "infinityfreeapp.com", "linodeobjects.com", "mooo.com", "myshopify.com", "neocities.org", "netlify.app", "ngrok-free.app", "ngrok.app", "ngrok.io",
	"no-ip.biz", "no-ip.info", "no-ip.org", "ondigitalocean.app", "onrender.com", "pages.dev", "r2.dev", "railway.app", "repl.co", "replit.app", "run.app", "s3.amazonaws.com",
	"serveo.net", "servehttp.com", "sharepoint.com", "surge.sh", "sytes.net", "translate.goog", "trycloudflare.com", "tumblr.com", "uk.com", "us.com", "vercel.app", "wasabisys.com",
	"web.app", "weebly.com", "windows.net", "wixsite.com", "wordpress.com", "workers.dev", "za.com", "zapto.org"}

// tooBroad says why a host name cannot stand for one owner: a top-level domain, a registry's
// second level, a hosting service. The lists are short: they guard against the mistakes that
// lists make, and are no public suffix list.
func tooBroad(host string) string {
	first, rest, dotted := strings.Cut(host, ".")
	switch {
	case !dotted:
		return "a single label"
	case len(rest) == 2 && slices.Contains(secondLevel, first), slices.Contains(registries, host):
		return "a registry's suffix, below which anybody gets a name"
	case slices.Contains(shared, host), rest == "amazonaws.com",
		strings.HasSuffix(rest, ".amazonaws.com") && strings.HasPrefix(first, "s3"): // a region of S3
		return "a hosting service, below which anybody gets a name"
	}
	return ""
}
