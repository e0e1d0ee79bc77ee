package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// partialSuccess is what an ExportLogsServiceResponse says beside that it came.
type partialSuccess struct {
	rejected int64 // records that were not taken
	message  string
}

// Fields of ExportLogsServiceResponse and ExportLogsPartialSuccess.
const (
	answerPartial  = 1
	partialReject  = 1
	partialMessage = 2
)

const messageMax = 256 // bytes of what the other side says that are kept

// parseAnswer reads an ExportLogsServiceResponse. Unknown fields are passed over; anything that
// is no protobuf, and a count below zero, is an error.
func parseAnswer(b []byte) (partialSuccess, error) {
	var p partialSuccess
	err := eachField(b, func(field, wire int, _ uint64, v []byte) error {
		if field != answerPartial {
			return nil
		}
		if wire != wireBytes {
			return errors.New("partial_success is no message")
		}
		return eachField(v, p.take)
	})
	if err != nil {
		return partialSuccess{}, fmt.Errorf("reading an ExportLogsServiceResponse: %w", err)
	}
	return p, nil
}

func (p *partialSuccess) take(field, wire int, n uint64, v []byte) error {
	switch {
	case field == partialReject && wire == wireVarint:
		if p.rejected = int64(n); p.rejected < 0 {
			return fmt.Errorf("%d records are said to be rejected", p.rejected)
		}
	case field == partialMessage && wire == wireBytes:
		p.message = string(v[:min(len(v), messageMax)])
	case field == partialReject || field == partialMessage:
		return fmt.Errorf("field %d of partial_success has wire type %d", field, wire)
	}
	return nil
}

// eachField goes through the fields of a message: n is the value of a number, v that of bytes.
func eachField(b []byte, do func(field, wire int, n uint64, v []byte) error) error {
	for len(b) > 0 {
		key, used := binary.Uvarint(b)
		if used <= 0 || key>>3 == 0 || key>>3 > 1<<29-1 {
			return errors.New("a field without a number")
		}
		b = b[used:]
		var n uint64
		var v []byte
		wire := int(key & 7)
		switch wire {
		case wireVarint:
			n, used = binary.Uvarint(b)
		case wireFixed64:
			used = 8
		case wireFixed32:
			used = 4
		case wireBytes:
			var size uint64
			size, used = binary.Uvarint(b)
			if used <= 0 || size > uint64(len(b)-used) {
				return fmt.Errorf("field %d is longer than its message", key>>3)
			}
			v = b[used : used+int(size)]
			used += int(size)
		default:
			return fmt.Errorf("field %d has wire type %d", key>>3, wire)
		}
		if used <= 0 || used > len(b) {
			return fmt.Errorf("field %d is cut short", key>>3)
		}
		b = b[used:]
		if err := do(int(key>>3), wire, n, v); err != nil {
			return err
		}
	}
	return nil
}
