package facts

import "testing"

// A program whose file is not told is the system's only where nothing else could be.
func TestPlaceOfProgramsWithoutAFile(t *testing.T) {
	t.Parallel()
	rows := []AndroidProcess{
		{PID: 1, UID: 0, Name: "init", Args: "/system/bin/init second_stage", Label: "u:r:init:s0"},
		{PID: 300, PPID: 1, UID: 0, Name: "zygote64", Args: "zygote64", Label: "u:r:zygote:s0"},
		{PID: 400, PPID: 350, UID: 2000, Name: "ps", Args: "ps -A", Label: "u:r:shell:s0"},
		{PID: 401, PPID: 350, UID: 2000, Name: "upd", Label: "u:r:shell:s0"}, // a listing without command lines
		{PID: 402, PPID: 350, UID: 2000, Name: "upd", Args: "./upd", Label: "u:r:shell:s0"},
		{PID: 403, PPID: 1, UID: 0, Name: "zygote64", Args: "zygote64", Label: "u:r:su:s0"},
		{PID: 404, PPID: 1, UID: 0, Name: "x", Args: "x", Label: "u:r:init:s0"},
		{PID: 405, PPID: 350, UID: 2000, Name: "upd", Args: "/data/local/tmp/upd", Label: "u:r:shell:s0"},
	}
	relate(rows, nil)
	for i, want := range []string{"system", "system", "system", "", "", "", "", "data_local"} {
		r := &rows[i]
		if _, unread := r.Unread.Unread["place"]; r.Place != want || unread != (want == "") {
			t.Errorf("%d %s: %q, unread %v", r.PID, r.Name, r.Place, unread)
		}
	}
}
