package tuf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// packs is the folder of the files themselves, each named by its digest.
const packs = "packs"

func packPath(dir, sum string) string { return filepath.Join(dir, packs, sum) }

func validSum(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func digest(r io.Reader) (sum string, n int64, err error) {
	h := sha256.New()
	n, err = io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// readBounded reads a file of at most so many bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("%s has more than %d bytes", name, most)
	}
	return b, nil
}

func (c *Client) write(name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return c.writeBytes(name, append(b, '\n'))
}

func (c *Client) writeBytes(name string, b []byte) error {
	return replace(filepath.Join(c.Dir, name), b, 0o600)
}

// replace writes a file as a whole: after a crash it is the old one or the new one.
func replace(name string, b []byte, mode os.FileMode) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing %s: %w", name, err)
		}
	}()
	dir := filepath.Dir(name)
	tmp, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(b); err != nil {
		return err
	}
	if err := tmp.Chmod(mode); err != nil {
		return err
	}
	if err := tmp.Sync(); err != nil {
		return err
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// download brings a file, and goes on where an earlier attempt was cut off.
func (c *Client) download(ctx context.Context, name string, want File) error {
	final := packPath(c.Dir, want.SHA256)
	if f, err := os.Open(final); err == nil {
		sum, _, err := digest(f)
		f.Close()
		if err == nil && sum == want.SHA256 {
			return nil
		}
		os.Remove(final) // damaged
	}
	part, err := os.OpenFile(final+".part", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	defer part.Close()
	d := &transfer{client: c, name: name, want: want, part: part, sum: sha256.New()}
	if err := d.begin(); err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	resumed := d.have > 0
	err = d.run(ctx)
	if refused := new(Refused); resumed && errors.As(err, &refused) { // what was there was of no use
		if err = d.restart(); err == nil {
			err = d.run(ctx)
		}
	}
	if err != nil {
		if errors.As(err, new(*Refused)) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
			os.Remove(part.Name())
		}
		return err
	}
	if err := part.Sync(); err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	if err := os.Rename(part.Name(), final); err != nil {
		return fmt.Errorf("keeping %s: %w", name, err)
	}
	return syncDir(filepath.Dir(final))
}

// transfer is a download under way.
type transfer struct {
	client *Client
	name   string
	want   File
	part   *os.File
	sum    hash.Hash
	have   int64
}

// begin reads what an earlier attempt left.
func (d *transfer) begin() error {
	n, err := io.Copy(d.sum, io.LimitReader(d.part, d.want.Length+1))
	if err != nil {
		return err
	}
	d.have = n
	if n > d.want.Length {
		return d.restart()
	}
	return nil
}

func (d *transfer) restart() error {
	d.sum.Reset()
	d.have = 0
	if err := d.part.Truncate(0); err != nil {
		return err
	}
	_, err := d.part.Seek(0, io.SeekStart)
	return err
}

func (d *transfer) run(ctx context.Context) error {
	if d.have < d.want.Length {
		if err := d.receive(ctx); err != nil {
			return err
		}
	}
	got := hex.EncodeToString(d.sum.Sum(nil))
	switch {
	case d.have > d.want.Length:
		return &Refused{TooLarge, d.name, fmt.Errorf("it has more than the %d bytes that its metadata say", d.want.Length)}
	case d.have < d.want.Length:
		return &Refused{Tampered, d.name, fmt.Errorf("it has %d bytes; its metadata say %d", d.have, d.want.Length)}
	case got != d.want.SHA256:
		return &Refused{Tampered, d.name, errors.New("its digest is not the signed one")}
	}
	return nil
}

func (d *transfer) receive(ctx context.Context) error {
	r, at, err := d.client.Source.open(ctx, "targets/"+d.want.SHA256+"."+d.name, d.have)
	if err != nil {
		return fmt.Errorf("fetching %s: %w", d.name, err)
	}
	defer r.Close()
	if at != d.have {
		if err := d.restart(); err != nil {
			return fmt.Errorf("keeping %s: %w", d.name, err)
		}
	}
	n, err := io.Copy(io.MultiWriter(d.part, d.sum), io.LimitReader(r, d.want.Length-d.have+1))
	d.have += n
	if err != nil {
		return fmt.Errorf("fetching %s: %w", d.name, err)
	}
	return nil
}
