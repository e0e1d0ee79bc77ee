package scanner

// Options of a scan.
type Options struct {
	// Digests chooses which packaged programs are compared with the digests that their
	// package recorded.
	Digests DigestMode
}

// DigestMode says which packaged programs are hashed.
type DigestMode string

// The modes.
const (
	DigestsAll  DigestMode = "all"  // every packaged program and library
	DigestsNone DigestMode = "none" // none; the rules that need digests end Unknown
)
