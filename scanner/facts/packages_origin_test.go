package facts

import "testing"

func TestOriginOf(t *testing.T) {
	t.Parallel()
	for maintainer, want := range map[string]string{
		"Some One <one@debian.org>":              "Debian",
		"Team <team@lists.alioth.debian.org>":    "Debian",
		"Ubuntu Developers <x@lists.ubuntu.com>": "Ubuntu",
		"Some One <one@example.org>":             "",
		"Faker <x@notdebian.org>":                "",
		"Faker <x@debian.org.example.net>":       "",
		"Natural Name <natural@alpinelinux.org>": "Alpine Linux",
		"no address":                             "",
		"":                                       "",
	} {
		if got := originOf(maintainer); got != want {
			t.Errorf("%q: got %q, want %q", maintainer, got, want)
		}
	}
}
