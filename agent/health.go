package agent

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Codes of warnings that only a running agent has, beside those of status.go; docs/api.md
// lists all. A code is there once: what is said later takes the place of what was said before.
const (
	warnStoreFull       = "store-full"
	warnStoreReadOnly   = "store-read-only"
	warnStoreUnusable   = "store-unusable"
	warnStoreRefused    = "store-refused"
	warnNetworksUnheard = "networks-unheard"
	warnWatchOff        = "watch-unavailable"
	warnScanFailed      = "scan-failed"
	warnUnprivileged    = "unprivileged"
	// Of the way to the upstream, beside upstream-unreachable.
	warnUpstreamDenied     = "upstream-auth"
	warnUpstreamUnfit      = "upstream-unfit"
	warnUpstreamDistrusted = "upstream-distrusted"
	warnUpstreamRejecting  = "upstream-rejecting"
	warnUpstreamHeld       = "upstream-held"
	warnSinkFile           = "sink-file"
)

// warnings is the list of what is wrong now.
type warnings struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	list map[string]Warning
}

func newWarnings(log *slog.Logger, now func() time.Time) *warnings {
	return &warnings{log: log, now: now, list: map[string]Warning{}}
}

// set raises a warning, or renews its text. Its time is that of the first.
func (w *warnings) set(code, dependency, text, fix string) { w.put(code, dependency, text, fix, true) }

// put is set, and logs nothing where what changed need not be said again.
func (w *warnings) put(code, dependency, text, fix string, say bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, there := w.list[code]
	if !there {
		old.Since = w.now().UTC().Truncate(time.Second)
	}
	if say && (!there || old.Text != text) {
		w.log.Warn(text, "code", code, "dependency", dependency, "fix", fix)
	}
	w.list[code] = Warning{code, dependency, old.Since, text, fix}
}

// stands tells whether a warning is there.
func (w *warnings) stands(code string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, there := w.list[code]
	return there
}

// clear takes warnings back, where they are there.
func (w *warnings) clear(codes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, code := range codes {
		if old, there := w.list[code]; there {
			delete(w.list, code)
			w.log.Info("no longer: "+old.Text, "code", code, "after", w.now().Sub(old.Since).Truncate(time.Second))
		}
	}
}

// all lists the warnings by code; never nil.
func (w *warnings) all() []Warning {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := []Warning{}
	for _, one := range w.list {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b Warning) int { return strings.Compare(a.Code, b.Code) })
	return out
}
