package tuf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Source is where a repository is: a web server or a folder.
type Source interface {
	// open gives a file from a byte on, or from another one before it: at. A file that is not
	// there is fs.ErrNotExist.
	open(ctx context.Context, name string, from int64) (r io.ReadCloser, at int64, err error)
	String() string
}

// At gives the source at an address: an https URL, a file URL, or the path of a folder. The client is
// what makes requests.
func At(address string, client *http.Client) (Source, error) {
	switch {
	case strings.HasPrefix(address, "https://"):
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%q is no address like https://updates.example/picket", address)
		}
		if u.User != nil {
			return nil, errors.New("an address of updates has no user and password: files are public, and signed")
		}
		return newWeb(u, client), nil
	case strings.HasPrefix(address, "file://"):
		u, err := url.Parse(address)
		if err != nil || u.Host != "" && u.Host != "localhost" || u.Path == "" {
			return nil, fmt.Errorf("%q is no address like file:///media/stick/picket", address)
		}
		return folder(filepath.Clean(u.Path)), nil
	case strings.Contains(address, "://"):
		return nil, fmt.Errorf("%q is neither an https nor a file address", address)
	}
	abs, err := filepath.Abs(address)
	if err != nil {
		return nil, fmt.Errorf("finding %s: %w", address, err)
	}
	return folder(abs), nil
}

// folder is a repository on a disk, or on a stick that is pulled out in between.
type folder string

func (d folder) String() string { return string(d) }

func (d folder) open(ctx context.Context, name string, from int64) (io.ReadCloser, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if st, err := os.Stat(string(d)); err != nil {
		return nil, 0, fmt.Errorf("the repository is not there: %v", err) // its files are not known to be missing
	} else if !st.IsDir() {
		return nil, 0, fmt.Errorf("%s is no folder", string(d))
	}
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	f, err := root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe must not hang
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err == nil {
		_, err = f.Seek(from, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, from, nil
}

// stall is how long a server may send nothing.
const stall = 30 * time.Second

const maxRedirects = 3

// web is a repository on a static web server.
type web struct {
	base   *url.URL
	client *http.Client
}

func newWeb(base *url.URL, client *http.Client) *web {
	own := *client
	own.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.URL.Scheme != "https" {
			return errors.New("the server points to an address that is not https")
		}
		if len(via) > maxRedirects {
			return fmt.Errorf("the server points on more than %d times", maxRedirects)
		}
		return nil
	}
	return &web{base, &own}
}

func (w *web) String() string { return w.base.String() }

func (w *web) open(outer context.Context, name string, from int64) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(outer)
	timer := time.AfterFunc(stall, func() { cancel(errStalled) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base.JoinPath(name).String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Accept-Encoding", "identity") // what is signed is the file as it is
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	body := &webBody{ctx: ctx, cancel: cancel, timer: timer}
	resp, err := w.client.Do(req)
	if err != nil {
		body.Close()
		return nil, 0, body.why(err)
	}
	body.from = resp.Body
	switch resp.StatusCode {
	case http.StatusOK:
		return body, 0, nil
	case http.StatusPartialContent:
		if from > 0 && strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)) {
			return body, from, nil
		}
		err = errors.New("the server gave another part than was asked for")
	case http.StatusNotFound, http.StatusForbidden, http.StatusGone: // some stores say "forbidden" of what is not there
		err = fmt.Errorf("the server says %s: %w", resp.Status, fs.ErrNotExist)
	case http.StatusRequestedRangeNotSatisfiable:
		body.Close()
		if from > 0 {
			return w.open(outer, name, 0)
		}
		err = errors.New("the server refuses to send the file")
	default:
		err = fmt.Errorf("the server says %s", resp.Status)
	}
	body.Close()
	return nil, 0, err
}

var errStalled = fmt.Errorf("the server sent nothing for %v", stall)

// webBody is an answer that ends when nothing comes any more.
type webBody struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
	from   io.ReadCloser
}

func (b *webBody) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.timer.Reset(stall)
	if err != nil && err != io.EOF {
		err = b.why(err)
	}
	return n, err
}

// why names what ended the request.
func (b *webBody) why(err error) error {
	if cause := context.Cause(b.ctx); cause == errStalled {
		return errStalled
	}
	return err
}

func (b *webBody) Close() error {
	b.timer.Stop()
	b.cancel(nil)
	if b.from == nil {
		return nil
	}
	return b.from.Close()
}
