package agent

import (
	"bytes"
	"context"
	cryptorand "crypto/rand"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"picket/scanner"
	"picket/scanner/device"
)

// startDelay is the longest time before the first scan: a fleet that is switched on at once does
// not scan at once.
const startDelay = 10 * time.Second

func runCommand() *cobra.Command {
	var (
		which configFlags
		once  bool
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the agent: scan by schedule and after changes, remember, deliver",
		Long: `Run is the agent in the foreground, as a service manager starts it. It scans the device when it
starts, by schedule and after changes of the files it reads, keeps what is open and what is
installed in state_dir, and delivers what changed as events (docs/agent.md).

It logs to standard error. SIGHUP loads the configuration; SIGTERM and SIGINT end it.

Exit status: 0 ended by a signal, 1 error, 64 usage.`,
		Example: "  picket run\n  picket run --config /etc/picket/config.yaml --set log_level=debug\n  picket run --once --set state_dir=/tmp/state",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Until somebody listens for it SIGHUP ends a process, and who reloads does not know how far a start has come.
			hup := make(chan os.Signal, 1)
			signal.Notify(hup, syscall.SIGHUP)
			defer signal.Stop(hup)
			m := hostMachine(&which, cmd.ErrOrStderr())
			d, err := newDaemon(m)
			if err != nil {
				return err
			}
			lowerPriority(m.log)
			if once {
				return d.once(cmd.Context())
			}
			m.log.Info("started", "version", version(), "pid", os.Getpid(), "state_dir", d.config().StateDir)
			signals := actor{"signals", func(ctx context.Context) error { return d.runSignals(ctx, hup) }}
			err = d.run(cmd.Context(), actor{"serve", d.runServe}, actor{"page", d.runPage}, actor{"notices", d.runNotices}, actor{"renew", d.runRenew}, actor{"updates", d.runUpdates}, actor{"posture", d.runPosture}, actor{"responses", d.runResponses}, signals, actor{"watchdog", d.runWatchdog})
			if err == nil {
				m.log.Info("stopped")
			}
			return err
		},
	}
	which.add(cmd)
	cmd.Flags().BoolVar(&once, "once", false, "scan, deliver what there is, and end")
	return cmd
}

// hostMachine is the machine that this process runs on.
func hostMachine(which *configFlags, log io.Writer) machine {
	level := new(slog.LevelVar)
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))
	return machine{
		open:    func(ctx context.Context) (scanner.Device, error) { return device.Live(ctx, device.LiveOptions{}) },
		glance:  device.Glance,
		listen:  device.OpenEar,
		root:    "/",
		watcher: newKernelWatcher,
		load:    which.load,
		log:     logger,
		level:   level,
		clock:   systemClock(),
		chance:  rand.Float64,
		entropy: cryptorand.Reader,
		cpu:     processCPU,
		usage:   usageNow,
		release: releaseMemory,
		delay:   startDelay,
		tell: func(state ...string) {
			if err := notify(state...); err != nil {
				logger.Debug("telling the service manager", "error", err)
			}
		},
		boot:    bootID(),
		version: version(),
		built:   buildTime(),
		sink:    func(c Config) Sink { return newFileSink(c.SinkFile, c.SinkSize) },
		metered: hostMetered(HostEnv(nil).Android, func(ctx context.Context) (scanner.Device, error) { return device.Live(ctx, device.LiveOptions{}) }),
		boards:  hostBoards(HostEnv(nil)),
		zone:    hostZone(HostEnv(nil).Android),
		dial:    (&net.Dialer{}).DialContext,
	}
}

// runSignals reloads on SIGHUP.
func (d *daemon) runSignals(ctx context.Context, hup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if _, err := d.reload(); err != nil {
				d.log.Error("reload", "error", err)
			}
		}
	}
}

// runWatchdog tells the service manager, where it wants to hear, that the agent lives: that the
// schedule goes on looking at the clocks.
func (d *daemon) runWatchdog(ctx context.Context) error {
	every, err := watchdogInterval(os.Getenv, os.Getpid())
	if err != nil {
		d.log.Warn("no watchdog", "error", err)
	}
	for every > 0 && ctx.Err() == nil {
		if last := time.Duration(d.ticked.Load()); d.clock.boot()-last < 3*tick {
			d.tell(notifyAlive)
		}
		d.clock.wait(ctx, every/2, nil)
	}
	<-ctx.Done()
	return nil
}

// bootID is the kernel's id of this boot; "" where it cannot be read.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(b))
}

// buildTime is when the sources were committed; zero when not known.
func buildTime() time.Time {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return time.Time{}
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.time" {
			if t, err := time.Parse(time.RFC3339, s.Value); err == nil {
				return t
			}
		}
	}
	return time.Time{}
}

// Priorities: nice as in nice(1), and the lowest of the best-effort class of ioprio_set(2).
const (
	niceness       = 10
	ioprioProcess  = 1
	ioprioBestLast = 2<<13 | 7
)

// lowerPriority lets other work go first. Priorities are per thread on Linux; new threads have
// those of the thread that made them.
func lowerPriority(log *slog.Logger) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		log.Debug("lowering the priority", "error", err)
		return
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		err = unix.Setpriority(unix.PRIO_PROCESS, tid, niceness)
		if _, _, errno := unix.Syscall(unix.SYS_IOPRIO_SET, ioprioProcess, uintptr(tid), ioprioBestLast); errno != 0 {
			err = errors.Join(err, errno)
		}
		if err != nil {
			log.Debug("lowering the priority", "error", err)
		}
	}
}
