package facts

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"picket/scanner"
)

// passive are endings of names that promise a picture, a recording or a text.
var passive = []string{"jpg", "jpeg", "png", "gif", "webp", "bmp", "heic", "svg", "ico", "mp3", "mp4", "m4a", "aac", "ogg", "opus", "wav", "flac", "amr", "3gp", "mkv", "avi", "mov", "webm",
	"pdf", "doc", "docx", "xls", "xlsx", "ppt", "pptx", "odt", "rtf", "txt", "csv", "vcf", "html", "htm", "xml", "json", "log", "db", "ttf", "crypt14", "crypt15"}

var macroNames = []string{"docm", "xlsm", "pptm", "dotm"}

// programType tells a program by its first bytes and says whether its name denies that. A
// document of the old kind (OLE) is one only where it makes no sense: its first bytes do not tell
// whether it has macros, and people keep such documents.
func programType(head []byte, ext, place string) (kind string, disguised bool) {
	disguised = slices.Contains(passive, ext)
	switch {
	case bytes.HasPrefix(head, []byte("\x7fELF")):
		if ext == "so" {
			return "so", false
		}
		return "elf", disguised
	case bytes.HasPrefix(head, []byte("dex\n0")), bytes.HasPrefix(head, []byte("cdex0")):
		return "dex", disguised
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return zipType(head, ext, disguised)
	case bytes.HasPrefix(head, []byte("#!/")), bytes.HasPrefix(head, []byte("#! /")):
		return "script", disguised && ext != "txt" && ext != "log"
	case isPE(head):
		return "pe", disguised
	case bytes.HasPrefix(head, []byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")):
		office := []string{"doc", "xls", "ppt"}
		if disguised = disguised && !slices.Contains(office, ext); disguised || place == "tmp" || place == "dev" {
			return "office", disguised
		}
	}
	return "", false
}

// isPE tells a program of Windows: the mark, and where its header is, which lies behind it and
// near.
func isPE(head []byte) bool {
	if len(head) < 64 || head[0] != 'M' || head[1] != 'Z' {
		return false
	}
	at := binary.LittleEndian.Uint32(head[60:])
	return at >= 64 && at < 4096
}

// zipType tells an app package by the first name in the archive, of which the first bytes show
// about thirty, or by its own name. Other archives are none.
func zipType(head []byte, ext string, disguised bool) (string, bool) {
	first := ""
	if len(head) > 30 {
		n := int(binary.LittleEndian.Uint16(head[26:]))
		first = string(head[30:min(len(head), 30+n)])
	}
	starts := func(names ...string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(first, n) })
	}
	// Documents of Office are archives too. Other names with an archive behind them hide it.
	hides := disguised && !slices.Contains([]string{"docx", "xlsx", "pptx", "odt"}, ext)
	switch {
	case slices.Contains([]string{"apk", "apks", "apkm", "xapk"}, ext):
		return "apk", false
	case slices.Contains(macroNames, ext):
		return "office", false
	case starts("AndroidManifest.xml", "resources.arsc"), starts("res/", "assets/", "lib/") && (hides || slices.Contains([]string{"", "bin", "dat", "tmp"}, ext)):
		return "apk", disguised
	case starts("classes") && strings.HasSuffix(first, ".dex"):
		return "jar", disguised
	case starts("META-INF/") && hides:
		return "jar", true
	}
	return "", false
}

// typeByName is what a file's name says that it is: "" for none.
func typeByName(name string) string {
	switch ext := extension(name); ext {
	case "apk", "apks", "apkm", "xapk":
		return "apk"
	case "dex", "jar", "so", "elf":
		return ext
	case "sh":
		return "script"
	case "exe", "dll":
		return "pe"
	case "docm", "xlsm", "pptm", "dotm":
		return "office"
	}
	return ""
}

// listedPlace is where a file of a list lies; "" where programs belong or nobody looks.
func listedPlace(name string) string {
	if slices.ContainsFunc(strings.Split(strings.ToLower(name), "/"), func(part string) bool { return notDropPlaces[part] }) {
		return ""
	}
	below := func(dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(name, d) })
	}
	switch {
	case below("/data/local/tmp/", "/tmp/"):
		return "tmp"
	case below("/data/local/"):
		return "other"
	case below("/dev/"):
		return "dev"
	case below("/sdcard/Android/data/", "/sdcard/Android/obb/"): // apps' own
		return ""
	case below("/sdcard/"):
		return "storage"
	}
	for _, top := range []string{"/data/media/", "/storage/emulated/"} {
		if rest, ok := strings.CutPrefix(name, top); ok {
			if _, rest, ok = strings.Cut(rest, "/"); ok {
				return listedPlace("/sdcard/" + rest)
			}
		}
	}
	return ""
}

// qfMode reads a mode as AndroidQF's versions write it: "-rwxr-xr-x" or octal digits. A file
// without one is taken for a regular one, whose bits are not known.
func qfMode(mode string) (executable, regular, known bool) {
	if n, err := strconv.ParseUint(mode, 8, 32); err == nil {
		return n&0o111 != 0, n&0o170000 == 0 || n&0o170000 == 0o100000, true
	}
	if len(mode) < 10 {
		return false, true, false
	}
	bits := mode[len(mode)-9:]
	return strings.ContainsAny(bits, "xst"), !strings.ContainsAny(mode[:len(mode)-9], "dDLlpScb"), true
}

// dropTools are programs that are known by how their names start, beside processTools.
var dropTools = []struct{ prefix, tool string }{
	{"frida-", "frida"}, {"libfrida-", "frida"}, {"scrcpy-server", "scrcpy"}, {"scrcpy", "scrcpy"}, {"mtk-su", "exploit"}, {"mtk_su", "exploit"}, {"dirtycow", "exploit"}, {"dirtypipe", "exploit"},
	{"busybox", "busybox"}, {"magisk", "magisk"}, {"lsposed", "lsposed"}, {"kernelsu", "kernelsu"}, {"ksu", "kernelsu"}, {"supersu", "supersu"}, {"androidqf", "acquisition"}, {"picket", "acquisition"},
	{"minicap", "minicap"}, {"minitouch", "automation"}, {"atx-agent", "automation"}, {"uiautomator", "automation"}, {"gdbserver", "debugger"}, {"lldb-server", "debugger"}, {"android_server", "debugger"},
	{"tcpdump", "sniffer"}, {"frpc", "tunnel"}, {"ngrok", "tunnel"}, {"chisel", "tunnel"}, {"gnirehtet", "tunnel"}, {"xmrig", "miner"},
}

// dropTool is what a file of a name is known as.
func dropTool(name string) string {
	name = strings.ToLower(name)
	if tool := processTools[strings.TrimSuffix(strings.TrimSuffix(name, ".jar"), ".apk")]; tool != "" {
		return tool
	}
	for _, t := range dropTools {
		if strings.HasPrefix(name, t.prefix) {
			return t.tool
		}
	}
	return ""
}

// dropAPKs tells which apps the packages are that lie about.
type dropAPKs struct {
	look     *apkLook
	read     map[string]*apkFile
	apps     *androidApps
	unlisted string // why nobody knows what is installed
}

func newDropAPKs(ctx context.Context, in *scanner.Input) *dropAPKs {
	d := &dropAPKs{look: &apkLook{ctx: ctx, in: in}, read: map[string]*apkFile{}, apps: androidTables(in)}
	files := scanner.Aux[[]apkFile](in, "apk_files")
	for i := range files {
		d.read[files[i].Path] = &files[i]
	}
	_, d.unlisted = scanner.Rows[Package](in, "packages")
	return d
}

// fill tells a package's id, and whether the app is installed. The table of packages as files has
// read most of them.
func (d *dropAPKs) fill(row *DroppedFile) {
	f := d.read[row.Path]
	if f == nil && strings.HasSuffix(row.Path, ".apk") && len(d.look.files) < maxAPKFiles {
		var t scanner.Table
		before := len(d.look.files)
		if d.look.read(row.Path, &t); len(d.look.files) > before {
			f = &d.look.files[before]
		}
	}
	if f == nil || f.manifest == nil {
		row.MarkUnread("package", "the app package could not be read")
		row.MarkUnread("installed", "the app package could not be read")
		return
	}
	row.Package = f.Package
	if sum, err := d.look.in.Device.FS().Digest(row.Path, scanner.SHA256); err == nil {
		row.SHA256 = hex.EncodeToString(sum)
	}
	switch a := d.apps.get(f.Package); {
	case d.unlisted != "":
		row.MarkUnread("installed", d.unlisted)
	case a == nil:
	case len(a.Signer) != 64 || f.Signer == "":
		row.MarkUnread("installed", "the signer of the installed app or of the file is not known")
	default:
		row.Installed = a.Signer == f.Signer
	}
}
