package device

// arena keeps short strings behind four-byte numbers.
type arena struct {
	chunks [][]byte
}

// maxNames bounds the names and link targets of one index, in bytes.
const maxNames = 256 << 20

func (a *arena) full() bool { return len(a.chunks) >= maxNames/nameChunk }

// put stores s, at most 64 KiB long, after its length in two bytes.
func (a *arena) put(s string) uint32 {
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+2+len(s) > nameChunk {
		a.chunks = append(a.chunks, make([]byte, 0, nameChunk))
		last++
	}
	c := a.chunks[last]
	at := uint32(last*nameChunk + len(c))
	c = append(c, byte(len(s)), byte(len(s)>>8))
	a.chunks[last] = append(c, s...)
	return at
}

// get gives what was put at a number, not to be changed.
func (a *arena) get(at uint32) []byte {
	c := a.chunks[at/nameChunk][at%nameChunk:]
	return c[2 : 2+int(c[0])+int(c[1])<<8]
}
