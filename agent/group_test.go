package agent

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

func untilStopped(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }

func TestGroupStopsAllWhenOneEnds(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, c := range []struct {
		name string
		end  error
		want string
	}{{"an error", boom, "two: boom"}, {"no error", nil, ""}} {
		synctest.Test(t, func(t *testing.T) {
			err := runGroup(t.Context(), quietLog(), time.Second,
				actor{"one", untilStopped},
				actor{"two", func(context.Context) error { time.Sleep(time.Minute); return c.end }},
				actor{"three", untilStopped})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
			if c.end != nil && !errors.Is(err, c.end) {
				t.Errorf("%v does not wrap %v", err, c.end)
			}
		})
	}
}

func TestGroupEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		began := time.Now()
		err := runGroup(ctx, quietLog(), time.Second, actor{"one", untilStopped}, actor{"late", func(ctx context.Context) error {
			<-ctx.Done()
			time.Sleep(900 * time.Millisecond)
			return errors.New("could not write")
		}})
		if err == nil || err.Error() != "late: could not write" {
			t.Errorf("got %v: what goes wrong while stopping must be told", err)
		}
		if took := time.Since(began); took != time.Hour+900*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}

func TestGroupMakesAPanicAnError(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	err := runGroup(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), time.Second,
		actor{"one", untilStopped}, actor{"bad", func(context.Context) error { var s []int; _ = s[len(s)]; return nil }})
	if err == nil || !strings.HasPrefix(err.Error(), "bad: panic: runtime error: index out of range") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "actor=bad") || !strings.Contains(log.String(), "group_test.go") {
		t.Errorf("the log names neither the actor nor the place: %s", log.String())
	}
}

func TestGroupNamesWhoHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		began := time.Now()
		hang := func(context.Context) error { <-free; return nil }
		err := runGroup(t.Context(), quietLog(), 4*time.Second, actor{"quick", func(context.Context) error { return nil }}, actor{"stuck", hang}, actor{"deaf", hang})
		if err == nil || err.Error() != "not stopped after 4s: stuck, deaf" {
			t.Errorf("got %v", err)
		}
		if took := time.Since(began); took != 4*time.Second {
			t.Errorf("took %v", took)
		}
		close(free)
	})
}

func TestGroupOfNobody(t *testing.T) {
	t.Parallel()
	if err := runGroup(t.Context(), quietLog(), time.Second); err != nil {
		t.Error(err)
	}
}
