package agent

import (
	"context"
	"maps"

	"picket/scanner/device"
)

// runSample looks at what listens and which programs run, and has the tables of processes and
// sockets looked at when something came or went.
func (d *daemon) runSample(ctx context.Context) error {
	changed, leave := d.reloads.news()
	defer leave()
	needs := dependents(d.judging.collectors)
	var last *device.Glimpse
	for ctx.Err() == nil {
		every := forever
		if set := d.config().SampleInterval; set > 0 && d.glance != nil {
			every = set
		}
		if last == nil && every < forever {
			last = d.glimpse() // before the first scan, so that what comes after it is seen to be new
		}
		if d.clock.wait(ctx, every, changed) || ctx.Err() != nil {
			continue
		}
		if _, scanned := d.judging.device(); !scanned {
			continue // the first scan sees all
		}
		now := d.glimpse()
		if now == nil {
			continue
		}
		if last != nil {
			if tables := sampled(*last, *now); len(tables) > 0 {
				for _, t := range tables {
					tables = append(tables, needs[t]...)
				}
				d.todo.some(tables, 0)
			}
		}
		last = now
	}
	return nil
}

// glimpse gives nil where nothing can be seen.
func (d *daemon) glimpse() *device.Glimpse {
	g, err := d.glance()
	if err != nil {
		d.log.Debug("sampling", "error", err)
		return nil
	}
	return &g
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
