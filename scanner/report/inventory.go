package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

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

// The part of CycloneDX 1.6 (ECMA-424) that an inventory fills, in the order of its schema. The
// library for it brings encoding/gob and encoding/xml into the program, and names the schema of
// another version than it writes.
type (
	bom struct {
		Schema      string         `json:"$schema"`
		Format      string         `json:"bomFormat"`
		SpecVersion string         `json:"specVersion"`
		Version     int            `json:"version"`
		Metadata    bomMetadata    `json:"metadata"`
		Components  []bomComponent `json:"components"`
	}
	bomMetadata struct {
		Timestamp string `json:"timestamp,omitempty"`
		Tools     struct {
			Components []bomComponent `json:"components"`
		} `json:"tools"`
		Component bomComponent `json:"component"`
	}
	bomComponent struct {
		Type        string        `json:"type"`
		Ref         string        `json:"bom-ref,omitempty"`
		Publisher   string        `json:"publisher,omitempty"`
		Name        string        `json:"name"`
		Version     string        `json:"version,omitempty"`
		Description string        `json:"description,omitempty"`
		PURL        string        `json:"purl,omitempty"`
		Properties  []bomProperty `json:"properties,omitempty"`
	}
	bomProperty struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// CycloneDX writes the inventory as a CycloneDX 1.6 bill of materials in JSON.
func CycloneDX(w io.Writer, r *scanner.Report, version string) error {
	b := bom{Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", SpecVersion: "1.6", Version: 1, Components: []bomComponent{}}
	name, osVersion := r.Device.Platform+" device", ""
	if r.Device.OS != nil {
		name, osVersion = r.Device.OS.Name, r.Device.OS.Version
	}
	b.Metadata.Timestamp = r.Device.JudgedAsOf
	b.Metadata.Tools.Components = []bomComponent{{Type: "application", Name: "picket", Version: version}}
	b.Metadata.Component = bomComponent{Type: "operating-system", Ref: "device", Name: Clean(name), Version: Clean(osVersion)}
	seen := map[string]int{}
	for _, k := range packages(r) {
		ref := k.PURL
		if ref == "" {
			ref = k.Manager + ":" + k.ID
		}
		if seen[ref]++; seen[ref] > 1 {
			ref = fmt.Sprintf("%s#%d", ref, seen[ref])
		}
		b.Components = append(b.Components, bomComponent{Type: "application", Ref: ref, Publisher: k.Maintainer, Name: k.Name, Version: k.Version,
			Description: k.Summary, PURL: k.PURL, Properties: properties(k)})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(b)
}

// properties are what CycloneDX has no field for, under names of our own.
func properties(k facts.Package) []bomProperty {
	var out []bomProperty
	for _, kv := range [][2]string{
		{"picket:arch", k.Arch}, {"picket:install_time", k.InstallTime}, {"picket:installer", k.Installer},
		{"picket:manager", k.Manager}, {"picket:scope", k.Scope}, {"picket:short_version", k.ShortVersion},
	} {
		if kv[1] != "" {
			out = append(out, bomProperty{kv[0], kv[1]})
		}
	}
	for _, s := range []struct {
		name string
		n    int64
	}{{"picket:bundle_size", k.BundleSize}, {"picket:dynamic_size", k.DynamicSize}} {
		if s.n >= 0 {
			out = append(out, bomProperty{s.name, fmt.Sprint(s.n)})
		}
	}
	return out
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
