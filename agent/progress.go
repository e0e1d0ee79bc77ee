package agent

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress shows on a terminal what takes longer than a second; elsewhere it is silent.
type progress struct {
	w    io.Writer
	mu   sync.Mutex
	text string
	show bool // the line is on the screen
	done chan struct{}
	wg   sync.WaitGroup
}

func startProgress(w io.Writer) *progress {
	p := &progress{w: w}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return p
	}
	p.done = make(chan struct{})
	p.wg.Add(1)
	go p.run(p.done)
	return p
}

func (p *progress) run(done <-chan struct{}) {
	defer p.wg.Done()
	start := time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			p.mu.Lock()
			fmt.Fprintf(p.w, "\r\x1b[K%s, %d s", p.text, int(time.Since(start).Seconds()))
			p.show = true
			p.mu.Unlock()
		}
	}
}

func (p *progress) step(text string) {
	p.mu.Lock()
	p.text = text
	p.mu.Unlock()
}

// stop takes the line off the screen; later calls do nothing.
func (p *progress) stop() {
	if p.done == nil {
		return
	}
	close(p.done)
	p.done = nil
	p.wg.Wait()
	if p.show {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
