package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// enrolFlags are the flags of `picket enrol`.
type enrolFlags struct {
	config                 configFlags
	socket                 string
	url, fingerprint, otlp string
	token, tokenFile       string
	resolvers              []string
	proxy, key             string
	again                  bool
	as                     jsonFlags
}

func enrolCommand() *cobra.Command {
	var f enrolFlags
	cmd := &cobra.Command{
		Use:   "enrol [FILE | LINK | -]",
		Short: "Make this device a member of a fleet",
		Long: `Enrol makes a private key, has the organisation's CA (step-ca) sign a certificate for it with a
one-time token, and notes where the fleet's upstream is (docs/enrol.md). A running agent takes it up
at once.

What it needs comes from an enrolment document, a file or a https link that the organisation gives
out, or from flags; flags win. A token is a secret: give it in a file or on standard input, for
everybody on this device can read the command line.

Exit status: 0 enrolled, 1 error (trying again may help), 4 refused (a new token, or another
fingerprint, is needed), 64 usage.`,
		Example: `  sudo picket enrol https://fleet.example.org/enrol/7c1e
  sudo picket enrol device.json --key tpm
  sudo picket enrol --url https://ca.example.org --fingerprint 5f0c... --token-file - < token
  sudo picket enrol --again --token-file token`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one enrolment document, got %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.url, "url", "", "`URL` of the CA; else the document's or the token's")
	fl.StringVar(&f.fingerprint, "fingerprint", "", "SHA-256 of the CA's root certificate in `HEX`; else the document's or the token's")
	fl.StringVar(&f.token, "token", "", "the one-time `TOKEN`; others can read it while the command runs")
	fl.StringVar(&f.tokenFile, "token-file", "", "`FILE` with the one-time token; - is standard input")
	fl.StringVar(&f.otlp, "otlp", "", "`URL` that takes the events by OTLP/HTTP")
	fl.StringArrayVar(&f.resolvers, "resolver", nil, "name server to ask in place of the system's, as `IP[:PORT]`; repeatable")
	fl.StringVar(&f.proxy, "proxy", "", "`URL` of the proxy to go through")
	fl.StringVar(&f.key, "key", "file", "where the private key is: `file, tpm, tpm:DEVICE or unix:SOCKET`")
	fl.BoolVar(&f.again, "again", false, "in place of the enrolment that is there, which stays until the new one is right; what is not named is as in it")
	fl.StringVar(&f.socket, "socket", "", "the agent's socket `PATH` in place of the configuration's")
	f.config.add(cmd)
	f.as.add(cmd)
	return cmd
}

// enrolEnd is what `picket enrol --json` and `picket unenrol --json` write.
type enrolEnd struct {
	EnrolmentState
	Running bool   `json:"running"`           // an agent runs, and has taken it up
	Notice  string `json:"notice,omitempty"`  // what did not go as it should
	Revoked bool   `json:"revoked,omitempty"` // the former certificate
	untold  bool   // an agent runs, and has not taken it up
}

func (f *enrolFlags) run(cmd *cobra.Command, args []string) error {
	asJSON, err := f.as.wantJSON()
	if err != nil {
		return err
	}
	c, err := enrolPlace(&f.config)
	if err != nil {
		return err
	}
	order, err := f.order(cmd, args)
	if err != nil {
		return err
	}
	if err := sameAgent(cmd.Context(), c, f.socket); err != nil {
		return err
	}
	e := enroller{dir: c.StateDir, now: time.Now}
	id, old, err := e.enrol(cmd.Context(), order)
	if err != nil {
		return err
	}
	out := enrolEnd{EnrolmentState: id.state(time.Now())}
	out.Running, out.Notice = tellAgent(cmd.Context(), c, f.socket, id)
	out.untold = out.Notice != ""
	if old != nil {
		if err := e.revoke(cmd.Context(), old, "enrolled again"); err != nil {
			out.Notice = joinNotices(out.Notice, "the former certificate was not revoked: "+err.Error())
		} else {
			out.Revoked = true
		}
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), out)
	}
	return showEnrolled(cmd.OutOrStdout(), out)
}

func joinNotices(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// enrolPlace gives the configuration of the agent that is meant. A user beside whom the system's
// agent runs would enrol an agent of their own, and spend the token on it.
func enrolPlace(f *configFlags) (Config, error) {
	c, from, err := f.load()
	if err != nil {
		return c, err
	}
	_, named := from.Keys["state_dir"]
	_, set := from.Keys["socket"]
	if other := socketOf(c.Socket, set, HostEnv(nil)); !named && other != c.Socket {
		return c, &hinted{fmt.Errorf("this user has no agent, and the system's, which listens on %s, is root's to enrol", other), "run it as root; for an agent of your own name its folder: --set state_dir=..."}
	}
	return c, nil
}

// order puts the document and the flags together.
func (f *enrolFlags) order(cmd *cobra.Command, args []string) (enrolOrder, error) {
	order := enrolOrder{again: f.again, token: f.token}
	if cmd.Flags().Changed("key") {
		order.key = f.key
	}
	if f.token != "" && f.tokenFile != "" {
		return order, usagef("--token and --token-file: one of them")
	}
	if f.tokenFile == "-" && len(args) == 1 && args[0] == "-" {
		return order, usagef("standard input cannot be both the document and the token")
	}
	if len(args) == 1 {
		d, err := readDocument(cmd.Context(), args[0], cmd.InOrStdin(), nil, time.Now)
		if err != nil {
			return order, err
		}
		order.place = d.upstream
		if order.token == "" {
			order.token = d.Token
		}
	}
	if f.tokenFile != "" {
		var err error
		if order.token, err = readToken(f.tokenFile, cmd.InOrStdin()); err != nil {
			return order, err
		}
	}
	if order.token == "" {
		return order, usagef("%s needs a one-time token: in an enrolment document, by --token-file, or by --token", cmd.CommandPath())
	}
	if f.url != "" {
		order.place.CA.URL = f.url
	}
	if f.fingerprint != "" {
		order.place.CA.Fingerprint = f.fingerprint
	}
	if f.otlp != "" {
		order.place.OTLP = &otlpPlace{URL: f.otlp}
	}
	if len(f.resolvers) > 0 {
		order.place.Resolvers = f.resolvers
	}
	if f.proxy != "" {
		order.place.Proxy = f.proxy
	}
	return order, nil
}

func readToken(name string, stdin io.Reader) (string, error) {
	const most = 64 << 10
	r := stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", fmt.Errorf("reading the token: %w", err)
		}
		defer f.Close()
		r = f
	}
	b, err := readBounded(r, most)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// sameAgent refuses to change the enrolment of another folder than the running agent's: a token
// would be spent for nothing.
func sameAgent(ctx context.Context, c Config, socket string) error {
	var s Status
	if err := callAPI(ctx, cmp.Or(socket, c.Socket), apiRequest{Op: "status"}, nil, &s); err != nil || s.Store.File == "" {
		return nil // nobody to ask
	}
	dir := filepath.Dir(s.Store.File)
	a, aerr := os.Stat(dir)
	b, berr := os.Stat(c.StateDir)
	if dir == c.StateDir || aerr == nil && berr == nil && os.SameFile(a, b) {
		return nil
	}
	return &hinted{fmt.Errorf("the agent that runs keeps its state in %s, and not in %s", dir, c.StateDir),
		"name its configuration: --config " + s.Config.File}
}

// tellAgent has a running agent read the enrolment, nil for none, and sees that it did. Without an
// agent there is nobody to tell.
func tellAgent(ctx context.Context, c Config, socket string, id *identity) (running bool, notice string) {
	var has EnrolmentState
	err := callAPI(ctx, cmp.Or(socket, c.Socket), apiRequest{Op: "enrolment"}, nil, &has)
	switch want := id.state(time.Now()); {
	case err == nil && has.Enrolled == want.Enrolled && has.Device == want.Device:
		return true, ""
	case err == nil:
		return false, "the agent that runs has not taken it up: it says " + enrolmentText(&has, time.Now()) + "; 'picket status' says where it keeps its state"
	case errors.As(err, new(*notRunning)):
		return false, ""
	}
	return false, "the agent could not be told, and sees it within a minute: " + err.Error()
}

func showEnrolled(w io.Writer, e enrolEnd) error {
	text := fmt.Sprintf("enrolled: %s\n", enrolmentText(&e.EnrolmentState, time.Now()))
	if e.Running {
		text += "the agent that runs has taken it up\n"
	} else if !e.untold {
		text += "no agent runs; it takes it up when it starts\n"
	}
	if e.Notice != "" {
		text += "notice: " + report.Clean(e.Notice) + "\n"
	}
	_, err := io.WriteString(w, text)
	return err
}

func unenrolCommand() *cobra.Command {
	var (
		config configFlags
		as     jsonFlags
		socket string
		force  bool
	)
	cmd := &cobra.Command{
		Use: "unenrol", Short: "Have this device's certificate revoked and forget the enrolment", Args: noArgs,
		Long: `Unenrol has the CA revoke the certificate, removes the private key and the record of the
enrolment, and tells the agent. What the agent found and keeps is not touched; events carry the
device's own random id again.

Exit status: 0 done, 1 error, 64 usage.`,
		Example: "  sudo picket unenrol\n  sudo picket unenrol --force",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := as.wantJSON()
			if err != nil {
				return err
			}
			c, err := enrolPlace(&config)
			if err != nil {
				return err
			}
			id, left, err := enroller{dir: c.StateDir, now: time.Now}.unenrol(cmd.Context(), force)
			if err != nil {
				return err
			}
			out := enrolEnd{Revoked: left == nil}
			if left != nil {
				out.Notice = "the certificate was not revoked: " + left.Error()
			}
			running, notice := tellAgent(cmd.Context(), c, socket, nil)
			out.Running = running
			if notice != "" {
				out.Notice = joinNotices(out.Notice, notice)
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), out)
			}
			return showUnenrolled(cmd.OutOrStdout(), id, out)
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "forget it even where the certificate cannot be revoked")
	cmd.Flags().StringVar(&socket, "socket", "", "the agent's socket `PATH` in place of the configuration's")
	config.add(cmd)
	as.add(cmd)
	return cmd
}

func showUnenrolled(w io.Writer, id *identity, e enrolEnd) error {
	text := "the enrolment is forgotten\n"
	if id != nil {
		text = report.Clean(id.Device) + " is no longer enrolled\n"
	}
	if e.Notice != "" {
		text += "notice: " + report.Clean(e.Notice) + "\n"
		if id != nil {
			text += fmt.Sprintf("        who runs the CA can revoke it: serial %s\n", id.leaf().SerialNumber)
		}
	}
	_, err := io.WriteString(w, text)
	return err
}

// EnrolmentState is the enrolment as status shows it.
type EnrolmentState struct {
	Enrolled     bool       `json:"enrolled"`
	Device       string     `json:"device,omitempty"`
	Account      string     `json:"account,omitempty"`
	Organisation string     `json:"organisation,omitempty"`
	Support      string     `json:"support,omitempty"`
	CA           string     `json:"ca,omitempty"`
	OTLP         string     `json:"otlp,omitempty"`
	Updates      string     `json:"updates,omitempty"`
	Key          string     `json:"key,omitempty"` // file, tpm, external
	NotAfter     *time.Time `json:"not_after,omitempty"`
	Expired      bool       `json:"expired,omitempty"`
	Renewal      *time.Time `json:"renewal,omitempty"` // when it is next due; nil without a running agent
}

func (id *identity) state(now time.Time) EnrolmentState {
	if id == nil {
		return EnrolmentState{}
	}
	u, end := id.Upstream, id.leaf().NotAfter
	s := EnrolmentState{Enrolled: true, Device: id.Device, Account: id.Account, Organisation: u.Organisation, Support: u.Support,
		CA: u.CA.URL, Key: id.Key.kind(), NotAfter: &end, Expired: now.After(end)}
	if u.OTLP != nil {
		s.OTLP = u.OTLP.URL
	}
	if u.Updates != nil {
		s.Updates = u.Updates.URL
	}
	return s
}

// enrolmentText is the enrolment in one line.
func enrolmentText(s *EnrolmentState, now time.Time) string {
	if !s.Enrolled {
		return "none: events stay on this device"
	}
	text := s.Device
	if s.Account != "" {
		text += " for " + s.Account
	}
	if s.Organisation != "" {
		text += ", " + s.Organisation
	}
	text += ", key in " + map[string]string{"file": "a file", "tpm": "the TPM", "external": "another program's hands"}[s.Key]
	if s.NotAfter != nil {
		text += ", certificate until " + timeText(*s.NotAfter)
	}
	if s.Expired {
		text += ", which is over"
	}
	return report.Clean(text)
}
