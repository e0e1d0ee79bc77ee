package facts

import (
	"slices"
	"strings"
)

// bootLoaderSays ends what is said of a property that is not what the boot loader passed.
const bootLoaderSays = "the boot loader passed "

// passed gives the first value of an option: of several, Android takes that.
func (s *systemReader) passed(option string) string {
	if v := s.boot[option]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// rewritten finds properties of the boot that are not what the boot loader passed to the kernel,
// from which Android sets them: only root can change them afterwards.
func (s *systemReader) rewritten() []string {
	var out []string
	for _, option := range []string{"verifiedbootstate", "flash.locked", "vbmeta.device_state"} {
		passed, property := s.boot[option], s.props.get("ro.boot."+option)
		if len(passed) > 0 && property != "" && !slices.ContainsFunc(passed, func(v string) bool { return strings.EqualFold(v, property) }) {
			out = append(out, "ro.boot."+option+" is "+property+", "+bootLoaderSays+passed[0])
		}
	}
	return out
}

// brandFamilies are brands of phones by the maker whose images bear several of them.
var brandFamilies = map[string]string{
	"google": "google", "samsung": "samsung", "xiaomi": "xiaomi", "redmi": "xiaomi", "poco": "xiaomi", "blackshark": "xiaomi", "huawei": "huawei", "honor": "huawei",
	"oppo": "oppo", "realme": "oppo", "oneplus": "oppo", "oplus": "oppo", "vivo": "vivo", "iqoo": "vivo", "motorola": "motorola", "lenovo": "motorola", "nokia": "nokia", "hmd": "nokia",
	"hmd global": "nokia", "sony": "sony", "lge": "lg", "lg": "lg", "asus": "asus", "htc": "htc", "tcl": "tcl", "alcatel": "tcl", "zte": "zte", "nubia": "zte", "infinix": "transsion",
	"tecno": "transsion", "itel": "transsion", "nothing": "nothing", "fairphone": "fairphone", "essential": "essential", "meizu": "meizu", "sharp": "sharp",
}

// otherDevice reports whether two fingerprints cannot be of one device. Makers build parts for
// many models at once, under the name of a board or of a sister brand (hi3660/hi3660, Redmi and
// POCO): that tells nothing. Two phone makers on one device do, and so do two models of Google's,
// which builds all parts of each model together.
func otherDevice(a, b string) bool {
	brandA, deviceA := fingerprintOf(a)
	brandB, deviceB := fingerprintOf(b)
	familyA, familyB := brandFamilies[brandA], brandFamilies[brandB]
	if familyA == "" || familyB == "" || genericBuild(a) || genericBuild(b) {
		return false
	}
	return familyA != familyB || familyA == "google" && deviceA != deviceB
}

// fingerprintOf gives brand and device of a fingerprint, in lower case.
func fingerprintOf(fingerprint string) (brand, device string) {
	words := strings.Split(strings.ToLower(strings.SplitN(fingerprint, ":", 2)[0]), "/")
	if len(words) != 3 {
		return "", ""
	}
	return words[0], words[2]
}

// disagreements finds properties that name different builds, makers or lock states. A partition
// may come from another build of the same release.
func disagreements(p *properties, r *AndroidSystem) []string {
	var out []string
	for _, name := range []string{"ro.vendor.build.fingerprint", "ro.odm.build.fingerprint", "ro.bootimage.build.fingerprint", "ro.product.build.fingerprint"} {
		v := p.get(name)
		if r.CustomOS == "" && otherDevice(v, r.Fingerprint) {
			brand, device := fingerprintOf(v)
			own, ownDevice := fingerprintOf(r.Fingerprint)
			out = append(out, name+" is of "+brand+"/"+device+", the build of "+own+"/"+ownDevice)
		}
	}
	if state := p.get("ro.boot.vbmeta.device_state"); state == "unlocked" && r.VerifiedBoot == "green" {
		out = append(out, "verified boot is green on an unlocked device")
	}
	if locked := p.get("ro.boot.flash.locked"); locked == "1" && r.VerifiedBoot == "orange" {
		out = append(out, "flash is locked and verified boot is orange")
	}
	if r.BuildTags == "release-keys" && strings.HasSuffix(r.Fingerprint, "test-keys") {
		out = append(out, "tags say release-keys, the fingerprint test-keys")
	}
	if r.BuildType == "user" && strings.Contains(r.Fingerprint, ":userdebug/") {
		out = append(out, "type says user, the fingerprint userdebug")
	}
	return out
}

func genericBuild(fingerprint string) bool {
	for _, part := range []string{"generic", "mainline", "gsi_", "/aosp_", "qssi", "mssi", "sdk_", "qti/", "Android/", "alps/"} {
		if strings.Contains(fingerprint, part) {
			return true
		}
	}
	return false
}
