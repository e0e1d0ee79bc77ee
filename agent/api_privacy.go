package agent

import (
	"fmt"
	"slices"
	"strings"
)

func (c *apiCall) export() (any, error) {
	n := 0
	err := c.server.deps.Export(func(x exported) error {
		n++
		return c.out.item(x)
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is kept: %w", err)
	}
	return countEnd{n}, nil
}

func (c *apiCall) erase() (any, error) {
	for _, p := range c.req.Parts {
		if !slices.Contains(erasureNames(), p) {
			return nil, apiErrorf(codeInvalid, "parts: %s is none of %s", quoted(p), strings.Join(erasureNames(), ", "))
		}
	}
	done, err := c.server.deps.Erase(c.req.Parts)
	if err != nil {
		return nil, fmt.Errorf("erasing: %w", err)
	}
	for _, e := range done {
		if err := c.out.item(e); err != nil {
			return nil, err
		}
	}
	return countEnd{len(done)}, nil
}
