package facts

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/parse"
)

const dropBase = "platform: android\n-- system/build.prop --\nro.build.version.sdk=33\n-- data/media/0/Download/ --\n-- data/local/tmp/ --\n"

// blob is a file of a text fixture by its bytes.
func blob(name string, b []byte) string {
	return fmt.Sprintf("-- %s base64 --\n%s\n", name, base64.StdEncoding.EncodeToString(b))
}

// archiveOf makes a zip archive of empty files, but for those that are given.
func archiveOf(t testing.TB, first string, data map[string][]byte, more ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range append([]string{first}, more...) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name})
		if err == nil {
			_, err = w.Write(data[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// manifestOf makes a compiled manifest that says the package's id and nothing more.
func manifestOf(id string) []byte {
	le := binary.LittleEndian
	var data, offsets []byte
	texts := []string{"manifest", "package", id}
	for _, s := range texts {
		offsets = le.AppendUint32(offsets, uint32(len(data)))
		data = append(append(data, byte(len(s)), byte(len(s))), s...)
		data = append(data, 0)
	}
	data = append(data, make([]byte, (4-len(data)%4)%4)...)
	chunk := func(kind, head uint16, body []byte) []byte {
		b := le.AppendUint16(nil, kind)
		b = le.AppendUint16(b, head)
		return append(le.AppendUint32(b, uint32(8+len(body))), body...)
	}
	words := func(w ...uint32) (b []byte) {
		for _, x := range w {
			b = le.AppendUint32(b, x)
		}
		return b
	}
	const none = 1<<32 - 1
	pool := chunk(1, 28, append(append(words(3, 0, 1<<8, 28+12, 0), offsets...), data...))
	start := append(words(1, none, none, 0), words(20<<16|20, 1, 0)...)
	start = append(start, words(none, 1, 2, 3<<24|8, 2)...)
	end := words(1, none, none, 0)
	body := append(append(pool, chunk(0x102, 16, start)...), chunk(0x103, 16, end)...)
	return chunk(3, 8, body)
}

func dropped(t *testing.T, fixture string) (map[string]DroppedFile, *scanner.Table) {
	t.Helper()
	table := tableOf(t, "dropped_files", fixture, scanner.Options{})
	rows, _ := table.Rows.([]DroppedFile)
	out := map[string]DroppedFile{}
	for _, r := range rows {
		if _, twice := out[r.Path]; twice {
			t.Errorf("two rows for %s", r.Path)
		}
		out[r.Path] = r
	}
	return out, table
}

func TestProgramsThatLieAbout(t *testing.T) {
	t.Parallel()
	apk := archiveOf(t, "AndroidManifest.xml", map[string][]byte{"AndroidManifest.xml": manifestOf("com.example.dropped")}, "classes.dex")
	jar := archiveOf(t, "classes.dex", nil)
	pe := append([]byte("MZ"), make([]byte, 200)...)
	pe[60] = 0x80
	ole := "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + strings.Repeat("\x00", 100)
	rows, table := dropped(t, dropBase+
		"-- data/local/tmp/frida-server-16.1-android-arm64 elf mode=0755 --\n-- data/local/tmp/lib/x.so elf mode=0644 --\n-- data/local/tmp/run mode=0755 --\n#!/system/bin/sh\n"+
		"-- data/local/tmp/notes mode=0644 --\nnot a program\n-- data/local/tmp/empty mode=0755 --\n-- data/local/tmp/link link=run --\n-- data/local/bin/su elf mode=06755 --\n"+
		blob("data/local/tmp/scrcpy-server.jar", jar)+blob("data/local/tmp/report.doc", []byte(ole))+"-- dev/.hidden elf --\n-- dev/cpuset/x elf --\n-- dev/null type=char --\n"+
		blob("data/media/0/Download/update.apk", apk)+blob("data/media/0/Download/a/b/photo.jpg", apk)+blob("data/media/10/Download/stage2.bin", []byte("dex\n035\x00"))+
		blob("data/media/0/Download/setup.exe", pe)+blob("data/media/0/Download/letter.doc", []byte(ole))+blob("data/media/0/Download/song.mp3", []byte(ole))+
		blob("data/media/0/Download/book.docx", archiveOf(t, "[Content_Types].xml", nil))+blob("data/media/0/Download/bill.xlsm", archiveOf(t, "[Content_Types].xml", nil))+
		blob("data/media/0/Download/things.zip", archiveOf(t, "readme.txt", nil))+"-- data/media/0/Download/readme.txt --\n#!/bin/sh\n-- data/media/0/Download/invoice.pdf elf --\n"+
		"-- data/media/0/Download/Pictures/p elf --\n-- data/media/0/DCIM/x.apk elf --\n-- data/media/0/Documents/x.so elf --\n-- data/media/0/Documents/diary elf --\n"+
		blob("data/media/0/top.apk", apk)+blob("data/media/0/Android/media/com.chat/files/in.apk", apk)+blob("data/media/0/Download/half.apk", apk[:100]))
	want := map[string]string{
		"/data/local/tmp/frida-server-16.1-android-arm64": "elf tmp executable frida", "/data/local/tmp/lib/x.so": "so tmp", "/data/local/tmp/run": "script tmp executable",
		"/data/local/tmp/scrcpy-server.jar": "jar tmp scrcpy", "/data/local/bin/su": "elf other executable su", "/data/local/tmp/report.doc": "office tmp", "/dev/.hidden": "elf dev executable",
		"/data/media/0/Download/update.apk": "apk storage com.example.dropped", "/data/media/0/Download/a/b/photo.jpg": "apk storage disguised", "/data/media/10/Download/stage2.bin": "dex storage",
		"/data/media/0/Download/setup.exe": "pe storage", "/data/media/0/Download/song.mp3": "office storage disguised", "/data/media/0/Download/bill.xlsm": "office storage",
		"/data/media/0/Download/readme.txt": "script storage", "/data/media/0/Download/invoice.pdf": "elf storage disguised", "/data/media/0/Documents/x.so": "so storage",
		"/data/media/0/top.apk": "apk storage com.example.dropped", "/data/media/0/Android/media/com.chat/files/in.apk": "apk storage com.example.dropped", "/data/media/0/Download/half.apk": "apk storage half.apk",
	}
	for name, w := range want {
		r := rows[name]
		got := r.Type + " " + r.Place
		if r.Executable {
			got += " executable"
		}
		if r.Disguised {
			got += " disguised"
		}
		got = strings.Join(strings.Fields(got+" "+r.Tool+" "+r.Package), " ")
		if name != "/data/media/0/Download/half.apk" && got != w {
			t.Errorf("%s: %q, want %q", name, got, w)
		}
		if r.Size == 0 || len(r.SHA256) != 64 {
			t.Errorf("%s: %+v", name, r)
		}
	}
	for name := range rows {
		if want[name] == "" {
			t.Errorf("a row for %s", name)
		}
	}
	for _, name := range []string{"/data/media/0/Download/a/b/photo.jpg", "/data/media/0/Download/half.apk"} {
		if rows[name].Unread.Unread["package"] == "" {
			t.Errorf("%s: who it is was not read, and not said", name)
		}
	}
	if len(table.Partial) > 0 {
		t.Errorf("partial %q", table.Partial)
	}
}

func TestDroppedFilesThatCannotBeSeenAreSaid(t *testing.T) {
	t.Parallel()
	_, table := dropped(t, "platform: android\n-- system/build.prop --\nx=1\n-- dev/ --\n")
	if table.Absent == "" {
		t.Errorf("nothing to look at is no empty table: %+v", table)
	}
	_, table = dropped(t, "platform: android\n-- system/build.prop --\nx=1\n-- data/local/tmp/ --\n")
	if table.Absent != "" || !strings.Contains(strings.Join(table.Partial, "\n"), "shared storage did not come along") {
		t.Errorf("no storage: %+v", table)
	}
	_, table = dropped(t, dropBase+"-- data/media/0/Download/a/b/c/d/e/f/g/h/i/x elf --\n")
	if !strings.Contains(strings.Join(table.Partial, "\n"), "more than 8 deep") {
		t.Errorf("deep folders: %+v", table)
	}
	rows, table := dropped(t, dropBase+"-- data/local/tmp/x.so elf denied --\n-- data/local/tmp/y elf denied --\n")
	if _, marked := rows["/data/local/tmp/x.so"].Unread.Unread["disguised"]; !marked || len(table.Partial) == 0 {
		t.Errorf("no first bytes: %+v %+v", rows, table.Partial)
	}
	_, table = dropped(t, strings.Replace(dropBase, "\n", "\nmodes-untrusted: it came through git\n", 1))
	if table.Unknown["executable"] == "" {
		t.Errorf("modes mean nothing: %+v", table)
	}
}

func TestSharedStorageIsLookedAtOnce(t *testing.T) {
	t.Parallel()
	rows, _ := dropped(t, dropBase+"-- data/media/0/Download/x elf --\n-- storage/emulated/0/Download/x elf --\n-- sdcard link=/storage/emulated/0 --\n")
	if len(rows) != 1 || rows["/data/media/0/Download/x"].Type != "elf" {
		t.Errorf("rows %+v", rows)
	}
	rows, _ = dropped(t, "platform: android\n-- system/build.prop --\nx=1\n-- sdcard link=/storage/self --\n-- storage/self/Download/x elf --\n")
	if len(rows) != 1 || rows["/storage/self/Download/x"].Place != "storage" {
		t.Errorf("rows %+v", rows)
	}
}

func TestDroppedFilesOfAnAcquisition(t *testing.T) {
	t.Parallel()
	list := `[{"path":"/data/local/tmp/frida","size":5,"mode":"-rwxr-xr-x","sha256":"00"},{"path":"/data/local/tmp/collector","size":9,"mode":"755"},
{"path":"/data/local/tmp/notes","size":9,"mode":"-rw-r--r--"},{"path":"/data/local/tmp/d","size":9,"mode":"drwxr-xr-x"},{"path":"/sdcard/Download/x.apk","size":7,"mode":"-rwxrwx---"},
{"path":"/data/media/0/DCIM/x.apk","size":7,"mode":"-rw"},{"path":"/sdcard/Download/holiday","size":7,"mode":"-rwxrwx---"},{"path":"/system/bin/sh","size":7,"mode":"-rwxr-xr-x"},
{"path":"/sdcard/Android/data/com.a/files/l.so","size":7},{"path":"/data/local/tmp/elf","size":8,"mode":"-rwxr-xr-x","sha256":"` + strings.Repeat("ab", 32) + `"}]`
	rows, table := dropped(t, "platform: android\n-- probe/getprop --\n[ro.a]: [b]\n-- data/local/tmp/elf elf mode=0644 --\n-- probe/androidqf/files --\n"+list+"\n")
	if table.Absent != "" || len(table.Partial) > 0 {
		t.Errorf("table %+v", table)
	}
	want := map[string]string{"/data/local/tmp/frida": " tmp true ", "/data/local/tmp/collector": " tmp true acquisition", "/sdcard/Download/x.apk": "apk storage false ", "/data/local/tmp/elf": "elf tmp true "}
	for name, w := range want {
		r := rows[name]
		if got := fmt.Sprintf("%s %s %v %s", r.Type, r.Place, r.Executable, r.Tool); got != w {
			t.Errorf("%s: %q, want %q", name, got, w)
		}
	}
	if len(rows) != len(want) {
		t.Errorf("rows %+v", rows)
	}
	if r := rows["/data/local/tmp/frida"]; r.Unread.Unread["type"] == "" || r.SHA256 != "00" {
		t.Errorf("what a list does not tell: %+v", r)
	}
	_, table = dropped(t, "platform: android\n-- probe/getprop --\n[ro.a]: [b]\n-- probe/androidqf/files --\n[{\"path\":\n")
	if len(table.Partial) == 0 {
		t.Errorf("a list that is cut off: %+v", table)
	}
}

func TestDroppedPackageIsTheInstalledOneBySigner(t *testing.T) {
	t.Parallel()
	mine, other := strings.Repeat("a", 64), strings.Repeat("b", 64)
	files := []apkFile{
		{APKFile: APKFile{Path: "/data/local/tmp/same.apk", Package: "com.app", Signer: mine}, manifest: &parse.AndroidManifest{}},
		{APKFile: APKFile{Path: "/data/local/tmp/fake.apk", Package: "com.app", Signer: other}, manifest: &parse.AndroidManifest{}},
		{APKFile: APKFile{Path: "/data/local/tmp/new.apk", Package: "com.new", Signer: mine}, manifest: &parse.AndroidManifest{}},
		{APKFile: APKFile{Path: "/data/local/tmp/unsigned.apk", Package: "com.app"}, manifest: &parse.AndroidManifest{}},
	}
	apps := &androidApps{rows: []App{{AppTraits: AppTraits{Package: "com.app"}, Signer: mine}}, index: map[string]int{"com.app": 0}}
	dev, err := device.Txtar([]byte("platform: android\n-- data/local/tmp/x --\n"))
	if err != nil {
		t.Fatal(err)
	}
	in := &scanner.Input{Device: dev, Tables: map[string]*scanner.Table{"packages": {Rows: []Package{}, Aux: apps}, "apk_files": {Rows: []APKFile{}, Aux: files}}, Options: &scanner.Options{}}
	fill := func(name string) DroppedFile {
		row := DroppedFile{Path: "/data/local/tmp/" + name + ".apk", Type: "apk"}
		newDropAPKs(t.Context(), in).fill(&row)
		return row
	}
	for name, want := range map[string]bool{"same": true, "fake": false, "new": false} {
		if r := fill(name); r.Installed != want || r.Unread.Unread != nil || r.Package == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if r := fill("unsigned"); r.Installed || r.Unread.Unread["installed"] == "" {
		t.Errorf("unsigned: %+v", r)
	}
	in.Tables["packages"] = &scanner.Table{Absent: "no list"}
	if r := fill("same"); r.Unread.Unread["installed"] != "no list" {
		t.Errorf("no list of apps: %+v", r)
	}
}

// Real packages are recognised under any name.
func TestRealPackagesUnderOtherNames(t *testing.T) {
	t.Parallel()
	data := os.Getenv("PICKET_SHARED_DATA")
	if data == "" {
		t.Skip("PICKET_SHARED_DATA names no folder of samples")
	}
	names, _ := filepath.Glob(filepath.Join(data, "android/apks/*.apk"))
	if len(names) == 0 {
		t.Fatal("no samples")
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if kind, disguised := programType(b[:64], "jpg", "storage"); kind == "" || !disguised {
			t.Errorf("%s as a picture: %q %q", name, kind, b[:64])
		}
	}
}

func FuzzProgramType(f *testing.F) {
	for _, s := range []string{"\x7fELF", "dex\n035", "PK\x03\x04", "#!/system/bin/sh", "MZ", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"} {
		f.Add([]byte(s), "file.jpg", "-rwxr-xr-x")
		f.Add([]byte(s+strings.Repeat("\x80", 60)), "frida-server.jar", "100755")
	}
	f.Fuzz(func(t *testing.T, head []byte, name, mode string) {
		kind, disguised := programType(head, extension(name), "tmp")
		if kind == "" && disguised {
			t.Error("nothing, but disguised")
		}
		if named := typeByName(name); named != "" && extension(name) == "" {
			t.Errorf("%q is a %s by its name, which has no ending", name, named)
		}
		dropTool(name)
		listedPlace("/" + name)
		qfMode(mode)
	})
}
