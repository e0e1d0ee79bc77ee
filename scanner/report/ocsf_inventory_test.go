package report_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"picket/scanner/facts"
	"picket/scanner/report"
)

func manyPackages(n int) []facts.Package {
	out := make([]facts.Package, n)
	for i := range out {
		out[i] = facts.Package{ID: fmt.Sprintf("package-%d:amd64", i), Name: fmt.Sprintf("package-%d", i), Version: "1.2.3-4+deb12u1", ShortVersion: "1.2.3", Manager: "dpkg", Arch: "amd64",
			Source: "source", BundleSize: int64(i) << 10, DynamicSize: -1, Installer: "deb.debian.org", Origin: "Debian", Maintainer: "Some Maintainers <CANARY@example.org>", InstallTime: "2024-03-01T10:00:00Z",
			Scope: "system", Status: "installed", PURL: fmt.Sprintf("pkg:deb/debian/package-%d@1.2.3-4?arch=amd64&distro=debian-12", i)}
	}
	return out
}

func inventory(t testing.TB, m report.EventMeta, inv report.Inventory) []report.Event {
	t.Helper()
	var out []report.Event
	if err := report.InventoryEvents(m, inv, func(e report.Event) error { out = append(out, e); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestInventoryComesInPiecesThatMakeAWhole(t *testing.T) {
	t.Parallel()
	huge := manyPackages(250)
	for i := range huge {
		p := &huge[i]
		p.Name, p.Version, p.PURL, p.Source, p.Installer, p.Origin, p.Signer = strings.Repeat("\x01", 5000)+p.Name, strings.Repeat("v", 5000), strings.Repeat("p", 9000),
			strings.Repeat("\xff", 5000), strings.Repeat("<", 5000), strings.Repeat("\x02", 5000), strings.Repeat("\x03", 5000)
	}
	for name, packages := range map[string][]facts.Package{"one": manyPackages(1), "full": manyPackages(100), "more": manyPackages(1050), "huge": huge} {
		var ids []string
		events := inventory(t, meta(), report.Inventory{Packages: packages})
		for i, e := range events {
			consistent(t, e)
			want(t, e, float64(i+1), "metadata", "sequence")
			want(t, e, meta().UID, "metadata", "correlation_uid")
			want(t, e, fmt.Sprint(meta().UID, "-", i+1), "metadata", "uid")
			want(t, e, meta().UID, "sbom", "uid")
			want(t, e, float64(len(packages)), "unmapped", "packages_total")
			want(t, e, "Success", "status")
			v := plain(t, e)
			rest, components := at(v, "unmapped", "packages").([]any), at(v, "sbom", "software_components").([]any)
			if len(rest) != len(components) || len(rest) == 0 {
				t.Fatalf("%d components, %d of the rest", len(components), len(rest))
			}
			for _, r := range rest {
				ids = append(ids, at(r, "id").(string))
			}
			if last := at(v, "unmapped", "last") == true; last != (i == len(events)-1) {
				t.Errorf("%s: event %d of %d says last: %v", name, i+1, len(events), last)
			}
			if cut := at(v, "metadata", "is_truncated") == true; cut != (name == "huge") {
				t.Errorf("%s: truncated %v", name, cut)
			}
		}
		var whole []string
		for _, p := range packages {
			whole = append(whole, p.ID)
		}
		if !slices.Equal(ids, whole) {
			t.Errorf("%s: %d packages arrive of %d", name, len(ids), len(whole))
		}
		t.Logf("%s: %d packages in %d events", name, len(packages), len(events))
	}
}

func TestInventoryThatCouldNotBeReadSaysSo(t *testing.T) {
	t.Parallel()
	events := inventory(t, meta(), report.Inventory{Absent: "may not read /var/lib/dpkg/status"})
	if len(events) != 1 {
		t.Fatalf("%d events", len(events))
	}
	want(t, events[0], "Failure", "status")
	want(t, events[0], "may not read /var/lib/dpkg/status", "status_detail")
	want(t, events[0], nil, "sbom")
	events = inventory(t, meta(), report.Inventory{Packages: manyPackages(1), Partial: []string{"rpm: page 3", "snap: no state"}})
	want(t, events[0], 99.0, "status_id")
	want(t, events[0], "rpm: page 3; snap: no state", "status_detail")
	if err := report.InventoryEvents(meta(), report.Inventory{}, func(report.Event) error { return nil }); err == nil {
		t.Error("an empty inventory was accepted")
	}
	full := errors.New("full")
	if err := report.InventoryEvents(meta(), report.Inventory{Packages: manyPackages(500)}, func(report.Event) error { return full }); !errors.Is(err, full) {
		t.Errorf("the receiver's error is lost: %v", err)
	}
}

func TestPackageEvents(t *testing.T) {
	t.Parallel()
	old, fresh := manyPackages(1)[0], manyPackages(1)[0]
	fresh.Version, fresh.Signer = "2.0-1", "ABCD"
	fresh.App = &facts.App{AppTraits: facts.AppTraits{Source: "browser", Sideloaded: true}, TargetSDK: 34}
	fresh.Scope, fresh.Installer = "user:alice", "https://CANARY:secret@repo.example.org/x?token=CANARY"
	fresh.Origin = "https://repo.example.org/y#access_token=CANARY"
	for _, c := range []struct {
		before, after *facts.Package
		activity      float64
		version       string
		message       string
	}{
		{nil, &fresh, 1, "2.0-1", "package-0 2.0-1 installed"},
		{&old, nil, 2, "1.2.3-4+deb12u1", "package-0 1.2.3-4+deb12u1 removed"},
		{&old, &fresh, 8, "2.0-1", "package-0 2.0-1 updated"},
	} {
		e, err := report.PackageEvent(meta(), c.before, c.after)
		if err != nil {
			t.Fatal(err)
		}
		consistent(t, e)
		want(t, e, c.activity, "activity_id")
		want(t, e, c.version, "app", "version")
		want(t, e, "package-0:amd64", "app", "uid")
		want(t, e, "Some Maintainers", "app", "vendor_name")
		want(t, e, c.message, "message")
		if c.after != nil {
			want(t, e, "user", "unmapped", "package", "scope")
			want(t, e, "https://repo.example.org/x", "unmapped", "package", "installer")
			want(t, e, "https://repo.example.org/y", "unmapped", "package", "origin")
			want(t, e, map[string]any{"from": "browser", "sideloaded": true, "target_sdk": 34.0}, "unmapped", "package", "android")
		}
		if c.before != nil && c.after != nil {
			want(t, e, old.Version, "unmapped", "prev_version")
		}
	}
	if _, err := report.PackageEvent(meta(), nil, nil); err == nil {
		t.Error("an event without a package was made")
	}
}

func BenchmarkInventoryEvents(b *testing.B) {
	packages := manyPackages(1500)
	total := 0
	for b.Loop() {
		total = 0
		for _, e := range inventory(b, meta(), report.Inventory{Packages: packages}) {
			total += len(e.Body)
		}
	}
	b.ReportMetric(float64(total)/1500, "bytes/package")
}
