package facts

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

// settingSources are where the settings of each namespace are asked for: the list command, the
// settings provider's dump, and its files on a device whose tree can be seen.
var settingSources = map[string]scanner.Source{
	"global": scanner.SourceSettingsGlobal, "secure": scanner.SourceSettingsSecure, "system": scanner.SourceSettingsSystem,
}

var settingFiles = map[string]string{
	"global": "/data/system/users/0/settings_global.xml", "secure": "/data/system/users/0/settings_secure.xml", "system": "/data/system/users/0/settings_system.xml",
}

var settingProbes = []scanner.Source{scanner.SourceSettingsGlobal, scanner.SourceSettingsSecure, scanner.SourceSettingsSystem, scanner.Dumpsys("settings")}

// settings are the first user's settings by namespace and name.
type settings struct {
	values map[string]map[string]string
	where  map[string]string // by namespace: where they were read
	why    map[string]string // by namespace: why they were not
}

// get gives a setting; known is false when its namespace was not read.
func (s *settings) get(namespace, name string) (value string, known bool) {
	v, known := s.values[namespace]
	value = v[name]
	if value == "null" {
		value = ""
	}
	return value, known
}

func readSettings(ctx context.Context, in *scanner.Input) *settings {
	s := &settings{values: map[string]map[string]string{}, where: map[string]string{}, why: map[string]string{}}
	var all []parse.AndroidSetting
	dump, dumpErr := in.Device.Probe(ctx, scanner.Dumpsys("settings"))
	if dumpErr == nil {
		all, dumpErr = parse.SettingsDump(dump)
	}
	for _, namespace := range []string{"global", "secure", "system"} {
		b, err := in.Device.Probe(ctx, settingSources[namespace])
		if err == nil {
			var list []parse.AndroidSetting
			if list, err = parse.SettingsList(b); err == nil && len(list) > 0 {
				s.take(namespace, string(settingSources[namespace]), list)
				continue
			}
		}
		var dumped []parse.AndroidSetting
		for _, e := range all {
			if e.Table == namespace && e.User <= 0 {
				dumped = append(dumped, e)
			}
		}
		if len(dumped) > 0 {
			s.take(namespace, "dumpsys/settings", dumped)
			continue
		}
		if fileErr := s.file(in, namespace); fileErr != nil {
			s.why[namespace] = why(err, dumpErr, fileErr)
		}
	}
	return s
}

// why gives the reason that says most of several.
func why(errs ...error) string {
	for _, err := range errs {
		if err != nil && !errors.Is(err, scanner.ErrNotRecorded) && !errors.Is(err, scanner.ErrUnavailable) && !missing(err) {
			return unavailable(err)
		}
	}
	for _, err := range errs {
		if err != nil {
			return unavailable(err)
		}
	}
	return "nothing in it"
}

func (s *settings) file(in *scanner.Input, namespace string) error {
	name := settingFiles[namespace]
	b, err := scanner.ReadFile(in.Device.FS(), name, maxSystemXML)
	if err != nil {
		return err
	}
	list, err := parse.SettingsXML(b)
	if err != nil && len(list) == 0 {
		return fmt.Errorf("%s: %w", name, err)
	}
	m := map[string]string{}
	for _, e := range list {
		if e.Set {
			m[e.Name] = e.Value
		}
	}
	s.values[namespace], s.where[namespace] = m, name
	return nil
}

const maxSystemXML = 32 << 20 // bytes of a file of the system's services

func (s *settings) take(namespace, where string, list []parse.AndroidSetting) {
	m := make(map[string]string, len(list))
	for _, e := range list {
		if _, dup := m[e.Name]; e.Set && !e.Private && !dup {
			m[e.Name] = e.Value
		}
	}
	s.values[namespace], s.where[namespace] = m, where
}

func deviceSettingsCollector() scanner.Collector {
	return scanner.Collector{
		Table: "device_settings", Doc: "switches of the device and its first user, one row", Row: DeviceSettings{}, Platforms: onAndroid,
		Reads: scanner.Reads{Probes: append([]scanner.Source{scanner.Dumpsys("lock_settings")}, settingProbes...),
			Globs: []string{settingFiles["global"], settingFiles["secure"], settingFiles["system"]}},
		Needs: []string{"android", "android_properties"}, Collect: collectDeviceSettings,
	}
}

func collectDeviceSettings(ctx context.Context, in *scanner.Input) scanner.Table {
	s := readSettings(ctx, in)
	if len(s.values) == 0 {
		return scanner.Table{Absent: s.why["global"]}
	}
	row := DeviceSettings{Where: or(s.where["global"], or(s.where["secure"], s.where["system"]))}
	sys, _ := scanner.Rows[AndroidSystem](in, "android")
	if row.Emulator = len(sys) > 0 && sys[0].Emulator; len(sys) > 0 && sys[0].SDK > 0 {
		row.SDK = sys[0].SDK
	} else {
		row.MarkUnread("sdk", "the API level is not known")
	}
	switch in.Device.Identity().Acquired { // the kind does not tell: a recording may be of any of them
	case "adb", "androidqf", "bugreport":
		row.ADBByAcquisition = true
	}
	w := &switchReader{s: s, row: &row}
	w.on(&row.ADB, "adb", "global", "adb_enabled", "1")
	w.on(&row.ADBWiFi, "adb_wifi", "global", "adb_wifi_enabled", "1")
	w.on(&row.Developer, "developer", "global", "development_settings_enabled", "1")
	w.on(&row.VerifyADBOff, "verify_adb_off", "global", "verifier_verify_adb_installs", "0")
	w.on(&row.OTAOff, "ota_off", "global", "ota_disable_automatic_update", "1")
	w.on(&row.AutoTimeOff, "auto_time_off", "global", "auto_time", "0")
	w.on(&row.HiddenAPI, "hidden_api", "global", "hidden_api_policy", "0", "1")
	w.on(&row.AdvancedProtection, "advanced_protection", "secure", "advanced_protection_mode", "1")
	w.on(&row.ShowPassword, "show_password", "system", "show_password", "1")
	w.on(&row.VPNLockdown, "vpn_lockdown", "secure", "always_on_vpn_lockdown", "1")
	w.on(&row.MockLocation, "mock_location", "secure", "mock_location", "1")
	w.verifier()
	w.unknownSources()
	w.text(&row.PrivateDNS, "private_dns", "global", "private_dns_mode")
	w.text(&row.PrivateDNSHost, "private_dns_host", "global", "private_dns_specifier")
	w.text(&row.AlwaysOnVPN, "always_on_vpn", "secure", "always_on_vpn_app")
	w.text(&row.BackupTransport, "backup_transport", "secure", "backup_transport")
	w.number(&row.ScreenTimeout, "screen_timeout", "system", "screen_off_timeout", 1000, noDefault)
	w.number(&row.LockDelay, "lock_delay", "secure", "lock_screen_lock_after_timeout", 1000, 5)
	var awake int
	w.number(&awake, "stay_awake", "global", "stay_on_while_plugged_in", 1, 0)
	row.StayAwake = awake != 0
	w.screenLock(ctx, in)
	return scanner.Table{Rows: []DeviceSettings{row}}
}

// switchReader fills columns of the row, and marks those whose namespace was not read.
type switchReader struct {
	s   *settings
	row *DeviceSettings
}

func (w *switchReader) value(column, namespace, name string) (string, bool) {
	v, known := w.s.get(namespace, name)
	if !known {
		w.row.MarkUnread(column, w.s.why[namespace])
	}
	return v, known
}

// on sets a switch when the setting has one of the values. One that is not set has Android's
// default, which is the safe one.
func (w *switchReader) on(to *bool, column, namespace, name string, values ...string) {
	v, _ := w.value(column, namespace, name)
	for _, want := range values {
		*to = *to || v == want
	}
}

func (w *switchReader) text(to *string, column, namespace, name string) {
	*to, _ = w.value(column, namespace, name)
}

// noDefault is for numbers whose default is each maker's own.
const noDefault = -1

// number reads a number, divided by unit; one that is not set has Android's default, and is unread
// where there is none.
func (w *switchReader) number(to *int, column, namespace, name string, unit int64, unset int) {
	v, known := w.value(column, namespace, name)
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	switch {
	case err == nil && n >= 0:
		*to = int(min(n/unit, 1<<31-1))
	case known && v == "" && unset != noDefault:
		*to = unset
	case known:
		w.row.MarkUnread(column, "not set")
	}
}

// verifier reads the switches of the check of apps, which moved between releases.
func (w *switchReader) verifier() {
	enabled, known := w.value("verifier_off", "global", "package_verifier_enable")
	w.row.VerifierConsent, _ = w.value("verifier_consent", "global", "package_verifier_user_consent")
	if w.row.VerifierConsent == "" {
		if v, ok := w.s.get("secure", "package_verifier_user_consent"); ok {
			w.row.VerifierConsent = v
		}
	}
	if known {
		w.row.VerifierOff = enabled == "0" || w.row.VerifierConsent == "-1"
	}
}

// unknownSources is a device-wide switch up to Android 7: global until 4.1 and from 5, secure between.
func (w *switchReader) unknownSources() {
	a, knownA := w.s.get("secure", "install_non_market_apps")
	b, knownB := w.s.get("global", "install_non_market_apps")
	if !knownA && !knownB {
		w.row.MarkUnread("unknown_sources", w.s.why["secure"])
	}
	w.row.UnknownSources = a == "1" || a == "" && b == "1"
}

// screenLock tells a device without any lock: by the service of locks (Android 11 on), whose
// dump has a "CredentialType: NONE" for a user without one, or by the old setting.
func (w *switchReader) screenLock(ctx context.Context, in *scanner.Input) {
	if v, _ := w.s.get("secure", "lockscreen.disabled"); v == "1" && w.row.SDK < 23 {
		w.row.LockNone = true
		return
	}
	b, err := in.Device.Probe(ctx, scanner.Dumpsys("lock_settings"))
	if err != nil {
		w.row.MarkUnread("lock_none", unavailable(err))
		return
	}
	for line := range strings.Lines(string(b)) { // the first user comes first
		if kind, ok := strings.CutPrefix(strings.TrimSpace(line), "CredentialType:"); ok {
			w.row.LockNone = strings.EqualFold(strings.TrimSpace(kind), "none")
			return
		}
	}
	w.row.MarkUnread("lock_none", "the service of locks does not tell whether there is one")
}
