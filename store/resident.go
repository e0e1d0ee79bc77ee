package store

import "syscall"

// restAfter is how much is used of the file before its pages are given back.
const restAfter = 8 << 20

// rest gives back to the system the pages of the file that this process has mapped, once it has
// used some megabytes of it: a large outbox that is drained would be resident as a whole. They
// are the kernel's cache of the file; what is used again is mapped again. Nothing is written by way of the map.
//
// It wants a transaction that reads: as long as there is one, bbolt moves its map nowhere.
func (s *Store) rest(t *tx) {
	if s.used.Add(int64(t.used)) < restAfter {
		return
	}
	s.used.Store(0)
	// An error leaves the pages where they are.
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, s.db.Info().Data, uintptr(t.b.Size()), syscall.MADV_DONTNEED)
}
