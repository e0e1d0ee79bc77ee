package parse

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"unicode/utf16"
)

// zipFile is one entry of an APK that a test builds.
type zipFile struct {
	name    string
	content []byte
	deflate bool
	// local changes the local header, central the entry in the central directory.
	local, central func(b []byte)
}

// buildZIP writes entries, a signing block (nil for none) and the directory.
func buildZIP(t testing.TB, files []zipFile, block []byte, comment string) []byte {
	t.Helper()
	var out, directory []byte
	for _, f := range files {
		data, method := f.content, uint16(zipStored)
		if f.deflate {
			data, method = deflated(t, f.content), zipDeflated
		}
		at := len(out)
		fields := le.AppendUint16(nil, 20) // version
		fields = le.AppendUint16(fields, 0)
		fields = le.AppendUint16(fields, method)
		fields = le.AppendUint32(fields, 0) // time
		fields = le.AppendUint32(fields, crc32.ChecksumIEEE(f.content))
		fields = le.AppendUint32(fields, uint32(len(data)))
		fields = le.AppendUint32(fields, uint32(len(f.content)))
		fields = le.AppendUint16(fields, uint16(len(f.name)))
		fields = le.AppendUint16(fields, 0)
		local := append(append([]byte("PK\x03\x04"), fields...), f.name...)
		if f.local != nil {
			f.local(local)
		}
		out = append(append(out, local...), data...)
		central := append([]byte("PK\x01\x02\x14\x00"), fields...)
		central = append(central, make([]byte, 10)...)
		central = append(le.AppendUint32(central, uint32(at)), f.name...)
		if f.central != nil {
			f.central(central)
		}
		directory = append(directory, central...)
	}
	out = append(out, block...)
	end := []byte("PK\x05\x06\x00\x00\x00\x00")
	end = le.AppendUint16(end, uint16(len(files)))
	end = le.AppendUint16(end, uint16(len(files)))
	end = le.AppendUint32(end, uint32(len(directory)))
	end = le.AppendUint32(end, uint32(len(out)))
	end = append(le.AppendUint16(end, uint16(len(comment))), comment...)
	return append(append(out, directory...), end...)
}

func deflated(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func openTestAPK(t testing.TB, b []byte) *APK {
	t.Helper()
	a, err := OpenAPK(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// chunk builds a chunk of binary resources.
func chunk(kind uint16, head []byte, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	out := le.AppendUint16(nil, kind)
	out = le.AppendUint16(out, uint16(resHeaderLen+len(head)))
	out = le.AppendUint32(out, uint32(resHeaderLen+len(head)+len(b)))
	return append(append(out, head...), b...)
}

// pool builds a string pool.
func pool(wide bool, texts ...string) []byte {
	var offsets, data []byte
	for _, s := range texts {
		offsets = le.AppendUint32(offsets, uint32(len(data)))
		if wide {
			units := utf16.Encode([]rune(s))
			if len(units) > 0x7fff {
				data = le.AppendUint16(data, uint16(len(units)>>16|0x8000))
			}
			data = le.AppendUint16(data, uint16(len(units)))
			for _, u := range units {
				data = le.AppendUint16(data, u)
			}
			data = le.AppendUint16(data, 0)
			continue
		}
		for _, n := range []int{len(utf16.Encode([]rune(s))), len(s)} {
			if n > 0x7f {
				data = append(data, byte(n>>8|0x80))
			}
			data = append(data, byte(n))
		}
		data = append(append(data, s...), 0)
	}
	for len(data)%4 != 0 {
		data = append(data, 0)
	}
	flags := uint32(utf8Pool)
	if wide {
		flags = 0
	}
	head := le.AppendUint32(nil, uint32(len(texts)))
	head = le.AppendUint32(head, 0)
	head = le.AppendUint32(head, flags)
	head = le.AppendUint32(head, uint32(stringPoolLen+len(offsets)))
	head = le.AppendUint32(head, 0)
	return chunk(resStringPool, head, offsets, data)
}

// xmlAttr is an attribute that goes by a resource id, or by a name without namespace.
type xmlAttr struct {
	id   uint32
	name string
	kind byte
	data uint32
	text string // with kind resString
}

func textAttr(id uint32, s string) xmlAttr   { return xmlAttr{id: id, kind: resString, text: s} }
func plainAttr(name, s string) xmlAttr       { return xmlAttr{name: name, kind: resString, text: s} }
func intAttr(id, n uint32) xmlAttr           { return xmlAttr{id: id, kind: resFirstInt, data: n} }
func boolAttr(id uint32, yes uint32) xmlAttr { return xmlAttr{id: id, kind: resBoolean, data: yes} }
func refAttr(id, to uint32) xmlAttr          { return xmlAttr{id: id, kind: resReference, data: to} }

type xmlNode struct {
	name     string
	attrs    []xmlAttr
	children []xmlNode
}

func node(name string, attrs []xmlAttr, children ...xmlNode) xmlNode {
	return xmlNode{name, attrs, children}
}

// axmlWriter gathers texts: first those with resource ids (their names left empty, as
// obfuscators do), then the others.
type axmlWriter struct {
	ids   []uint32
	texts []string
}

func (w *axmlWriter) attrName(a xmlAttr) uint32 {
	if a.id == 0 {
		return w.text(a.name)
	}
	for i, id := range w.ids {
		if id == a.id {
			return uint32(i)
		}
	}
	w.ids = append(w.ids, a.id)
	return uint32(len(w.ids) - 1)
}

func (w *axmlWriter) text(s string) uint32 {
	for i, t := range w.texts {
		if t == s {
			return uint32(len(w.ids) + i)
		}
	}
	w.texts = append(w.texts, s)
	return uint32(len(w.ids) + len(w.texts) - 1)
}

func (w *axmlWriter) node(n xmlNode) []byte {
	head := le.AppendUint32(nil, 1)
	head = le.AppendUint32(head, resNoIndex)
	ext := le.AppendUint32(nil, resNoIndex)
	ext = le.AppendUint32(ext, w.text(n.name))
	end := chunk(resXMLEnd, head, ext)
	ext = le.AppendUint16(ext, xmlElementLen)
	ext = le.AppendUint16(ext, xmlAttrLen)
	ext = le.AppendUint16(ext, uint16(len(n.attrs)))
	ext = append(ext, 0, 0, 0, 0, 0, 0)
	for _, a := range n.attrs {
		ns := uint32(resNoIndex)
		if a.id != 0 {
			ns = w.text("http://schemas.android.com/apk/res/android")
		}
		raw, data := uint32(resNoIndex), a.data
		if a.kind == resString {
			raw = w.text(a.text)
			data = raw
		}
		ext = le.AppendUint32(ext, ns)
		ext = le.AppendUint32(ext, w.attrName(a))
		ext = le.AppendUint32(ext, raw)
		ext = append(ext, 8, 0, 0, a.kind)
		ext = le.AppendUint32(ext, data)
	}
	out := chunk(resXMLStart, head, ext)
	for _, c := range n.children {
		out = append(out, w.node(c)...)
	}
	return append(out, end...)
}

// buildAXML writes a document. It runs twice, for the ids come before the texts.
func buildAXML(root xmlNode, wide bool) []byte {
	w := &axmlWriter{}
	w.node(root)
	w.texts = nil
	body := w.node(root)
	var ids []byte
	for _, id := range w.ids {
		ids = le.AppendUint32(ids, id)
	}
	return chunk(resXML, nil, pool(wide, append(make([]string, len(w.ids)), w.texts...)...), chunk(resXMLMap, nil, ids), body)
}

// arscType is one type of resources under one configuration.
type arscType struct {
	id     byte
	flags  byte
	config []byte // after its size
	values []arscValue
}

type arscValue struct {
	index   uint16
	compact bool
	kind    byte
	data    uint32
}

func (a arscType) build() []byte {
	var entries []byte
	at := map[uint16]uint32{}
	last := uint16(0)
	for _, v := range a.values {
		at[v.index] = uint32(len(entries))
		last = max(last, v.index)
		if v.compact {
			entries = le.AppendUint16(entries, 0)
			entries = le.AppendUint16(entries, uint16(v.kind)<<8|entryCompact)
		} else {
			entries = append(entries, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, v.kind)
		}
		entries = le.AppendUint32(entries, v.data)
	}
	var table []byte
	count := uint32(last) + 1
	switch {
	case a.flags&typeSparse != 0:
		count = uint32(len(a.values))
		for _, v := range a.values {
			table = le.AppendUint16(table, v.index)
			table = le.AppendUint16(table, uint16(at[v.index]/4))
		}
	case a.flags&typeOffset16 != 0:
		for i := range count {
			if o, ok := at[uint16(i)]; ok {
				table = le.AppendUint16(table, uint16(o/4))
			} else {
				table = le.AppendUint16(table, 1<<16-1)
			}
		}
		if len(table)%4 != 0 {
			table = append(table, 0, 0)
		}
	default:
		for i := range count {
			if o, ok := at[uint16(i)]; ok {
				table = le.AppendUint32(table, o)
			} else {
				table = le.AppendUint32(table, resNoIndex)
			}
		}
	}
	config := append(make([]byte, 0, 64), a.config...)
	for len(config) < 60 {
		config = append(config, 0)
	}
	head := []byte{a.id, a.flags, 0, 0}
	head = le.AppendUint32(head, count)
	head = le.AppendUint32(head, uint32(resTypeLen+4+len(config)+len(table)))
	head = le.AppendUint32(head, uint32(4+len(config)))
	return chunk(resType, append(head, config...), table, entries)
}

// language is a configuration for a language.
func language(code string) []byte { return append(make([]byte, 4), code...) }

func buildARSC(texts []string, types ...arscType) []byte {
	head := le.AppendUint32(nil, 0x7f)
	head = append(head, make([]byte, resPackageLen-resHeaderLen-4)...)
	var body []byte
	for _, t := range types {
		body = append(body, t.build()...)
	}
	return chunk(resTable, binary.LittleEndian.AppendUint32(nil, 1), pool(false, texts...), chunk(resPackage, head, pool(false, "string"), pool(false, "key"), body))
}
