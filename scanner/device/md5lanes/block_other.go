//go:build !amd64

package md5lanes

// Available tells whether this processor works on several messages at once.
func Available() bool { return false }

// blocks16 is not there; nothing calls it where Available says no.
func blocks16(state *[4][lanes]uint32, from *[lanes]*byte, table *[64]uint32, n int) {}
