package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// tool is one program with its arguments.
type tool struct {
	name    string
	args    []string // the program first; nil when it is skipped
	skipped string   // why
	// found tells from the output how much was found ("1478 packages"); nil says nothing.
	found func(output io.Reader) string
}

// result is the median of a tool's runs.
type result struct {
	tool
	wall, cpu time.Duration
	peak      int64 // bytes
	runs      int
	says      string // what found told of the last run
}

// table measures tools one after the other and prints a table of them.
func (b *bench) table(title string, tools ...tool) []result {
	fmt.Printf("\n%s\n", title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "wall s\tCPU s\tpeak MB\truns\t")
	var rows []result
	var skipped []string
	for _, t := range tools {
		r := b.measure(t)
		rows = append(rows, r)
		if r.skipped != "" {
			skipped = append(skipped, "skipped: "+r.name+": "+r.skipped)
			continue
		}
		fmt.Fprintf(w, "%.3f\t%.3f\t%.1f\t%d\t %s\n", r.wall.Seconds(), r.cpu.Seconds(), float64(r.peak)/1e6, r.runs, r.label())
	}
	if err := w.Flush(); err != nil {
		skipped = append(skipped, err.Error())
	}
	for _, s := range skipped {
		fmt.Println(s)
	}
	return rows
}

func (r *result) label() string {
	if r.says == "" {
		return r.name
	}
	return r.name + ": " + r.says
}

// measure runs a tool once to warm the caches, and then as often as asked for. The first run
// counts when it alone is over the budget.
func (b *bench) measure(t tool) result {
	r := result{tool: t}
	output := filepath.Join(b.temp, "output")
	if t.skipped != "" {
		return r
	}
	var walls, cpus []time.Duration
	var peaks []int64
	var spent time.Duration
	for i := 0; i <= b.runs; i++ {
		start := time.Now()
		usage, err := b.once(t, output)
		if err != nil {
			r.skipped = err.Error()
			return r
		}
		wall := time.Since(start)
		spent += wall
		if i == 0 && spent < b.budget && b.runs > 0 {
			continue
		}
		walls = append(walls, wall)
		cpus = append(cpus, time.Duration(usage.Utime.Nano()+usage.Stime.Nano()))
		peaks = append(peaks, int64(usage.Maxrss)*1024)
		if spent >= b.budget {
			break
		}
	}
	r.wall, r.cpu, r.peak, r.runs = median(walls), median(cpus), median(peaks), len(walls)
	if f, err := os.Open(output); err == nil && t.found != nil {
		r.says = t.found(f)
		f.Close()
	}
	return r
}

// once runs a tool to its end. Its exit status does not matter: many tell by it what they
// found. What it and the processes it waited for used comes from wait4.
func (b *bench) once(t tool, output string) (*syscall.Rusage, error) {
	f, err := os.Create(output)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, t.args[0], t.args[1:]...)
	cmd.Stdout, cmd.Stderr = f, &stderr
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	var status *exec.ExitError
	if err != nil && (!errors.As(err, &status) || ctx.Err() != nil) {
		return nil, err
	}
	info, statErr := f.Stat()
	if statErr != nil {
		return nil, statErr
	}
	if err != nil && info.Size() == 0 && stderr.Len() > 0 {
		line, _ := bufio.NewReader(&stderr).ReadString('\n')
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(line))
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return nil, errors.New("the system tells nothing of what a process used")
	}
	return usage, nil
}

func median[T time.Duration | int64](v []T) T {
	slices.Sort(v)
	return v[len(v)/2]
}

// number gives a value that a worker of ours printed as "name=value".
func (r *result) number(name string) float64 {
	for _, field := range strings.Fields(r.says) {
		if v, ok := strings.CutPrefix(field, name+"="); ok {
			n, err := strconv.ParseFloat(v, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// lines counts the output's lines that hold marker. The output is never read whole: a process
// passes its own memory on to what it starts, as far as the kernel's peak is concerned.
func lines(marker, what string) func(io.Reader) string {
	return func(output io.Reader) string {
		n, seen := 0, false
		r := bufio.NewReader(output)
		for {
			piece, err := r.ReadSlice('\n') // long lines come in pieces
			if len(piece) > 0 && !seen && strings.Contains(string(piece), marker) {
				n, seen = n+1, true
			}
			if err == nil {
				seen = false
			} else if !errors.Is(err, bufio.ErrBufferFull) {
				return fmt.Sprintf("%d %s", n, what)
			}
		}
	}
}

// firstLine repeats what a worker of ours printed.
func firstLine(output io.Reader) string {
	line, _, _ := bufio.NewReader(output).ReadLine()
	return string(line)
}
