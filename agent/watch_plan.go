package agent

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"picket/scanner"
	"picket/scanner/parse"
)

const (
	maxWatched = 4096 // directories, whatever the kernel allows
	maxBelow   = 512  // directories below one pattern with **
	maxPasswd  = 1 << 20
)

// watchDir is a directory whose entries matter.
type watchDir struct {
	real   string   // inside the device, free of links
	names  []string // what collectors call it; several where links lead to it
	tables []string // that read something in it or below it
}

// watchPlan is what is watched, most important first: where packages are, and then in the order
// of the collectors.
type watchPlan struct {
	dirs     []*watchDir
	byReal   map[string]*watchDir
	patterns map[string][][]string // by table
	needs    map[string][]string   // tables that need a table, directly or not
	left     int                   // directories that there was no room for
}

// planWatches finds the directories in which the collectors read content. Those that do not
// exist yet are stood for by the nearest that does, so that their coming is noticed.
func planWatches(fsys scanner.FS, platform string, collectors []scanner.Collector, limit int) *watchPlan {
	p := &watchPlan{byReal: map[string]*watchDir{}, patterns: map[string][][]string{}, needs: dependents(collectors)}
	homes := homesOf(fsys)
	ordered := slices.Clone(collectors)
	slices.SortStableFunc(ordered, func(a, b scanner.Collector) int { return first(b.Table) - first(a.Table) })
	for _, c := range ordered {
		if !c.On(platform) {
			continue
		}
		for _, glob := range c.Reads.Globs {
			for _, g := range inHomes(glob, homes) {
				if parts := strings.Split(strings.Trim(g, "/"), "/"); watchable(parts) {
					p.patterns[c.Table] = append(p.patterns[c.Table], parts)
					p.expand(fsys, c.Table, "/", parts, limit)
				}
			}
		}
	}
	return p
}

func first(table string) int {
	if table == "packages" {
		return 1
	}
	return 0
}

// watchable leaves out what the kernel makes up, which inotify says nothing of, what changes all
// the time, and patterns for the whole tree.
func watchable(parts []string) bool {
	switch parts[0] {
	case "proc", "sys", "dev", "tmp":
		return false
	case "var":
		return len(parts) < 2 || parts[1] != "log" && parts[1] != "tmp"
	}
	return !strings.ContainsAny(parts[0], "*?")
}

// expand adds the directories that a pattern reaches below dir.
func (p *watchPlan) expand(fsys scanner.FS, table, dir string, parts []string, limit int) {
	if dir != "/" { // what appears in the root itself is rare and no pattern's last part
		p.add(fsys, table, dir, limit)
	}
	if len(parts) < 2 {
		return
	}
	part := parts[0]
	switch {
	case part == "**":
		p.below(fsys, table, dir, limit, new(int))
	case strings.ContainsAny(part, "*?"):
		entries, err := fsys.ReadDir(dir)
		if err != nil {
			return
		}
		for _, e := range entries {
			if scanner.MatchName(part, e.Name) && isDir(fsys, path.Join(dir, e.Name), e) {
				p.expand(fsys, table, path.Join(dir, e.Name), parts[1:], limit)
			}
		}
	default:
		next := path.Join(dir, part)
		if info, err := fsys.Stat(next); err == nil && info.Mode.IsDir() {
			p.expand(fsys, table, next, parts[1:], limit)
		}
	}
}

func isDir(fsys scanner.FS, name string, e scanner.Info) bool {
	if e.Mode&fs.ModeSymlink != 0 {
		info, err := fsys.Stat(name)
		return err == nil && info.Mode.IsDir()
	}
	return e.Mode.IsDir()
}

// below adds all directories under dir, within bounds, and follows no links.
func (p *watchPlan) below(fsys scanner.FS, table, dir string, limit int, n *int) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.Mode.IsDir() {
			continue
		}
		if *n++; *n > maxBelow {
			p.left++
			return
		}
		p.add(fsys, table, path.Join(dir, e.Name), limit)
		p.below(fsys, table, path.Join(dir, e.Name), limit, n)
	}
}

func (p *watchPlan) add(fsys scanner.FS, table, name string, limit int) {
	// Directories that are parents only are watched for what may appear in them: /usr, /var/lib.
	real, err := fsys.Resolve(name)
	if err != nil {
		return
	}
	d := p.byReal[real]
	if d == nil {
		if len(p.dirs) >= limit {
			p.left++
			return
		}
		d = &watchDir{real: real}
		p.byReal[real] = d
		p.dirs = append(p.dirs, d)
	}
	if !slices.Contains(d.names, name) {
		d.names = append(d.names, name)
	}
	if !slices.Contains(d.tables, table) {
		d.tables = append(d.tables, table)
	}
}

// touched names the tables that read the entry name of a watched directory, by whatever name
// they call the directory.
func (p *watchPlan) touched(d *watchDir, name string) []string {
	var out []string
	for _, table := range d.tables {
		if p.reads(table, d, name) {
			out = append(out, table)
		}
	}
	return out
}

func (p *watchPlan) reads(table string, d *watchDir, name string) bool {
	for _, dir := range d.names {
		parts := strings.Split(strings.Trim(path.Join(dir, name), "/"), "/")
		for _, pattern := range p.patterns[table] {
			if scanner.MatchPath(pattern, parts) {
				return true
			}
		}
	}
	return false
}

// leads tells whether a new entry of a directory may hold what somebody reads.
func (p *watchPlan) leads(d *watchDir, name string) (tables []string) {
	for _, table := range d.tables {
		for _, dir := range d.names {
			parts := strings.Split(strings.Trim(path.Join(dir, name), "/"), "/")
			if slices.ContainsFunc(p.patterns[table], func(pattern []string) bool {
				return len(pattern) > len(parts) && scanner.MatchPath(pattern[:len(parts)], parts) || slices.Contains(pattern[:min(len(pattern), len(parts))], "**")
			}) {
				tables = append(tables, table)
				break
			}
		}
	}
	return tables
}

// withDependents adds the tables that need one of these.
func (p *watchPlan) withDependents(tables []string) []string {
	out := slices.Clone(tables)
	for _, t := range tables {
		out = append(out, p.needs[t]...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// dependents gives, by table, those that need it, directly or not. The table os is left out:
// all of them need what it says, and it says the same for years.
func dependents(collectors []scanner.Collector) map[string][]string {
	direct := map[string][]string{}
	for _, c := range collectors {
		for _, n := range c.Needs {
			if n != "os" {
				direct[n] = append(direct[n], c.Table)
			}
		}
	}
	out := map[string][]string{}
	for table := range direct {
		seen, todo := map[string]bool{}, []string{table}
		for len(todo) > 0 {
			next := todo[0]
			todo = todo[1:]
			for _, t := range direct[next] {
				if !seen[t] {
					seen[t] = true
					out[table] = append(out[table], t)
					todo = append(todo, t)
				}
			}
		}
	}
	return out
}

// homesOf gives the home directories of people and of root.
func homesOf(fsys scanner.FS) []string {
	b, err := scanner.ReadFile(fsys, "/etc/passwd", maxPasswd)
	if err != nil {
		return nil
	}
	entries, _ := parse.Passwd(b)
	var out []string
	for _, e := range entries {
		home := path.Clean(e.Home)
		if (e.UID == 0 || e.UID >= 1000 && e.UID < 60000) && strings.HasPrefix(home, "/") && home != "/" && !slices.Contains(out, home) {
			out = append(out, home)
		}
	}
	return out
}

// inHomes puts every home in the place of a leading ~.
func inHomes(glob string, homes []string) []string {
	rest, below := strings.CutPrefix(glob, "~/")
	if !below {
		return []string{glob}
	}
	out := make([]string, len(homes))
	for i, h := range homes {
		out[i] = h + "/" + rest
	}
	return out
}
