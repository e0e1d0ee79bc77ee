// Package report writes a scan's report for people and for programs.
package report

import (
	"encoding/json"
	"io"

	"picket/scanner"
)

// JSON writes the report as one indented JSON object (docs/report.md).
func JSON(w io.Writer, r *scanner.Report) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
