package facts

import "sync"

// parallel runs f in n goroutines and waits for all of them. What one of them panics with, the
// caller does: the scan then says that the table is absent, and goes on.
func parallel(n int, f func()) {
	var wg sync.WaitGroup
	failed := make(chan any, n)
	for range n {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					failed <- p
				}
			}()
			f()
		})
	}
	wg.Wait()
	select {
	case p := <-failed:
		panic(p)
	default:
	}
}
