// Command bench measures Picket beside other tools: on the same trees, in the same run, the
// medians of several runs of each. It prints numbers and judges none.
//
// Of the other tools it takes those that are installed, installs the ones written in Go when
// asked to, and says which it left out and why.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

type options struct {
	tree    string
	tools   string
	install bool
	runs    int
	budget  time.Duration
	largest int
	entries int
	only    string
}

func main() {
	if len(os.Args) == 3 && strings.HasPrefix(os.Args[1], "worker-") {
		exit(work(os.Args[1], os.Args[2]))
	}
	var o options
	flag.StringVar(&o.tree, "tree", os.Getenv("PICKET_TREE"), "root filesystem to measure on, as bench/tree.sh makes it (default: one made here of 1,478 packages without programs)")
	flag.StringVar(&o.tools, "tools", "bin/tools", "folder that the tools written in Go are installed in and looked for")
	flag.BoolVar(&o.install, "install", false, "build syft, osv-scalibr and trivy from the Go module proxy first: some gigabytes and half an hour")
	flag.IntVar(&o.runs, "runs", 5, "runs of each, of which the median counts")
	flag.DurationVar(&o.budget, "budget", 4*time.Minute, "no further run of a tool that has taken longer than this")
	flag.IntVar(&o.largest, "packages", 100_000, "largest generated package database")
	flag.IntVar(&o.entries, "entries", 1_000_000, "entries of the largest generated archive")
	flag.StringVar(&o.only, "only", "", "comma-separated sections: inventory, index, tree, live, packages, archive, android")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	exit(run(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// bench is what the sections share.
type bench struct {
	options
	ctx    context.Context
	temp   string
	self   string // this program, for its workers
	picket string
}

func run(ctx context.Context, o options) error {
	temp, err := os.MkdirTemp("", "picket-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	b := &bench{options: o, ctx: ctx, temp: temp, picket: filepath.Join(temp, "picket")}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.tools, err = filepath.Abs(o.tools); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.picket, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build picket: %w\n%s", err, out)
	}
	if o.install {
		b.installGoTools()
	}
	if b.tree == "" {
		b.tree = filepath.Join(temp, "tree")
		if err := makeTree(b.tree, 1478); err != nil {
			return fmt.Errorf("make a tree: %w", err)
		}
	}
	fmt.Printf("Medians of up to %d runs, warm caches, %d CPUs, %s. Peak memory is the largest process's.\n",
		o.runs, runtime.NumCPU(), time.Now().UTC().Format(time.DateTime))
	for _, s := range []struct {
		name    string
		section func() error
	}{
		{"inventory", b.inventory}, {"index", b.index}, {"tree", b.wholeTree}, {"live", b.live},
		{"packages", b.growingPackages}, {"archive", b.growingArchive}, {"android", b.android},
	} {
		if o.only != "" && !strings.Contains(","+o.only+",", ","+s.name+",") {
			continue
		}
		if err := s.section(); err != nil {
			return fmt.Errorf("section %s: %w", s.name, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (b *bench) inventory() error {
	b.table("Inventory of "+b.tree, b.picketInventory(b.tree), b.dpkgQuery(b.tree), b.scalibr(b.tree),
		b.trivy(b.tree), b.syft(b.tree, "dpkg-db-cataloger"), b.syft(b.tree, ""))
	return nil
}

func (b *bench) index() error {
	b.table("Inventory with an index of who owns each path", b.owners(b.tree), b.dpkgSearch(b.tree))
	return nil
}

func (b *bench) wholeTree() error {
	rows := b.table("Whole tree, all rules", b.picketScan(b.tree, "none"), b.picketScan(b.tree, "all"),
		b.digests(b.tree), b.chkrootkit(b.tree))
	if r := rows[2]; r.skipped == "" {
		if bytes := r.number("bytes"); bytes > 0 {
			fmt.Printf("Digests: %.0f MB in %.2f s of CPU, %.0f MB/s per core\n", bytes/1e6, r.cpu.Seconds(), bytes/1e6/r.cpu.Seconds())
		}
	}
	return nil
}

func (b *bench) live() error {
	rows := b.table("This machine", b.picketLive(), b.lynis(), b.rkhunter(), b.chkrootkit(""))
	if picket, lynis := rows[0], rows[1]; picket.skipped == "" && lynis.skipped == "" {
		fmt.Printf("Lynis takes %.0f times Picket's CPU time\n", lynis.cpu.Seconds()/picket.cpu.Seconds())
	}
	return nil
}

func (b *bench) growingPackages() error {
	for n := 100; n <= b.largest; n *= 10 {
		tree := filepath.Join(b.temp, fmt.Sprintf("packages-%d", n))
		if err := makeTree(tree, n); err != nil {
			return err
		}
		b.table(fmt.Sprintf("%d packages, %d files", n, n*filesPerPackage), b.picketInventory(tree), b.dpkgQuery(tree), b.owners(tree))
		if err := os.RemoveAll(tree); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) growingArchive() error {
	for n := b.entries / 10; n <= b.entries; n *= 10 {
		name := filepath.Join(b.temp, fmt.Sprintf("entries-%d.tar", n))
		if err := makeTar(name, n); err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		b.table(fmt.Sprintf("Archive of %d entries, %d MB", n, info.Size()/1e6), b.picketInventory(name),
			b.picketScan(name, "none"))
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
