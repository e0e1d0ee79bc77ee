package agent

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/scanner/report"
)

// maxLog bounds the log in a bundle, in bytes: the newest.
const maxLog = 256 << 10

// versions are of what a fault may hang on.
type versions struct {
	Picket string `json:"picket"`
	Go     string `json:"go"`
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	Kernel string `json:"kernel"`
}

func versionsNow() versions {
	v := versions{Picket: version(), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		v.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return v
}

// gatherLog writes the agent's own lines from where the service manager keeps them.
func gatherLog(ctx context.Context, w io.Writer) error {
	var why []string
	for _, command := range [][]string{{"journalctl", "--unit=picket", "--lines=1000", "--no-pager", "--output=short-iso"}, {"logread", "-e", "picket"}} {
		b, err := runBounded(ctx, command)
		if err == nil && len(bytes.TrimSpace(b)) > 0 {
			return writeLog(w, b)
		}
		why = append(why, fmt.Sprintf("%s: %v", command[0], orNothing(err)))
	}
	for _, name := range []string{"/var/log/picket.log", "/data/adb/picket/picket.log"} {
		f, err := openPlain(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			why = append(why, err.Error())
			continue
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		b := make([]byte, min(info.Size(), maxLog))
		n, err := f.ReadAt(b, info.Size()-int64(len(b)))
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return writeLog(w, b[:n])
	}
	return fmt.Errorf("no log was found: %s", strings.Join(why, "; "))
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("it has nothing of picket")
	}
	return err
}

// runBounded gives the end of what a command says, in ten seconds.
func runBounded(ctx context.Context, command []string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tail := &tailBuffer{}
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	c.Stdout, c.WaitDelay = tail, time.Second
	err := c.Run()
	return tail.b, err
}

// tailBuffer keeps the last of what is written.
type tailBuffer struct{ b []byte }

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if over := len(t.b) - maxLog; over > 0 {
		t.b = slices.Delete(t.b, 0, over)
	}
	return len(p), nil
}

func writeLog(w io.Writer, b []byte) error {
	for line := range strings.Lines(strings.ToValidUTF8(string(b), "\uFFFD")) {
		if _, err := fmt.Fprintln(w, report.Clean(logLine(line))); err != nil {
			return err
		}
	}
	return nil
}

// lastReport is what the agent knows; where none runs, the device is scanned. It holds no more than
// the mode lets the organisation know.
func (f *apiFlags) lastReport(ctx context.Context, cmd *cobra.Command, mode string) (*scanner.Report, error) {
	r, err := f.knownReport(ctx)
	if errors.As(err, new(*notRunning)) {
		source := sourceFlags{digests: "none"}
		opts, failed := source.options()
		if failed != nil {
			return nil, failed
		}
		c, _, failed := f.config.load()
		if failed != nil {
			return nil, failed
		}
		crit, _, failed := criteriaNow(c)
		if failed != nil {
			return nil, failed
		}
		opts.Judge, opts.Tables = crit.rules, []string{"packages"}
		r, err = runScan(cmd, &source, opts)
	}
	if err != nil {
		return nil, err
	}
	return restrict(r, mode)
}

// knownReport puts together what the agent answers.
func (f *apiFlags) knownReport(ctx context.Context) (*scanner.Report, error) {
	r, err := agentInventory(ctx, f)
	if err != nil {
		return nil, err
	}
	var (
		open []threat
		end  threatsEnd
	)
	if err := f.call(ctx, apiRequest{Op: "threats"}, collect(&open), &end); err != nil {
		return nil, err
	}
	for _, t := range open {
		r.Findings = append(r.Findings, t.Finding)
	}
	r.Level = end.Level
	return r, nil
}

// restrict gives the report as the mode lets the organisation know it.
func restrict(r *scanner.Report, mode string) (*scanner.Report, error) {
	out := *r
	s := sending{mode: mode, public: map[string]bool{}}
	if mode == sendNoPersonal {
		s.tell(packagesOf(r))
		s.salt = make([]byte, 32)
		rand.Read(s.salt) // never fails; no other bundle, and no event, has these identities
	}
	out.Findings, out.SetBy = []scanner.Finding{}, nil
	for i := range r.Findings {
		f, err := s.finding(&r.Findings[i], false)
		if err != nil {
			return nil, err
		}
		if f != nil {
			out.Findings = append(out.Findings, *f)
		}
	}
	kept := []facts.Package{}
	for _, p := range packagesOf(r) {
		if !s.holdsPackage(&p) {
			kept = append(kept, p)
		}
	}
	out.Packages = kept
	if mode == sendLevelOnly {
		out.Coverage, out.Tables = []scanner.Coverage{}, []scanner.TableInfo{}
	}
	for i := range out.Coverage {
		out.Coverage[i].Why = s.scrub(out.Coverage[i].Why)
	}
	return &out, nil
}
