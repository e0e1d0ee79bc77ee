package agent

import (
	"github.com/spf13/cobra"
)

func recordCommand() *cobra.Command {
	return &cobra.Command{Use: "record FILE.tar.zst"}
}
