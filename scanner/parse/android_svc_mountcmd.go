package parse

import (
	"slices"
	"strings"
)

// MountCommand reads what mount prints on Android, and /proc/mounts: "source on target type fs
// (options)" of toybox, or "source target fs options 0 0" of toolbox and the kernel; a list may
// mix them. Neither form tells the flags of the mount from those of the file system: Options has
// both and SuperOptions is nil. So "rw" says that both can be written, "ro" that one cannot; only
// /proc/PID/mountinfo, read by MountInfo, says which. Lines of another form are told in bad.
func MountCommand(b []byte) (mounts []Mount, bad []error) {
	serviceText(b, func(n int, line string) {
		if strings.TrimSpace(line) == "" {
			return
		}
		m, ok := mountLine(strings.TrimSpace(line))
		if !ok {
			bad = badLine(bad, n, "not a mount")
			return
		}
		if m.Line = n; len(mounts) < maxIPRows {
			mounts = append(mounts, m)
		}
	})
	return mounts, bad
}

func mountLine(line string) (m Mount, ok bool) {
	if source, rest, found := strings.Cut(line, " on "); found && strings.HasPrefix(rest, "/") {
		at := strings.LastIndex(rest, " type ")
		if at < 0 {
			return m, false
		}
		fs, options, _ := strings.Cut(rest[at+len(" type "):], " ")
		m = Mount{Source: octal(source), Target: octal(rest[:at]), FSType: fs}
		options = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(options), "("), ")")
		m.Options = strings.FieldsFunc(options, func(r rune) bool { return r == ',' })
		return m, fs != ""
	}
	f := strings.Fields(line)
	if len(f) < 4 || !strings.HasPrefix(f[1], "/") {
		return m, false
	}
	return Mount{Source: octal(f[0]), Target: octal(f[1]), FSType: f[2], Options: strings.Split(f[3], ",")}, true
}

// Enforcing reads the answer of getenforce, or /sys/fs/selinux/enforce: on, permissive or
// disabled. ok is false for any other text.
func Enforcing(b []byte) (mode string, ok bool) {
	switch text := strings.ToLower(strings.TrimSpace(clip(string(b), 64))); text {
	case "enforcing", "1":
		return "enforcing", true
	case "permissive", "0":
		return "permissive", true
	case "disabled":
		return text, true
	}
	return "", false
}

// BootArgument is one argument of the kernel's command line, or one line of /proc/bootconfig.
type BootArgument struct {
	Key, Value string
	HasValue   bool
}

// identityArguments name the device to others.
var identityArguments = []string{"androidboot.serialno", "androidboot.wifimacaddr", "androidboot.btmacaddr", "androidboot.imei", "androidboot.meid", "androidboot.em.did", "androidboot.deviceid", "androidboot.cid", "androidboot.uid"}

// BootArguments reads /proc/cmdline: words, with quotes around blanks. Values that name the
// device are dropped.
func BootArguments(b []byte) (args []BootArgument) {
	text := clip(strings.TrimRight(string(b), "\x00\r\n "), 64<<10)
	quoted, start := false, 0
	add := func(word string) {
		if word = strings.ReplaceAll(word, `"`, ""); word == "" {
			return
		}
		a := BootArgument{}
		a.Key, a.Value, a.HasValue = strings.Cut(word, "=")
		if slices.Contains(identityArguments, a.Key) {
			a.Value = ""
		}
		args = append(args, a)
	}
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '"':
			quoted = !quoted
		case blank(text[i]) && !quoted:
			add(text[start:i])
			start = i + 1
		}
	}
	add(text[start:])
	return args
}

// BootConfig reads /proc/bootconfig (Android 12 on): key = "value" lines.
func BootConfig(b []byte) (args []BootArgument) {
	lines(b, func(_ int, line string) {
		key, value, ok := strings.Cut(line, "=")
		key = strings.TrimSpace(key)
		if key == "" || strings.HasPrefix(key, "#") {
			return
		}
		a := BootArgument{Key: key, Value: strings.Trim(strings.TrimSpace(value), `"`), HasValue: ok}
		if slices.Contains(identityArguments, key) {
			a.Value = ""
		}
		args = append(args, a)
	})
	return args
}
