package respond

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Kinds of steps.
const (
	kindCommand = "command"
	kindFolder  = "folder"
)

// What became of a step.
const (
	StepBegun  = "begun"
	StepDone   = "done"
	StepFailed = "failed" // for good
	StepDryRun = "dry-run"
)

// folderTime is how long one try of a folder may take: somebody may fill it as fast as it is emptied.
const folderTime = 6 * time.Hour

// stepTries is how often a step is tried before it has failed for good.
const stepTries = 5

// Step is one thing that a wipe does.
type Step struct {
	Kind    string   `json:"kind"` // command, folder
	Name    string   `json:"name"` // of the command, or the folder's path
	State   string   `json:"state,omitempty"`
	Tries   int      `json:"tries,omitempty"`
	Removal *Removal `json:"removal,omitempty"`
	Output  string   `json:"output,omitempty"` // the end of what the command said
	Error   string   `json:"error,omitempty"`
}

// over tells that there is nothing more to do.
func (s *Step) over() bool { return s.State == StepDone || s.State == StepFailed }

// steps are what a declaration has to be done, in order: keys first, since without its key data is
// gone at once, and deleting takes time.
func (w *Wipe) steps() []Step {
	var out []Step
	for _, c := range w.Commands {
		out = append(out, Step{Kind: kindCommand, Name: c.Name})
	}
	for _, f := range w.Folders {
		out = append(out, Step{Kind: kindFolder, Name: f})
	}
	return out
}

// DryRun says what a wipe would do, and does nothing.
func (w *Wipe) DryRun(ctx context.Context, keep ...string) []Step {
	steps := w.steps()
	for i := range steps {
		s := &steps[i]
		s.State = StepDryRun
		var err error
		if s.Kind == kindCommand {
			_, err = program(w.command(s.Name).Run[0])
		} else if err = checkSame(s.Name, keep); err == nil {
			var r Removal
			r, err = Look(ctx, s.Name)
			s.Removal = &r
		}
		if err != nil {
			s.Error = err.Error()
		}
	}
	return steps
}

func (w *Wipe) command(name string) *Command {
	if w == nil {
		return nil
	}
	if i := slices.IndexFunc(w.Commands, func(c Command) bool { return c.Name == name }); i >= 0 {
		return &w.Commands[i]
	}
	return nil
}

// declares tells whether a step is still one that the device declares.
func (w *Wipe) declares(s *Step) bool {
	if s.Kind == kindCommand {
		return w.command(s.Name) != nil
	}
	return w != nil && slices.Contains(w.Folders, s.Name)
}

// carryOut does what is left to do of a wipe, and calls save before and after each step and now
// and then within. A step that fails is left for the next time. Cut off anywhere, it goes on
// where it was when it is called again: a step that was begun is done once more, from its start.
// allowed is asked before each step, and gives nil for no further one.
func carryOut(ctx context.Context, allowed func() *Wipe, steps []Step, keep []string, save func() error) error {
	for i := range steps {
		s := &steps[i]
		if s.over() {
			continue
		}
		w := allowed()
		if w == nil {
			return nil
		}
		if !w.declares(s) {
			s.State, s.Error = StepFailed, "it is no longer declared"
			if err := save(); err != nil {
				return err
			}
			continue
		}
		s.State, s.Error = StepBegun, ""
		s.Tries++
		if err := save(); err != nil { // what is not on record is not done
			return err
		}
		err := w.do(ctx, s, keep, save)
		if ctx.Err() != nil {
			s.Tries-- // it was not to blame
			return errors.Join(ctx.Err(), save())
		}
		switch {
		case err == nil:
			s.State = StepDone
		case s.Tries >= stepTries:
			s.State, s.Error = StepFailed, err.Error()
		default:
			s.Error = err.Error()
		}
		if err := save(); err != nil {
			return err
		}
	}
	return nil
}

func (w *Wipe) do(ctx context.Context, s *Step, keep []string, save func() error) (err error) {
	if s.Kind == kindCommand {
		c := w.command(s.Name)
		s.Output, err = Run(ctx, c.Run, time.Duration(c.Timeout), nil, nil)
		return err
	}
	if err := checkSame(s.Name, keep); errors.Is(err, fs.ErrNotExist) {
		s.Output = "there is no such folder"
		return nil
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, folderTime)
	defer cancel()
	before := s.Removal // of earlier tries
	r, err := Empty(ctx, s.Name, func(r Removal) {
		s.Removal = r.plus(before)
		_ = save() // a full disk is no reason to stop: it is getting emptier
	})
	s.Removal = r.plus(before)
	if err == nil && r.Left > 0 {
		err = fmt.Errorf("%d things could not be removed", r.Left)
	}
	return err
}

// plus adds what earlier tries removed. What is left is left of the last.
func (r Removal) plus(before *Removal) *Removal {
	if before != nil {
		r.Files += before.Files
		r.Folders += before.Folders
		r.Bytes += before.Bytes
		r.Shared += before.Shared
	}
	return &r
}
