package facts

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"picket/scanner"
)

// database is packages of which a test changes some, in the form of a manager.
type database struct {
	head      string
	paragraph func(name, version string) string
}

var sinceDatabases = map[string]database{
	"dpkg": {"-- etc/os-release --\nID=debian\n-- var/lib/dpkg/arch --\namd64\n-- var/lib/dpkg/status --\n", func(name, version string) string {
		if version == "0" {
			return "Package: " + name + "\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 0\n\n"
		}
		return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\nDescription: text\n more of it\n\n"
	}},
	"apk": {"-- etc/os-release --\nID=alpine\n-- lib/apk/db/installed --\n", func(name, version string) string {
		return "P:" + name + "\nV:" + version + "\nA:x86_64\nI:10\nF:usr/bin\nR:" + name + "\n\n"
	}},
}

func (d database) text(packages map[string]string) string {
	return d.inOrder(packages, slices.Sorted(maps.Keys(packages)))
}

func (d database) inOrder(packages map[string]string, names []string) string {
	var b strings.Builder
	b.WriteString(d.head)
	for _, name := range names {
		b.WriteString(d.paragraph(name, packages[name]))
	}
	return b.String()
}

// TestSinceTellsWhatChanged changes packages at random, and holds what a look at the changes gives
// against what a look at all gives.
func TestSinceTellsWhatChanged(t *testing.T) {
	t.Parallel()
	for manager, db := range sinceDatabases {
		t.Run(manager, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, 2))
			now := map[string]string{}
			for i := range 30 {
				now[fmt.Sprintf("package-%d", i)] = "1"
			}
			table := tableOf(t, "packages", db.text(now), scanner.Options{})
			stock := table.Aux.(*Owners).Stock()
			if stock == nil {
				t.Fatal("there is nothing to go by")
			}
			known := versionsOf(table)
			for round := range 60 {
				most := 3
				if round%20 == 10 {
					most = 3 * fewSought // nearly all
				}
				for range 1 + random.IntN(most) {
					name := fmt.Sprintf("package-%d", random.IntN(40))
					if now[name] != "" && random.IntN(3) == 0 {
						delete(now, name)
					} else {
						now[name] = fmt.Sprint(random.IntN(4))
					}
				}
				text := db.text(now)
				if round%5 == 4 { // in another order, as no manager does it
					names := slices.Sorted(maps.Keys(now))
					random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
					text = db.inOrder(now, names)
				}
				want := versionsOf(tableOf(t, "packages", text, scanner.Options{}))
				table := tableOf(t, "packages", text, scanner.Options{Since: stock})
				since, some := table.Aux.(*Since)
				if !some { // then it is all of them
					if !maps.Equal(known, want) {
						t.Fatalf("round %d: a change is not seen", round)
					}
					continue
				}
				if since.Of() != manager {
					t.Fatalf("round %d: it is of %s", round, since.Of())
				}
				for _, id := range since.Gone {
					if _, ok := known[id]; !ok {
						t.Errorf("round %d: %s is gone and was not there", round, id)
					}
					delete(known, id)
				}
				changed := versionsOf(table)
				maps.Copy(known, changed)
				if !maps.Equal(known, want) {
					t.Fatalf("round %d: with the changes it is\n%v, in truth\n%v", round, known, want)
				}
				if len(changed) > most {
					t.Errorf("round %d: %d packages are read again", round, len(changed))
				}
				stock = since.Stock
			}
		})
	}
}

func versionsOf(t *scanner.Table) map[string]string {
	out := map[string]string{}
	rows, _ := t.Rows.([]Package)
	for _, p := range rows {
		out[p.ID] = p.Version + " " + p.Status
	}
	return out
}

// TestSinceReadsAllWhereItCannotTell has databases one cannot go by.
func TestSinceReadsAllWhereItCannotTell(t *testing.T) {
	t.Parallel()
	dpkg := sinceDatabases["dpkg"]
	one, two := dpkg.paragraph("one", "1"), dpkg.paragraph("two", "1")
	for name, text := range map[string]string{
		"nothing changed":    dpkg.head + one + two,
		"another order":      dpkg.head + two + one,
		"no text before it":  dpkg.head + one + "\n" + two + dpkg.paragraph("three", "1"),
		"a paragraph twice":  dpkg.head + one + one + two,
		"a package twice":    dpkg.head + one + two + dpkg.paragraph("two", "2"),
		"damaged":            dpkg.head + one + "no field\n\n",
		"another database":   sinceDatabases["apk"].head + sinceDatabases["apk"].paragraph("one", "2"),
		"no database at all": "-- etc/os-release --\nID=debian\n",
	} {
		stock := tableOf(t, "packages", dpkg.head+one+two, scanner.Options{}).Aux.(*Owners).Stock()
		table := tableOf(t, "packages", text, scanner.Options{Since: stock})
		if _, some := table.Aux.(*Since); some {
			t.Errorf("%s: it is taken for a change of %d packages", name, len(table.Rows.([]Package)))
		}
	}
	for name, text := range map[string]string{
		"twice":         dpkg.head + one + one,
		"two databases": dpkg.head + one + "-- lib/apk/db/installed --\nP:x\nV:1\nA:x\n\n",
		"a journal":     dpkg.head + one + "-- var/lib/dpkg/updates/0001 --\n" + dpkg.paragraph("one", "2"),
		"damaged":       dpkg.head + one + "no field\n\n",
	} {
		if o, ok := tableOf(t, "packages", text, scanner.Options{}).Aux.(*Owners); ok && o.Stock() != nil {
			t.Errorf("%s: one could go by it", name)
		}
	}
}

// TestSinceKeepsToTheFileWhileDpkgRuns has dpkg's journal told and not taken for the status file.
func TestSinceKeepsToTheFileWhileDpkgRuns(t *testing.T) {
	t.Parallel()
	dpkg := sinceDatabases["dpkg"]
	before := dpkg.head + dpkg.paragraph("one", "1") + dpkg.paragraph("two", "1")
	stock := tableOf(t, "packages", before, scanner.Options{}).Aux.(*Owners).Stock()
	table := tableOf(t, "packages", before+"-- var/lib/dpkg/updates/0001 --\n"+dpkg.paragraph("two", "2"), scanner.Options{Since: stock})
	since, some := table.Aux.(*Since)
	if !some || versionsOf(table)["two"] != "2 installed" || len(since.Gone) != 0 {
		t.Fatalf("during the run: %v, %+v", versionsOf(table), since)
	}
	table = tableOf(t, "packages", dpkg.head+dpkg.paragraph("one", "1"), scanner.Options{Since: since.Stock})
	if since, some = table.Aux.(*Since); !some || !slices.Equal(since.Gone, []string{"two"}) {
		t.Errorf("after the run: %+v", table.Aux)
	}
}

// TestSinceSeesTheLastParagraphGoOn has a database that ended without an empty line, and more text
// behind it.
func TestSinceSeesTheLastParagraphGoOn(t *testing.T) {
	t.Parallel()
	dpkg := sinceDatabases["dpkg"]
	cut := strings.TrimSuffix(dpkg.head+dpkg.paragraph("one", "1")+dpkg.paragraph("two", "1"), "\n")
	stock := tableOf(t, "packages", cut, scanner.Options{}).Aux.(*Owners).Stock()
	if stock == nil {
		t.Fatal("there is nothing to go by")
	}
	table := tableOf(t, "packages", cut+"Maintainer: somebody\n\n"+dpkg.paragraph("three", "1"), scanner.Options{Since: stock})
	if _, some := table.Aux.(*Since); !some || len(table.Rows.([]Package)) != 2 {
		t.Fatalf("%+v", table)
	}
	if p := table.Rows.([]Package)[0]; p.Name != "two" || p.Maintainer != "somebody" {
		t.Errorf("%+v", p)
	}
}
