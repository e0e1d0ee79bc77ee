package facts

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// hostsFiles are the hosts file of the system, and what root modules put in its place.
var hostsFiles = []string{"/system/etc/hosts", "/etc/hosts", "/data/adb/modules/*/system/etc/hosts"}

func androidHostsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "android_hosts", Doc: "names that the hosts file leads elsewhere", Row: HostsEntry{}, Platforms: onAndroid,
		Reads: scanner.Reads{Globs: hostsFiles}, Collect: collectAndroidHosts,
	}
}

// protectedDomains serve updates, checks of apps, attestation and security, with all below them.
var protectedDomains = []string{"play.googleapis.com", "android.clients.google.com", "play.google.com", "safebrowsing.googleapis.com", "safebrowsing.google.com", "sb-ssl.google.com",
	"playintegrity.googleapis.com", "androidattestation.googleapis.com", "remoteprovisioning.googleapis.com", "firebaseinstallations.googleapis.com", "ota.googlezip.net", "clients2.google.com",
	"connectivitycheck.gstatic.com", "accounts.google.com", "dl.google.com", "fota-cloud-dn.ospserver.net", "neofussvr.sslcs.cdngc.net", "fota-secure-dn.ospserver.net", "galaxystore.samsung.com",
	"update.miui.com", "update.intl.miui.com", "bigota.d.miui.com", "virustotal.com", "f-droid.org", "malwarebytes.com", "avast.com", "avcdn.net", "kaspersky.com", "eset.com",
	"bitdefender.com", "lookout.com", "mcafee.com", "norton.com", "sophos.com", "zimperium.com", "trendmicro.com", "avira.com", "amnesty.org"}

const maxHostsRows = 2000

func collectAndroidHosts(_ context.Context, in *scanner.Input) scanner.Table {
	var t scanner.Table
	fsys := in.Device.FS()
	rows := []HostsEntry{}
	var files []string
	for _, pattern := range hostsFiles {
		names, _ := scanner.Glob(fsys, pattern)
		files = append(files, names...)
	}
	seen := map[string]bool{}
	read := 0
	var failed []error
	for _, name := range files[:min(len(files), 100)] {
		if target, err := fsys.Resolve(name); err == nil { // /etc is a link to /system/etc
			if seen[target] {
				continue
			}
			seen[target] = true
		}
		b, err := scanner.ReadFile(fsys, name, maxHosts)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		read++
		rows = append(rows, hostsRows(b, name, &t)...)
	}
	if read == 0 {
		_, err := scanner.ReadFile(fsys, hostsFiles[0], maxHosts)
		if err == nil {
			err = scanner.ErrNotRecorded
		}
		return scanner.Table{Absent: why(append(failed, err)...)}
	}
	for _, err := range failed {
		t.Partial = append(t.Partial, scanner.Reason(err))
	}
	t.Rows = rows
	return t
}

// hostsRows gives names that are led somewhere, and those that are led to nowhere only where
// they matter; the rest of a list that blocks advertisements is one row.
func hostsRows(b []byte, file string, t *scanner.Table) []HostsEntry {
	var rows []HostsEntry
	blocked, first := 0, 0
	for _, e := range parse.Hosts(b) {
		addr, err := netip.ParseAddr(e.Addr)
		if err != nil {
			continue
		}
		nowhere := addr.IsLoopback() || addr.IsUnspecified()
		for _, name := range e.Names {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			protected := slices.ContainsFunc(protectedDomains, func(d string) bool { return name == d || strings.HasSuffix(name, "."+d) })
			switch {
			case nowhere && localName(name):
			case nowhere && !protected:
				if blocked++; first == 0 {
					first = e.Line
				}
			case len(rows) >= maxHostsRows:
				if len(t.Partial) == 0 {
					t.Partial = append(t.Partial, file+": leads more names elsewhere than are kept")
				}
			default:
				rows = append(rows, HostsEntry{Name: name, Address: e.Addr, Blocked: nowhere, Count: 1, Protected: protected, Where: at(file, e.Line)})
			}
		}
	}
	if blocked > 0 {
		rows = append(rows, HostsEntry{Name: strconv.Itoa(blocked) + " names", Address: "nowhere", Blocked: true, Count: blocked, Where: at(file, first)})
	}
	return rows
}

func localName(name string) bool {
	return name == "localhost" || name == "ip6-localhost" || name == "ip6-loopback" || name == "localhost.localdomain" || name == "broadcasthost"
}
