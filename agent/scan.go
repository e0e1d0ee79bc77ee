package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
	"picket/scanner/report"
	"picket/scanner/rules"
)

func scanCommand() *cobra.Command {
	var image, format string
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Judge this device, or a recorded one",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dev, err := openDevice(cmd.Context(), image)
			if err != nil {
				return err
			}
			set, err := rules.Catalogue(facts.Collectors())
			if err != nil {
				return err
			}
			r, err := scanner.Scan(cmd.Context(), dev, scanner.Options{
				Collectors: facts.Collectors(), Judge: set, Now: time.Now(), Digests: scanner.DigestsAll,
			})
			if err != nil {
				return err
			}
			return report.JSON(cmd.OutOrStdout(), r)
		},
	}
	cmd.Flags().StringVar(&image, "image", "", "a recorded device: directory, archive, disk image or recording")
	cmd.Flags().StringVar(&format, "format", "table", "table, json, ndjson, html, sarif or cyclonedx")
	return cmd
}

func openDevice(ctx context.Context, image string) (scanner.Device, error) {
	if image == "" {
		return device.Live(ctx, device.LiveOptions{})
	}
	dev, err := device.Directory(image)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", image, err)
	}
	return dev, nil
}
