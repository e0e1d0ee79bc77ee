package agent

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

// pace is the shortest and the longest time between two tries while a sink fails; up to half
// of it is left out, by chance, so that a fleet does not move in step.
type pace struct{ first, last time.Duration }

// The paces.
var (
	fileLane = pace{time.Second, 5 * time.Minute}
	busyLane = pace{10 * time.Second, time.Hour}
	longLane = pace{30 * time.Minute, 2 * time.Hour} // somebody has to see to the upstream
	slowLane = pace{30 * time.Minute, 4 * time.Hour} // it does not want this device
)

// wait is the time until the next try after so many that failed.
func (p pace) wait(failed int, chance float64) time.Duration {
	return jittered(min(p.first<<min(failed-1, 16), p.last), chance)
}

// toldMost bounds the errors that are remembered as logged.
const toldMost = 16

// What a lane leads to.
const (
	dependFile     = "sink"
	dependUpstream = "upstream"
)

// lane is the way to one sink: how often it failed, and until when it is left alone.
type lane struct {
	dependency string
	log        *slog.Logger
	warn       *warnings
	clock      clock
	chance     func() float64

	failed int             // tries
	dry    int             // those of them since it last took anything: waits grow with them
	passes bool            // the last failure was of the kind that another network may end
	moved  time.Duration   // since boot: when a change of networks last had it tried
	until  time.Duration   // since boot: not tried before; 0 for one that works
	told   map[string]bool // errors that were logged since it last worked
	codes  map[string]bool // warnings that stand
}

func newLane(dependency string, warn *warnings, m machine) *lane {
	return &lane{dependency: dependency, log: m.log, warn: warn, clock: m.clock, chance: m.chance, told: map[string]bool{}, codes: map[string]bool{}}
}

func (l *lane) ready() bool { return l.clock.boot() >= l.until }

// failing counts a failure and makes it a warning, logged once for each text.
func (l *lane) failing(err error) {
	l.failed++
	l.dry++
	f := asFailure(err, l.dependency)
	text := err.Error()
	l.warn.put(f.code, l.dependency, text, f.fix, !l.told[text] && len(l.told) < toldMost)
	if len(l.told) < toldMost {
		l.told[text] = true
	}
	for code := range l.codes {
		if code != f.code { // another trouble took its place
			l.warn.clear(code)
			delete(l.codes, code)
		}
	}
	l.codes[f.code] = true
	wait := f.pace.wait(l.dry, l.chance())
	l.passes = f.pace == busyLane && f.after == 0
	if f.after > 0 {
		wait = max(wait, f.after+part(f.after/4, l.chance()))
	}
	l.until = l.clock.boot() + wait
}

// How soon a sink is tried after the device came to another network, by chance, and how often at
// most: a network that many lost comes back for all of them, and links of containers come and go.
const (
	movedSpread = 30 * time.Second
	movedEvery  = 5 * time.Minute
)

// network says that the device's networks have changed.
func (l *lane) network() {
	now := l.clock.boot()
	if l.dry == 0 || !l.passes || l.moved != 0 && now-l.moved < movedEvery {
		return
	}
	l.moved, l.until = now, min(l.until, now+part(movedSpread, l.chance()))
}

// renewed says that the device has another certificate to show: who would not have the former one may
// have it.
func (l *lane) renewed() {
	if l.codes[warnUpstreamDenied] {
		l.until = 0
	}
}

// leave forgets all of a sink in whose place another has come, or none.
func (l *lane) leave() {
	l.failed, l.dry, l.until = 0, 0, 0
	clear(l.told)
	l.warn.clear(slices.Sorted(maps.Keys(l.codes))...)
	clear(l.codes)
}

// took says that the sink took something, whatever comes next.
func (l *lane) took() { l.dry = 0 }

// works says that the sink took all there was, or that there is nothing to take.
func (l *lane) works() {
	l.until, l.dry = 0, 0
	if l.failed == 0 {
		return
	}
	l.log.Info("recovered", "dependency", l.dependency, "failures", l.failed)
	l.leave()
}

// jittered leaves out up to half of a time.
func jittered(d time.Duration, chance float64) time.Duration { return d/2 + part(d/2, chance) }
