package md5lanes

import (
	"bytes"
	"crypto/md5"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// file is a reader that counts how often it is closed.
type file struct {
	io.Reader
	closed int
}

func (f *file) Close() error { f.closed++; return nil }

// content makes n bytes that differ from seed to seed.
func content(n, seed int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestSumAsCryptoMD5(t *testing.T) {
	t.Parallel()
	if !Available() {
		t.Skip("this processor has no such instructions")
	}
	var lengths []int
	for n := range 200 {
		lengths = append(lengths, n)
	}
	for _, around := range []int{4096, laneSize, 2 * laneSize, 5 * laneSize, 1 << 20} {
		for d := -66; d <= 66; d += 11 {
			lengths = append(lengths, around+d)
		}
		lengths = append(lengths, around-1, around+1, around-9, around-8)
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(lengths), func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
	// From one file alone to far more than there are lanes.
	for _, count := range []int{0, 1, 3, lanes, lanes + 1, len(lengths)} {
		files := make([]*file, count)
		answered := make([]int, count)
		next := 0
		Sum(func() (io.ReadCloser, func([]byte, error)) {
			if next == count {
				return nil, nil
			}
			i := next
			next++
			body := content(lengths[i], i)
			var r io.Reader = bytes.NewReader(body)
			switch i % 3 {
			case 1:
				r = iotest.HalfReader(r)
			case 2:
				r = iotest.DataErrReader(r)
			}
			files[i] = &file{Reader: r}
			return files[i], func(sum []byte, err error) {
				answered[i]++
				if want := md5.Sum(body); err != nil || !bytes.Equal(sum, want[:]) {
					t.Errorf("%d bytes: %x, %v; want %x", len(body), sum, err, want)
				}
			}
		})
		for i := range files {
			if files[i].closed != 1 || answered[i] != 1 {
				t.Errorf("file %d of %d: closed %d times, answered %d times", i, count, files[i].closed, answered[i])
			}
		}
	}
}

// The state handed to crypto/md5 has the form that it has in this version of Go.
func TestResumeIsUnderstood(t *testing.T) {
	t.Parallel()
	s := &summer{}
	for i := range s.lanes {
		s.lanes[i].buf = make([]byte, laneSize+padding)
		if s.resume(i) == nil {
			t.Fatal("crypto/md5 does not take the state")
		}
	}
}

func TestSumGoesOnAfterUnreadableFiles(t *testing.T) {
	t.Parallel()
	if !Available() {
		t.Skip("this processor has no such instructions")
	}
	broken := errors.New("broken")
	var failed, summed, next int
	Sum(func() (io.ReadCloser, func([]byte, error)) {
		if next == 40 {
			return nil, nil
		}
		i := next
		next++
		body := content(100*i*i, i)
		if i%2 == 0 {
			return &file{Reader: io.MultiReader(bytes.NewReader(body), iotest.ErrReader(broken))}, func(sum []byte, err error) {
				if !errors.Is(err, broken) || sum != nil {
					t.Errorf("file %d: %x, %v", i, sum, err)
				}
				failed++
			}
		}
		return &file{Reader: bytes.NewReader(body)}, func(sum []byte, err error) {
			if want := md5.Sum(body); err != nil || !bytes.Equal(sum, want[:]) {
				t.Errorf("file %d: %x, %v", i, sum, err)
			}
			summed++
		}
	})
	if failed != 20 || summed != 20 {
		t.Errorf("%d failed, %d summed", failed, summed)
	}
}

func TestSumClosesFilesWhenAskingPanics(t *testing.T) {
	t.Parallel()
	if !Available() {
		t.Skip("this processor has no such instructions")
	}
	open := &file{Reader: bytes.NewReader(content(10, 1))}
	defer func() {
		if recover() == nil || open.closed != 1 {
			t.Errorf("closed %d times", open.closed)
		}
	}()
	asked := false
	Sum(func() (io.ReadCloser, func([]byte, error)) {
		if asked {
			panic("no more")
		}
		asked = true
		return open, func([]byte, error) {}
	})
}

func BenchmarkSum(b *testing.B) {
	if !Available() {
		b.Skip("this processor has no such instructions")
	}
	body := content(1<<20, 1)
	b.SetBytes(int64(len(body)))
	left := b.N
	Sum(func() (io.ReadCloser, func([]byte, error)) {
		if left == 0 {
			return nil, nil
		}
		left--
		return io.NopCloser(bytes.NewReader(body)), func([]byte, error) {}
	})
}

func BenchmarkCryptoMD5(b *testing.B) {
	body := content(1<<20, 1)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		md5.Sum(body)
	}
}
