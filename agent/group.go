package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// actor is one part of the daemon: it runs until its context ends, or until it has nothing more
// to do or cannot go on.
type actor struct {
	name string
	run  func(ctx context.Context) error
}

// ended is how an actor ended.
type ended struct {
	name string
	err  error
}

// runGroup runs the actors. The first that ends, for whatever reason, stops the others, as the
// end of ctx does. It returns when all have ended, or names those that have not after limit.
// What actors return once they were told to stop is no error if it is the context's.
func runGroup(ctx context.Context, log *slog.Logger, limit time.Duration, actors ...actor) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan ended, len(actors)) // nobody waits for one that hangs
	var running []string
	for _, a := range actors {
		running = append(running, a.name)
		go func() { done <- ended{a.name, runActor(ctx, log, a)} }()
	}
	var errs []error
	took := func(e ended) {
		running = slices.DeleteFunc(running, func(n string) bool { return n == e.name })
		if e.err != nil && !(ctx.Err() != nil && errors.Is(e.err, ctx.Err())) {
			errs = append(errs, fmt.Errorf("%s: %w", e.name, e.err))
		}
	}
	if len(actors) > 0 {
		select {
		case e := <-done:
			took(e)
		case <-ctx.Done():
		}
	}
	stop()
	late := time.NewTimer(limit)
	defer late.Stop()
	for len(running) > 0 {
		select {
		case e := <-done:
			took(e)
		case <-late.C:
			return errors.Join(append(errs, fmt.Errorf("not stopped after %v: %s", limit, strings.Join(running, ", ")))...)
		}
	}
	return errors.Join(errs...)
}

// panicked is the error that a panic of an actor becomes.
type panicked struct{ value any }

func (e *panicked) Error() string { return fmt.Sprintf("panic: %v", e.value) }

func runActor(ctx context.Context, log *slog.Logger, a actor) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("an actor failed", "actor", a.name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = &panicked{p}
		}
	}()
	return a.run(ctx)
}
