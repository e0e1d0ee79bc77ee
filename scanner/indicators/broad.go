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

// stockProcesses run on every Android or Linux system. Lists made for other systems name some:
// gatekeeperd is a disguise on iOS, and Android's keeper of the lock screen.
var stockProcesses = []string{"adbd", "apexd", "app_process", "app_process32", "app_process64", "artd", "audioserver", "bash", "bluetoothd", "bootanimation", "cameraserver", "credstore", "cron",
	"crond", "dbus-daemon", "dex2oat", "dhcpcd", "dnsmasq", "drmserver", "gatekeeperd", "gpuservice", "healthd", "hostapd", "hwservicemanager", "idmap2d", "incidentd", "init", "installd", "iorapd",
	"keystore", "keystore2", "kthreadd", "lmkd", "logcat", "logd", "mdnsd", "media.codec", "media.extractor", "media.metrics", "mediaserver", "mtpd", "netd", "odsign", "prng_seeder", "racoon", "rild", "sdcard",
	"secure_element", "servicemanager", "sh", "sshd", "statsd", "storaged", "surfaceflinger", "system_server", "systemd", "systemd-journald", "systemd-logind", "systemd-udevd", "thermalserviced", "tombstoned",
	"toybox", "traced", "traced_probes", "udevd", "ueventd", "update_engine", "vndservicemanager", "vold", "webview_zygote", "wificond", "wpa_supplicant", "zygote", "zygote64"}

// stockPackages are on every Android system, or on every one with Google's services.
var stockPackages = []string{"android", "com.android.phone", "com.android.providers.settings", "com.android.providers.telephony", "com.android.server.telecom", "com.android.settings", "com.android.shell",
	"com.android.systemui", "com.android.vending", "com.google.android.gms", "com.google.android.gsf", "com.google.android.webview"}
