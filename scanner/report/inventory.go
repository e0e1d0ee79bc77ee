package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"picket/scanner"
	"picket/scanner/facts"
)

// packages gives the report's inventory.
func packages(r *scanner.Report) []facts.Package {
	ps, _ := r.Packages.([]facts.Package)
	return ps
}

// InventoryTable writes the packages for people.
func InventoryTable(w io.Writer, r *scanner.Report, s Style) error {
	p := newPrinter(w, s)
	tw := tabwriter.NewWriter(p.w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "PACKAGE\tVERSION\tMANAGER\tARCH\tSIZE\tGREW TO\tFROM")
	ps := packages(r)
	for _, k := range ps {
		grew := "-"
		if k.DynamicSize >= 0 {
			grew = bytesText(k.DynamicSize)
		}
		from := k.Installer
		if from == "" {
			from = k.Origin
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.text(k.ID), p.text(k.Version), k.Manager, p.text(k.Arch), bytesText(k.BundleSize), grew, p.text(from))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	p.line("%d packages", len(ps))
	for _, t := range r.Tables {
		if t.Table == "packages" {
			for _, why := range t.Partial {
				p.para("", "not wholly read: ", why)
			}
		}
	}
	return p.w.Flush()
}

// CycloneDX writes the inventory as a CycloneDX 1.6 bill of materials in JSON.
func CycloneDX(w io.Writer, r *scanner.Report, version string) error {
	bom := cdx.NewBOM()
	bom.SpecVersion = cdx.SpecVersion1_6
	name := r.Device.Platform + " device"
	osVersion := ""
	if r.Device.OS != nil {
		name, osVersion = r.Device.OS.Name, r.Device.OS.Version
	}
	bom.Metadata = &cdx.Metadata{
		Timestamp: r.Device.JudgedAsOf,
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "picket", Version: version}}},
		Component: &cdx.Component{BOMRef: "device", Type: cdx.ComponentTypeOS, Name: Clean(name), Version: Clean(osVersion)},
	}
	components := []cdx.Component{}
	seen := map[string]int{}
	for _, k := range packages(r) {
		ref := k.PURL
		if ref == "" {
			ref = k.Manager + ":" + k.ID
		}
		if seen[ref]++; seen[ref] > 1 {
			ref = fmt.Sprintf("%s#%d", ref, seen[ref])
		}
		c := cdx.Component{BOMRef: ref, Type: cdx.ComponentTypeApplication, Name: k.Name, Version: k.Version, PackageURL: k.PURL, Description: k.Summary, Publisher: k.Maintainer}
		c.Properties = properties(k)
		components = append(components, c)
	}
	bom.Components = &components
	enc := cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON)
	enc.SetPretty(true)
	enc.SetEscapeHTML(false)
	return enc.Encode(bom)
}

// properties are what CycloneDX has no field for, under names of our own.
func properties(k facts.Package) *[]cdx.Property {
	var out []cdx.Property
	for _, kv := range [][2]string{
		{"picket:arch", k.Arch}, {"picket:install_time", k.InstallTime}, {"picket:installer", k.Installer},
		{"picket:manager", k.Manager}, {"picket:scope", k.Scope}, {"picket:short_version", k.ShortVersion},
	} {
		if kv[1] != "" {
			out = append(out, cdx.Property{Name: kv[0], Value: kv[1]})
		}
	}
	for _, s := range []struct {
		name string
		n    int64
	}{{"picket:bundle_size", k.BundleSize}, {"picket:dynamic_size", k.DynamicSize}} {
		if s.n >= 0 {
			out = append(out, cdx.Property{Name: s.name, Value: fmt.Sprint(s.n)})
		}
	}
	return &out
}

// NDJSON writes one JSON object a line: the device first, then packages, findings and
// coverage, each with a "type".
func NDJSON(w io.Writer, r *scanner.Report) error {
	b := bufio.NewWriterSize(w, 64<<10) // a line is no system call's worth
	if err := writeLines(b, r); err != nil {
		return err
	}
	return b.Flush()
}

func writeLines(w io.Writer, r *scanner.Report) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	type head struct {
		Type   string              `json:"type"`
		Schema string              `json:"schema"`
		Device scanner.DeviceInfo  `json:"device"`
		Level  scanner.Level       `json:"level"`
		SetBy  []string            `json:"set_by,omitempty"`
		Tables []scanner.TableInfo `json:"tables"`
	}
	if err := enc.Encode(head{"device", r.Schema, r.Device, r.Level, r.SetBy, r.Tables}); err != nil {
		return err
	}
	for _, k := range packages(r) {
		if err := enc.Encode(struct {
			Type string `json:"type"`
			facts.Package
		}{"package", k}); err != nil {
			return err
		}
	}
	for _, f := range r.Findings {
		if err := enc.Encode(struct {
			Type string `json:"type"`
			scanner.Finding
		}{"finding", f}); err != nil {
			return err
		}
	}
	for _, c := range r.Coverage {
		if err := enc.Encode(struct {
			Type string `json:"type"`
			scanner.Coverage
		}{"coverage", c}); err != nil {
			return err
		}
	}
	return nil
}
