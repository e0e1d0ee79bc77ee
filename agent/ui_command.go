package agent

import (
	"errors"
	"fmt"
	"html"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

func uiCommand() *cobra.Command {
	var show bool
	cmd := &cobra.Command{
		Use: "ui", Short: "Open the agent's page: what was found, how to fix it, what the organisation sees", Args: noArgs,
		Example: "  picket ui\n  picket ui --print\n  ssh -L PORT:127.0.0.1:PORT device   with the port of the link, to open it elsewhere",
	}
	cmd.Long = `

The page is served by the running agent on this device alone. The link works once, within two
minutes. Members of the agent's group may read it; root and the agent's own user may also have the
device checked from it.`
	cmd.Flags().BoolVar(&show, "print", false, "write the link and open nothing")
	return apiCommand(cmd, func(cmd *cobra.Command, ask *apiFlags, _ []string) (end pageEnd, err error) {
		err = ask.call(cmd.Context(), apiRequest{Op: "page", Lang: language(os.Getenv)}, nil, &end)
		return end, err
	}, func(w io.Writer, end pageEnd) error {
		if !show && os.Geteuid() != 0 && os.Getenv("DISPLAY")+os.Getenv("WAYLAND_DISPLAY") != "" {
			if err := openBrowser(end.URL, os.Getenv("XDG_RUNTIME_DIR")); err == nil {
				_, err := fmt.Fprintln(w, "the page opens in your browser; 'picket ui --print' gives a link instead")
				return err
			}
		}
		_, err := fmt.Fprintln(w, end.URL)
		return err
	})
}

// openBrowser has the desktop open a link by a file that only this user can read: what stands in a
// program's arguments, everybody on the device can.
func openBrowser(url, runtime string) error {
	opener, err := exec.LookPath("xdg-open")
	if err != nil {
		return fmt.Errorf("finding xdg-open: %w", err)
	}
	if !filepath.IsAbs(runtime) {
		return errors.New("XDG_RUNTIME_DIR names no folder of this user's own")
	}
	name := filepath.Join(runtime, "picket-ui.html")
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the last link: %w", err)
	}
	page := fmt.Appendf(nil, "<!DOCTYPE html><meta charset=\"utf-8\"><title>Picket</title><meta http-equiv=\"refresh\" content=\"0;url=%s\">\n", html.EscapeString(url))
	if err := createFile(name, page, 0o600); err != nil {
		return fmt.Errorf("writing the link: %w", err)
	}
	return exec.Command(opener, name).Start()
}

// language is that of the person, by the environment; "" where it does not say.
func language(env func(string) string) string {
	for _, name := range []string{"LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := env(name); v != "" {
			code, _, _ := strings.Cut(v, ".")
			code, _, _ = strings.Cut(code, "_")
			if len(code) == 2 {
				return strings.ToLower(code)
			}
			return ""
		}
	}
	return ""
}
