package facts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"picket/scanner"
	"picket/scanner/parse"
)

// maxPackages bounds the inventory of a hostile device.
const maxPackages = 1 << 20

func packagesCollector() scanner.Collector {
	return scanner.Collector{
		Table: "packages", Doc: "installed packages of every manager", Row: Package{}, Platforms: onBoth,
		Reads: scanner.Reads{
			Probes: androidPackageProbes,
			Globs:  concat(dpkgReads, apkReads, rpmReads, opkgReads, pacmanReads, flatpakReads, snapReads, androidPackageGlobs),
			Meta:   concat(foldable, flatpakMeta, snapMeta, programMeta),
		},
		Needs:   []string{"os", "users", "android_properties", "apk_files"},
		Collect: collectPackages,
	}
}

func concat(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// collectPackages asks every manager. The table's Aux is the ownership index, *Owners, which
// reads the file lists on first use.
func collectPackages(ctx context.Context, in *scanner.Input) scanner.Table {
	if in.Device.Identity().Platform == "android" {
		return collectAndroidPackages(ctx, in)
	}
	inv := newInventory(ctx, in)
	if before, ok := in.Options.Since.(*Stock); ok && before != nil {
		if t, ok := inv.since(before); ok {
			return t
		}
		inv = newInventory(ctx, in)
	}
	inv.dpkg()
	inv.apk()
	inv.owners.stock = inv.stock()
	inv.rpm()
	inv.opkg()
	inv.pacman()
	// From here on a gap in the inventory is no gap in the index of the system's files.
	inv.owners.lack(inv.partial)
	inv.flatpak()
	inv.snap()
	inv.owners.seal(inv.rows, len(inv.seen) > 0)
	inv.unpackaged(in.Device.Identity().ModesUntrusted == "")
	return inv.table()
}

func newInventory(ctx context.Context, in *scanner.Input) *inventory {
	owners := newOwners(in.Device.FS())
	inv := &inventory{ctx: ctx, fs: in.Device.FS(), owners: owners, words: map[string]string{},
		taking: &stockTaking{seed: owners.seed, seen: map[uint64]bool{}}}
	if systems, _ := scanner.Rows[scanner.OS](in, "os"); len(systems) > 0 {
		inv.vendor, inv.distro = systems[0].ID, systems[0].ID
		if v := systems[0].Version; v != "" {
			inv.distro += "-" + v
		}
	}
	inv.users, _ = scanner.Rows[User](in, "users")
	return inv
}

// stock is the database that was read, if there is but one and all of it could be.
func (inv *inventory) stock() *Stock {
	if inv.journal || len(inv.partial) > 0 {
		return nil
	}
	return inv.taking.stock(inv.native, inv.rows)
}

// inventory is what the managers' readers fill.
type inventory struct {
	ctx    context.Context
	fs     scanner.FS
	vendor string // os-release ID, the purl namespace
	distro string // ID-VERSION_ID, a purl qualifier
	users  []User

	rows    []Package
	partial []string
	// seen are databases that are there; without any, there is no inventory.
	seen   []string
	owners *Owners
	words  map[string]string

	taking  *stockTaking
	native  string // dpkg's own architecture: its packages need no ":arch" behind their name
	journal bool   // dpkg left updates beside its status file
}

func (inv *inventory) table() scanner.Table {
	inv.owners.rows = inv.rows
	t := scanner.Table{Partial: inv.partial, Aux: inv.owners}
	if len(inv.seen) == 0 && len(inv.rows) > 0 {
		t.Partial = append([]string{"no package database found"}, t.Partial...)
	}
	switch {
	case len(inv.rows) > 0:
		t.Rows = inv.rows
	case len(inv.partial) > 0:
		t.Absent, t.Partial = strings.Join(inv.partial, "; "), nil
	case len(inv.seen) > 0:
		t.Absent = "no package in " + strings.Join(inv.seen, ", ")
	default:
		t.Absent = "no package database found"
	}
	return t
}

// add appends a row and gives its index, or false when there are too many.
func (inv *inventory) add(p Package) (int, bool) {
	if len(inv.rows) >= maxPackages {
		if len(inv.rows) == maxPackages {
			inv.miss(fmt.Sprintf("more than %d packages", maxPackages))
		}
		return 0, false
	}
	inv.rows = append(inv.rows, p)
	return len(inv.rows) - 1, true
}

// miss notes a part of the inventory that could not be read.
func (inv *inventory) miss(what string) { inv.partial = append(inv.partial, what) }

// missFile notes that a database could not be read to its end.
func (inv *inventory) missFile(name string, err error) {
	reason := scanner.Reason(err)
	if !strings.Contains(reason, name) {
		reason = name + ": " + reason
	}
	inv.miss(reason)
}

// there notes that a manager's database exists.
func (inv *inventory) there(name string) { inv.seen = append(inv.seen, name) }

// complain notes what a parser skipped in a file.
func (inv *inventory) complain(file string, c *parse.Complaints) {
	inv.partial = append(inv.partial, complaints(file, c)...)
}

func complaints(file string, c *parse.Complaints) []string {
	var out []string
	for _, e := range c.List {
		out = append(out, file+": "+e.Error())
	}
	if c.More > 0 {
		out = append(out, fmt.Sprintf("%s: %d more complaints", file, c.More))
	}
	return out
}

// word makes a string of a value that many packages share.
func (inv *inventory) word(b []byte) string {
	if s, ok := inv.words[string(b)]; ok {
		return s
	}
	s := text(b)
	if len(inv.words) < 1<<15 {
		inv.words[s] = s
	}
	return s
}

// text makes a string of bytes that should be UTF-8.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func at(file string, line int) string { return file + ":" + strconv.Itoa(line) }

// when formats a time for a row.
func when(t time.Time) string {
	if t.IsZero() || t.Unix() <= 0 {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
