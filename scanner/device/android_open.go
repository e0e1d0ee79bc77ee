package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"picket/scanner"
)

// maxNesting is how many acquisitions inside each other are opened.
const maxNesting = 2

// maxCandidates is how many files of a name are looked at for being the one.
const maxCandidates = 64

// openAndroid opens what tools took of an Android device: a bugreport, an AndroidQF
// acquisition, outputs of single commands, app packages, an intrusion log. It gives nil and no
// error when the bundle is none of these.
func openAndroid(ctx context.Context, b *bundle, opt OpenOptions, depth int) (*acquired, error) {
	if len(b.files) == 0 {
		return nil, nil
	}
	if dir, ok := acquisitionFolder(b); ok {
		return openAndroidQF(ctx, b.below(dir), opt, depth)
	}
	if dir, main := bugreportMain(b); main != nil {
		return openBugreport(b.below(dir), strings.TrimPrefix(strings.TrimPrefix(main.name, dir), "/"), opt)
	}
	if b.get("AndroidManifest.xml") != nil {
		return nil, nil // an app package: the caller has it as one file
	}
	if len(b.files) > 1 && b.isRoot() {
		return nil, nil
	}
	return openSingles(b, opt)
}

// acquisitionFolder finds the folder of an AndroidQF acquisition: the one that holds
// acquisition.json, or files that only AndroidQF writes side by side.
func acquisitionFolder(b *bundle) (dir string, ok bool) {
	best := ""
	for i := range b.files {
		name := b.files[i].name
		if strings.EqualFold(path.Base(name), "acquisition.json") && strings.Count(name, "/") <= 2 {
			if best == "" || len(name) < len(best) {
				best = name
			}
		}
	}
	if best != "" {
		return dirOf(best), true
	}
	tried := 0
	for i := range b.files {
		name := b.files[i].name
		if path.Base(name) != "getprop.txt" || strings.Count(name, "/") > 2 {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		at := b.below(dirOf(name))
		if at.get("packages.json", "processes.txt", "ps.txt", "dumpsys.txt", "processes.json", "services.txt") != nil {
			return dirOf(name), true
		}
	}
	return "", false
}

func dirOf(name string) string {
	if d := path.Dir(name); d != "." {
		return d
	}
	return ""
}

// bugreportMain finds a bugreport's main text and its folder. The report itself names it, or it
// has one of the names that makers give it.
func bugreportMain(b *bundle) (dir string, main *bundleFile) {
	tried := 0
	for i := range b.files {
		f := &b.files[i]
		if path.Base(f.name) != "main_entry.txt" || strings.Count(f.name, "/") > 1 || f.size > 4<<10 {
			continue
		}
		if tried++; tried > maxCandidates {
			break
		}
		text, err := f.bytes(4 << 10)
		if err != nil {
			continue
		}
		clean, outside := cleanName(strings.TrimSpace(string(text)))
		if named := b.get(path.Join(dirOf(f.name), clean)); named != nil && !outside && clean != "" {
			return dirOf(f.name), named
		}
	}
	looked := map[*bundleFile]bool{}
	for _, pattern := range []string{"dumpstate_*.log", "dumpstate-*.txt", "bugreport-*.txt", "bugreport*.txt", "dumpstate*.txt", "dumpstate*", "dumpsys.txt"} {
		for _, prefix := range []string{"", "*/", "*/*/"} {
			for _, f := range b.matching(prefix + pattern) {
				if strings.Contains(strings.ToLower(path.Base(f.name)), "dumpstate_log") || looked[f] || len(looked) >= maxCandidates {
					continue
				}
				if looked[f] = true; isDump(f.head(sniffSize)) {
					return dirOf(f.name), f
				}
			}
		}
	}
	return "", nil
}

// isDump tells whether a text starts as a dumpstate, a part of one or a dumpsys of all services does.
func isDump(head []byte) bool {
	return bytes.Contains(head, []byte("== dumpstate: ")) || bytes.HasPrefix(head, []byte("Currently running services:")) ||
		bytes.Contains(head, []byte("\nDUMP OF SERVICE ")) || bytes.HasPrefix(head, []byte("DUMP OF SERVICE ")) ||
		hasCommandTitle(head)
}

// hasCommandTitle finds a line "------ TITLE (command) ------".
func hasCommandTitle(head []byte) bool {
	for l := range bytes.Lines(head) {
		l = bytes.TrimRight(l, " \r\n")
		if bytes.HasPrefix(l, []byte("------ ")) && bytes.HasSuffix(l, []byte(" ------")) && len(l) > 20 {
			return true
		}
	}
	return false
}

// openBugreport opens a bugreport: its main text, and the files of the device below FS/.
func openBugreport(b *bundle, main string, opt OpenOptions) (*acquired, error) {
	a := newAcquisition("bugreport", b.name, opt)
	if err := a.bugreport(b, main); err != nil {
		a.dev.Close()
		return nil, err
	}
	return a.device(), nil
}

func (a *acquisition) bugreport(b *bundle, main string) error {
	f := b.get(main)
	if f == nil {
		return nothingRecognised("the bugreport has no main text")
	}
	d, err := a.dumpstate(f)
	if err != nil {
		return err
	}
	if at := dumpTime(d.Header.Time); !at.IsZero() && a.dev.identity.RecordedAt.IsZero() {
		a.dev.identity.RecordedAt = at
	}
	for _, n := range b.notes.strings() {
		a.notes.add(n, b.name)
	}
	if !d.Done && d.Header.Time != "" {
		a.notes.add("texts without an end mark: the report may be cut off", f.name)
	}
	return a.placeAll(b, func(name string) string {
		if rest, ok := strings.CutPrefix(name, "FS/"); ok {
			return "/" + rest
		}
		return ""
	})
}

// dumpTime reads the time of a dumpstate's head. It is the device's local time, and the device's
// time zone is not in the head: taken as UTC it is at most 14 hours off, which no rule can tell.
func dumpTime(text string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil || t.Year() < 2008 || t.Year() > 2200 {
		return time.Time{}
	}
	return t
}

// openAndroidQF opens an AndroidQF acquisition, and the bugreport that lies in it.
func openAndroidQF(ctx context.Context, b *bundle, opt OpenOptions, depth int) (*acquired, error) {
	a := newAcquisition("androidqf", b.name, opt)
	err := a.androidQF(ctx, b, depth)
	if err == nil && len(a.dev.texts) == 0 && a.index.count <= topNode+1 {
		err = nothingRecognised("the acquisition holds nothing that Picket reads")
	}
	if err != nil {
		a.dev.Close()
		return nil, err
	}
	return a.device(), nil
}

// qfSources are the files of an acquisition that hold one source, by the names that versions
// gave them.
var qfSources = []struct {
	source scanner.Source
	names  []string
}{
	{scanner.SourceGetprop, []string{"getprop.txt"}},
	{scanner.SourceSettingsSystem, []string{"settings_system.txt"}},
	{scanner.SourceSettingsSecure, []string{"settings_secure.txt"}},
	{scanner.SourceSettingsGlobal, []string{"settings_global.txt"}},
	{scanner.SourceGetenforce, []string{"selinux.txt", "getenforce.txt"}},
	{scanner.SourceQFProcesses, []string{"processes.json"}},
	{scanner.SourcePS, []string{"processes.txt", "ps.txt"}},
	{scanner.SourceQFPackages, []string{"packages.json"}},
	{scanner.SourceQFFiles, []string{"files.json"}},
	{scanner.SourcePackageList, []string{"packages.txt", "pm_list_packages.txt"}},
}

func (a *acquisition) androidQF(ctx context.Context, b *bundle, depth int) error {
	a.dev.identity.RecordedAt = qfTime(b.get("acquisition.json"))
	for _, s := range qfSources {
		a.whole(s.source, b.get(s.names...))
	}
	a.lists(b)
	if f := b.get("dumpsys.txt"); f != nil {
		if _, err := a.dumpstate(f); err != nil {
			a.notes.add("files that could not be read: "+err.Error(), f.name)
		}
	}
	if err := a.intrusion(b, "intrusion_logs/"); err != nil {
		return err
	}
	if err := a.placeAll(b, qfPlace); err != nil {
		return err
	}
	for _, f := range append(b.matching("bugreport*.zip"), b.matching("bugreport/*.zip")...) {
		if err := a.nested(ctx, f, depth); err != nil {
			a.notes.add("bugreports inside that could not be read: "+err.Error(), f.name)
		}
	}
	if _, main := bugreportMain(b.below("bugreport")); main != nil {
		if err := a.bugreport(b.below("bugreport"), main.name); err != nil {
			a.notes.add("bugreports inside that could not be read: "+err.Error(), main.name)
		}
	}
	return nil
}

// qfPlace is where a file that AndroidQF copied was on the device. Its copies of app packages
// have names of their own.
func qfPlace(name string) string {
	switch dir, rest, _ := strings.Cut(name, "/"); {
	case rest == "":
		return ""
	case dir == "tmp":
		return "/data/local/tmp/" + rest
	case dir == "logs":
		return "/" + rest
	case dir == "apks" && strings.HasSuffix(strings.ToLower(rest), ".apk"):
		return apkPlace(rest)
	}
	return ""
}

// apkPlace is where an app package that came as a file is shown: in one folder, whatever
// folders it came in.
func apkPlace(name string) string { return "/apks/" + strings.ReplaceAll(name, "/", "_") }

// lists turns AndroidQF's small JSON arrays into the texts that the sources stand for.
func (a *acquisition) lists(b *bundle) {
	for _, l := range []struct {
		source scanner.Source
		file   string
	}{{scanner.SourceMount, "mounts.json"}, {scanner.SourceRootBinaries, "root_binaries.json"}} {
		f := b.get(l.file)
		if f == nil {
			continue
		}
		raw, err := f.bytes(maxUnpacked)
		var lines []string
		if err == nil {
			err = json.Unmarshal(raw, &lines)
		}
		if err != nil {
			a.dev.failed[l.source] = fmt.Errorf("%s: %w", l.file, err)
			continue
		}
		a.text(l.source, f, []byte(strings.Join(lines, "\n")))
	}
}

// text makes bytes the text of a source.
func (a *acquisition) text(s scanner.Source, f *bundleFile, b []byte) {
	m := newBytesFile(b, int64(len(b)))
	a.dev.texts[s] = append(a.dev.texts[s], passage{&textFile{file: f, at: m}, 0, m.size})
}

// qfTime is when an acquisition began.
func qfTime(f *bundleFile) time.Time {
	if f == nil {
		return time.Time{}
	}
	raw, err := f.bytes(1 << 20)
	if err != nil {
		return time.Time{}
	}
	var head struct {
		Started string `json:"started"`
	}
	if json.Unmarshal(raw, &head) != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, head.Started)
	if err != nil || t.Year() < 2008 || t.Year() > 2200 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Second)
}

// unzip lists a zip archive that lies in the bundle.
func (a *acquisition) unzip(f *bundleFile) (*bundle, error) {
	if a.archives++; a.archives > maxArchives {
		return nil, fmt.Errorf("more than %d archives inside", maxArchives)
	}
	file, err := a.random(f)
	if err != nil {
		return nil, err
	}
	if m, ok := file.(*bytesFile); ok && !a.hold(m.size) {
		return nil, fmt.Errorf("%s: archives inside take more than %d bytes of memory", f.name, maxHeld)
	}
	a.dev.files = append(a.dev.files, file)
	return zipBundle(file, f.name, file.Size())
}

// nested takes the sources and files of a bugreport that lies in an acquisition. What the
// acquisition asked itself stays.
func (a *acquisition) nested(_ context.Context, f *bundleFile, depth int) error {
	if depth >= maxNesting {
		return fmt.Errorf("more than %d archives inside each other", maxNesting)
	}
	b, err := a.unzip(f)
	if err != nil {
		return err
	}
	dir, main := bugreportMain(b)
	if main == nil {
		return nothingRecognised("no bugreport in it")
	}
	inner := b.below(dir)
	return a.bugreport(inner, strings.TrimPrefix(strings.TrimPrefix(main.name, dir), "/"))
}

// intrusion takes Android's intrusion logs: files of JSON lines below a folder, and zip archives
// of them.
func (a *acquisition) intrusion(b *bundle, dir string) error {
	for i := range b.files {
		f := &b.files[i]
		if !strings.HasPrefix(f.name, dir) {
			continue
		}
		if err := a.intrusionFile(f, 0); err != nil {
			a.notes.add("intrusion logs that could not be read: "+err.Error(), f.name)
		}
	}
	return nil
}

func (a *acquisition) intrusionFile(f *bundleFile, depth int) error {
	head := f.head(sniffSize)
	switch {
	case isZip(head):
		if depth >= maxNesting {
			return fmt.Errorf("more than %d archives inside each other", maxNesting)
		}
		b, err := a.unzip(f)
		if err != nil {
			return err
		}
		for i := range b.files {
			if err := a.intrusionFile(&b.files[i], depth+1); err != nil {
				a.notes.add("intrusion logs that could not be read: "+err.Error(), b.files[i].name)
			}
		}
	case isIntrusionLog(head):
		// There may be thousands: they are opened one after the other when they are read.
		a.dev.texts[scanner.SourceIntrusion] = append(a.dev.texts[scanner.SourceIntrusion], passage{&textFile{file: f}, 0, f.size})
	}
	return nil
}

// isIntrusionLog tells lines of JSON that Android's intrusion log consists of.
func isIntrusionLog(head []byte) bool {
	line, _, _ := bytes.Cut(bytes.TrimLeft(head, " \t\r\n\xef\xbb\xbf"), []byte("\n"))
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	return bytes.Contains(line, []byte(`"dns_event"`)) || bytes.Contains(line, []byte(`"connect_event"`)) || bytes.Contains(line, []byte(`"security_event"`))
}

// openSingles opens outputs of single commands, app packages and files of the system that lie
// in a folder or archive, or alone.
func openSingles(b *bundle, opt OpenOptions) (*acquired, error) {
	a := newAcquisition("android-files", b.name, opt)
	var found []string
	source, err := a.index.addSource(b)
	if err != nil {
		return nil, err
	}
	for i := range b.files {
		f := &b.files[i]
		if strings.Count(f.name, "/") > 2 {
			continue
		}
		kind, err := a.single(f, source, i)
		if err != nil {
			a.dev.Close()
			return nil, err
		}
		if kind != "" && !slices.Contains(found, kind) {
			found = append(found, kind)
		}
	}
	if len(found) == 0 {
		a.dev.Close()
		return nil, nil
	}
	slices.Sort(found)
	if slices.Contains(found, "bugreport") {
		a.dev.identity.Acquired = acquiredBy("bugreport")
	}
	if len(found) == 1 {
		a.dev.identity.Kind, a.dev.identity.Origin = found[0], found[0]+" "+path.Base(b.name)
	}
	a.dev.identity.Notes = append(a.dev.identity.Notes, "recognised: "+strings.Join(found, ", "))
	return a.device(), nil
}

// single takes one file by what its first bytes show, and says what it is; "" is nothing known.
func (a *acquisition) single(f *bundleFile, source uint64, number int) (kind string, err error) {
	head := f.head(sniffSize)
	switch {
	case isZip(head):
		return a.singleZip(f, source, number)
	case isDump(head):
		if a.dumps++; a.dumps > maxDumps {
			a.notes.add(fmt.Sprintf("more than %d texts of a dumpstate; the rest is left out", maxDumps), f.name)
			return "", nil
		}
		d, err := a.dumpstate(f)
		if errors.Is(err, ErrNothingRecognised) {
			return "", nil
		}
		if err == nil && a.dev.identity.RecordedAt.IsZero() {
			a.dev.identity.RecordedAt = dumpTime(d.Header.Time)
		}
		return "bugreport", err
	case isIntrusionLog(head):
		return "intrusion-log", a.intrusionFile(f, 0)
	}
	if s, kind := textSource(head); s != "" {
		a.whole(s, f)
		return kind, nil
	}
	if at := systemFile(f.name, head); at != "" {
		return path.Base(at), a.place(source, number, f, at)
	}
	return "", nil
}

func (a *acquisition) singleZip(f *bundleFile, source uint64, number int) (string, error) {
	r, err := a.random(f)
	if err != nil {
		a.notes.add("archives inside that could not be read: "+err.Error(), f.name)
		return "", nil
	}
	defer r.Close()
	z, err := readZipDirectory(r, r.Size())
	if err != nil {
		if strings.HasSuffix(strings.ToLower(f.name), ".apk") { // said when it is read as one
			return "apk", a.place(source, number, f, apkPlace(f.name))
		}
		a.notes.add("archives inside that could not be read: "+err.Error(), f.name)
		return "", nil
	}
	logs := false
	for _, e := range z.File {
		if e.Name == "AndroidManifest.xml" {
			return "apk", a.place(source, number, f, apkPlace(f.name))
		}
		logs = logs || strings.HasSuffix(e.Name, ".json") || strings.HasSuffix(e.Name, ".ndjson") || strings.HasSuffix(e.Name, ".jsonl") || strings.HasSuffix(e.Name, ".zip")
	}
	if before := len(a.dev.texts[scanner.SourceIntrusion]); logs {
		if err := a.intrusionFile(f, 0); err != nil {
			return "", err
		}
		if len(a.dev.texts[scanner.SourceIntrusion]) > before {
			return "intrusion-log", nil
		}
	}
	return "", nil
}

// textSource tells a command's output by its first lines.
func textSource(head []byte) (s scanner.Source, kind string) {
	first, _, _ := bytes.Cut(bytes.TrimLeft(head, "\r\n"), []byte("\n"))
	first = bytes.TrimRight(first, "\r")
	words := strings.Fields(string(first))
	switch {
	case len(first) > 4 && first[0] == '[' && bytes.Contains(first, []byte("]: [")):
		return scanner.SourceGetprop, "getprop"
	case bytes.HasPrefix(first, []byte("package:")):
		return scanner.SourcePackageList, "package list"
	case slices.Contains(words, "PID") && slices.Contains(words, "USER") && (slices.Contains(words, "NAME") || slices.Contains(words, "CMD")):
		return scanner.SourcePS, "ps"
	case bytes.HasPrefix(first, []byte("Database versions:")), bytes.HasPrefix(first, []byte("Activity Resolver Table:")),
		bytes.HasPrefix(head, []byte("Packages:\n  Package [")), bytes.HasPrefix(first, []byte("Known Packages:")):
		return scanner.Dumpsys("package"), "dumpsys package"
	}
	return "", ""
}

// systemFile tells where a file of the system belongs, by its content and, where several have
// the same form, its name.
func systemFile(name string, head []byte) string {
	base := strings.ToLower(path.Base(name))
	xml := bytes.HasPrefix(head, []byte("ABX\x00")) || bytes.HasPrefix(bytes.TrimLeft(head, "\xef\xbb\xbf \t\r\n"), []byte("<"))
	switch {
	case base == "build.prop", base == "default.prop", base == "prop.default":
		return "/system/build.prop"
	case base == "packages.list":
		return "/data/system/packages.list"
	case !xml:
		return ""
	case isPackageDatabase(head):
		return "/data/system/packages.xml"
	}
	switch base {
	case "package-restrictions.xml", "settings_global.xml", "settings_secure.xml", "settings_system.xml", "runtime-permissions.xml", "roles.xml":
		return "/data/system/users/0/" + base
	case "appops.xml", "device_policies.xml", "device_owner_2.xml", "device_owner.xml", "install_sessions.xml":
		return "/data/system/" + base
	case "wificonfigstore.xml":
		return "/data/misc/apexdata/com.android.wifi/WifiConfigStore.xml"
	}
	return ""
}

// isPackageDatabase tells packages.xml, as text or in Android's binary form, whose first name is
// that of the outermost element.
func isPackageDatabase(head []byte) bool {
	if bytes.HasPrefix(head, []byte("ABX\x00")) {
		return bytes.Contains(head[:min(len(head), 64)], []byte("\x00\x08packages"))
	}
	return bytes.Contains(head, []byte("<packages"))
}

// isRoot tells a bundle that is a root filesystem, which is judged as one.
func (b *bundle) isRoot() bool {
	for i := range b.files {
		name := b.files[i].name
		_, below, _ := strings.Cut(name, "/")
		for _, m := range rootMarks {
			for _, n := range []string{name, below} {
				if rest, ok := strings.CutPrefix("/"+n, m); ok && (rest == "" || rest[0] == '/') {
					return true
				}
			}
		}
	}
	return false
}
