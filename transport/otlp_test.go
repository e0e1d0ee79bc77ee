package transport

import (
	"bytes"
	"strings"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// TestRequestsAreReadByOthers decodes with OpenTelemetry's own code: LogsData has the fields of an
// ExportLogsServiceRequest.
func TestRequestsAreReadByOthers(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 1, 12, 0, 0, 123e6, time.UTC)
	records := []Record{
		{UID: "u1", Class: 2004, Severity: 4, Finding: "f1", Time: at, Observed: at.Add(time.Second), Body: []byte(`{"a":"é\u0000\n","n":1e300}`)},
		{UID: "u2", Class: 6002, Severity: 99, Time: time.Unix(-5, 0), Body: []byte(strings.Repeat("x", 70_000))},
		{UID: "u3", Class: -1, Severity: -1, Body: []byte{0xff, 0xfe}},
		{},
	}
	var got logspb.LogsData
	b := encodeRequest(Resource{HostID: "h", Version: "1.2", OS: "linux"}, records)
	if err := (proto.UnmarshalOptions{}).Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.ResourceLogs) != 1 || len(got.ResourceLogs[0].ScopeLogs) != 1 {
		t.Fatalf("%v", &got)
	}
	resource := map[string]string{}
	for _, a := range got.ResourceLogs[0].Resource.Attributes {
		resource[a.Key] = a.Value.GetStringValue()
	}
	for k, want := range map[string]string{"host.id": "h", "service.name": "picket", "service.version": "1.2", "os.type": "linux"} {
		if resource[k] != want {
			t.Errorf("resource %s is %q, want %q", k, resource[k], want)
		}
	}
	logs := got.ResourceLogs[0].ScopeLogs[0].LogRecords
	if len(logs) != len(records) {
		t.Fatalf("%d records", len(logs))
	}
	for i, l := range logs {
		want := records[i]
		body := []byte(l.Body.GetStringValue())
		if i == 2 {
			body = l.Body.GetBytesValue()
		}
		if !bytes.Equal(body, want.Body) {
			t.Errorf("record %d: another body", i)
		}
		attrs := map[string]any{}
		for _, a := range l.Attributes {
			if _, ok := attrs[a.Key]; ok {
				t.Errorf("record %d has %s twice", i, a.Key)
			}
			if s := a.Value.GetStringValue(); s != "" {
				attrs[a.Key] = s
			} else {
				attrs[a.Key] = a.Value.GetIntValue()
			}
		}
		if attrs["ocsf.class_uid"] != want.Class || attrs["ocsf.severity_id"] != want.Severity {
			t.Errorf("record %d: attributes %v", i, attrs)
		}
		for key, text := range map[string]string{"log.record.uid": want.UID, "finding.uid": want.Finding} {
			if got, ok := attrs[key]; ok != (text != "") || ok && got != text {
				t.Errorf("record %d: %s is %v, want %q", i, key, got, text)
			}
		}
	}
	if l := logs[0]; l.TimeUnixNano != uint64(at.UnixNano()) || l.ObservedTimeUnixNano != uint64(at.Add(time.Second).UnixNano()) || l.SeverityNumber != logspb.SeverityNumber_SEVERITY_NUMBER_ERROR {
		t.Errorf("%v", l)
	}
	if l := logs[1]; l.TimeUnixNano != 0 || l.SeverityNumber != 0 {
		t.Errorf("%v %v", l.TimeUnixNano, l.SeverityNumber)
	}
	if n := proto.Size(&got); n != len(b) {
		t.Errorf("%d bytes, and %d where others write it: something is passed over", len(b), n)
	}
}

// answerBody writes an ExportLogsServiceResponse with a library's help.
func answerBody(rejected int64, message string) []byte {
	var part []byte
	part = protowire.AppendVarint(protowire.AppendTag(part, 1, protowire.VarintType), uint64(rejected))
	part = protowire.AppendString(protowire.AppendTag(part, 2, protowire.BytesType), message)
	part = protowire.AppendFixed64(protowire.AppendTag(part, 99, protowire.Fixed64Type), 7) // of a later version
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), part)
}

func TestAnswersAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   []byte
		want partialSuccess
		err  string
	}{
		"empty":          {nil, partialSuccess{}, ""},
		"no partial":     {[]byte{0x12, 0x01, 'x'}, partialSuccess{}, ""},
		"rejected":       {answerBody(3, "no"), partialSuccess{3, "no"}, ""},
		"message alone":  {[]byte{0x0a, 0x04, 0x12, 0x02, 'o', 'h'}, partialSuccess{0, "oh"}, ""},
		"long message":   {answerBody(1, strings.Repeat("y", 9000)), partialSuccess{1, strings.Repeat("y", messageMax)}, ""},
		"below zero":     {answerBody(-1, ""), partialSuccess{}, "said to be rejected"},
		"cut short":      {answerBody(3, "no")[:5], partialSuccess{}, "longer than its message"},
		"half a varint":  {[]byte{0x0a, 0x02, 0x08, 0xff}, partialSuccess{}, "cut short"},
		"HTML":           {[]byte("<html>"), partialSuccess{}, "wire type"},
		"field 0":        {[]byte{0x02, 0x00}, partialSuccess{}, "without a number"},
		"group":          {[]byte{0x0b}, partialSuccess{}, "wire type 3"},
		"count as text":  {[]byte{0x0a, 0x03, 0x0a, 0x01, '3'}, partialSuccess{}, "wire type 2"},
		"partial as int": {[]byte{0x08, 0x01}, partialSuccess{}, "no message"},
		"fixed32":        {[]byte{0x15, 1, 2, 3, 4}, partialSuccess{}, ""},
		"short fixed64":  {[]byte{0x11, 1, 2, 3}, partialSuccess{}, "cut short"},
	} {
		got, err := parseAnswer(c.in)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add(answerBody(3, "no"))
	f.Add([]byte("<html><body>Sign in</body></html>"))
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parseAnswer(b)
		if p.rejected < 0 || len(p.message) > messageMax || err != nil && p != (partialSuccess{}) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}
