package facts_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picket/scanner"
	"picket/scanner/device"
	"picket/scanner/facts"
)

var update = flag.Bool("update", false, "write the golden files anew")

// persistTables are the tables of what starts by itself, and of who may log in.
var persistTables = []string{"cron_jobs", "init_scripts", "udev_rules", "package_hooks", "network_scripts", "login_scripts", "boot_hooks",
	"loader", "auth_modules", "systemd_units", "ssh_keys", "ssh_servers", "shell_startup", "consoles", "autostart", "log_suppression",
	"screen_access", "password_policy", "setup_leftovers"}

// persistent scans testdata/persist.txtar, with some text in it replaced.
func persistent(t *testing.T, replace ...string) *scanner.Facts {
	t.Helper()
	b, err := os.ReadFile("testdata/persist.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dev, err := device.Txtar([]byte(strings.NewReplacer(replace...).Replace(string(b))))
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(t.Context(), dev, scanner.Options{Collectors: facts.Collectors(), Tables: persistTables, Now: time.Unix(1.7e9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return r.Facts
}

// TestPersistenceTablesHoldWhatIsThere compares every row with testdata/persist.golden, which
// is read by people before it is accepted.
func TestPersistenceTablesHoldWhatIsThere(t *testing.T) {
	t.Parallel()
	f := persistent(t)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for _, name := range persistTables {
		table := f.Tables[name]
		fmt.Fprintf(&out, "-- %s\n", name)
		for _, gap := range table.Partial {
			fmt.Fprintln(&out, "partial:", gap)
		}
		for i := range reflect.ValueOf(table.Rows).Len() {
			if err := enc.Encode(reflect.ValueOf(table.Rows).Index(i).Interface()); err != nil {
				t.Fatal(err)
			}
		}
	}
	const golden = "testdata/persist.golden"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	got, wanted := strings.Split(out.String(), "\n"), strings.Split(string(want), "\n")
	for i, line := range got {
		if i >= len(wanted) || line != wanted[i] {
			t.Fatalf("line %d is\n%s\nwant\n%s", i+1, line, slices.Concat(wanted, make([]string, len(got)))[i])
		}
	}
	if len(got) != len(wanted) {
		t.Errorf("%d lines, want %d", len(got), len(wanted))
	}
}

func TestSecretsOfAccountsStayOutOfTables(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/persist.golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"0123456789", "$6$", "AAAAC3", "abc$def", "hunter"} {
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("a row holds %q", secret)
		}
	}
}

func TestWithoutPackageDatabaseOwnershipIsUnread(t *testing.T) {
	t.Parallel()
	f := persistent(t, "-- var/lib/dpkg/status --", "-- var/lib/dpkg/other --", "-- var/lib/dpkg/info/", "-- var/lib/dpkg/else/")
	for _, row := range f.Tables["cron_jobs"].Rows.([]facts.Autorun) {
		if row.Owned || row.Pristine {
			t.Errorf("%s: owned %v, pristine %v", row.Where, row.Owned, row.Pristine)
		}
		for _, column := range []string{"owned", "pristine"} {
			if row.UnreadColumns()[column] == "" {
				t.Errorf("%s: column %s is not marked unread", row.Where, column)
			}
		}
		if len(row.Programs) > 0 && row.UnreadColumns()["unowned"] == "" {
			t.Errorf("%s: column unowned is not marked unread", row.Where)
		}
	}
}

func TestUntrustedModesLeaveWritersUnread(t *testing.T) {
	t.Parallel()
	f := persistent(t, "# A device on which", "modes-untrusted: it came through git\n# A device on which")
	for _, row := range f.Tables["ssh_keys"].Rows.([]facts.SSHKey) {
		if row.Kind == "key" && row.UnreadColumns()["writable_by"] == "" {
			t.Errorf("%s: writable_by %q is not marked unread", row.Where, row.WritableBy)
		}
	}
}

func TestUnreadableFilesAreGaps(t *testing.T) {
	t.Parallel()
	f := persistent(t, "-- var/spool/cron/crontabs/ann mode=0600 uid=1000 --", "-- var/spool/cron/crontabs/ann mode=0600 uid=1000 denied --",
		"-- etc/pam.d/login --", "-- etc/pam.d/login denied --", "-- etc/ssh/sshd_config --", "-- etc/ssh/sshd_config denied --")
	for table, file := range map[string]string{"cron_jobs": "/var/spool/cron/crontabs/ann", "auth_modules": "/etc/pam.d/login", "ssh_servers": "/etc/ssh/sshd_config"} {
		if got := strings.Join(f.Tables[table].Partial, "; "); !strings.Contains(got, file) {
			t.Errorf("table %s: gaps %q do not name %s", table, got, file)
		}
	}
}
