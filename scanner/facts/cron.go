package facts

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

var (
	cronTables  = []string{"/etc/crontab", "/etc/cron.d/*"}
	cronSpools  = []string{"/var/spool/cron/crontabs/*", "/var/spool/cron/*", "/etc/crontabs/*", "/var/spool/cron/tabs/*"}
	cronScripts = []string{"/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*", "/etc/cron.yearly/*",
		"/etc/periodic/*/*"}
	atJobs = []string{"/var/spool/cron/atjobs/*", "/var/spool/at/*"}
)

func cronCollector() scanner.Collector {
	return scanner.Collector{
		Table: "cron_jobs", Doc: "scheduled jobs of cron, anacron, at and busybox crond, and the scripts of the periodic folders", Row: Autorun{},
		Reads: scanner.Reads{Globs: concat(cronTables, cronSpools, cronScripts, atJobs, []string{"/etc/anacrontab"}), Meta: everyProgram()},
		Needs: []string{"users", "packages"}, Collect: collectCron,
	}
}

func collectCron(_ context.Context, in *scanner.Input) scanner.Table {
	t := &scanner.Table{}
	a := newAutoruns(in, t)
	for _, name := range a.glob(cronTables...) {
		if base := path.Base(name); !strings.HasPrefix(base, ".") {
			a.crontab("crontab", name, "", true)
		}
	}
	for _, name := range a.glob(cronSpools...) {
		switch base := path.Base(name); base {
		case "crontabs", "atjobs", "atspool", "tabs", "lastrun", "cron.update":
		default:
			a.crontab("crontab", name, base, false)
		}
	}
	a.anacrontab("/etc/anacrontab")
	a.scripts("periodic", "root", cronScripts...)
	users, _ := scanner.Rows[User](in, "users")
	for _, name := range a.glob(atJobs...) {
		if path.Base(name) != ".SEQ" {
			a.atJob(name, users)
		}
	}
	return a.done(t)
}

// crontab adds the jobs of a table. user is whose table it is, "" where jobs name theirs.
func (a *autoruns) crontab(kind, name, user string, withUser bool) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file(kind, name, user, b, info)
	if o.Pristine {
		return
	}
	jobs, bad := parse.Crontab(b, withUser, nil)
	a.table.Partial = append(a.table.Partial, damaged(name, bad)...)
	for _, j := range jobs {
		if !withUser {
			j.User = user
		}
		a.command(kind, name, j.User, j.Command, j.Line, o)
	}
}

func (a *autoruns) anacrontab(name string) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	o := a.file("anacron", name, "root", b, info)
	if o.Pristine {
		return
	}
	for _, j := range parse.Anacrontab(b) {
		a.command("anacron", name, "root", j.Command, j.Line, o)
	}
}

// atJob adds the commands of one job of at: a shell script whose head restores the
// environment of whoever queued it, up to the line that changes to their folder. It belongs to
// the account that it runs as.
func (a *autoruns) atJob(name string, users []User) {
	b, info, ok := a.content(name)
	if !ok {
		return
	}
	user := fmt.Sprintf("uid %d", info.UID)
	if i := slices.IndexFunc(users, func(u User) bool { return u.UID == info.UID }); i >= 0 {
		user = users[i].Name
	}
	o := a.file("at", name, user, b, info)
	skip := 0
	if i := bytes.Index(b, []byte("\ncd ")); i >= 0 {
		skip = bytes.Count(b[:i+1], []byte("\n"))
	}
	for _, p := range parse.Shell(string(b)) {
		if p.Line > skip {
			a.command("at", name, user, p.Text, p.Line, o)
		}
	}
}
