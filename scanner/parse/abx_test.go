package parse

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// xmlEvents writes down what a reader gives: one line per event, text joined.
func xmlEvents(x *xmlReader) []string {
	var out []string
	text := ""
	flush := func() {
		if text != "" {
			out, text = append(out, "text "+strconv.Quote(text)), ""
		}
	}
	for {
		switch x.next() {
		case xmlStart:
			flush()
			line := "start " + strconv.Quote(x.name)
			for i := range x.attrs {
				line += " " + strconv.Quote(x.attrs[i].name) + "=" + strconv.Quote(x.attrs[i].value())
			}
			out = append(out, line)
		case xmlEnd:
			flush()
			out = append(out, "end "+strconv.Quote(x.name))
		case xmlText:
			text += x.raw.value()
		case xmlEOF:
			flush()
			if x.err != nil {
				out = append(out, "error "+x.err.Error())
			}
			return out
		}
	}
}

// twin writes the same random document in both forms.
type twin struct {
	t    *testing.T
	rnd  *rand.Rand
	text bytes.Buffer
	abx  *abxWriter
}

func (d *twin) word() string {
	alphabet := []rune("abcdefghijklmnop.-_019é語🦊\U0001F600")
	w := []rune{'n'}
	for range d.rnd.IntN(8) {
		w = append(w, alphabet[d.rnd.IntN(len(alphabet))])
	}
	return string(w)
}

func (d *twin) string() string {
	alphabet := []rune("abc <>&'\" ;\n\tüß漢🦊\U0010FFFF\u0000\u0080\uFFFD#x")
	w := []rune{}
	for range d.rnd.IntN(20) {
		w = append(w, alphabet[d.rnd.IntN(len(alphabet))])
	}
	return string(w)
}

func escapeXML(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune("<>&'\"", r) || r < ' ' {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (d *twin) element(depth int) {
	name := d.word()
	d.abx.start(name)
	d.text.WriteString("<" + name)
	for i := range d.rnd.IntN(6) {
		d.attribute(d.word() + strconv.Itoa(i))
	}
	children := 0
	if depth < 6 {
		children = d.rnd.IntN(5)
	}
	if children == 0 && d.rnd.IntN(2) == 0 {
		d.text.WriteString("/>")
		d.abx.end(name)
		return
	}
	d.text.WriteString(">")
	for range children {
		switch d.rnd.IntN(4) {
		case 0:
			s := d.string()
			d.text.WriteString(escapeXML(s))
			d.abx.text(abxText, s)
		case 1:
			d.text.WriteString("<!-- > \" -->&lt;<![CDATA[a<&b]]>")
			d.abx.text(abxComment, "c")
			d.abx.text(abxEntity, "lt")
			d.abx.text(abxCDATA, "a<&b")
		default:
			d.element(depth + 1)
		}
	}
	d.text.WriteString("</" + name + " >")
	d.abx.end(name)
}

func (d *twin) attribute(name string) {
	value, kind := "", byte(0)
	n32, n64 := int64(int32(d.rnd.Uint32())), int64(d.rnd.Uint64())
	some := []byte(d.string())
	switch d.rnd.IntN(10) {
	case 0:
		value, kind = d.string(), abxString
	case 1:
		value, kind = d.string(), abxInterned
	case 2:
		value, kind = hex.EncodeToString(some), abxBytesHex
	case 3:
		a := xmlValue{kind: abxBytesBase64, raw: some}
		value, kind = a.value(), abxBytesBase64
	case 4:
		value, kind = strconv.FormatInt(n32, 10), abxInt
	case 5:
		value, kind = strconv.FormatInt(n32, 16), abxIntHex
	case 6:
		value, kind = strconv.FormatInt(n64, 10), abxLong
	case 7:
		value, kind = strconv.FormatInt(n64, 16), abxLongHex
	case 8:
		value, kind = "true", abxTrue
	case 9:
		value, kind = "false", abxFalse
	}
	d.abx.attr(d.t, kind, name, value)
	fmt.Fprintf(&d.text, " %s = %q", name, "")
	d.text.Truncate(d.text.Len() - 2)
	quote := []string{`"`, "'"}[d.rnd.IntN(2)]
	d.text.WriteString(quote + escapeXML(value) + quote)
}

func TestBothFormsGiveTheSameEvents(t *testing.T) {
	for seed := range uint64(300) {
		d := &twin{t: t, rnd: rand.New(rand.NewPCG(seed, 1)), abx: newABXWriter()}
		d.text.WriteString("<?xml version='1.1' encoding='latin9' standalone='yes' ?>\n<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>\n")
		for range 1 + d.rnd.IntN(3) { // several roots
			d.element(0)
			d.text.WriteString("\n")
		}
		text, abx := xmlEvents(newXMLReader(d.text.Bytes())), xmlEvents(newXMLReader(d.abx.done()))
		for len(text) > 0 && text[len(text)-1] == `text "\n"` {
			text = text[:len(text)-1]
		}
		var rooted []string // blanks between the roots are events of text alone
		depth := 0
		for _, e := range text {
			depth += map[byte]int{'s': 1, 'e': -1}[e[0]]
			if depth > 0 || !strings.HasPrefix(e, "text ") {
				rooted = append(rooted, e)
			}
		}
		if !reflect.DeepEqual(rooted, abx) {
			t.Fatalf("seed %d:\n%s\ntext %q\nabx  %q", seed, d.text.String(), rooted, abx)
		}
	}
}

func TestABXFloats(t *testing.T) {
	w := newABXWriter()
	w.start("a")
	w.out = append(w.out, abxAttribute|abxFloat)
	w.interned("f")
	w.out = binary.BigEndian.AppendUint32(w.out, math.Float32bits(1.5))
	w.out = append(w.out, abxAttribute|abxDouble)
	w.interned("d")
	w.out = binary.BigEndian.AppendUint64(w.out, math.Float64bits(-0.25))
	w.out = append(w.out, abxAttribute|abxNull)
	w.interned("none")
	w.end("a")
	x := newXMLReader(w.done())
	if !x.root("a") || x.attr("f") != "1.5" || x.attr("d") != "-0.25" || x.has("none") || x.end() != nil {
		t.Fatalf("f=%q d=%q none=%v err=%v", x.attr("f"), x.attr("d"), x.has("none"), x.err)
	}
}

func TestABXPoolFull(t *testing.T) {
	w := newABXWriter()
	w.start("a")
	for i := range abxNewString + 10 { // the last ones do not fit and are written out each time
		w.start("n" + strconv.Itoa(i))
		w.end("n" + strconv.Itoa(i))
	}
	w.end("a")
	x := newXMLReader(w.done())
	n := 0
	x.root("a")
	for name := range x.children() {
		if name != "n"+strconv.Itoa(n) {
			t.Fatalf("child %d is %q", n, name)
		}
		n++
	}
	if n != abxNewString+10 || x.end() != nil || len(x.strings) != abxNewString {
		t.Fatalf("%d children, %d strings, %v", n, len(x.strings), x.err)
	}
}

// hostile files stop with an error that names the place.
func TestXMLHostile(t *testing.T) {
	start := func(names ...string) *abxWriter {
		w := newABXWriter()
		for _, n := range names {
			w.start(n)
		}
		return w
	}
	wild := start("a")
	wild.out = append(wild.out, abxStartTag|abxInterned, 0, 7)
	unknownType := start("a")
	unknownType.out = append(unknownType.out, abxAttribute|0xe0, 0, 0)
	stray := start("a")
	stray.text(abxText, "t")
	stray.attr(t, abxTrue, "b", "true")
	crossed := start("a", "b")
	crossed.end("a")
	short := start("a")
	short.out = append(short.out, abxAttribute|abxString, 0, 0, 0xff, 0xff, 'x')
	deep := newABXWriter()
	for range maxXMLDepth + 1 {
		deep.start("a")
	}
	wide := start("a")
	for range maxXMLAttrs + 1 {
		wide.attr(t, abxTrue, "b", "true")
	}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"wild reference":    {wild.out, "offset 12: string 7 of a pool of 1"},
		"unknown type":      {unknownType.out, "offset 11: attribute of unknown type 14"},
		"unknown token":     {append(start("a").out, 0x3c), "offset 11: unknown token 12 of type 3"},
		"stray attribute":   {stray.out, "offset 15: attribute outside a start tag"},
		"crossed ends":      {crossed.out, `offset 17: end of "a", which is not open`},
		"short value":       {short.out, "offset 16: file ends inside a value"},
		"open at the end":   {start("a", "b").done(), `file ends inside "b"`},
		"deep":              {deep.out, "elements nest more than 100 deep"},
		"wide":              {wide.out, "element has more than 1000 attributes"},
		"text: crossed":     {[]byte("<a><b></a></b>"), `offset 6: end of "a", which is not open`},
		"text: cut":         {[]byte("<a><b x='1'"), "offset 11: start tag does not end"},
		"text: cut value":   {[]byte("<a x='1>"), "offset 3: value of an attribute does not end"},
		"text: bare":        {[]byte("<a x=1/>"), "offset 3: value of an attribute is not quoted"},
		"text: zeros":       {make([]byte, 100), "offset 0: text outside the elements"},
		"text: utf-16":      {[]byte("<\x00a\x00>\x00"), "offset 0: tag without a name"},
		"text: open":        {[]byte("<a><b>"), `offset 6: file ends inside "b"`},
		"text: deep":        {bytes.Repeat([]byte("<a>"), maxXMLDepth+1), "elements nest more than 100 deep"},
		"text: wide":        {append([]byte("<a"), bytes.Repeat([]byte(" b='1'"), maxXMLAttrs+1)...), "element has more than 1000 attributes"},
		"text: comment":     {[]byte("<a/><!-- x"), `offset 4: "-->" is missing`},
		"text: cdata":       {[]byte("<a><![CDATA[>]]</a>"), `offset 3: "]]>" is missing`},
		"text: cdata edge":  {[]byte("<a><![CDATA[]]</a>"), `offset 3: "]]>" is missing`},
		"text: doctype":     {[]byte("<!DOCTYPE a [<a>"), "offset 0: document type does not end"},
		"too large":         {make([]byte, maxAndroidXML+1), "offset 0: file is larger than 32 MiB"},
		"text: end of none": {[]byte("</a>"), `offset 0: end of "a", which is not open`},
	} {
		x := newXMLReader(c.in)
		err := x.end()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %s", name, err, c.want)
		}
	}
	for _, empty := range [][]byte{nil, []byte(abxHeader), []byte("<?xml version='1.0'?>\n")} {
		x := newXMLReader(empty)
		if x.root("packages") || x.end() == nil {
			t.Errorf("%q passes for a file", empty)
		}
	}
}

// A value repeated by reference must not multiply the work.
func TestXMLWorkIsBounded(t *testing.T) {
	w := newABXWriter()
	w.start("a")
	long := strings.Repeat("00", 30000)
	for range 2000 {
		w.start("cert")
		w.attr(t, abxInterned, "key", long)
		w.end("cert")
	}
	w.end("a")
	x := newXMLReader(w.done())
	x.root("a")
	total := 0
	for range x.children() {
		total += len(x.bytes("key"))
	}
	if err := x.end(); err == nil || !strings.Contains(err.Error(), "32 MiB") || total > maxAndroidXML {
		t.Fatalf("%d bytes, %v", total, err)
	}
}

func TestXMLNumbers(t *testing.T) {
	x := newXMLReader([]byte(`<a d="-12" h="-7f" u="ffffffffffffffff" i="80000000" t="TRUE" f="0" bad="x" odd="abc"/>`))
	x.root("a")
	if x.int("d", 0) != -12 || x.hex("h", 0) != -127 || x.hex("u", 0) != -1 || x.hex("i", 0) != 1<<31 || x.int("none", 5) != 5 {
		t.Error("a number is read wrong")
	}
	if !x.bool("t", false) || x.bool("f", true) || !x.bool("none", true) {
		t.Error("a truth value is read wrong")
	}
	if x.err != nil {
		t.Fatal(x.err)
	}
	if x.int("bad", 3) != 3 || x.err == nil {
		t.Error("no complaint about a bad number")
	}
	x.err = nil
	if x.bytes("odd") != nil || x.err == nil {
		t.Error("no complaint about odd hexadecimal")
	}
}

func TestUnescapeXML(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                  "plain",
		"a&lt;b&gt;&amp;&quot;":  `a<b>&"`,
		"&#65;&#x42;&#x1F98A;":   "AB🦊",
		"&#55358;&#56714;":       "🦊",
		"&#55358;x&#56714;":      "\uFFFDx\uFFFD",
		"&#55358;&#55358;&#10;":  "\uFFFD\uFFFD\n",
		"&file; & &; &#; &#xZZ;": "&file; & &; &#; &#xZZ;",
		"\xff&amp;":              "\uFFFD&",
		"&#9999999999;":          "&#9999999999;",
	} {
		if got := unescapeXML([]byte(in)); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func FuzzAndroidXML(f *testing.F) {
	f.Add([]byte("<?xml version='1.0'?><a x=\"1\">t<b/><![CDATA[c]]><!-- d --></a><e/>"))
	w := newABXWriter()
	w.start("a")
	w.out = append(w.out, abxAttribute|abxIntHex)
	w.interned("n")
	w.out = append(w.out, 0, 0, 1, 2, abxAttribute|abxTrue)
	w.interned("b")
	w.text(abxText, "text")
	w.end("a")
	f.Add(w.done())
	f.Fuzz(func(t *testing.T, b []byte) {
		x := newXMLReader(b)
		depth := 0
		for {
			kind := x.next()
			switch kind {
			case xmlStart:
				depth++
				for i := range x.attrs {
					x.bytes(x.attrs[i].name)
					x.hex(x.attrs[i].name, 0)
				}
			case xmlEnd:
				depth--
			case xmlText:
				x.raw.value()
			case xmlEOF:
				if depth > 0 && x.err == nil {
					t.Fatal("no error though elements are open")
				}
				if x.err != nil && (x.err.Offset < 0 || x.err.Offset > int64(len(b))) {
					t.Fatalf("offset %d of %d", x.err.Offset, len(b))
				}
				return
			}
			if depth < 0 || depth > maxXMLDepth {
				t.Fatalf("depth %d", depth)
			}
		}
	})
}

// The bytes of a document, put together by hand after BinaryXmlSerializer, so that the writer
// of these tests and the reader cannot be wrong together.
func TestABXBytes(t *testing.T) {
	doc := "ABX\x00\x10" +
		"\x32\xff\xff\x00\x03pkg" +
		"\x2f\xff\xff\x00\x04name\x00\x06a\xc0\x80\xc3\xa9b" + // string, with NUL in two bytes
		"\x3f\xff\xff\x00\x03ref\x00\x00" + // interned: string 0
		"\x3f\x00\x01\xff\xff\x00\x06\xed\xa0\xbe\xed\xb6\x8a" + // string 1 = interned anew, halves of U+1F98A
		"\x4f\xff\xff\x00\x01k\x00\x02\x0a\xff" + // bytes as hexadecimal
		"\x5f\x00\x04\x00\x02\x0a\xff" + // as base64
		"\x6f\x00\x04\xff\xff\xff\xfe" + // int -2
		"\x7f\x00\x04\x80\x00\x00\x00" + // int as hexadecimal
		"\x8f\x00\x04\x00\x00\x01\x00\x00\x00\x00\x00" + // long
		"\x9f\x00\x04\x00\x00\x01\x8c\x1a\x2b\x3c\x40" + // long as hexadecimal
		"\xcf\x00\x04\xdf\x00\x04\x1f\x00\x04" + // true, false, null
		"\x24\x00\x02hi" + // text
		"\x29\x00\x01c" + // comment
		"\x26\x00\x03amp" + // entity
		"\x32\xff\xff\x00\x01x\x33\x00\x05" + // <x></x>
		"\x33\x00\x00\x11" + "whatever follows the end is not read"
	want := []string{
		`start "pkg" "name"="a\x00éb" "ref"="pkg" "name"="🦊" "k"="0aff" "k"="Cv8=" "k"="-2" "k"="-80000000" "k"="1099511627776" ` +
			`"k"="18c1a2b3c40" "k"="true" "k"="false" "k"=""`,
		`text "hi&"`, `start "x"`, `end "x"`, `end "pkg"`}
	if got := xmlEvents(newXMLReader([]byte(doc))); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestModifiedUTF8(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                            "plain",
		"\xc0\x80":                         "\x00",
		"\xed\xa0\xbe\xed\xb6\x8a":         "🦊",
		"\xf0\x9f\xa6\x8a":                 "🦊",
		"\xed\xa0\xbe":                     "\uFFFD", // half a character
		"\xed\xb6\x8a\xed\xa0\xbe!":        "\uFFFD\uFFFD!",
		"\xed\xa0":                         "\uFFFD\uFFFD",
		"a\xffb\xc0":                       "a\uFFFDb\uFFFD",
		"\xed\xa0\xbe\xed\xa0\xbe\xed\xb6": "\uFFFD\uFFFD\uFFFD\uFFFD",
	} {
		if got := modifiedUTF8([]byte(in)); got != want {
			t.Errorf("%q gives %q, want %q", in, got, want)
		}
	}
}

func TestXMLText(t *testing.T) {
	x := newXMLReader([]byte("\xef\xbb\xbf<a>one<b>not</b><![CDATA[<two>]]> &#51;</a>"))
	if !x.root("a") || x.text() != "one<two> 3" || x.end() != nil {
		t.Errorf("text is read wrong: %v", x.err)
	}
	x = newXMLReader([]byte("<a>" + strings.Repeat("x", maxXMLText+1) + "</a>"))
	if x.root("a"); x.text() != "" || x.end() == nil {
		t.Error("a text of more than 1 MiB passes")
	}
	x = newXMLReader([]byte("<a b='maybe'/>"))
	if x.root("a"); !x.bool("b", true) || x.end() == nil {
		t.Error("no complaint about a truth value that is none")
	}
	x = newXMLReader([]byte("<" + strings.Repeat("n", 500) + "/>"))
	if x.root("a") || len(x.err.Error()) > 200 {
		t.Error("a long name makes a long error")
	}
}

func TestSettingsDamaged(t *testing.T) {
	for _, value := range []string{"*", "AA==", "AAAA"} { // neither base64, nor pairs of bytes
		got, err := SettingsXML([]byte(`<settings version="200"><setting name="a" valueBase64="` + value + `"/></settings>`))
		if err == nil || len(got) != 1 || !got[0].Set {
			t.Errorf("%q: %+v, %v", value, got, err)
		}
	}
}
