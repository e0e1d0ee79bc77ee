package agent

import "sync"

// feedDepth is how many events a subscriber may fall behind before it is cut off.
const feedDepth = 256

// feed hands events to those who follow them. It never waits for anybody. The zero value is ready.
type feed struct {
	mu   sync.Mutex
	subs map[chan []byte]struct{}
}

// publish gives an event to every subscriber. One that fell too far behind is cut off: it must
// not believe that it saw everything.
func (f *feed) publish(body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.subs {
		select {
		case c <- body:
		default:
			delete(f.subs, c)
			close(c)
		}
	}
}

// subscribe is apiDeps.Subscribe.
func (f *feed) subscribe() (<-chan []byte, func()) {
	c := make(chan []byte, feedDepth)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[chan []byte]struct{}{}
	}
	f.subs[c] = struct{}{}
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, c)
	}
}

// followers counts the subscribers.
func (f *feed) followers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs)
}
