package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	ui "picket/agent/page"
	"picket/scanner"
	"picket/scanner/report"
)

// notifyRetry is how long an agent that does not answer is left alone.
const notifyRetry = 30 * time.Second

func notifyCommand() *cobra.Command {
	var ask apiFlags
	cmd := &cobra.Command{
		Use: "notify", Short: "Show what the agent finds as notices of the desktop", Args: noArgs,
		Long: `Notify waits in a person's session for what the agent finds and shows it as notices of the desktop
(org.freedesktop.Notifications), each once, outside the quiet hours of the policy. A click opens the page.
'picket setup' has desktops start it; it runs with the person's own rights, and the agent needs none in
their session. Findings that tell of somebody who watches the person are never shown.

It ends with the session. Exit status: 0 ended, 1 error (this user may not ask the agent, or has no
session bus), 64 usage.`,
		Example: "  picket notify &",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if os.Geteuid() == 0 {
				return &hinted{errors.New("notices are for a person's session, and root has none"), "run it as the person who uses the desktop"}
			}
			path, err := ask.path()
			if err != nil {
				return err
			}
			address, err := sessionBus(os.Getenv)
			if err != nil {
				return err
			}
			d, err := openDesktop(cmd.Context(), address, language(os.Getenv))
			if err != nil {
				return err
			}
			defer d.close()
			d.open = func() { openPageOnDesktop(cmd.Context(), path, cmd.ErrOrStderr()) }
			return d.follow(cmd.Context(), path)
		},
	}
	ask.add(cmd)
	return cmd
}

// openPageOnDesktop is `picket ui`. The link stays out of what is logged.
func openPageOnDesktop(ctx context.Context, socket string, log io.Writer) {
	var page pageEnd
	err := callAPI(ctx, socket, apiRequest{Op: "page", Lang: language(os.Getenv)}, nil, &page)
	if err == nil {
		err = openBrowser(page.URL, os.Getenv("XDG_RUNTIME_DIR"))
	}
	if err != nil {
		fmt.Fprintf(log, "picket: the page could not be opened: %s\n", report.Clean(err.Error()))
	}
}

// sessionBus gives the address of this user's bus. A socket that is another user's is refused: who
// listens there would read what was found.
func sessionBus(getenv func(string) string) (string, error) {
	address := getenv("DBUS_SESSION_BUS_ADDRESS")
	if address == "" && filepath.IsAbs(getenv("XDG_RUNTIME_DIR")) {
		address = "unix:path=" + filepath.Join(getenv("XDG_RUNTIME_DIR"), "bus")
	}
	if address == "" {
		return "", &hinted{errors.New("there is no session bus: neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR says where"), "run it in a desktop session"}
	}
	address, _, _ = strings.Cut(address, ";") // the first of several
	path, found := strings.CutPrefix(address, "unix:path=")
	if !found {
		if strings.HasPrefix(address, "unix:abstract=") {
			return address, nil // the bus tells by SO_PEERCRED who connects
		}
		return "", fmt.Errorf("the session bus at %s is no Unix socket of this device", quoted(address))
	}
	path, _, _ = strings.Cut(path, ",")
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return "", &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK || int64(st.Uid) != int64(os.Geteuid()) {
		return "", fmt.Errorf("%s is no socket of this user's own", path)
	}
	return address, nil
}

// desktop shows notices in a session.
type desktop struct {
	conn   *dbus.Conn
	words  ui.Words
	lang   string
	markup bool // the server reads marks in the text
	open   func()
	shown  []uint32 // ids of the last notices
}

// The interface of https://specifications.freedesktop.org/notification-spec/ 1.2.
const (
	notifyName = "org.freedesktop.Notifications"
	notifyPath = "/org/freedesktop/Notifications"
)

// openDesktop connects to a session bus.
func openDesktop(ctx context.Context, address, language string) (*desktop, error) {
	words, err := wordsIn(language)
	if err != nil {
		return nil, err
	}
	conn, err := dbus.Connect(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("connecting to the session bus: %w", err)
	}
	d := &desktop{conn: conn, words: words, lang: language, open: func() {}}
	err = conn.AddMatchSignal(dbus.WithMatchInterface(notifyName), dbus.WithMatchObjectPath(notifyPath), dbus.WithMatchMember("ActionInvoked"))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("listening for clicks: %w", err)
	}
	return d, nil
}

func (d *desktop) close() { d.conn.Close() }

// follow shows notices as they come, until the session or ctx ends.
func (d *desktop) follow(ctx context.Context, socket string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	clicks := make(chan *dbus.Signal, 16)
	d.conn.Signal(clicks)
	defer d.conn.RemoveSignal(clicks)
	notices := make(chan notice)
	ended := make(chan error, 1)
	go func() { ended <- d.ask(ctx, socket, notices) }()
	for {
		select {
		case n := <-notices:
			if err := d.show(ctx, n); err != nil && d.conn.Connected() && ctx.Err() == nil {
				return err
			}
		case s, ok := <-clicks:
			if ok && d.clicked(s) {
				d.open()
			}
			if !ok {
				return nil
			}
		case err := <-ended:
			return err
		case <-d.conn.Context().Done():
			return nil
		}
	}
}

// ask asks the agent for notices, again and again: it may start later, or anew.
func (d *desktop) ask(ctx context.Context, socket string, to chan<- notice) error {
	for {
		err := callAPI(ctx, socket, apiRequest{Op: "notices", Follow: true, Lang: d.lang}, func(b json.RawMessage) error {
			var n notice
			if err := json.Unmarshal(b, &n); err != nil {
				return fmt.Errorf("the agent's answer: %w", err)
			}
			select {
			case to <- n:
			case <-ctx.Done():
			}
			return ctx.Err()
		}, nil)
		if ctx.Err() != nil {
			return nil
		}
		if e := (*apiError)(nil); errors.Is(err, fs.ErrPermission) || errors.As(err, &e) && (e.Code == codeDenied || e.Code == codeUnknownOp) {
			return err
		}
		pause(ctx, notifyRetry, nil)
	}
}

// show has the session's server show a notice.
func (d *desktop) show(ctx context.Context, n notice) error {
	server := d.conn.Object(notifyName, notifyPath)
	var can []string
	if err := server.CallWithContext(ctx, notifyName+".GetCapabilities", 0).Store(&can); err != nil {
		return fmt.Errorf("asking what shows notices here: %w", err)
	}
	d.markup = slices.Contains(can, "body-markup")
	title, body := d.words.Say("notice.title", brief(n.Title)), d.words.Say("notice.body", brief(n.Subject))
	if n.More > 0 {
		title, body = d.words.Say("notice.more", n.More), d.words.Say("notice.more.body")
	}
	if d.markup {
		body = html.EscapeString(body)
	}
	actions := []string{}
	if slices.Contains(can, "actions") {
		actions = []string{"default", d.words.Say("notice.open")}
	}
	urgency := byte(1)
	if n.Severity >= scanner.Critical {
		urgency = 2
	}
	hints := map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency)}
	var id uint32
	err := server.CallWithContext(ctx, notifyName+".Notify", 0, "Picket", uint32(0), "dialog-warning", title, body, actions, hints, int32(-1)).Store(&id)
	if err != nil {
		return fmt.Errorf("showing a notice: %w", err)
	}
	const most = 64
	d.shown = append(d.shown[max(0, len(d.shown)-most+1):], id)
	return nil
}

// clicked tells whether somebody wants to read on: the click is of a notice of ours.
func (d *desktop) clicked(s *dbus.Signal) bool {
	if s == nil || s.Name != notifyName+".ActionInvoked" || len(s.Body) != 2 {
		return false
	}
	id, ok := s.Body[0].(uint32)
	return ok && slices.Contains(d.shown, id)
}
