package agent

import (
	"bytes"
	"encoding/json"
	"testing"

	"picket/scanner"
	"picket/scanner/report"
)

// checkEvents holds the events of a real scan to what the report says.
func checkEvents(t *testing.T, r *scanner.Report) {
	t.Helper()
	var b bytes.Buffer
	if err := report.OCSF(&b, r, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	classes, uids := map[int]int{}, map[string]bool{}
	packages := 0
	for line := range bytes.Lines(b.Bytes()) {
		var e struct {
			Class    int `json:"class_uid"`
			Metadata struct {
				UID string `json:"uid"`
			} `json:"metadata"`
			SBOM struct {
				Components []any `json:"software_components"`
			} `json:"sbom"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if len(line) > report.MaxEvent || uids[e.Metadata.UID] {
			t.Errorf("%d bytes, or the uid %q twice", len(line), e.Metadata.UID)
		}
		uids[e.Metadata.UID] = true
		classes[e.Class]++
		packages += len(e.SBOM.Components)
	}
	if n := classes[report.ClassDetection] + classes[report.ClassCompliance]; n != len(r.Findings) {
		t.Errorf("%d findings, %d events of findings", len(r.Findings), n)
	}
	info := r.Facts.Tables["packages"].Info()
	if packages != info.Rows || classes[report.ClassDevice] != 1 || classes[report.ClassPatch] != 1 || (classes[report.ClassInventory] == 0) != (info.Inapplicable != "") {
		t.Errorf("%d packages of %d; events by class: %v", packages, info.Rows, classes)
	}
}
