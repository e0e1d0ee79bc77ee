package facts

import (
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
	"picket/scanner/device"
)

// packagesOf scans a text fixture and gives its table of packages.
func packagesOf(t *testing.T, fixture string) *scanner.Table {
	t.Helper()
	d, err := device.Txtar([]byte(fixture))
	if err != nil {
		t.Fatal(err)
	}
	return packagesIn(t, d)
}

func packagesIn(t *testing.T, d scanner.Device) *scanner.Table {
	t.Helper()
	r, err := scanner.Scan(context.Background(), d, scanner.Options{Collectors: Collectors(), Tables: []string{"packages"}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Facts.Tables["packages"]
}

func packageRows(t *testing.T, table *scanner.Table) []Package {
	t.Helper()
	rows, ok := table.Rows.([]Package)
	if !ok {
		t.Fatalf("absent: %s", table.Absent)
	}
	return rows
}

// packageIDs lists "id version status" of every row.
func packageIDs(t *testing.T, table *scanner.Table) []string {
	t.Helper()
	var out []string
	for _, p := range packageRows(t, table) {
		out = append(out, p.ID+" "+p.Version+" "+p.Status)
	}
	return out
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestPackagesWithoutDatabaseAreAbsent(t *testing.T) {
	t.Parallel()
	table := packagesOf(t, "-- etc/os-release --\nID=debian\n")
	if table.Rows != nil || table.Absent != "no package database found" {
		t.Errorf("rows %v, absent %q", table.Rows, table.Absent)
	}
	if ok, why := table.Aux.(*Owners).Complete(); ok || !slices.Equal(why, []string{"no package database found"}) {
		t.Errorf("index complete %v, %q", ok, why)
	}
}

func TestPackagesOfEmptyDatabaseAreAbsent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, fixture, absent string }{
		{"empty status", "-- var/lib/dpkg/status --\n", "no package in /var/lib/dpkg/status"},
		{"empty apk", "-- lib/apk/db/installed --\n", "no package in /lib/apk/db/installed"},
		{"unreadable", "-- var/lib/dpkg/status denied --\nx\n", "may not read /var/lib/dpkg/status (run as root)"},
		{"noise", "-- var/lib/dpkg/status base64 --\nf0VMRgIBAQAK\n", "/var/lib/dpkg/status: line 1: not a field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			table := packagesOf(t, "-- etc/os-release --\nID=x\n"+c.fixture)
			if table.Rows != nil || table.Absent != c.absent {
				t.Errorf("rows %v, absent %q, want %q", table.Rows, table.Absent, c.absent)
			}
		})
	}
}

// encode gives bytes as a fixture's base64 content.
func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
