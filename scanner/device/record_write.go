package device

import (
	"archive/tar"
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"picket/scanner"
)

// The parts of a recording; docs/recording-format.md describes them.
const (
	recordingSchema = "picket.recording/1"
	recordingHeader = "picket-recording.json"
	recordingTable  = "tree.tsv"
	recordingProbes = "probes/"
	recordingBodies = "root"
)

// recordingHead is what picket-recording.json says.
type recordingHead struct {
	Schema   string            `json:"schema"`
	Picket   string            `json:"picket,omitempty"`
	Identity recordingIdentity `json:"identity"`
	// Probes are the sources that gave an error.
	Probes map[scanner.Source]*recordedError `json:"probe_errors,omitempty"`
	// Errors are referred to by number from the table, the first is 1.
	Errors []*recordedError `json:"errors,omitempty"`
}

// recordingIdentity is scanner.Identity as it is written.
type recordingIdentity struct {
	Origin         string    `json:"origin"`
	Kind           string    `json:"kind"`
	Platform       string    `json:"platform"`
	Profile        string    `json:"profile,omitempty"`
	RecordedAt     time.Time `json:"recorded_at,omitzero"`
	Live           bool      `json:"live"`
	Root           bool      `json:"root"`
	Acquired       string    `json:"acquired,omitempty"`
	ModesUntrusted string    `json:"modes_untrusted,omitempty"`
	Notes          []string  `json:"notes,omitempty"`
}

// Write writes the recording. No scan may be running.
func (r *Recorder) Write(ctx context.Context, w io.Writer) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(4<<20))
	if err != nil {
		return err
	}
	rw := &recordingWriter{tar: tar.NewWriter(z), at: time.Unix(0, 0)}
	if at := r.Identity().RecordedAt; !at.IsZero() {
		rw.at = at
	}
	if err := r.write(ctx, rw); err != nil {
		return fmt.Errorf("writing the recording: %w", err)
	}
	if err := rw.tar.Close(); err != nil {
		return fmt.Errorf("writing the recording: %w", err)
	}
	return z.Close()
}

type recordingWriter struct {
	tar *tar.Writer
	at  time.Time
}

// file writes one part.
func (w *recordingWriter) file(h tar.Header, content io.Reader) error {
	h.Typeflag = tar.TypeReg
	if h.ModTime.IsZero() {
		h.ModTime = w.at
	}
	if err := w.tar.WriteHeader(&h); err != nil {
		return err
	}
	_, err := io.Copy(w.tar, content)
	return err
}

func (r *Recorder) write(ctx context.Context, w *recordingWriter) error {
	id := r.Identity()
	head := recordingHead{Schema: recordingSchema, Picket: r.opt.Version, Errors: r.store.errs.list,
		Identity: recordingIdentity(id), Probes: map[scanner.Source]*recordedError{}}
	for s, a := range r.probes {
		if e, ok := a.err.(*recordedError); ok {
			head.Probes[s] = e
		}
	}
	b, err := json.MarshalIndent(head, "", "  ")
	if err != nil {
		return err
	}
	if err := w.file(tar.Header{Name: recordingHeader, Mode: 0o600, Size: int64(len(b))}, strings.NewReader(string(b))); err != nil {
		return err
	}
	for _, s := range r.sources() {
		if a := r.probes[s]; a.err == nil {
			h := tar.Header{Name: recordingProbes + string(s), Mode: 0o600, Size: int64(len(a.bytes))}
			if err := w.file(h, newBytesFile(a.bytes, 0)); err != nil {
				return err
			}
		}
	}
	if err := r.store.writeTable(w); err != nil {
		return err
	}
	return r.store.writeBodies(ctx, w)
}

// writeTable writes the table of all names. Its length has to be known first.
func (s *store) writeTable(w *recordingWriter) error {
	size := int64(0)
	s.walk(func(id uint32, name string) bool {
		size += int64(len(s.line(id, name)))
		return true
	})
	if err := w.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: recordingTable, Mode: 0o600, Size: size, ModTime: w.at}); err != nil {
		return err
	}
	out := bufio.NewWriterSize(w.tar, 64<<10)
	s.walk(func(id uint32, name string) bool {
		_, err := out.Write(s.line(id, name))
		return err == nil
	})
	return out.Flush()
}

// writeBodies writes the contents, each with its file's mode, owner and time, so that any
// tar program can unpack them.
func (s *store) writeBodies(ctx context.Context, w *recordingWriter) error {
	var err error
	s.walk(func(id uint32, name string) bool {
		r := s.rare[id]
		if r == nil || !r.body.kept {
			return true
		}
		if err = ctx.Err(); err != nil {
			return false
		}
		n := s.index.node(id)
		o := &s.index.owners[n.owner]
		h := tar.Header{Name: recordingBodies + name, Mode: int64(n.mode & 0o7777), Uid: int(max(o.uid, 0)), Gid: int(max(o.gid, 0)),
			ModTime: unpackTime(n.mtime), Size: r.body.size}
		err = w.file(h, io.NewSectionReader(s.bodies, r.body.off, r.body.size))
		return err == nil
	})
	return err
}

// line is what the table says of one name, nil when nothing is known of it but that it is on
// the way to others.
func (s *store) line(id uint32, name string) []byte {
	n, more := s.index.node(id), s.extra(id)
	b := appendEscaped(nil, name)
	if more.state&stateKnown != 0 {
		o := &s.index.owners[n.owner]
		b = fmt.Appendf(b, "\t%o\t%d\t%d\t%d\t", n.mode, o.uid, o.gid, n.size)
		b = append(appendTime(b, n.mtime), '\t')
		b = appendTime(b, more.ctime)
		b = fmt.Appendf(b, "\t%d\t%d\t%d", more.nlink, s.devs[more.dev], more.ino)
	} else {
		b = append(b, "\t-"...)
	}
	bare := len(b)
	if more.state&stateEntry != 0 {
		b = append(b, "\tentry"...)
	}
	if more.state&stateListed != 0 {
		b = append(b, "\tlisted"...)
	}
	if more.lstat != 0 {
		b = fmt.Appendf(b, "\tlstat=!%d", more.lstat)
	}
	if r := s.rare[id]; r != nil {
		b = r.append(b)
	}
	unpackXattrs(s.index.owners[n.owner].xattrs, func(k, v string) bool {
		b = appendEscaped(append(b, "\txattr."...), k)
		if v[0] == '=' {
			b = fmt.Appendf(b, "=%x", v[1:])
		} else {
			b = fmt.Appendf(b, "=!%d", int(v[1])<<8|int(v[2]))
		}
		return true
	})
	if more.state&stateKnown == 0 && len(b) == bare {
		return nil
	}
	return append(b, '\n')
}

// append writes the answers that few files have.
func (r *rare) append(b []byte) []byte {
	failed := map[uint8]bool{}
	for _, e := range r.errs {
		failed[e.op] = true
		b = fmt.Appendf(b, "\t%s=!%d", opWord(e.op), e.err)
	}
	for op := opReadlink; op <= opHead+uint8(scanner.SHA512); op++ {
		if r.have&(1<<op) == 0 || failed[op] {
			continue
		}
		b = append(append(append(b, '\t'), opWord(op)...), '=')
		switch op {
		case opReadlink:
			b = appendEscaped(b, r.link)
		case opOpen:
			b = strconv.AppendInt(b, r.body.claimed, 10)
			if !r.body.kept {
				b = append(b, ",unread"...)
			}
		case opHead:
			b = hex.AppendEncode(b, r.head)
		default:
			b = hex.AppendEncode(b, r.digests[op-opHead])
		}
	}
	return b
}

// opWord is an operation's key in the table.
func opWord(op uint8) string {
	switch op {
	case opLstat:
		return "lstat"
	case opReadDir:
		return "readdir"
	case opReadlink:
		return "link"
	case opOpen:
		return "open"
	case opHead:
		return "head"
	}
	return scanner.Algo(op - opHead).String()
}
