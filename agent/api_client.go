package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"picket/scanner/report"
)

// notRunning says that no agent answers on the socket.
type notRunning struct {
	path string
	err  error
}

func (e *notRunning) Error() string {
	if errors.Is(e.err, fs.ErrNotExist) {
		return "no agent is running: there is no socket " + report.Clean(e.path)
	}
	return "no agent is running: nobody answers on " + report.Clean(e.path)
}

func (e *notRunning) Unwrap() error { return e.err }

// apiFlags are the flags of all commands that ask the agent.
type apiFlags struct {
	config configFlags
	socket string
}

func (f *apiFlags) add(cmd *cobra.Command) {
	f.config.add(cmd)
	cmd.Flags().StringVar(&f.socket, "socket", "", "the agent's socket `PATH` in place of the configuration's")
}

// given tells whether any of them was.
func (f *apiFlags) given() bool {
	return f.socket != "" || f.config.file != "" || len(f.config.set) > 0
}

// path is where the agent listens, as far as this process can tell.
func (f *apiFlags) path() (string, error) {
	if f.socket != "" {
		return f.socket, nil
	}
	c, from, err := f.config.load()
	switch {
	case errors.As(err, new(*usageError)):
		return "", err
	case err != nil:
		return "", &hinted{fmt.Errorf("%w; so it cannot be told which socket the agent has", err), "put that right, or name the socket with --socket"}
	}
	_, set := from.Keys["socket"]
	return socketOf(c.Socket, set, HostEnv(nil)), nil
}

// socketOf gives the system's agent where this user's own has no socket.
func socketOf(own string, set bool, env Env) string {
	if set || env.UID == 0 {
		return own
	}
	if _, err := os.Lstat(own); !errors.Is(err, fs.ErrNotExist) {
		return own
	}
	env.UID, env.Getenv = 0, func(string) string { return "" }
	system := env.socket(env.stateDir())
	if _, err := os.Lstat(system); errors.Is(err, fs.ErrNotExist) {
		return own
	}
	return system
}

// call asks the agent: every item of the answer goes to item (nil: there are none), its end into end.
func (f *apiFlags) call(ctx context.Context, req apiRequest, item func(json.RawMessage) error, end any) error {
	path, err := f.path()
	if err != nil {
		return err
	}
	return callAPI(ctx, path, req, item, end)
}

// patience is how long a client waits for the next line; 0 is for ever.
func (r apiRequest) patience() time.Duration {
	switch {
	case r.Follow:
		return 0
	case r.Wait:
		return defaultLimits().Rescan + time.Minute
	}
	return defaultLimits().Answer
}

// callAPI asks the agent that listens on path. Errors: *notRunning, *apiError (with its fix as a
// hint), or what went wrong on the way. An answer that ends without its last line is an error.
func callAPI(ctx context.Context, path string, req apiRequest, item func(json.RawMessage) error, end any) error {
	c, err := dialAPI(ctx, path)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return &hinted{&notRunning{path, err}, "start it with 'picket run' or 'picket service start'; 'picket doctor' looks for what keeps it from running"}
	case errors.Is(err, fs.ErrPermission):
		return &hinted{fmt.Errorf("this user may not ask the agent: %w", err), "run it as root, or become a member of socket_group and log in again"}
	case err != nil:
		return fmt.Errorf("reaching the agent: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if err := sendRequest(c, req); err != nil {
		return err
	}
	r := bufio.NewReaderSize(c, 64<<10)
	for {
		if wait := req.patience(); wait > 0 {
			c.SetReadDeadline(time.Now().Add(wait))
		}
		if ctx.Err() != nil { // its own deadline may have been set before this one
			return ctx.Err()
		}
		line, err := readLine(r)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.New("the agent does not answer in time")
		case err != nil:
			return fmt.Errorf("the agent's answer ends early: %w", err)
		}
		if done, err := takeLine(line, item, end); done || err != nil {
			return err
		}
	}
}

func sendRequest(c io.Writer, req apiRequest) error {
	req.V = apiVersion
	b, err := encodeJSON(req)
	if err != nil {
		return err
	}
	if len(b) >= apiRequestMax {
		return fmt.Errorf("the request has %d bytes, and may have %d", len(b), apiRequestMax)
	}
	// An agent that refuses at once closes before it reads: what it said is there to be read.
	if _, err := c.Write(append(b, '\n')); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("asking the agent: %w", err)
	}
	return nil
}

// readLine reads a line of at most apiLineMax bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > apiLineMax:
			return nil, fmt.Errorf("a line has more than %d bytes", apiLineMax)
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF):
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}

// takeLine handles one line of an answer and says whether it was the last.
func takeLine(line []byte, item func(json.RawMessage) error, end any) (done bool, err error) {
	var l apiLine
	if err := json.Unmarshal(line, &l); err != nil {
		return true, fmt.Errorf("the agent's answer: %w", err)
	}
	switch {
	case l.Error != nil && l.Error.Fix != "":
		return true, &hinted{l.Error, report.Clean(l.Error.Fix)}
	case l.Error != nil:
		return true, l.Error
	case l.V != apiVersion:
		return true, fmt.Errorf("the agent answers in version %d of its API, and this command knows %d", l.V, apiVersion)
	case l.Item != nil && item != nil:
		return false, item(l.Item)
	case l.End != nil && end != nil:
		if err := json.Unmarshal(l.End, end); err != nil {
			return true, fmt.Errorf("the agent's answer: %w", err)
		}
		return true, nil
	case l.End != nil:
		return true, nil
	}
	return false, nil
}

// collect gives an item function that decodes every item into a list.
func collect[T any](list *[]T) func(json.RawMessage) error {
	*list = []T{}
	return func(b json.RawMessage) error {
		var v T
		if err := json.Unmarshal(b, &v); err != nil {
			return fmt.Errorf("the agent's answer: %w", err)
		}
		*list = append(*list, v)
		return nil
	}
}
