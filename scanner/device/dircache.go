package device

import "sync"

// maxCachedDirs bounds the memory of a dirCache: a hostile tree can have any number of
// directories.
const maxCachedDirs = 1 << 15

// dirCache remembers which names are directories and what link-free name they have.
type dirCache struct {
	mu sync.RWMutex
	m  map[string]string
}

func newDirCache() *dirCache { return &dirCache{m: map[string]string{}} }

func (c *dirCache) get(name string) (string, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	real, ok := c.m[name]
	return real, ok
}

func (c *dirCache) put(name, real string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) == maxCachedDirs {
		clear(c.m) // a walk soon has again what it needs
	}
	c.m[name] = real
}
