package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"

	"picket/scanner"
	"picket/scanner/facts"
)

//go:embed report.html.tmpl
var htmlTemplate string

// HTML writes the report as one self-contained page that needs no script and no network.
func HTML(w io.Writer, r *scanner.Report) error {
	t, err := template.New("report").Funcs(template.FuncMap{"clean": Clean, "fields": fields, "policy": PolicyText, "size": bytesText}).Parse(htmlTemplate)
	if err != nil {
		return fmt.Errorf("report template: %w", err)
	}
	return t.Execute(w, struct {
		R        *scanner.Report
		Device   []string
		Judged   string
		Caution  string
		Groups   []group
		Unknown  []notChecked
		Packages []facts.Package
	}{r, deviceLine(r.Device), judgedLine(r.Device), caution(r.Coverage), bySubject(r.Findings), unknowns(r.Coverage), packages(r)})
}
