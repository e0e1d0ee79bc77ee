package report_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"picket/scanner/facts"
	"picket/scanner/report"
)

// What is written is read by the format's own library, and nothing in it is lost on the way.
func TestCycloneDXIsReadByItsLibrary(t *testing.T) {
	t.Parallel()
	r := sample()
	var b bytes.Buffer
	if err := report.CycloneDX(&b, r, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	dec := cdx.NewBOMDecoder(bytes.NewReader(b.Bytes()), cdx.BOMFileFormatJSON)
	if err := dec.Decode(&bom); err != nil {
		t.Fatal(err)
	}
	packages := r.Packages.([]facts.Package)
	if bom.SpecVersion != cdx.SpecVersion1_6 || bom.BOMFormat != cdx.BOMFormat || !strings.HasSuffix(bom.JSONSchema, "bom-1.6.schema.json") {
		t.Errorf("%s %s %s", bom.BOMFormat, bom.SpecVersion, bom.JSONSchema)
	}
	if bom.Components == nil || len(*bom.Components) != len(packages) {
		t.Fatalf("components %v, want %d", bom.Components, len(packages))
	}
	refs := map[string]bool{}
	for i, c := range *bom.Components {
		p := packages[i]
		if c.Name != strings.ToValidUTF8(p.Name, "\uFFFD") || c.Version != p.Version || c.PackageURL != p.PURL || c.Type != cdx.ComponentTypeApplication || c.BOMRef == "" || refs[c.BOMRef] {
			t.Errorf("component %d: %+v of %+v", i, c, p)
		}
		refs[c.BOMRef] = true
	}
	var strict struct {
		Schema      string         `json:"$schema"`
		Format      string         `json:"bomFormat"`
		SpecVersion string         `json:"specVersion"`
		Version     int            `json:"version"`
		Metadata    map[string]any `json:"metadata"`
		Components  []any          `json:"components"`
	}
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	if err := d.Decode(&strict); err != nil || strict.Version != 1 {
		t.Errorf("%v, version %d", err, strict.Version)
	}
}
