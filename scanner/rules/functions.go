package rules

import (
	"fmt"
	"path"
	"strings"

	"github.com/expr-lang/expr"
)

// functions are what conditions can call besides expr's own:
//
//	under(path, dir, ...)   the path is a dir or below one
//	base(path)              the last component
//	like(text, pattern)     * stands for any run of bytes
//	suspicious(command)     why a command line looks like an intruder's, "" when it does not
func functions() []expr.Option {
	return []expr.Option{
		expr.Function("under", func(a ...any) (any, error) {
			p, ok := a[0].(string)
			for _, d := range a[1:] {
				dir, isString := d.(string)
				if !ok || !isString {
					return nil, fmt.Errorf("under wants texts")
				}
				if under(p, dir) {
					return true, nil
				}
			}
			return false, nil
		}, new(func(string, string) bool), new(func(string, ...string) bool)),
		expr.Function("base", func(a ...any) (any, error) { return path.Base(a[0].(string)), nil }, new(func(string) string)),
		expr.Function("like", func(a ...any) (any, error) { return wildcard(a[1].(string), a[0].(string)), nil }, new(func(string, string) bool)),
		expr.Function("suspicious", func(a ...any) (any, error) { return suspicious(a[0].(string)), nil }, new(func(string) string)),
	}
}

func under(p, dir string) bool {
	dir = strings.TrimSuffix(dir, "/")
	return p == dir || strings.HasPrefix(p, dir) && p[len(dir)] == '/'
}
