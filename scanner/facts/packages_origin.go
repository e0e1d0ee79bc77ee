package facts

import "strings"

// mailVendors are the mail domains of distributions' own maintainers.
var mailVendors = []struct{ domain, vendor string }{
	{"debian.org", "Debian"}, {"ubuntu.com", "Ubuntu"}, {"canonical.com", "Ubuntu"},
	{"raspberrypi.com", "Raspberry Pi"}, {"raspberrypi.org", "Raspberry Pi"}, {"mobian.org", "Mobian"},
	{"alpinelinux.org", "Alpine Linux"}, {"postmarketos.org", "postmarketOS"}, {"archlinux.org", "Arch Linux"},
	{"openwrt.org", "OpenWrt"}, {"openembedded.org", "OpenEmbedded"}, {"yoctoproject.org", "Yocto Project"},
}

// originOf tells which distribution built a package whose database does not say it in so many
// words, from the maintainer's mail address. It is "" when the address is a private one.
func originOf(maintainer string) string {
	_, domain, _ := strings.Cut(maintainer, "@")
	domain, _, _ = strings.Cut(domain, ">")
	for _, v := range mailVendors {
		if host, ok := strings.CutSuffix(domain, v.domain); ok && (host == "" || strings.HasSuffix(host, ".")) {
			return v.vendor
		}
	}
	return ""
}
