package facts

import (
	"strings"
	"time"

	"picket/scanner"
)

// androidRelease is a release with its API level and the day of the last security bulletin of
// AOSP that had patches for it; empty while there are more to come.
type androidRelease struct {
	release string
	sdk     int
	end     string
}

// androidReleases, the longest names first where one starts as another does. Dates are of the
// Android security bulletins, as endoflife.date has them (to the first of the month; 8.1 is the
// exception: its day there, 2021-01-10, is that of no bulletin). Releases before 4.4 had no
// patches when bulletins began in August 2015. Makers may patch longer, and many stop earlier.
var androidReleases = []androidRelease{
	{"4.0", 15, "2015-08-01"}, {"4.1", 16, "2015-08-01"}, {"4.2", 17, "2015-08-01"}, {"4.3", 18, "2015-08-01"}, {"4.4", 19, "2017-10-01"},
	{"5.0", 21, "2018-03-01"}, {"5.1", 22, "2018-03-01"}, {"6", 23, "2018-08-01"}, {"7.0", 24, "2019-10-01"}, {"7.1", 25, "2019-10-01"}, {"7", 24, "2019-10-01"},
	{"8.0", 26, "2021-01-01"}, {"8.1", 27, "2021-10-01"}, {"8", 26, "2021-01-01"}, {"9", 28, "2022-01-01"}, {"10", 29, "2023-03-01"}, {"11", 30, "2024-02-01"},
	{"12", 31, "2025-03-01"}, {"12L", 32, "2025-03-01"}, {"13", 33, "2026-03-01"}, {"14", 34, ""}, {"15", 35, ""}, {"16", 36, ""}, {"17", 37, ""},
}

// unknownEnd is the number of days for a release that the list does not have.
const unknownEnd = -1 << 20

// androidEndDays gives the days since a release last got patches: negative while it does,
// unknownEnd when the list does not tell.
func androidEndDays(release string, now time.Time) int {
	for _, e := range androidReleases {
		if !sameRelease(strings.TrimSpace(release), e.release) {
			continue
		}
		if days, ok := daysSince(e.end, now); ok {
			return days
		}
		return -1
	}
	return unknownEnd
}

// customOS names a system that is not the device maker's, by properties that it sets itself.
func customOS(p *properties, r *AndroidSystem) string {
	for _, o := range []struct{ name, property string }{
		{"LineageOS", "ro.lineage.version"}, {"LineageOS", "ro.lineage.build.version"}, {"CalyxOS", "ro.calyxos.version"}, {"GrapheneOS", "ro.grapheneos.release_version"},
		{"/e/OS", "ro.elegal.version"}, {"iode", "ro.iode.version"}, {"crDroid", "ro.crdroid.version"}, {"CyanogenMod", "ro.cm.version"}, {"DivestOS", "ro.divestos.version"},
		{"Paranoid Android", "ro.pa.version"}, {"Pixel Experience", "org.pixelexperience.version"}, {"Resurrection Remix", "ro.rr.version"}, {"Evolution X", "org.evolution.version"},
		{"OmniROM", "ro.omni.version"}, {"MicroG LineageOS", "ro.microg.version"}, {"ArrowOS", "ro.arrow.version"}, {"Havoc-OS", "ro.havoc.version"},
	} {
		if p.get(o.property) != "" {
			return o.name
		}
	}
	low := strings.ToLower(r.Build + " " + r.Fingerprint + " " + p.get("ro.build.flavor", "ro.build.host", "ro.modversion"))
	for word, name := range map[string]string{"lineage_": "LineageOS", "grapheneos": "GrapheneOS", "calyxos": "CalyxOS", "divestos": "DivestOS"} {
		if strings.Contains(low, word) {
			return name
		}
	}
	return ""
}

// androidOS is the row of the table os on Android; the table android says more.
func androidOS(in *scanner.Input) scanner.Table {
	p, why := propertiesOf(in)
	row := scanner.OS{ID: "android", IDLike: "linux", AgeDays: -1, Where: string(scanner.SourceGetprop), Profile: or(in.Options.Profile, or(in.Device.Identity().Profile, androidProfile(p)))}
	if why != "" {
		row.Name, row.Where = "Android", in.Device.Identity().Kind
		return scanner.Table{Rows: []scanner.OS{row}}
	}
	row.Version = p.get("ro.build.version.release", "ro.system.build.version.release")
	row.Name = strings.TrimSpace("Android " + row.Version)
	row.Build = p.get("ro.build.display.id", "ro.build.id")
	row.Codename = p.get("ro.build.version.codename")
	row.Arch = p.get("ro.product.cpu.abi")
	row.Model = strings.TrimSpace(p.get("ro.product.manufacturer", "ro.product.system.manufacturer") + " " + p.get("ro.product.model", "ro.product.system.model"))
	row.Where = p.rows[0].Where
	for _, e := range androidReleases {
		if sameRelease(row.Version, e.release) {
			row.SupportEnd = e.end
			break
		}
	}
	row.DaysPast = daysPast(row.SupportEnd, in.Options.Now)
	return scanner.Table{Rows: []scanner.OS{row}}
}

// androidProfile is the role that a build says it is made for.
func androidProfile(p *properties) string {
	c := p.get("ro.build.characteristics")
	switch {
	case strings.Contains(c, "tablet"), strings.Contains(c, "watch"):
		return "handheld"
	case strings.Contains(c, "tv"), strings.Contains(c, "automotive"), strings.Contains(c, "embedded"):
		return "iot"
	}
	return "phone"
}
