package parse

import (
	"bytes"
	"context"
	"crypto"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
)

// The ways in which signature schemes 2 and later digest the whole APK but its signing block.
const (
	chunkedSHA256 = iota
	chunkedSHA512
	veritySHA256
	apkDigestKinds
)

const (
	apkChunkLen    = 1 << 20
	verityPageLen  = 4096
	verityRootLen  = 32
	verityTotalLen = verityRootLen + 8 // the root, then how many bytes were digested
)

type apkDigests [apkDigestKinds][]byte

// contentDigests digests what lies before the signing block, the central directory, and the
// end record as it would be without the block, once for all kinds that are wanted.
// Format: source.android.com, "APK Signature Scheme v2", and fs-verity for the trees.
func (z *apkZip) contentDigests(ctx context.Context, block int64, want [apkDigestKinds]bool) (apkDigests, error) {
	end := bytes.Clone(z.eocd)
	binary.LittleEndian.PutUint32(end[16:], uint32(block))
	sections := [...]*io.SectionReader{
		io.NewSectionReader(z.r, 0, block),
		io.NewSectionReader(z.r, z.directory, z.end-z.directory),
		io.NewSectionReader(bytes.NewReader(end), 0, int64(len(end))),
	}
	chunks, total := int64(0), int64(0)
	for _, s := range sections {
		chunks += (s.Size() + apkChunkLen - 1) / apkChunkLen
		total += s.Size()
	}
	var by []*chunkDigest
	for kind, h := range map[int]crypto.Hash{chunkedSHA256: crypto.SHA256, chunkedSHA512: crypto.SHA512} {
		if want[kind] {
			by = append(by, newChunkDigest(kind, h, chunks))
		}
	}
	tree := newVerityTree()
	buf := make([]byte, min(apkChunkLen, max(total, 1)))
	for _, s := range sections {
		for left := s.Size(); left > 0; {
			if err := ctx.Err(); err != nil {
				return apkDigests{}, err
			}
			b := buf[:min(left, apkChunkLen)]
			if _, err := io.ReadFull(s, b); err != nil {
				return apkDigests{}, fmt.Errorf("reading the APK's content: %w", err)
			}
			left -= int64(len(b))
			for _, d := range by {
				d.add(b)
			}
			if want[veritySHA256] {
				tree.write(b)
			}
		}
	}
	var out apkDigests
	for _, d := range by {
		out[d.kind] = d.top.Sum(nil)
	}
	if want[veritySHA256] {
		out[veritySHA256] = binary.LittleEndian.AppendUint64(tree.root(), uint64(total))
	}
	return out, nil
}

// chunkDigest is the digest of the digests of chunks of one megabyte.
type chunkDigest struct {
	kind       int
	chunk, top hash.Hash
	sum        []byte
}

func newChunkDigest(kind int, h crypto.Hash, chunks int64) *chunkDigest {
	d := &chunkDigest{kind: kind, chunk: h.New(), top: h.New()}
	d.top.Write(chunkMark(0x5a, chunks))
	return d
}

func (d *chunkDigest) add(b []byte) {
	d.chunk.Reset()
	d.chunk.Write(chunkMark(0xa5, int64(len(b))))
	d.chunk.Write(b)
	d.sum = d.chunk.Sum(d.sum[:0])
	d.top.Write(d.sum)
}

func chunkMark(mark byte, n int64) []byte {
	return binary.LittleEndian.AppendUint32([]byte{mark}, uint32(n))
}

// verityTree is a Merkle tree of pages of 4096 bytes, with a salt of eight zeros. It keeps one
// page of each level.
type verityTree struct {
	hash   hash.Hash
	data   []byte   // the page that is being filled
	levels [][]byte // of digests, from the leaves up
	zeros  []byte   // a page of them
	sum    []byte
}

func newVerityTree() *verityTree {
	return &verityTree{hash: crypto.SHA256.New(), zeros: make([]byte, verityPageLen)}
}

func (t *verityTree) write(b []byte) {
	for len(b) > 0 {
		if len(t.data) == 0 && len(b) >= verityPageLen {
			t.add(0, t.digest(b[:verityPageLen]))
			b = b[verityPageLen:]
			continue
		}
		n := min(len(b), verityPageLen-len(t.data))
		t.data = append(t.data, b[:n]...)
		b = b[n:]
		if len(t.data) == verityPageLen {
			t.add(0, t.digest(t.data))
			t.data = t.data[:0]
		}
	}
}

// add appends a digest to a level. A full page goes up when the next digest comes, for a level
// that fits in one page is the last.
func (t *verityTree) add(level int, digest [verityRootLen]byte) {
	if level == len(t.levels) {
		t.levels = append(t.levels, make([]byte, 0, verityPageLen))
	}
	if len(t.levels[level]) == verityPageLen {
		t.add(level+1, t.digest(t.levels[level]))
		t.levels[level] = t.levels[level][:0]
	}
	t.levels[level] = append(t.levels[level], digest[:]...)
}

// digest is that of a page, filled up with zeros.
func (t *verityTree) digest(page []byte) (digest [verityRootLen]byte) {
	t.hash.Reset()
	t.hash.Write(t.zeros[:8])
	t.hash.Write(page)
	t.hash.Write(t.zeros[:verityPageLen-len(page)])
	t.sum = t.hash.Sum(t.sum[:0])
	copy(digest[:], t.sum)
	return digest
}

func (t *verityTree) root() []byte {
	if len(t.data) > 0 || len(t.levels) == 0 {
		t.add(0, t.digest(t.data))
		t.data = t.data[:0]
	}
	for level := 0; ; level++ {
		digest := t.digest(t.levels[level])
		if level == len(t.levels)-1 {
			return digest[:]
		}
		t.add(level+1, digest)
	}
}
