package agent

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

func recordCommand() *cobra.Command {
	var (
		source  sourceFlags
		preview bool
		as      jsonFlags
	)
	cmd := &cobra.Command{
		Use:   "record FILE.tar.zst",
		Short: "Save what a scan of a device reads, to be scanned elsewhere",
		Long: `Record saves every file, description and live source that a scan reads, with modes and
owners, in one file (docs/recording-format.md). Scanning the file gives the report that
scanning the device gave. Passwords, hashes, passphrases, tokens and private keys are taken
out of settings and commands, and names of people's own files that no finding needs are
replaced. With --image it does so for a phone over adb, or for anything that a scan takes.

Look first: --preview lists what would be saved, with sizes, and writes nothing. A secret
whose name and form say nothing is not seen.`,
		Example: `  sudo picket record --preview
  sudo picket record laptop.tar.zst
  picket record --image adb:0A1B2C3D phone.tar.zst
  picket scan --image laptop.tar.zst`,
		Args: func(cmd *cobra.Command, args []string) error {
			if preview {
				return noArgs(cmd, args)
			}
			return oneArg("the file to write")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			opts, err := source.options()
			if err != nil {
				return err
			}
			if !preview {
				if err := placeFor(args[0]); err != nil {
					return fmt.Errorf("writing the recording: %w", err)
				}
			}
			p := startProgress(cmd.ErrOrStderr())
			defer p.stop()
			p.step("opening the device")
			dev, err := source.open(cmd.Context())
			if err != nil {
				return err
			}
			if c, ok := dev.(io.Closer); ok {
				defer c.Close()
			}
			rec := device.NewRecorder(dev, device.RecordOptions{Redact: facts.Redact, Version: version()})
			opts.Tables = facts.Everything(opts.Collectors)
			opts.Progress = p.step
			report, err := scanner.Scan(cmd.Context(), rec, opts)
			if err != nil {
				return fmt.Errorf("recording: %w", err)
			}
			hideNames(rec, report, opts.Collectors)
			p.stop()
			if preview {
				return showPreview(cmd.OutOrStdout(), rec, asJSON)
			}
			if err := writeFile(args[0], func(w io.Writer) error { return rec.Write(cmd.Context(), w) }); err != nil {
				return fmt.Errorf("writing the recording: %w", err)
			}
			n, size := totals(rec)
			fmt.Fprintf(cmd.ErrOrStderr(), "recorded %d files and sources, %d bytes of content, in %s\n", n, size, args[0])
			return nil
		},
	}
	source.add(cmd)
	as.add(cmd)
	cmd.Flags().BoolVar(&preview, "preview", false, "list what would be saved and write nothing")
	return cmd
}

// hideNames gives other names to people's files that no fact needs.
func hideNames(rec *device.Recorder, report *scanner.Report, collectors []scanner.Collector) {
	names := facts.NewPersonalNames(report.Facts, collectors)
	rec.HideNames(func(name string) (device.Alias, bool) {
		before, after, ok := names.Hidden(name)
		return device.Alias{Before: before, After: after}, ok
	})
}

func totals(rec *device.Recorder) (items int, bytes int64) {
	for i := range rec.Items() {
		items++
		bytes += i.Size
	}
	return items, bytes
}

// previewItem is one line of a preview in JSON.
type previewItem struct {
	Name string `json:"name"`
	Kind string `json:"kind"` // content, description or probe
	Size int64  `json:"size"` // bytes of content
}

func showPreview(w io.Writer, rec *device.Recorder, asJSON bool) error {
	if asJSON {
		list := []previewItem{}
		for i := range rec.Items() {
			list = append(list, previewItem(i))
		}
		return writeJSON(w, list)
	}
	p := newPreview(w)
	for i := range rec.Items() {
		p.line(i)
	}
	return p.end()
}
