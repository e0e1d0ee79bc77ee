package parse

import (
	"strconv"
	"strings"
)

// perUser is how many user ids each Android user has (AID_USER_OFFSET).
const perUser = 100000

// androidIDs are the fixed users of Android (AOSP system/core/libcutils/include/private/
// android_filesystem_config.h), in the order of their ids from 1000 on. An id that was given to
// another user later has the newer name; a blank is an id that has none.
const androidIDs = "system radio bluetooth graphics input audio camera log compass mount " +
	"wifi adb install media dhcp sdcard_rw vpn keystore usb drm " +
	"mdnsr gps - media_rw mtp - drmrpc nfc sdcard_r clat " +
	"loop_radio mediadrm package_info sdcard_pics sdcard_av sdcard_all logd shared_relro dbus tlsdate " +
	"mediaex audioserver metrics_coll metricsd webserv debuggerd mediacodec cameraserver firewall trunks " +
	"nvram dns dns_tether webview_zygote vehicle_network media_audio media_video media_image tombstoned media_obb " +
	"ese ota_update automotive_evs lowpan hsm reserved_disk statsd incidentd secure_element lmkd " +
	"llkd iorapd gpu_service network_stack gsid fsverity_cert credstore external_storage ext_data_rw ext_obb_rw " +
	"context_hub virtualizationservice artd uwb thread_network diced dmesgd jc_weaver jc_strongbox jc_identitycred " +
	"sdk_sandbox security_log_writer prng_seeder uprobestats cros_ec"

// psUsers maps names of users to ids, the fixed ones and those already met.
type psUsers map[string]int

// uid gives the id of a user that ps named, -1 for a name that Android does not give out.
func (m psUsers) uid(name string) int {
	if len(m) == 0 {
		for i, n := range strings.Fields(androidIDs) {
			m[n] = 1000 + i
		}
		delete(m, "-")
		for n, id := range map[string]int{"root": 0, "daemon": 1, "bin": 2, "sys": 3, "shell": 2000, "cache": 2001,
			"diag": 2002, "net_bt_stack": 3008, "readproc": 3009, "everybody": 9997, "misc": 9998, "nobody": 9999} {
			m[n] = id
		}
	}
	if id, ok := m[name]; ok {
		return id
	}
	if id, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(id)
	}
	return m.appUID(name)
}

// appUID reads the names that bionic makes for apps (libc/bionic/grp_pwd.cpp): u10_a12 is app 12
// of user 10, u0_i3 an isolated process, u0_ai3 one that an app's zygote started, u10_system a
// fixed user of user 10. Before Android 4.2 there was one user: app_12.
func (m psUsers) appUID(name string) int {
	user, kind := 0, ""
	if app, ok := strings.CutPrefix(name, "app_"); ok {
		kind = "a" + app
	} else {
		number, rest, ok := strings.Cut(strings.TrimPrefix(name, "u"), "_")
		n, err := strconv.ParseUint(number, 10, 14)
		if !ok || err != nil || name[0] != 'u' {
			return -1
		}
		user, kind = int(n), rest
	}
	base, size := 0, 0
	switch {
	case strings.HasPrefix(kind, "ai"):
		kind, base, size = kind[2:], 90000, 9000
	case strings.HasPrefix(kind, "a"):
		kind, base, size = kind[1:], 10000, 10000
	case strings.HasPrefix(kind, "i"):
		kind, base, size = kind[1:], 99000, 1000
	}
	if n, err := strconv.ParseUint(kind, 10, 16); err == nil && int(n) < size {
		return user*perUser + base + int(n)
	}
	if id, ok := m[name[strings.IndexByte(name, '_')+1:]]; ok && name[0] == 'u' {
		return user*perUser + id
	}
	return -1
}
