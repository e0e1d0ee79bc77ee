package agent

import (
	"context"
	"maps"

	"picket/scanner/device"
)

// runSample looks at what listens and which programs run, and has the tables of processes and
// sockets looked at when something came or went.
func (d *daemon) runSample(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	defer d.reloads.tell(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	needs := dependents(d.judging.collectors)
	var last *device.Glimpse
	for ctx.Err() == nil {
		every := forever
		if set := d.config().SampleInterval; set > 0 && d.glance != nil {
			every = set
		}
		if d.clock.wait(ctx, every, changed) || ctx.Err() != nil {
			continue
		}
		if d.judging.report() == nil {
			continue // the first scan sees all
		}
		now, err := d.glance()
		if err != nil {
			d.log.Debug("sampling", "error", err)
			continue
		}
		if last != nil {
			if tables := sampled(*last, now); len(tables) > 0 {
				for _, t := range tables {
					tables = append(tables, needs[t]...)
				}
				d.todo.some(tables, 0)
			}
		}
		last = &now
	}
	return nil
}

// sampled names the tables that a difference concerns.
func sampled(before, now device.Glimpse) (tables []string) {
	if !maps.Equal(before.Programs, now.Programs) {
		tables = append(tables, "processes", "android_processes")
	}
	if !maps.Equal(before.Listening, now.Listening) {
		tables = append(tables, "sockets", "android_listeners")
	}
	return tables
}
