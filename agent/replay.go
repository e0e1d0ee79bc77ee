package agent

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"picket/scanner"
	"picket/scanner/device"
)

// replay plays a scenario: the parts of the agent, on a device, with a clock, an upstream and
// chance that are its own. Its store is a real one in a folder that is removed.
type replay struct {
	scenario *scenarioFile
	show     timeline
	time     *virtual
	random   *rand.ChaCha8 // chance and ids
	log      *slog.Logger
	level    *slog.LevelVar
	dir      string
	config   Config
	boots    int

	device   scanner.Device
	watcher  *replayWatcher // of the agent that runs now, if it watches
	upstream replayUpstream
	agent    *running // nil while it does not run
}

// running is an agent that runs.
type running struct {
	*daemon
	stop  context.CancelFunc
	parts int     // that have not ended
	errs  []error // of parts that ended
}

// timeline is who wants to know what happens in a replay, in its order.
type timeline interface {
	step(at moment, what string)
	event(at moment, body []byte) // as it was delivered, without the end of the line
	log(at moment, text string)
	end(at moment, s *Status) // nil where no agent runs
}

// playScenario plays a scenario to its end.
func playScenario(ctx context.Context, s *scenarioFile, show timeline) (err error) {
	dir, err := os.MkdirTemp("", "picket-replay-")
	if err != nil {
		return fmt.Errorf("making a folder for the store: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r := &replay{scenario: s, show: show, time: newVirtual(s.start), dir: dir, level: new(slog.LevelVar), boots: 1,
		random: rand.NewChaCha8(sha256.Sum256([]byte(filepath.Base(s.file) + "\n" + s.seed)))}
	r.log = slog.New(slog.NewTextHandler(replayLog{r}, &slog.HandlerOptions{Level: r.level, ReplaceAttr: withoutTime}))
	r.upstream = replayUpstream{replay: r, state: "up"}
	r.configure(s.config)
	defer func() { err = errors.Join(err, r.closeDevice()) }()
	if err := r.see(ctx, s.device); err != nil {
		return err
	}
	return errors.Join(r.play(ctx), r.stop(false))
}

func (r *replay) play(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	for _, s := range r.scenario.steps {
		if err := r.until(ctx, s.at); err != nil {
			return err
		}
		if err := r.step(ctx, s); err != nil {
			return fmt.Errorf("%s:%d: %s: %w", r.scenario.file, s.line, s.do, err)
		}
	}
	if err := r.until(ctx, r.scenario.end); err != nil {
		return err
	}
	var end *Status
	if r.agent != nil {
		is := r.agent.status()
		end = &is
	}
	r.show.end(r.now(), end)
	return nil
}

// until has time go on. An agent of which a part ends by itself ends the replay.
func (r *replay) until(ctx context.Context, at time.Duration) error {
	if err := r.time.until(ctx, at); err != nil {
		return err
	}
	if a := r.agent; a != nil && len(a.errs) > 0 {
		return fmt.Errorf("the agent ended: %w", errors.Join(a.errs...))
	}
	return nil
}

func (r *replay) now() moment { return r.time.clock().look() }

// configure sets the configuration, for the next time that an agent loads it.
func (r *replay) configure(c Config) {
	c.StateDir = filepath.Join(r.dir, "state")
	c.SinkFile, c.Socket = filepath.Join(c.StateDir, sinkName), filepath.Join(c.StateDir, socketName)
	r.config = c
}

// machine is what the agent sees of the world.
func (r *replay) machine() machine {
	return machine{
		open:     func(context.Context) (scanner.Device, error) { return replayDevice{r.device}, nil },
		glance:   r.glance,
		watcher:  r.watch,
		root:     "/",
		load:     func() (Config, Origins, error) { return r.config, Origins{File: r.scenario.file, Read: true}, nil },
		log:      r.log,
		level:    r.level,
		clock:    r.time.clock(),
		chance:   func() float64 { return rand.New(r.random).Float64() },
		entropy:  r.random,
		cpu:      func() time.Duration { return 0 }, // what it takes depends on the computer
		usage:    func() usage { return usage{} },
		release:  func() {},
		volatile: true,
		delay:    startDelay,
		tell:     func(...string) {},
		boot:     fmt.Sprintf("boot-%d", r.boots),
		version:  release,
		sink:     func(Config) Sink { return replayFile{} },
		upstream: func(Config) Sink { return &r.upstream },
	}
}

// start starts the agent, part by part.
func (r *replay) start(ctx context.Context) error {
	d, err := newDaemon(r.machine())
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	r.agent = &running{daemon: d, stop: stop}
	// What an ear on the links would hear is a source of the scenario's device.
	d.judging.inputs[scanner.SourceNetworkHeard] = func(ctx context.Context) ([]byte, error) { return r.device.Probe(ctx, scanner.SourceNetworkHeard) }
	d.begin()
	a := r.agent
	for _, part := range d.actors() {
		a.parts++
		r.time.begin(part.name, func() {
			err := runActor(ctx, d.log, part)
			a.parts--
			if err == nil && ctx.Err() == nil {
				err = errors.New("it has nothing more to do")
			}
			if err != nil && ctx.Err() == nil {
				a.errs = append(a.errs, fmt.Errorf("%s: %w", part.name, err))
			}
		})
	}
	return r.time.settle()
}

// stop ends the agent: as one that was asked to, or so that it can note nothing.
func (r *replay) stop(kill bool) error {
	a := r.agent
	if a == nil {
		return nil
	}
	r.agent, r.watcher = nil, nil
	a.stop()
	if r.time.stuck != nil { // what was told already
		return nil
	}
	if err := r.time.settle(); err != nil {
		return err
	}
	if a.parts > 0 {
		return fmt.Errorf("%d parts of the agent did not end", a.parts)
	}
	if kill {
		return a.vault.close()
	}
	return a.close(nil)
}

// see has the device be another one.
func (r *replay) see(ctx context.Context, d scenarioDevice) error {
	dev, err := r.openDevice(ctx, d)
	if err != nil {
		return fmt.Errorf("%s:%d: device: %w", r.scenario.file, d.line, err)
	}
	err = r.closeDevice()
	r.device = dev
	return err
}

func (r *replay) openDevice(ctx context.Context, d scenarioDevice) (scanner.Device, error) {
	if d.path == "" {
		return device.Txtar(d.text)
	}
	return (&sourceFlags{image: d.path}).open(ctx)
}

func (r *replay) closeDevice() error {
	dev := r.device
	r.device = nil
	if c, ok := dev.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// replayDevice is the device as one scan sees it: now, and not when it was recorded. It stays
// open for the next one.
type replayDevice struct{ scanner.Device }

func (d replayDevice) Identity() scanner.Identity {
	id := d.Device.Identity()
	id.RecordedAt = time.Time{}
	id.Origin = "replay " + id.Kind // and not where the recording lies
	return id
}

// replayLog is where the agent's log goes.
type replayLog struct{ *replay }

func (l replayLog) Write(line []byte) (int, error) {
	l.show.log(l.now(), string(line[:len(line)-1]))
	return len(line), nil
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
