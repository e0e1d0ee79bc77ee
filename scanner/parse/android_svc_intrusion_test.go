package parse

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const intrusionLog = "\xef\xbb\xbf" + `{"dns_event":{"hostname":"bad.example","ip_addresses":["/192.0.2.7","host/2001:db8::1","?"],"package_name":"org.example.app","event_time":1760000000123,"event_id":7}}
{"connect_event":{"ip_address":"srv.example/192.0.2.7","port":443,"package_name":"org.example.app","event_time":1760000001000}}

not json
{"security_event":{"event_time":1760000002000000000,"adb_shell_cmd":{"command":"pm list packages --password=hunter2hunter2"}}}
{"security_event":{"event_time":1760000003000000000,"key_generated":{"success":true,"key_id":"my wallet","uid":10001}}}
{"security_event":{"event_time":"1760000003000000000","cert_validation_failure":"expired"}}
{"security_event":{"event_time":5}}
{"bluetooth_lost":{"event_time":1760000004000}}
{"connect_event":{"ip_address":"192.0.2.7","port":70000}}
{}
{"dns_event":[]}
{"dns_event":{"hostname":"last.example","event_time":1760000005000}}`

func TestIntrusionLog(t *testing.T) {
	t.Parallel()
	var got []IntrusionEvent
	var bad []*Error
	err := IntrusionLog(iotest.OneByteReader(strings.NewReader(intrusionLog)), func(e IntrusionEvent) error { got = append(got, e); return nil }, func(e *Error) { bad = append(bad, e) })
	if err != nil {
		t.Fatal(err)
	}
	app, at := "org.example.app", func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	want := []IntrusionEvent{
		{Kind: "dns_event", Time: at(1760000000123), ID: 7, Line: 1, DNS: &DNSLookup{Package: app, Host: "bad.example", Total: 3,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::1")}}},
		{Kind: "connect_event", Time: at(1760000001000), Line: 2, Connect: &Connection{Package: app, Host: "srv.example", Addr: netip.MustParseAddrPort("192.0.2.7:443")}},
		{Kind: "security_event", Time: at(1760000002000), Line: 5, Security: &SecurityEvent{Name: "adb_shell_cmd", Tag: 210002,
			Data: map[string]string{"command": strings.Join(RedactArgs(strings.Fields("pm list packages --password=hunter2hunter2")), " ")}}},
		{Kind: "security_event", Time: at(1760000003000), Line: 6, Security: &SecurityEvent{Name: "key_generated", Tag: 210024, Data: map[string]string{"success": "true", "uid": "10001"}}},
		{Kind: "security_event", Time: at(1760000003000), Line: 7, Security: &SecurityEvent{Name: "cert_validation_failure", Tag: 210033, Data: map[string]string{"value": "expired"}}},
		{Kind: "bluetooth_lost", Time: at(1760000004000), Line: 9},
		{Kind: "dns_event", Time: at(1760000005000), Line: 13, DNS: &DNSLookup{Host: "last.example"}},
	}
	for i := range got {
		if got[i].Line > 1 != (got[i].Offset > 0) || !strings.HasPrefix(intrusionLog[got[i].Offset:], "\xef\xbb\xbf{") && intrusionLog[got[i].Offset] != '{' {
			t.Errorf("offset %d of line %d", got[i].Offset, got[i].Line)
		}
		got[i].Offset = 0
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
	lines := []int{}
	for _, e := range bad {
		lines = append(lines, e.Line)
	}
	if !reflect.DeepEqual(lines, []int{4, 8, 10, 11, 12}) {
		t.Errorf("bad lines %v", lines)
	}
	if got[2].Security.Data["command"] == "pm list packages --password=hunter2hunter2" {
		t.Error("a password was kept")
	}
}

func TestIntrusionLogBounds(t *testing.T) {
	t.Parallel()
	long := `{"dns_event":{"hostname":"` + strings.Repeat("a", maxIntrusionLine) + `"}}`
	n, bad := 0, []*Error(nil)
	count := func(IntrusionEvent) error { n++; return nil }
	err := IntrusionLog(strings.NewReader(long+"\n"+`{"dns_event":{"hostname":"b"}}`), count, func(e *Error) { bad = append(bad, e) })
	if err != nil || n != 1 || len(bad) != 1 || bad[0].Line != 1 {
		t.Errorf("%v, %d events, %v", err, n, bad)
	}
	stop := errors.New("enough")
	if err := IntrusionLog(strings.NewReader(intrusionLog), func(IntrusionEvent) error { return stop }, func(*Error) {}); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := IntrusionLog(iotest.ErrReader(stop), count, func(*Error) {}); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func FuzzIntrusionLog(f *testing.F) {
	f.Add(intrusionLog)
	f.Fuzz(func(t *testing.T, s string) {
		lines := strings.Count(s, "\n") + 1
		err := IntrusionLog(strings.NewReader(s), func(e IntrusionEvent) error {
			if e.Line < 1 || e.Line > lines || e.Offset < 0 || e.Offset > int64(len(s)) {
				t.Errorf("%+v", e)
			}
			return nil
		}, func(e *Error) {
			if e.Line < 1 || e.Line > lines {
				t.Error(e)
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
}
