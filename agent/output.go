package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"picket/scanner"
	"picket/scanner/report"
)

// encoder writes a report in one format.
type encoder func(w io.Writer, r *scanner.Report, style report.Style) error

// format is an encoder with its name.
type format struct {
	name   string
	encode encoder
}

func plainEncoder(f func(io.Writer, *scanner.Report) error) encoder {
	return func(w io.Writer, r *scanner.Report, _ report.Style) error { return f(w, r) }
}

func versioned(f func(io.Writer, *scanner.Report, string) error) encoder {
	return func(w io.Writer, r *scanner.Report, _ report.Style) error { return f(w, r, version()) }
}

var (
	scanFormats = []format{
		{"table", report.Table}, {"json", plainEncoder(report.JSON)}, {"ndjson", plainEncoder(report.NDJSON)},
		{"html", plainEncoder(report.HTML)}, {"sarif", versioned(report.SARIF)}, {"cyclonedx", versioned(report.CycloneDX)},
		{"ocsf", versioned(report.OCSF)},
	}
	inventoryFormats = []format{
		{"table", report.InventoryTable}, {"json", plainEncoder(report.JSON)},
		{"ndjson", plainEncoder(report.NDJSON)}, {"cyclonedx", versioned(report.CycloneDX)},
	}
)

func formatNames(fs []format) string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	return strings.Join(names, ", ")
}

// outputFlags say how and where to write.
type outputFlags struct {
	format string
	json   bool
	file   string
	ascii  bool
}

func (o *outputFlags) add(cmd *cobra.Command, fs []format) {
	cmd.Flags().StringVarP(&o.format, "format", "f", "table", "`FORMAT`: "+formatNames(fs))
	cmd.Flags().BoolVar(&o.json, "json", false, "the same as --format json")
	cmd.Flags().StringVarP(&o.file, "output", "o", "", "write to `FILE` (replaced as a whole) instead of standard output")
	cmd.Flags().BoolVar(&o.ascii, "ascii", false, "nothing but ASCII in the table (the default where the locale is not UTF-8)")
}

// writer gives the chosen format's encoder, if there is a place for what it writes: nobody waits for a scan
// only to hear that there is none.
func (o *outputFlags) writer(fs []format) (encoder, error) {
	if o.json {
		o.format = "json"
	}
	for _, f := range fs {
		if f.name == o.format {
			return f.encode, o.place()
		}
	}
	return nil, usagef("--format %q is none of %s", o.format, formatNames(fs))
}

// place says why the output file cannot be written.
func (o *outputFlags) place() error {
	if o.file == "" {
		return nil
	}
	if err := placeFor(o.file); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// save writes to the output file, or to standard output in the terminal's style.
func (o *outputFlags) save(cmd *cobra.Command, write func(io.Writer, report.Style) error) error {
	if o.file == "" {
		return write(cmd.OutOrStdout(), o.style(cmd.OutOrStdout()))
	}
	err := writeFile(o.file, func(w io.Writer) error { return write(w, report.Style{ASCII: o.ascii}) })
	if err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

// style fits the table to where it goes.
func (o *outputFlags) style(w io.Writer) report.Style {
	s := report.Style{ASCII: o.ascii || !utf8Locale()}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.Colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if width, _, err := term.GetSize(int(f.Fd())); err == nil {
		s.Width = min(width, 120)
	}
	return s
}

// utf8Locale follows POSIX: LC_ALL, else LC_CTYPE, else LANG.
func utf8Locale() bool {
	for _, k := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(os.Getenv(k)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

// placeFor says why a file of this name cannot be written. A target that is there and is no regular file (a
// device, a link to elsewhere) is refused.
func placeFor(name string) error {
	if st, err := os.Lstat(name); err == nil && !st.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", name)
	}
	dir := filepath.Dir(name)
	if st, err := os.Stat(dir); err != nil {
		return err
	} else if !st.IsDir() {
		return fmt.Errorf("%s is no folder", dir)
	}
	if err := unix.Access(dir, unix.W_OK); err != nil {
		return fmt.Errorf("nothing can be written into %s: %w", dir, err)
	}
	return nil
}

// writeFile replaces name as a whole: a reader sees the old file or the new one.
func writeFile(name string, write func(io.Writer) error) (err error) {
	if err := placeFor(name); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if err := write(tmp); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
