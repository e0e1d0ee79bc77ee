package md5lanes

import "golang.org/x/sys/cpu"

// Available tells whether this processor works on several messages at once.
func Available() bool { return cpu.X86.HasAVX2 }

// blocks16 hashes the next n blocks of sixteen messages, n > 0. state holds each word of all
// messages; table the constants of the rounds.
//
//go:noescape
func blocks16(state *[4][lanes]uint32, from *[lanes]*byte, table *[64]uint32, n int)
