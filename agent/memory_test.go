package agent

import (
	"runtime/debug"
	"testing"
)

// TestPackedAtOnceLeavesTheCollectorAsItWas has a second load begin during the first and end after
// it. It is not parallel: the setting is the process's.
func TestPackedAtOnceLeavesTheCollectorAsItWas(t *testing.T) {
	packing.Unlock() // TestMain has it
	defer packing.Lock()
	const was = 137
	defer debug.SetGCPercent(debug.SetGCPercent(was))
	first, second, done := make(chan bool), make(chan bool), make(chan error)
	load := func(begun, end chan bool) {
		_, err := packed(func() (int, error) {
			begun <- true
			<-end
			return 0, nil
		})
		done <- err
	}
	endFirst, endSecond := make(chan bool), make(chan bool)
	go load(first, endFirst)
	<-first
	go load(second, endSecond)
	<-second
	for _, end := range []chan bool{endFirst, endSecond} {
		end <- true
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if is := debug.SetGCPercent(was); is != was {
		t.Errorf("the collector is set to %d%%, and was to %d%%", is, was)
	}
}

// TestReleaseMemory gives back memory and the pages of the program, which then runs as before.
func TestReleaseMemory(t *testing.T) {
	for range 3 {
		releaseMemory()
	}
	if _, err := builtIn(); err != nil {
		t.Error(err)
	}
}
