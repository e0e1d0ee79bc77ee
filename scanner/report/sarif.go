package report

import (
	"encoding/json"
	"io"
	"net/url"
	"strconv"
	"strings"

	"picket/scanner"
)

// The part of SARIF 2.1.0 (OASIS) that a scan fills. The libraries for it bring net/http,
// which the scanner must not import.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Results     []sarifResult     `json:"results"`
		Invocations []sarifInvocation `json:"invocations"`
		Properties  map[string]any    `json:"properties"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifRule struct {
		ID               string    `json:"id"`
		ShortDescription sarifText `json:"shortDescription"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications"`
	}
	sarifNotification struct {
		Level      string     `json:"level"`
		Message    sarifText  `json:"message"`
		Descriptor *sarifByID `json:"associatedRule,omitempty"`
	}
	sarifByID struct {
		ID string `json:"id"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Suppressions []sarifSuppressed `json:"suppressions,omitempty"`
		Properties   map[string]any    `json:"properties"`
	}
	sarifSuppressed struct {
		Kind          string `json:"kind"` // external: not in the source
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact struct {
			URI string `json:"uri"`
		} `json:"artifactLocation"`
		Region *sarifRegion `json:"region,omitempty"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		Name string `json:"name"`
		Kind string `json:"kind"`
	}
)

// SARIF writes the report as SARIF 2.1.0. Rules that could not be judged are notifications:
// they are never left out, and never a "pass".
func SARIF(w io.Writer, r *scanner.Report, version string) error {
	run := sarifRun{Results: []sarifResult{}, Properties: map[string]any{"level": r.Level, "device": r.Device}}
	run.Tool.Driver = sarifDriver{Name: "picket", Version: version, Rules: []sarifRule{}}
	index := map[string]int{}
	inv := sarifInvocation{Successful: true, Notifications: []sarifNotification{}}
	for i, c := range r.Coverage {
		index[c.Rule] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{c.Rule, sarifText{c.Title}})
		if c.Outcome == scanner.Unknown {
			inv.Notifications = append(inv.Notifications, sarifNotification{"warning", sarifText{"not checked: " + c.Why}, &sarifByID{c.Rule}})
		}
	}
	run.Invocations = []sarifInvocation{inv}
	for _, f := range r.Findings {
		run.Results = append(run.Results, sarifFinding(f, index[f.Rule]))
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func sarifFinding(f scanner.Finding, rule int) sarifResult {
	res := sarifResult{RuleID: f.Rule, RuleIndex: rule, Kind: "fail", Level: sarifLevel(f.Severity),
		Message:      sarifText{f.Title + ": " + f.Subject.Kind + " " + f.Subject.Name + "\n\n" + f.Means + "\n\nFix: " + f.Fix},
		Fingerprints: map[string]string{"picketFindingKey/v1": f.Key},
		Properties:   map[string]any{"severity": f.Severity, "category": f.Category, "attack": f.Attack, "false_positive_risk": f.FalsePositives},
	}
	if f.Policy != nil {
		res.Properties["policy"] = f.Policy
		if f.Policy.Accepted {
			res.Suppressions = []sarifSuppressed{{"external", PolicyText(f.Policy)}}
		}
	}
	for _, e := range f.Evidence {
		loc := sarifLocation{Logical: []sarifLogical{{f.Subject.Name, f.Subject.Kind}}}
		if strings.HasPrefix(e.Source, "/") {
			loc.Physical = &sarifPhysical{}
			path, line := splitLine(e.Source)
			loc.Physical.Artifact.URI = (&url.URL{Scheme: "file", Path: path}).String()
			if line > 0 {
				loc.Physical.Region = &sarifRegion{line}
			}
		}
		res.Locations = append(res.Locations, loc)
	}
	return res
}

// splitLine takes "path:12" apart.
func splitLine(source string) (path string, line int) {
	if i := strings.LastIndexByte(source, ':'); i > 0 {
		if n, err := strconv.Atoi(source[i+1:]); err == nil && n > 0 {
			return source[:i], n
		}
	}
	return source, 0
}

func sarifLevel(s scanner.Severity) string {
	switch {
	case s >= scanner.High:
		return "error"
	case s >= scanner.Low:
		return "warning"
	}
	return "note"
}
