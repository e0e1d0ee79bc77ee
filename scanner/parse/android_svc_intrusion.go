package parse

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// IntrusionEvent is one line of an Android 16 intrusion log (advanced protection). Exactly one
// of DNS, Connect and Security is set, or none when Kind is one we do not know.
type IntrusionEvent struct {
	Kind     string // dns_event, connect_event, security_event, or what a later release adds
	Time     time.Time
	ID       int64
	DNS      *DNSLookup
	Connect  *Connection
	Security *SecurityEvent
	Line     int   // 1-based
	Offset   int64 // of the line
}

// DNSLookup is a name that an app had resolved (android.app.admin.DnsEvent).
type DNSLookup struct {
	Package   string
	Host      string
	Addresses []netip.Addr // the first of them
	Total     int          // how many there were
}

// Connection is a TCP connection that an app opened (android.app.admin.ConnectEvent).
type Connection struct {
	Package string
	Addr    netip.AddrPort
	Host    string // when the log names one before the address
}

// SecurityEvent is an event of android.app.admin.SecurityLog.
type SecurityEvent struct {
	Name string            // adb_shell_cmd, package_installed, ...
	Tag  int               // 210002, ...; 0 for a name we do not know
	Data map[string]string // the event's own fields; a command without the secrets in it
}

// securityTags are the events from 210001 on, in the order of their numbers
// (android.app.admin.SecurityLog, frameworks/base SecurityLogTags.logtags).
var securityTags = []string{"adb_shell_interactive", "adb_shell_cmd", "adb_sync_recv_file", "adb_sync_send_file", "app_process_start",
	"keyguard_dismissed", "keyguard_dismiss_auth_attempt", "keyguard_secured", "os_startup", "os_shutdown", "logging_started", "logging_stopped",
	"media_mount", "media_unmount", "log_buffer_size_critical", "password_expiration_set", "password_complexity_set", "password_history_length_set",
	"max_screen_lock_timeout_set", "max_password_attempts_set", "keyguard_disabled_features_set", "remote_lock", "wipe_failure", "key_generated",
	"key_import", "key_destruction", "user_restriction_added", "user_restriction_removed", "cert_authority_installed", "cert_authority_removed",
	"crypto_self_test_completed", "key_integrity_violation", "cert_validation_failure", "camera_policy_set", "password_complexity_required",
	"password_changed", "wifi_connection", "wifi_disconnection", "bluetooth_connection", "bluetooth_disconnection", "package_installed",
	"package_updated", "package_uninstalled", "backup_service_toggled", "nfc_enabled", "nfc_disabled"}

// personalSecurityFields name people or their things: media labels, Bluetooth devices, key aliases.
var personalSecurityFields = []string{"volume_label", "mac_address", "key_id", "alias"}

const (
	maxIntrusionLine = 1 << 20
	maxSecurityData  = 32 // fields of one event
)

// IntrusionLog reads an intrusion log, one JSON object a line, as a stream: memory is bounded by
// the longest line allowed (1 MiB). A damaged or longer line goes to bad and the next one is
// read. An error is that of r, or of event, which stops the reading.
func IntrusionLog(r io.Reader, event func(IntrusionEvent) error, bad func(*Error)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	var offset int64
	for line := 1; ; line++ {
		text, size, err := boundedLine(in, maxIntrusionLine)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		start := offset
		offset += int64(size)
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
		}
		switch trimmed := bytes.TrimSpace(text); {
		case size > maxIntrusionLine+1:
			bad(&Error{Offset: start, Line: line, Msg: "longer than a log line may be"})
		case len(trimmed) == 0:
		default:
			events, msg := intrusionEvents(trimmed)
			if msg != "" {
				bad(&Error{Offset: start, Line: line, Msg: msg})
			}
			for _, e := range events {
				e.Line, e.Offset = line, start
				if err := event(e); err != nil {
					return err
				}
			}
		}
		if err != nil {
			return nil
		}
	}
}

// boundedLine reads a line and gives at most its first most bytes, and its whole size.
func boundedLine(in *bufio.Reader, most int) (text []byte, size int, err error) {
	for {
		part, err := in.ReadSlice('\n')
		size += len(part)
		if room := most - len(text); room > 0 {
			text = append(text, part[:min(room, len(part))]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return text, size, err
		}
	}
}

// intrusionEvents reads one line: an object whose keys are kinds of events.
func intrusionEvents(text []byte) (events []IntrusionEvent, msg string) {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(text, &top); err != nil {
		return nil, "not a JSON object"
	}
	kinds := make([]string, 0, len(top))
	for kind := range top {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		e, ok := intrusionEvent(kind, top[kind])
		if !ok {
			msg = "not an event: " + clip(kind, 60)
			continue
		}
		events = append(events, e)
		if len(events) == 16 {
			break
		}
	}
	if len(top) == 0 {
		msg = "an object without an event"
	}
	return events, msg
}

func intrusionEvent(kind string, raw json.RawMessage) (e IntrusionEvent, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil || fields == nil || len(kind) > 60 {
		return e, false
	}
	e = IntrusionEvent{Kind: kind}
	stamp := jsonInt(fields["event_time"])
	e.ID = jsonInt(fields["event_id"])
	switch kind {
	case "dns_event":
		d := &DNSLookup{Package: jsonText(fields["package_name"]), Host: jsonText(fields["hostname"]), Total: int(jsonInt(fields["ip_addresses_count"]) & 0x7fffffff)}
		var addrs []string
		if raw, ok := fields["ip_addresses"]; ok && json.Unmarshal(raw, &addrs) != nil {
			return e, false
		}
		for _, a := range addrs {
			if _, addr, ok := javaAddr(a); ok && len(d.Addresses) < 64 {
				d.Addresses = append(d.Addresses, addr)
			}
		}
		d.Total = max(d.Total, int(jsonInt(fields["total_resolved_address_count"])&0x7fffffff), len(addrs))
		e.DNS, ok = d, d.Host != "" || d.Package != ""
	case "connect_event":
		c := &Connection{Package: jsonText(fields["package_name"])}
		host, addr, good := javaAddr(jsonText(fields["ip_address"]))
		port := jsonInt(fields["port"])
		if !good || port < 0 || port > 65535 {
			return e, false
		}
		c.Host, c.Addr = host, netip.AddrPortFrom(addr, uint16(port))
		e.Connect, ok = c, true
	case "security_event":
		e.Security, ok = securityEvent(fields)
	default:
		ok = true
	}
	e.Time = epoch(stamp)
	return e, ok
}

// epoch reads a time since 1970, whose unit its size tells: DNS and connect events count
// milliseconds, security events nanoseconds.
func epoch(n int64) time.Time {
	switch {
	case n <= 0:
		return time.Time{}
	case n < 1e11:
		return time.Unix(n, 0).UTC()
	case n < 1e14:
		return time.UnixMilli(n).UTC()
	case n < 1e17:
		return time.UnixMicro(n).UTC()
	}
	return time.Unix(0, n).UTC()
}

// javaAddr reads an address as java.net.InetAddress prints it: host/1.2.3.4 or /1.2.3.4.
func javaAddr(s string) (host string, addr netip.Addr, ok bool) {
	if at := strings.LastIndexByte(s, '/'); at >= 0 {
		host, s = s[:at], s[at+1:]
	}
	addr, err := netip.ParseAddr(s)
	return clip(host, 255), addr.Unmap(), err == nil
}

// securityEvent reads the one field that is named after the event.
func securityEvent(fields map[string]json.RawMessage) (*SecurityEvent, bool) {
	var names []string
	for name := range fields {
		if name != "event_time" && name != "event_id" && name != "event_type" && name != "timestamp" && len(name) <= 60 {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, false
	}
	slices.Sort(names)
	e := &SecurityEvent{Name: names[0], Data: map[string]string{}}
	for _, name := range names {
		if i := slices.Index(securityTags, name); i >= 0 {
			e.Name, e.Tag = name, 210001+i
			break
		}
	}
	var data map[string]json.RawMessage
	if json.Unmarshal(fields[e.Name], &data) != nil {
		if v := jsonText(fields[e.Name]); v != "" { // some events have one bare value
			e.Data["value"] = v
		}
		return e, true
	}
	keys := make([]string, 0, len(data))
	for key := range data {
		if len(key) <= 60 && !slices.Contains(personalSecurityFields, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys[:min(len(keys), maxSecurityData)] {
		v := jsonText(data[key])
		if key == "command" {
			v = strings.Join(RedactArgs(strings.Fields(v)), " ")
		}
		e.Data[key] = v
	}
	return e, true
}

// jsonText gives a JSON string, number or truth value as text.
func jsonText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return clip(s, 2048)
	}
	if len(raw) > 0 && raw[0] != '{' && raw[0] != '[' && string(raw) != "null" {
		return clip(string(raw), 64)
	}
	return ""
}

// jsonInt gives a whole number, also one in quotes; 0 when there is none.
func jsonInt(raw json.RawMessage) int64 {
	n, ok := Decimal([]byte(strings.Trim(string(raw), `"`)))
	if !ok {
		return 0
	}
	return n
}
