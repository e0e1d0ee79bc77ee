package parse

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"sort"
	"strconv"
)

const (
	maxResChunks  = 1 << 14
	maxResConfigs = 1 << 11 // of one type
	maxResHops    = 20      // of a reference to a reference, as the framework has it
	resPackageLen = 284
	resTypeLen    = 20 // up to the configuration
	resTableLen   = 12

	typeSparse   = 1
	typeOffset16 = 2
	entryComplex = 1
	entryCompact = 8
)

// ResourceTable is an app's resources.arsc. It refers to the bytes it was parsed from.
type ResourceTable struct {
	strings resStrings
	types   map[uint32][]resTypeChunk // by package and type, as a resource id has them
}

// resTypeChunk is the values of one type of resources under one configuration.
type resTypeChunk struct {
	resChunk
	entry int // number of entries
	start int // of the entries in the chunk
	flags byte
	rank  int // how far its configuration is from the default one: 0 is the default itself
}

// ParseResourceTable reads the structure of a resources.arsc: packages, types and string
// pools. Format: ResourceTypes.h of frameworks/base/libs/androidfw, with the sparse (Android 8),
// 16-bit and compact (Android 14) forms. Values are looked up when asked for.
func ParseResourceTable(b []byte) (*ResourceTable, error) {
	root, err := chunkAt(b, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("resource table: %w", err)
	}
	if root.kind != resTable || root.header < resTableLen {
		return nil, root.errorf("chunk %#04x instead of a resource table", root.kind)
	}
	t := &ResourceTable{types: map[uint32][]resTypeChunk{}}
	chunks, seen := 0, false
	err = eachResChunk(root.b, root.header, 0, &chunks, func(c resChunk) error {
		switch c.kind {
		case resStringPool:
			if seen {
				return nil // the framework skips further ones
			}
			seen = true
			t.strings, err = parseResStrings(c)
			return err
		case resPackage:
			return t.addPackage(c, &chunks)
		}
		return nil
	})
	return t, err
}

func eachResChunk(b []byte, start, base int, chunks *int, yield func(resChunk) error) error {
	for at := start; len(b)-at >= resHeaderLen; {
		c, err := chunkAt(b, at, base)
		if err != nil {
			return err
		}
		if *chunks++; *chunks > maxResChunks {
			return c.errorf("more than %d chunks", maxResChunks)
		}
		if err := yield(c); err != nil {
			return err
		}
		at += len(c.b)
	}
	return nil
}

func (t *ResourceTable) addPackage(p resChunk, chunks *int) error {
	if p.header < resPackageLen {
		return p.errorf("package with a header of %d bytes", p.header)
	}
	id := binary.LittleEndian.Uint32(p.b[8:]) << 24
	return eachResChunk(p.b, p.header, p.at, chunks, func(c resChunk) error {
		if c.kind != resType {
			return nil
		}
		if c.header < resTypeLen+4 || c.b[8] == 0 {
			return c.errorf("type %d with a header of %d bytes", c.b[8], c.header)
		}
		r := resTypeChunk{
			resChunk: c,
			flags:    c.b[9],
		}
		count, start := int64(binary.LittleEndian.Uint32(c.b[12:])), int64(binary.LittleEndian.Uint32(c.b[16:]))
		width := int64(4)
		if r.flags&typeSparse == 0 && r.flags&typeOffset16 != 0 {
			width = 2
		}
		config := int64(binary.LittleEndian.Uint32(c.b[resTypeLen:]))
		if count > int64(len(c.body()))/width || start > int64(len(c.b)) || config > int64(c.header-resTypeLen) || config < 4 {
			return c.errorf("type %d of %d bytes claims %d entries at %d and a configuration of %d bytes", c.b[8], len(c.b), count, start, config)
		}
		r.entry, r.start = int(count), int(start)
		r.rank = configRank(c.b[resTypeLen+4 : resTypeLen+config])
		key := id | uint32(c.b[8])<<16
		if len(t.types[key]) == maxResConfigs {
			return c.errorf("type %d under more than %d configurations", c.b[8], maxResConfigs)
		}
		t.types[key] = append(t.types[key], r)
		return nil
	})
}

// configRank orders configurations by how likely a device with the default language, or
// English, shows their value. b begins after the configuration's size: mcc, mnc, language and
// country of two bytes each, then everything else.
func configRank(b []byte) int {
	if len(bytes.Trim(b, "\x00")) == 0 {
		return 0
	}
	language := "\x00\x00"
	country := language
	if len(b) >= 8 {
		language, country = string(b[4:6]), string(b[6:8])
	}
	switch {
	case language == "\x00\x00":
		return 1
	case language == "en" && country == "\x00\x00":
		return 2
	case language == "en":
		return 3
	}
	return 4
}

// entryAt gives the simple value of entry i, if the chunk has one.
func (r *resTypeChunk) entryAt(i uint32) (v resValue, ok bool) {
	at, ok := r.offsetOf(i)
	if !ok || at > int64(len(r.b)-8) {
		return v, false
	}
	e := r.b[at:]
	size, flags := binary.LittleEndian.Uint16(e), binary.LittleEndian.Uint16(e[2:])
	switch {
	case flags&entryCompact != 0: // key, flags with the type above them, data
		return resValue{kind: byte(flags >> 8), data: binary.LittleEndian.Uint32(e[4:])}, true
	case flags&entryComplex != 0 || int(size) < 8 || len(e) < int(size)+8:
		return v, false
	}
	e = e[size:]
	return resValue{kind: e[3], data: binary.LittleEndian.Uint32(e[4:])}, true
}

// offsetOf finds where entry i lies in the chunk.
func (r *resTypeChunk) offsetOf(i uint32) (int64, bool) {
	table := r.body()
	switch {
	case r.flags&typeSparse != 0: // pairs of entry and offset, in order
		n := sort.Search(r.entry, func(n int) bool { return uint32(binary.LittleEndian.Uint16(table[4*n:])) >= i })
		if n == r.entry || uint32(binary.LittleEndian.Uint16(table[4*n:])) != i {
			return 0, false
		}
		return int64(r.start) + 4*int64(binary.LittleEndian.Uint16(table[4*n+2:])), true
	case int64(i) >= int64(r.entry):
		return 0, false
	case r.flags&typeOffset16 != 0:
		offset := binary.LittleEndian.Uint16(table[2*int(i):])
		return int64(r.start) + 4*int64(offset), offset != 1<<16-1
	}
	offset := binary.LittleEndian.Uint32(table[4*int(i):])
	return int64(r.start) + int64(offset), offset != resNoIndex
}

// resolve follows a reference to a value that is none, in the default configuration where
// there is one.
func (t *ResourceTable) resolve(v resValue) (resValue, bool) {
	for range maxResHops {
		if v.kind != resReference && v.kind != resDynReference {
			return v, true
		}
		if t == nil {
			return v, false
		}
		next, ok := t.lookup(v.data)
		if !ok {
			return v, false
		}
		if next.kind == resString {
			next.text, ok = t.strings.at(next.data)
			if !ok {
				return v, false
			}
		}
		v = next
	}
	return v, false
}

func (t *ResourceTable) lookup(id uint32) (best resValue, found bool) {
	rank := 0
	types := t.types[id&0xffff0000]
	for i := range types {
		r := &types[i]
		if found && r.rank >= rank {
			continue
		}
		if v, ok := r.entryAt(id & 0xffff); ok {
			best, rank, found = v, r.rank, true
		}
	}
	return best, found
}

// Text resolves a resource id to the text that a device without a matching language shows;
// ok is false when the table does not have it, or only something that is no text.
func (t *ResourceTable) Text(id uint32) (text string, ok bool) {
	v, ok := t.resolve(resValue{kind: resReference, data: id})
	return v.String(), ok
}

func floatText(bits uint32) string {
	return strconv.FormatFloat(float64(math.Float32frombits(bits)), 'g', -1, 32)
}
