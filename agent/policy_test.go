package agent

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
)

const wholePolicy = `format: picket.policy/1
version: "7"
organisation: {name: Example BV, email: help@example.org, phone: +31 20 123 4567, url: https://example.org/help, support_key: age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p}
levels: {low: medium, medium: high, high: critical}
rules:
  - {rule: CFG-015, action: off, why: ours, expires: 2027-06-30}
  - {rule: OS-030, action: low, why: known, match: {name: "a*"}}
allow:
  - {rule: CFG-027, match: {name: kiosk}, why: locked in a box}
intervals: {scan_min: 1h, scan_max: 12h, sample_max: 1m, snapshot_max: 1d, update: 1h}
send: no-personal-apps
retention: 30d
posture: {max_level: low, max_age: 12h, block_after: 1d, wipe_after: 7d, offline: 30d}
responses: {block: true, wipe: true}
notifications: {least: high, quiet_from: "22:00", quiet_to: "07:00"}
uninstall: forbidden
`

func TestPolicy(t *testing.T) {
	t.Parallel()
	p, err := ParsePolicy("policy.yaml", []byte(wholePolicy))
	if err != nil {
		t.Fatal(err)
	}
	for i, v := 0, reflect.ValueOf(*p); i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s was not read", v.Type().Field(i).Name)
		}
	}
	if p.Levels != (PolicyLevels{scanner.Medium, scanner.High, scanner.Critical}) || p.Posture.WipeAfter != 7*day || p.Rules[1].Match["name"] != "a*" || !p.Responses.Wipe {
		t.Errorf("read as %+v", p)
	}
	// Rows come before whole rules, so that an exception can be one.
	if o := p.overrides(); len(o) != 3 || o[0].Rule != "CFG-027" || o[1].Severity != scanner.Low || o[2].Severity != 0 || o[2].Expires != "2027-06-30" {
		t.Errorf("overrides %+v", o)
	}
	least, err := ParsePolicy("p", []byte("format: picket.policy/1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if least.Send != sendFull || !reflect.DeepEqual(least.Responses, PolicyResponses{}) || least.Posture.MaxLevel != "high" || least.Uninstall != "allowed" || least.Intervals.Update != updateInterval {
		t.Errorf("the least policy is %+v", least)
	}
	c := Config{ScanInterval: 6 * time.Hour, SampleInterval: 0, SnapshotInterval: day, OutboxAge: 90 * day}
	if got := least.bound(c); !reflect.DeepEqual(got, c) {
		t.Errorf("a policy that bounds nothing makes %+v", got)
	}
	if got := p.bound(Config{ScanInterval: time.Minute, SnapshotInterval: 7 * day, OutboxAge: 90 * day}); got.ScanInterval != time.Hour || got.SampleInterval != time.Minute ||
		got.SnapshotInterval != day || got.OutboxAge != 30*day {
		t.Errorf("bounded: %+v", got)
	}
}

func TestPolicyMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ src, want string }{
		{"", "policy.yaml:1: the policy is empty"},
		{"version: 1\n", "policy.yaml:1: format is missing"},
		{"format: picket.policy/2\n", `policy.yaml:1: format: "picket.policy/2" is none of picket.policy/1`},
		{"- a\n", `lines of the form "key: value" are needed here, not a list`},
		{"send: all\n", `policy.yaml:2: send: "all" is none of full, no-personal-apps, level-only`},
		{"levels: {high: severe}\n", `policy.yaml:2: levels.high: "severe" is none of info`},
		{"levels: {low: high, medium: low}\n", "policy.yaml:2: levels: low may not be above medium"},
		{"intervals:\n  scan_min: 6\n", `policy.yaml:3: intervals.scan_min: "6" is no duration`},
		{"intervals: {scan_max: 40d}\n", "out of range: 1m to 31d"},
		{"intervals:\n  scan_min: 2h\n  scan_max: 1h\n", "policy.yaml:4: intervals.scan_max is less than scan_min"},
		{"rules:\n  - rule: cfg-1\n    action: off\n    why: x\n", `policy.yaml:3: rules[0].rule: "cfg-1" is no rule's id`},
		{"rules:\n  - rule: CFG-027\n    action: off\n", "policy.yaml:3: rules[0].why is missing"},
		{"rules: [{rule: CFG-027, action: off, why: x, expires: soon}]\n", `rules[0].expires: "soon" is no date`},
		{"rules: [{rule: CFG-027, action: off, why: \"a\\tb\"}]\n", "has characters that do not show"},
		{"allow: [{rule: CFG-027, why: x}]\n", "allow[0].match is missing"},
		{"allow: [{rule: CFG-027, why: x, match: {name: \"*\"}}]\n", "fits every row"},
		{"allow: [{rule: CFG-027, why: x, match: {}}]\n", "allow[0].match needs columns"},
		{"responses: {wipe: true}\n", "policy.yaml:2: responses.wipe needs responses.block"},
		{"responses: {block: true, wipe: true}\n", "responses.wipe needs posture.wipe_after"},
		{"responses: {block: yes}\n", `responses.block: "yes" is neither true nor false`},
		{"posture: {block_after: 2d, wipe_after: 1d}\n", "posture.wipe_after is less than block_after"},
		{"notifications: {quiet_from: \"22:00\"}\n", "quiet hours need both"},
		{"notifications: {quiet_from: \"25:00\", quiet_to: \"07:00\"}\n", "is no time such as 22:00"},
		{"organisation: {email: \"Me <a@b.c>\"}\n", "is no address of mail"},
		{"organisation: {url: \"javascript:alert(1)\"}\n", "is no address such as https"},
		{"organisation: {support_key: AGE-SECRET-KEY-1}\n", "is no age key"},
		{"sendd: full\n", `policy.yaml:2: unknown key "sendd" (did you mean "send"?)`},
		{"send: full\nsend: full\n", "policy.yaml:3: send is there twice"},
		{"send: &a full\n", "anchors (&a) are not taken here"},
		{"send: [full]\n", "send needs one value, not a list"},
		{"rules: {}\n", "rules needs a list"},
		{"uninstall: maybe\n", `uninstall: "maybe" is none of allowed, forbidden`},
		{"---\nformat: x\n", "a second document begins"},
	} {
		src := c.src
		if src != "" && !strings.HasPrefix(src, "version") && !strings.HasPrefix(src, "- a") && !strings.HasPrefix(src, "format") {
			src = "format: picket.policy/1\n" + src
		}
		p, err := ParsePolicy("policy.yaml", []byte(src))
		if err == nil || !strings.Contains(err.Error(), c.want) || p != nil {
			t.Errorf("%q: %v, want %q", src, err, c.want)
		}
	}
	many := "format: picket.policy/1\nrules:\n" + strings.Repeat("  - {rule: x}\n", 900)
	if _, err := ParsePolicy("p", []byte(many)); err == nil || len(err.Error()) > 64<<10 {
		t.Errorf("a document full of mistakes: %d bytes of error", len(fmt.Sprint(err)))
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add([]byte(wholePolicy))
	f.Add([]byte("format: picket.policy/1\n"))
	f.Add([]byte("format: picket.policy/1\nallow: [{rule: CFG-027, why: x, match: {name: \"*\"}}]\nlevels: {high: low}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := ParsePolicy("p", src)
		if (p == nil) != (err != nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if p == nil {
			return
		}
		for _, o := range p.overrides() {
			if o.Why == "" || o.Severity > scanner.Critical {
				t.Errorf("an override without reason or beyond all severities: %+v", o)
			}
		}
		if c := p.bound(Config{ScanInterval: time.Hour, SnapshotInterval: day, OutboxAge: day}); c.ScanInterval < time.Minute || c.ScanInterval > 31*day {
			t.Errorf("a scan every %v", c.ScanInterval)
		}
		policyRows(p)
	})
}

func policyPage(b *bytes.Buffer) error {
	b.WriteString(policyPageHead)
	policyTables(b, reflect.TypeFor[Policy](), "")
	b.WriteString(policyPageTail)
	return nil
}

// policyTables writes a table of a struct's keys, and one of each struct in it.
func policyTables(b *bytes.Buffer, t reflect.Type, path string) {
	fmt.Fprintf(b, "\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n")
	var inner []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		def := f.Tag.Get("default")
		if f.Tag.Get("need") != "" {
			def = "must be given"
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s |\n", f.Tag.Get("key"), policyWants(f), def, f.Tag.Get("doc"))
		if f.Type.Kind() == reflect.Struct || f.Type.Kind() == reflect.Slice {
			inner = append(inner, f)
		}
	}
	for _, f := range inner {
		fmt.Fprintf(b, "\n### %s\n", join(path, f.Tag.Get("key")))
		in := f.Type
		if in.Kind() == reflect.Slice {
			in = in.Elem()
		}
		policyTables(b, in, join(path, f.Tag.Get("key")))
	}
}

func policyWants(f reflect.StructField) string {
	kinds := map[string]string{"text": "text of at most 300 bytes", "email": "address", "url": "https address", "phone": "number", "age": "age1...", "clock": "HH:MM",
		"rule": "OS-030", "wipe": "16 digits", "date": "YYYY-MM-DD", "severity": "info, low, medium, high, critical"}
	kind := f.Tag.Get("kind")
	switch {
	case f.Type.Kind() == reflect.Bool:
		return "true, false"
	case f.Type.Kind() == reflect.Struct:
		return "see below"
	case f.Type.Kind() == reflect.Slice:
		return "list, see below"
	case f.Type.Kind() == reflect.Map:
		return "column: value"
	case kinds[kind] != "":
		return kinds[kind]
	case kind != "":
		return strings.Join(strings.Fields(kind), ", ")
	}
	return f.Tag.Get("min") + " to " + f.Tag.Get("max")
}

func TestPolicyPageNamesEveryKind(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := policyPage(&b); err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(b.String(), "\n") {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| ") && slices.Contains(cells[:min(len(cells), 2)], "") {
			t.Errorf("a key without a form: %s", line)
		}
	}
}

const policyPageHead = `# Policy

Written by ` + "`make docs`" + ` from the policy's own description.

What an organisation decides for its devices is one signed document, ` + "`policy.yaml`" + `, that comes with rules and indicators
([updates.md](updates.md)). ` + "`picket policy show`" + ` says what is in force, from where, and until when it is vouched for;
` + "`picket policy check FILE`" + ` what is wrong with one, by line. Nothing is taken from a document that has anything wrong in it.

    format: picket.policy/1
    version: 2026-11-24.1
    organisation: {name: Example BV, email: help@example.org}
    rules:
      - {rule: CFG-015, action: off, why: our own inspection authority, expires: 2027-06-30}
    intervals: {scan_max: 12h}
    send: no-personal-apps

## What it does

* **levels, rules, allow.** A finding that the policy accepts stays in reports and events: it says ` + "`policy`" + ` with the reason, has the
  status Suppressed upstream, and does not set the level. One that is regraded says what it was. Rows (allow, and rules with match)
  come before whole rules; the first that fits counts. After its last day an entry says nothing. An entry for a rule or a column that
  this device does not have says nothing, and ` + "`policy show`" + ` names it.
* **intervals, retention** bound the device's own configuration. Beyond what waits to be delivered, retention bounds what was: the history,
  networks that the device is no longer on, and the file of delivered events, in steps of an eighth. For what waits it takes effect when the agent starts.
* **send** is applied where events are made, before they are stored for delivery or shown by ` + "`picket events`" + `:
  with ` + "`no-personal-apps`" + ` the person's own apps (on Android all that did not come with the system, elsewhere what a user installed for
  himself) are neither listed nor named, findings that mention one have neither its name nor evidence, and the identity of a
  finding is keyed with a secret of the device, so that it cannot be guessed; with ` + "`level-only`" + ` neither findings nor packages leave the
  device. Reports and the local API stay whole: they are the person's own. A change of the mode asks for a new snapshot. What was
  waiting under a mode that let more leave is withdrawn before anything else is sent; the file that sink_file names has it still.
* **metered** bounds what goes upstream over a network that costs by volume ([upstream.md](upstream.md)). A Picket from before this key refuses a
  policy that has it, and keeps the one that it has.
* **Before the first policy.** Where the enrolment names updates, nothing is sent upstream until they have been fetched once, so that
  what the device had in store does not leave before anybody knows what may.
* **A policy that was accepted and cannot be read any more**, on a damaged disk, counts as level-only until there is one again.
* **posture** makes the device's state open, warned or blocked: [posture.md](posture.md). Which level and how old a scan may be counts where max_level
  is below high. block_after begins when the requirements are first not met, wipe_after when the device is blocked; both begin anew once they are met.
  A device looks for updates at least twice within the time that offline gives it.
* **organisation** is shown to the person, where the enrolment names none.
* **notifications** bound what the person is told by notices ([agent.md](agent.md)). With **uninstall: forbidden** ` + "`picket uninstall` and `picket service uninstall`" + `
  refuse and name the organisation's contact. Root can remove files by hand all the same; the organisation then sees a device that no longer reports.
* **responses** are off unless a policy turns them on, and even then do only what the device itself declares: [responses.md](responses.md). A wipe is
  announced first and, unless the device declares otherwise, done only when confirmed names it.

## Keys
`

const policyPageTail = `
A value is written as in the configuration ([config.md](config.md)): durations have units. Lists have 1000 entries at most.
`
