package parse

import "strings"

// CronJob is one job of a crontab (crontab(5)) or an anacrontab.
type CronJob struct {
	Schedule string // the time fields, or @reboot and the like
	User     string // "" where the format has no user field
	Command  string
	Line     int // 1-based
}

// Crontab reads a crontab. withUser says that each job names its user (/etc/crontab, cron.d).
// Settings (SHELL=, PATH=) are handed to set, which may be nil. Lines that are no job are told
// in bad.
func Crontab(b []byte, withUser bool, set func(name, value string, line int)) (jobs []CronJob, bad []error) {
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			return
		}
		if name, value, ok := cronSetting(line); ok {
			if set != nil {
				set(name, value, n)
			}
			return
		}
		fields := 5
		if line[0] == '@' {
			fields = 1
		}
		job := CronJob{Line: n}
		rest := line
		for range fields {
			var f string
			if f, rest = cutField(rest); rest == "" {
				bad = append(bad, &Error{Offset: -1, Line: n, Msg: "a job has time fields and a command"})
				return
			}
			job.Schedule = strings.TrimSpace(job.Schedule + " " + f)
		}
		if withUser {
			if job.User, rest = cutField(rest); rest == "" {
				bad = append(bad, &Error{Offset: -1, Line: n, Msg: "a job of this file has a user and a command"})
				return
			}
		}
		job.Command = cronCommand(rest)
		jobs = append(jobs, job)
	})
	return jobs, bad
}

// Anacrontab reads /etc/anacrontab: period, delay, name, command.
func Anacrontab(b []byte) (jobs []CronJob) {
	lines(b, func(n int, line string) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			return
		}
		if _, _, ok := cronSetting(line); ok {
			return
		}
		job := CronJob{Line: n}
		rest := line
		for range 3 {
			var f string
			if f, rest = cutField(rest); rest == "" {
				return
			}
			job.Schedule = strings.TrimSpace(job.Schedule + " " + f)
		}
		job.Command = rest
		jobs = append(jobs, job)
	})
	return jobs
}

// cronSetting reads NAME = value with or without quotes.
func cronSetting(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, "=")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	if !ok || name == "" || strings.ContainsAny(name, " \t*/,;|&<>()$`@") || name[0] >= '0' && name[0] <= '9' {
		return "", "", false
	}
	return name, unquote(strings.TrimSpace(value)), true
}

// cronCommand undoes cron's own escape: what stands behind a bare % is the command's input.
func cronCommand(s string) string {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '%':
			return strings.ReplaceAll(s[:i], `\%`, "%")
		}
	}
	return strings.ReplaceAll(s, `\%`, "%")
}

// cutField cuts the first blank-separated field off, and the blanks behind it.
func cutField(s string) (field, rest string) {
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}
