package parse

import (
	"bytes"
	"encoding/binary"
)

// FlatpakDeploy is the content of the file "deploy" beside each deployed Flatpak: a GVariant
// of type (ssasta{sv}) in little-endian form.
type FlatpakDeploy struct {
	Origin string // name of the remote it came from
	Commit string
	// InstalledSize is in bytes. Flatpak stores it big-endian whatever the machine.
	InstalledSize int64
	// Strings of the metadata dictionary; "" when absent.
	AppName, AppSummary, AppVersion, EOL string
}

// ParseFlatpakDeploy reads a "deploy" file. The error names the offset.
func ParseFlatpakDeploy(b []byte) (FlatpakDeploy, error) {
	var d FlatpakDeploy
	if len(b) < 8 {
		return d, gvariantError(0, "too short")
	}
	// A tuple's framing offsets stand at its end, the first member's last. The members of
	// fixed size and the last one have none: here there are three.
	size := offsetSize(len(b))
	table := len(b) - 3*size
	if table < 0 {
		return d, gvariantError(0, "too short for its framing offsets")
	}
	var ends [3]int
	for i := range ends {
		ends[i] = readOffset(b[len(b)-(i+1)*size:], size)
		if ends[i] > table || i > 0 && ends[i] < ends[i-1] {
			return d, gvariantError(len(b)-(i+1)*size, "framing offset out of order")
		}
	}
	d.Origin, d.Commit = variantText(b[:ends[0]]), variantText(b[ends[0]:ends[1]])
	number := align8(ends[2])
	if number+8 > table {
		return d, gvariantError(number, "no installed size")
	}
	n := binary.BigEndian.Uint64(b[number:])
	if n > 1<<62 {
		return d, gvariantError(number, "impossible installed size")
	}
	d.InstalledSize = int64(n)
	gvariantStrings(b[number+8:table], func(key, value string) {
		switch key {
		case "appdata-name":
			d.AppName = value
		case "appdata-summary":
			d.AppSummary = value
		case "appdata-version":
			d.AppVersion = value
		case "eol":
			d.EOL = value
		}
	})
	return d, nil
}

// gvariantStrings hands the entries of an a{sv} whose value is a string to yield. Entries of
// another shape are passed over.
func gvariantStrings(b []byte, yield func(key, value string)) {
	if len(b) == 0 {
		return
	}
	// The array's end offsets stand behind its elements; the last one tells where they begin.
	size := offsetSize(len(b))
	if len(b) < size {
		return
	}
	table := readOffset(b[len(b)-size:], size)
	start := 0
	for at := table; at >= 0 && at+size <= len(b); at += size {
		end := readOffset(b[at:], size)
		if start > end || end > table {
			return
		}
		if key, value, ok := gvariantStringEntry(b[start:end]); ok {
			yield(key, value)
		}
		start = align8(end)
	}
}

// gvariantStringEntry reads one {sv} with a string in the variant.
func gvariantStringEntry(b []byte) (key, value string, ok bool) {
	size := offsetSize(len(b))
	if len(b) < size {
		return "", "", false
	}
	keyEnd := readOffset(b[len(b)-size:], size)
	from, to := align8(keyEnd), len(b)-size
	if keyEnd > to || from > to {
		return "", "", false
	}
	// A variant is its value, a zero byte and the name of its type.
	text, isString := bytes.CutSuffix(b[from:to], []byte("\x00s"))
	return variantText(b[:keyEnd]), variantText(text), isString
}

// offsetSize is the size of the framing offsets of a container of n bytes.
func offsetSize(n int) int {
	switch {
	case n <= 0xff:
		return 1
	case n <= 0xffff:
		return 2
	}
	return 4
}

func readOffset(b []byte, size int) int {
	switch size {
	case 1:
		return int(b[0])
	case 2:
		return int(binary.LittleEndian.Uint16(b))
	}
	return int(binary.LittleEndian.Uint32(b) & (1<<31 - 1))
}

func align8(n int) int { return (n + 7) &^ 7 }

// variantText gives the text up to the zero byte that ends a GVariant string.
func variantText(b []byte) string {
	b, _, _ = bytes.Cut(b, []byte{0})
	return string(bytes.ToValidUTF8(b, []byte("\uFFFD")))
}

func gvariantError(offset int, msg string) error {
	return &Error{Offset: int64(offset), Msg: msg}
}
