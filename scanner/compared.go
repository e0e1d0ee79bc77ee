package scanner

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"time"
)

// Compared remembers packaged programs that had the digest which their package recorded, so
// that looks at a device one after the other need not read them all again. A program counts
// as the same while its inode, size and times are. Who writes past the file system or sets the
// clock can feign that: now and then a look has to begin with an empty one. A nil *Compared remembers nothing.
type Compared struct {
	seed maphash.Seed // nobody can make two programs that look the same

	mu   sync.Mutex
	seen map[uint64]struct{}
}

const (
	maxCompared = 1 << 18         // programs
	racy        = 2 * time.Second // a file that changed so recently may change again at the same time
)

// NewCompared makes an empty one.
func NewCompared() *Compared {
	return &Compared{seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
}

// Has reports whether a file, described by info, was found to have the digest.
func (c *Compared) Has(path string, info *Info, digest []byte) bool {
	if c == nil {
		return false
	}
	key := c.key(path, info, digest)
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.seen[key]
	return ok
}

// Add remembers that a file had the digest. now is when that was looked at: what changed just
// before, or where that is not known, is not remembered.
func (c *Compared) Add(path string, info *Info, digest []byte, now time.Time) {
	if c == nil || info.ChangeTime.IsZero() || now.Sub(info.ChangeTime) < racy {
		return
	}
	key := c.key(path, info, digest)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seen) < maxCompared {
		c.seen[key] = struct{}{}
	}
}

func (c *Compared) key(path string, info *Info, digest []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.WriteString(path)
	var b [40]byte
	for i, v := range []uint64{info.Dev, info.Ino, uint64(info.Size), uint64(info.ModTime.UnixNano()), uint64(info.ChangeTime.UnixNano())} {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	h.WriteByte(0)
	h.Write(b[:])
	h.Write(digest)
	return h.Sum64()
}
