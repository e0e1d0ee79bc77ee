package transport

import (
	"encoding/binary"
	"time"
	"unicode/utf8"
)

// Resource says who sends.
type Resource struct {
	HostID  string // the device's id in the fleet
	Version string // of Picket
	OS      string // as OpenTelemetry names it: linux
}

// Record is one event as it is sent.
type Record struct {
	UID      string    // stays the same whenever it is sent again
	Class    int64     // OCSF class_uid
	Severity int64     // OCSF severity_id
	Finding  string    // finding_info.uid; "" where it is about none
	Time     time.Time // of the event
	Observed time.Time // when the agent saw it; zero where it is not known
	Body     []byte    // the event, byte for byte
}

// serviceName and scopeName are what queries look for.
const (
	serviceName = "picket"
	scopeName   = "picket/ocsf"
)

// Numbers of fields and wire types of opentelemetry-proto 1.x, of its messages
// ExportLogsServiceRequest, ResourceLogs, Resource, ScopeLogs, InstrumentationScope, LogRecord,
// KeyValue and AnyValue.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5

	requestResourceLogs = 1
	logsResource        = 1
	logsScope           = 2
	resourceAttributes  = 1
	scopeLogsScope      = 1
	scopeLogsRecords    = 2
	scopeNameField      = 1
	scopeVersionField   = 2
	recordTime          = 1
	recordSeverity      = 2
	recordBody          = 5
	recordAttributes    = 6
	recordObserved      = 11
	keyValueKey         = 1
	keyValueValue       = 2
	anyString           = 1
	anyInt              = 3
	anyBytes            = 7
)

func tag(field, wire int) uint64 { return uint64(field)<<3 | uint64(wire) }

func appendBytes(b []byte, field int, v []byte) []byte {
	b = binary.AppendUvarint(b, tag(field, wireBytes))
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendString(b []byte, field int, v string) []byte {
	b = binary.AppendUvarint(b, tag(field, wireBytes))
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendTime(b []byte, field int, t time.Time) []byte {
	if t.IsZero() || t.UnixMilli() < 0 {
		return b
	}
	b = binary.AppendUvarint(b, tag(field, wireFixed64))
	return binary.LittleEndian.AppendUint64(b, uint64(t.UnixNano()))
}

// textOf gives an AnyValue. What is no UTF-8 would make the whole request unreadable, and goes
// as bytes.
func textOf(v []byte) []byte {
	if utf8.Valid(v) {
		return appendBytes(nil, anyString, v)
	}
	return appendBytes(nil, anyBytes, v)
}

func appendAttribute(b []byte, field int, key string, value []byte) []byte {
	return appendBytes(b, field, appendBytes(appendString(nil, keyValueKey, key), keyValueValue, value))
}

func appendText(b []byte, field int, key, v string) []byte {
	if v == "" {
		return b
	}
	return appendAttribute(b, field, key, textOf([]byte(v)))
}

func appendInt(b []byte, field int, key string, v int64) []byte {
	value := binary.AppendUvarint(nil, tag(anyInt, wireVarint))
	return appendAttribute(b, field, key, binary.AppendUvarint(value, uint64(v)))
}

// severityNumber gives the SeverityNumber of an OCSF severity: INFO, INFO2, WARN, ERROR, FATAL.
func severityNumber(ocsf int64) uint64 {
	numbers := [...]uint64{0, 9, 10, 13, 17, 21}
	if ocsf < 0 || ocsf >= int64(len(numbers)) {
		return 0
	}
	return numbers[ocsf]
}

// recordRoom is about what a record takes beside its body.
const recordRoom = 256

func (r *Record) encode() []byte {
	b := make([]byte, 0, len(r.Body)+recordRoom)
	b = appendTime(b, recordTime, r.Time)
	b = appendTime(b, recordObserved, r.Observed)
	if n := severityNumber(r.Severity); n != 0 {
		b = binary.AppendUvarint(b, tag(recordSeverity, wireVarint))
		b = binary.AppendUvarint(b, n)
	}
	b = appendBytes(b, recordBody, textOf(r.Body))
	b = appendText(b, recordAttributes, "log.record.uid", r.UID)
	b = appendInt(b, recordAttributes, "ocsf.class_uid", r.Class)
	b = appendInt(b, recordAttributes, "ocsf.severity_id", r.Severity)
	return appendText(b, recordAttributes, "finding.uid", r.Finding)
}

func (r Resource) encode() []byte {
	b := appendText(nil, resourceAttributes, "host.id", r.HostID)
	b = appendText(b, resourceAttributes, "service.name", serviceName)
	b = appendText(b, resourceAttributes, "service.version", r.Version)
	return appendText(b, resourceAttributes, "os.type", r.OS)
}

// encodeRequest makes an ExportLogsServiceRequest, a LogRecord a record, in their order.
func encodeRequest(who Resource, records []Record) []byte {
	scope := appendString(nil, scopeNameField, scopeName)
	if who.Version != "" {
		scope = appendString(scope, scopeVersionField, who.Version)
	}
	size := len(scope) + 16
	for i := range records {
		size += len(records[i].Body) + recordRoom
	}
	logs := appendBytes(make([]byte, 0, size), scopeLogsScope, scope)
	for i := range records {
		logs = appendBytes(logs, scopeLogsRecords, records[i].encode())
	}
	resource := appendBytes(make([]byte, 0, len(logs)+256), logsResource, who.encode())
	resource = appendBytes(resource, logsScope, logs)
	return appendBytes(logs[:0], requestResourceLogs, resource) // what logs held is in resource
}
