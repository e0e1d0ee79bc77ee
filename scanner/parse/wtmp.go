package parse

import "bytes"

const loginRecord = 384 // bytes of one utmp(5) record, the same on all 64-bit systems and most others

// ErasedRecords counts the records of a wtmp or btmp file that are nothing but zeros while
// other records are not: what tools that remove traces of a login leave. A file of another
// shape has none.
func ErasedRecords(b []byte) int {
	if len(b) == 0 || len(b)%loginRecord != 0 {
		return 0
	}
	zeros, erased, whole := make([]byte, loginRecord), 0, 0
	for ; len(b) > 0; b = b[loginRecord:] {
		if bytes.Equal(b[:loginRecord], zeros) {
			erased++
		} else {
			whole++
		}
	}
	if whole == 0 {
		return 0
	}
	return erased
}
