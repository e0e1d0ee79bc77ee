package device

import (
	lru "container/list"
	"errors"
	"fmt"
	"io"
	"sync"
)

// window is the part of an image that one filesystem fills. Offsets in its errors count
// from the start of the image, so that they can be looked up with a hex editor.
type window struct {
	image string
	r     io.ReaderAt
	base  int64 // where the window starts in the image
	size  int64 // bytes
}

// sub gives a part of a window, cut where the window ends.
func (w *window) sub(off, size int64) *window {
	off = min(max(off, 0), w.size)
	return &window{image: w.image, r: w.r, base: w.base + off, size: min(max(size, 0), w.size-off)}
}

// read fills b from off.
func (w *window) read(off int64, b []byte) error {
	if off < 0 || off > w.size || int64(len(b)) > w.size-off {
		return w.bad(off, "%d bytes wanted, but only %d are there: cut off or damaged", len(b), max(w.size-max(off, 0), 0))
	}
	n, err := w.r.ReadAt(b, w.base+off)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return w.bad(off, "%d bytes wanted, but only %d are there: cut off or damaged", len(b), n)
	}
	return fmt.Errorf("image %s at byte %d: %w", w.image, w.base+off, err)
}

// bad says what is wrong with the image, and where.
func (w *window) bad(off int64, format string, args ...any) error {
	return fmt.Errorf("image %s at byte %d: %w", w.image, w.base+off, fmt.Errorf(format, args...))
}

// contentReader reads a file's content through the readers of an image.
type contentReader func(b []byte, off int64) (int, error)

func (f contentReader) ReadAt(b []byte, off int64) (int, error) { return f(b, off) }

// imageFile is an open file of an image.
type imageFile struct{ *io.SectionReader }

func (imageFile) Close() error { return nil }

// blockCache keeps what was read last, up to a number of bytes.
type blockCache[V any] struct {
	mu    sync.Mutex
	limit int
	used  int
	order lru.List // newest first, of cached[V]
	m     map[int64]*lru.Element
}

type cached[V any] struct {
	key  int64
	v    V
	cost int
}

func newBlockCache[V any](limit int) *blockCache[V] {
	return &blockCache[V]{limit: limit, m: map[int64]*lru.Element{}}
}

func (c *blockCache[V]) get(key int64) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[key]
	if !ok {
		return v, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached[V]).v, true
}

func (c *blockCache[V]) put(key int64, v V, cost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m[key]; ok {
		return
	}
	c.m[key] = c.order.PushFront(cached[V]{key, v, cost})
	c.used += cost
	for c.used > c.limit && c.order.Len() > 1 {
		e := c.order.Back()
		old := c.order.Remove(e).(cached[V])
		delete(c.m, old.key)
		c.used -= old.cost
	}
}

const metaPage = 16 << 10

// readPaged reads through a cache of pages: inodes and the like are small and lie together.
func readPaged(w *window, pages *blockCache[[]byte], off int64, b []byte) error {
	for len(b) > 0 {
		at := off &^ (metaPage - 1)
		if off < 0 || off >= w.size {
			return w.read(off, b) // gives the error
		}
		page, ok := pages.get(at)
		if !ok {
			page = make([]byte, min(metaPage, w.size-at))
			if err := w.read(at, page); err != nil {
				return err
			}
			pages.put(at, page, metaPage)
		}
		n := copy(b, page[off-at:])
		b, off = b[n:], off+int64(n)
	}
	return nil
}
