package facts

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"picket/scanner"
	"picket/scanner/parse"
)

func securityEventsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "security_events", Doc: "entries of Android's security log, by kind", Row: SecurityEvent{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: []scanner.Source{scanner.SourceIntrusion}}, Collect: collectSecurityEvents,
	}
}

// securityKinds are the entries that rules ask for, by their tag (android.app.admin.SecurityLog),
// and which of their fields says what they concern. Commands and names of files are left out.
var securityKinds = map[int]struct{ name, field string }{
	210001: {"adb_shell", ""}, 210002: {"adb_command", ""}, 210003: {"adb_file_read", ""}, 210004: {"adb_file_write", ""}, 210008: {"os_startup", ""}, 210009: {"os_shutdown", ""},
	210011: {"log_started", ""}, 210012: {"log_stopped", ""}, 210013: {"media_mount", ""}, 210014: {"media_unmount", ""}, 210015: {"log_full", ""},
	210007: {"keyguard_failed", ""}, 210023: {"wipe_failed", ""}, 210026: {"key_integrity", "alias"}, 210029: {"cert_added", "subject"}, 210030: {"cert_removed", "subject"},
	210032: {"test_key_integrity", ""}, 210034: {"user_restriction_added", "restriction"}, 210041: {"package_installed", "package_name"}, 210042: {"package_updated", "package_name"},
	210043: {"package_removed", "package_name"},
}

const maxSecurityRows = 4096

func collectSecurityEvents(ctx context.Context, in *scanner.Input) scanner.Table {
	b, err := in.Device.Probe(ctx, scanner.SourceIntrusion)
	if err != nil {
		return scanner.Table{Absent: unavailable(err)}
	}
	var t scanner.Table
	rows := []SecurityEvent{}
	index := map[string]int{}
	bad := 0
	err = parse.IntrusionLog(bytes.NewReader(b), func(e parse.IntrusionEvent) error {
		if e.Security == nil {
			return nil
		}
		kind, known := securityKinds[e.Security.Tag]
		if !known {
			return nil
		}
		subject := e.Security.Data[kind.field]
		if kind.field == "package_name" && subject == "" {
			subject = e.Security.Data["package"]
		}
		key := fmt.Sprint(e.Security.Tag, " ", subject)
		i, ok := index[key]
		if !ok {
			if len(rows) >= maxSecurityRows {
				return nil
			}
			i = len(rows)
			index[key] = i
			rows = append(rows, SecurityEvent{Tag: e.Security.Tag, Name: kind.name, Subject: strings.TrimSpace(subject), Where: at(string(scanner.SourceIntrusion), e.Line)})
		}
		rows[i].Count++
		if last := e.Time.UTC().Format(time.RFC3339); !e.Time.IsZero() && last > rows[i].Last {
			rows[i].Last = last
		}
		return nil
	}, func(*parse.Error) { bad++ })
	if err != nil {
		t.Partial = append(t.Partial, err.Error())
	}
	if bad > 0 {
		t.Partial = append(t.Partial, fmt.Sprintf("%d lines of the intrusion log could not be read", bad))
	}
	t.Rows = rows
	return t
}
