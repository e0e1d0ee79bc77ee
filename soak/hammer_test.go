package soak

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// hammer are clients of the local API that behave badly, and some that behave.
type hammer struct {
	socket string
	asked  atomic.Int64 // connections made
	stop   func()
	all    sync.WaitGroup
}

// start lets them loose until halt.
func (h *hammer) start() {
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	for i, client := range []func(context.Context, *rand.Rand, net.Conn){garbage, silent, neverReads, neverReads, proper, proper, proper, follower, half} {
		rng := rand.New(rand.NewPCG(uint64(i), 3))
		h.all.Go(func() {
			for ctx.Err() == nil {
				h.one(ctx, rng, client)
			}
		})
	}
	h.all.Go(func() {
		for ctx.Err() == nil {
			h.crowd(ctx)
		}
	})
}

func (h *hammer) halt() {
	h.stop()
	h.all.Wait()
}

func (h *hammer) one(ctx context.Context, rng *rand.Rand, client func(context.Context, *rand.Rand, net.Conn)) {
	c, err := net.Dial("unix", h.socket)
	if err != nil {
		rest(ctx, 50*time.Millisecond) // there is no agent just now
		return
	}
	h.asked.Add(1)
	defer c.Close()
	over := context.AfterFunc(ctx, func() { c.Close() })
	defer over()
	_ = c.SetDeadline(time.Now().Add(15 * time.Second))
	client(ctx, rng, c)
	rest(ctx, time.Duration(rng.IntN(30))*time.Millisecond)
}

// crowd opens a thousand connections, and closes them.
func (h *hammer) crowd(ctx context.Context) {
	var all []net.Conn
	for range 1000 {
		c, err := net.Dial("unix", h.socket)
		if err != nil {
			break
		}
		h.asked.Add(1)
		all = append(all, c)
	}
	rest(ctx, 200*time.Millisecond)
	for _, c := range all {
		c.Close()
	}
	rest(ctx, 10*time.Second)
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func garbage(_ context.Context, rng *rand.Rand, c net.Conn) {
	b := make([]byte, rng.IntN(100_000))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	_, _ = c.Write(b)
	_, _ = io.Copy(io.Discard, c)
}

func silent(ctx context.Context, rng *rand.Rand, _ net.Conn) {
	rest(ctx, time.Duration(rng.IntN(7000))*time.Millisecond)
}

func half(ctx context.Context, rng *rand.Rand, c net.Conn) {
	_, _ = io.WriteString(c, `{"v":1,"op":`)
	rest(ctx, time.Duration(rng.IntN(1000))*time.Millisecond)
}

func neverReads(ctx context.Context, rng *rand.Rand, c net.Conn) {
	_, _ = io.WriteString(c, `{"v":1,"op":"inventory"}`+"\n")
	rest(ctx, time.Duration(rng.IntN(500))*time.Millisecond)
}

func follower(ctx context.Context, rng *rand.Rand, c net.Conn) {
	_, _ = io.WriteString(c, `{"v":1,"op":"events","follow":true}`+"\n")
	_ = c.SetDeadline(time.Now().Add(time.Duration(rng.IntN(3000)) * time.Millisecond))
	_, _ = io.Copy(io.Discard, c)
}

func proper(_ context.Context, rng *rand.Rand, c net.Conn) {
	ops := []string{`{"v":1,"op":"status"}`, `{"v":1,"op":"threats"}`, `{"v":1,"op":"health"}`, `{"v":1,"op":"ignores"}`, `{"v":1,"op":"history","limit":50}`}
	_, _ = io.WriteString(c, ops[rng.IntN(len(ops))]+"\n")
	_, _ = io.Copy(io.Discard, c)
}
