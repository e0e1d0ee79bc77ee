package agent

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestBundleNamesNoPersonalFile: of a path below a folder of a person nothing stays but the folder, whatever the name has in it.
func TestBundleNamesNoPersonalFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ part, in, want string }{
		{"log.txt", `opening /home/alice/Medical records/HIV test result.pdf`, `opening /home/(person)/(file)`},
		{"log.txt", `open /var/home/alice/Bob's: "will" & more.pdf: permission denied`, `open /var/home/(person)/(file): permission denied`},
		{"log.txt", `level=WARN msg="open /home/alice/a \"b\" c.pdf: no such file or directory" code=x`, `level=WARN msg="open /home/(person)/(file): no such file or directory" code=x`},
		{"log.txt", `level=WARN path=/home/alice/a.pdf size=12`, `level=WARN path=/home/(person)/(file) size=12`},
		{"log.txt", "/media/alice/USB/Divorce.pdf\nnext", "/media/(file)\nnext"},
		{"log.txt", `/run/media/alice/My disk/Divorce.pdf`, `/run/media/(file)`},
		{"log.txt", `/storage/1234-ABCD/DCIM/Us two.jpg`, `/storage/(file)`},
		{"log.txt", `/storage/emulated/0/Download/Us two.jpg`, `/storage/emulated/0/(file)`},
		{"log.txt", `/mnt/media_rw/1234-ABCD/x y.jpg`, `/mnt/media_rw/(file)`},
		{"log.txt", `/sdcard/x y.jpg`, `/sdcard/(file)`},
		{"log.txt", `/data/media/10/x y.jpg`, `/data/media/10/(file)`},
		{"log.txt", `/root/x y.jpg`, `/root/(file)`},
		{"log.txt", `/home/alice is full`, `/home/(person) is full`},
		{"log.txt", `/usr/share/media/x is there`, `/usr/share/media/x is there`},
		{"report.html", `<td title="/home/alice/a &#34;b&#34; c.pdf">/home/alice/a &lt;b c.pdf</td><td>x</td>`, `<td title="/home/(person)/(file)">/home/(person)/(file)</td><td>x</td>`},
		{"report.json", `{"a":"/home/alice smith/x.pdf","b":"/home/alice","c":"/home/ann lee"}`, `{"a":"/home/(person)/(file)","b":"/home/(person)","c":"/home/(person)"}`},
		{"report.json", `{"a":"line\nat /home/alice/x y.pdf\nnext"}`, `{"a":"line\nat /home/(person)/(file)\nnext"}`},
		{"report.json", `{"a":"{\"b\":\"/home/alice/x \\\"y\\\" z.pdf\",\"c\":1}","d":2}`, `{"a":"{\"b\":\"/home/(person)/(file)\",\"c\":1}","d":2}`},
	} {
		if got := string(newRedactor(strings.NewReader(""), "").bytes(tt.part, []byte(tt.in))); got != tt.want {
			t.Errorf("%s: %s\nis %s\nnot %s", tt.part, tt.in, got, tt.want)
		}
	}
}

// TestBundleLooksBehindEscapes: what begins a line of a text in JSON is found, and the escape before it stays.
func TestBundleLooksBehindEscapes(t *testing.T) {
	t.Parallel()
	r := newRedactor(strings.NewReader("ann:x:1000:1000::/home/ann:/bin/sh\n"), "")
	in, want := `{"a":"x\nann y\u003cann@example.org\u003e\nbob@example.org \\nbob@example.org"}`, `{"a":"x\nperson-1 y\u003c(address)\u003e\n(address) \\(address)"}`
	if got := string(r.bytes("report.json", []byte(in))); got != want {
		t.Errorf("%s\nnot %s", got, want)
	}
}

// FuzzBundleStaysJSON has a file of any name in a document, and in a document inside that: it goes, the rest stays.
func FuzzBundleStaysJSON(f *testing.F) {
	for _, name := range []string{"a.pdf", `a "b" c`, `back\slash`, `ends in \`, `\"`, "line\nend", "tab\there", "<b>&'", "é ü", ": permission denied", `\\\`, `\n`, `n\u0026`, ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		const mark = "CANARY"
		type part struct {
			Path, After, Within string
		}
		p := part{"/home/alice/" + name + " " + mark + name, "kept", ""}
		for range 3 { // each within the next
			b, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			p.Within = string(b)
		}
		in, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		out := newRedactor(strings.NewReader(""), "").bytes("report.json", in)
		if strings.Contains(string(out), mark) {
			t.Errorf("%s\nis %s", in, out)
		}
		for depth := 0; ; depth++ {
			var got part
			if err := json.Unmarshal(out, &got); err != nil {
				t.Fatalf("%s\nis at depth %d %s: %v", in, depth, out, err)
			}
			if !strings.HasPrefix(got.Path, "/home/(person)/(file)") || got.After != "kept" {
				t.Errorf("%s\nis at depth %d %s", in, depth, out)
			}
			if out = []byte(got.Within); len(out) == 0 {
				break
			}
		}
	})
}
