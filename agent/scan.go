package agent

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/report"
)

func scanCommand() *cobra.Command {
	var (
		source sourceFlags
		which  ruleFlags
		out    outputFlags
		failOn string
		iocs   []string
		long   bool
	)
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Judge this device, or a recorded one",
		Long: `Scan reads the device, judges it by every rule that concerns it, and reports the threat
level, what was found with evidence and the step that clears it, and what could not be
checked. Nothing on the device is changed. Run it as root to see everything.

--format ocsf writes what the agent would send upstream: one OCSF 1.8.0 event a line
(docs/events.md).

Exit status: 0 done; 2 done and the level is at or above --fail-on; 1 error; 64 usage.`,
		Example: `  picket scan
  sudo picket scan --format html --output report.html
  sudo picket scan --format ocsf --output events.ndjson
  picket scan --image router.squashfs --profile router
  picket scan --image backup.tar.zst --only os,config --fail-on medium`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := out.writer(scanFormats)
			if err != nil {
				return err
			}
			limit, err := parseLevel(failOn)
			if err != nil {
				return err
			}
			opts, err := source.options()
			if err != nil {
				return err
			}
			lists := startIndicators(iocs)
			if lists != nil {
				opts.Indicators = lists
			}
			set, err := which.load()
			if err != nil {
				return err
			}
			opts.Judge, opts.Tables = set, []string{"packages"}
			r, err := runScan(cmd, &source, opts)
			if err := lists.wait(); err != nil {
				return err
			}
			if err != nil {
				return err
			}
			if err := out.save(cmd, func(w io.Writer, style report.Style) error {
				style.Long = long
				return write(w, r, style)
			}); err != nil {
				return err
			}
			if limit != scanner.Unjudged && r.Level >= limit {
				return &levelReached{r.Level.String()}
			}
			return nil
		},
	}
	source.add(cmd)
	which.add(cmd)
	out.add(cmd, scanFormats)
	cmd.Flags().StringArrayVar(&iocs, "indicators", nil, "compare with the indicators of compromise in this `PATH`, a list or a folder of lists; repeatable")
	cmd.Flags().StringVar(&failOn, "fail-on", "", "exit 2 when the threat level is at or above this `LEVEL`: low, medium, high")
	cmd.Flags().BoolVarP(&long, "verbose", "v", false, "table: every rule's outcome")
	return cmd
}

// runScan opens the device and scans it, showing progress on a terminal.
func runScan(cmd *cobra.Command, source *sourceFlags, opts scanner.Options) (*scanner.Report, error) {
	p := startProgress(cmd.ErrOrStderr())
	defer p.stop()
	p.step("opening the device")
	dev, err := source.open(cmd.Context())
	if err != nil {
		return nil, err
	}
	if c, ok := dev.(io.Closer); ok {
		defer c.Close()
	}
	opts.Progress = p.step
	r, err := scanner.Scan(cmd.Context(), dev, opts)
	if err != nil {
		return nil, fmt.Errorf("scanning: %w", err)
	}
	return r, nil
}

func parseLevel(s string) (scanner.Level, error) {
	if s == "" {
		return scanner.Unjudged, nil
	}
	var l scanner.Level
	if err := l.UnmarshalText([]byte(s)); err != nil || l <= scanner.Secured {
		return l, usagef("--fail-on %q is none of low, medium, high", s)
	}
	return l, nil
}

func inventoryCommand() *cobra.Command {
	var (
		source    sourceFlags
		out       outputFlags
		ask       apiFlags
		fromAgent bool
	)
	cmd := &cobra.Command{
		Use:   "inventory",
		Short: "List the installed packages of this device, or a recorded one",
		Long: `Inventory lists what every package manager on the device has installed: id, name, version,
short version, size, what it has grown to, and where it came from. It judges nothing.`,
		Example: `  picket inventory
  picket inventory --image debian.tar.xz --format json
  picket inventory --format cyclonedx --output bom.json
  picket inventory --from-agent        what the agent knows, without a scan`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := out.writer(inventoryFormats)
			if err != nil {
				return err
			}
			opts, err := source.options()
			if err != nil {
				return err
			}
			if !fromAgent && ask.given() {
				return usagef("--socket, --config and --set go with --from-agent")
			}
			if fromAgent {
				if source.image != "" {
					return usagef("--from-agent and --image are two different devices")
				}
				r, err := agentInventory(cmd.Context(), &ask)
				if err != nil {
					return err
				}
				return out.save(cmd, func(w io.Writer, style report.Style) error { return write(w, r, style) })
			}
			opts.Tables = []string{"packages"}
			r, err := runScan(cmd, &source, opts)
			if err != nil {
				return err
			}
			if t := r.Facts.Tables["packages"]; t.Absent != "" {
				return fmt.Errorf("no inventory: %s", t.Absent)
			}
			return out.save(cmd, func(w io.Writer, style report.Style) error { return write(w, r, style) })
		},
	}
	source.add(cmd)
	out.add(cmd, inventoryFormats)
	ask.add(cmd)
	cmd.Flags().BoolVar(&fromAgent, "from-agent", false, "ask the agent that runs here instead of looking")
	return cmd
}
