package agent

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"picket/scanner"
	"picket/scanner/facts"
	"picket/store"
)

// networksTable has a note for each network that is remembered, under its keyed hash.
const networksTable = "networks"

const (
	networkRest = 300 * time.Millisecond // a change of the networks comes in several notices
	retryEar    = 10 * time.Minute
)

// networks feeds what is remembered and what was overheard to the scanner, and remembers what it saw.
func (d *daemon) networks() {
	d.judging.inputs[scanner.SourceNetworkHistory] = func(context.Context) ([]byte, error) {
		h, err := d.networkHistory()
		if err != nil {
			return nil, err
		}
		return json.Marshal(h)
	}
	d.judging.inputs[scanner.SourceNetworkHeard] = func(context.Context) ([]byte, error) {
		ear := d.ear.Load()
		if ear == nil {
			return nil, fmt.Errorf("nobody listens: %w", scanner.ErrUnavailable)
		}
		h, _, _ := ear.Heard()
		return json.Marshal(h)
	}
	var one sync.Mutex // a scan and the probe may see networks at the same time
	d.judging.seen = append(d.judging.seen, func(f *scanner.Facts) {
		one.Lock()
		defer one.Unlock()
		d.rememberNetworks(f)
	})
}

// networkHistory gives what the store has. What cannot be decoded is left out.
func (d *daemon) networkHistory() (h facts.NetworkHistory, err error) {
	err = d.vault.use(func(st *store.Store) error {
		if h.Key, err = networkKey(st, d.entropy); err != nil {
			return err
		}
		notes, err := st.Notes(networksTable)
		if err != nil {
			return err
		}
		for _, note := range notes {
			var n facts.NetworkSeen
			if json.Unmarshal(note.Body, &n) == nil && n.ID == note.Name {
				h.Networks = append(h.Networks, n)
			}
		}
		return nil
	})
	h.Boot = d.boot
	return h, err
}

// networkKey gives the key of the hashes under which networks are remembered, and makes it once.
func networkKey(st *store.Store, entropy io.Reader) (string, error) {
	b, err := st.Recall(notesTable, "network_key")
	if err != nil || b != nil {
		return string(b), err
	}
	var raw [16]byte
	if _, err := io.ReadFull(entropy, raw[:]); err != nil {
		return "", fmt.Errorf("making the key of the networks: %w", err)
	}
	key := hex.EncodeToString(raw[:])
	return key, st.Remember(notesTable, "network_key", []byte(key), keepNotes)
}

// rememberNetworks keeps what a scan saw of the networks, where it is news.
func (d *daemon) rememberNetworks(f *scanner.Facts) {
	t := f.Tables["networks"]
	if t == nil || t.Absent != "" || t.Inapplicable != "" {
		return
	}
	rows, ok := t.Rows.([]facts.Network)
	if !ok {
		return
	}
	h, err := d.networkHistory()
	if err != nil {
		d.log.Debug("recalling the networks", "error", err)
		return
	}
	changed := facts.RememberNetworks(h, rows, len(t.Partial) == 0, f.Ref)
	if len(changed) == 0 {
		return
	}
	d.note(func(st *store.Store) error {
		for _, n := range changed {
			body, err := json.Marshal(n)
			if err != nil {
				return fmt.Errorf("remembering a network: %w", err)
			}
			if err := st.Remember(networksTable, n.ID, body, facts.MaxNetworks); err != nil {
				return err
			}
			d.log.Debug("network remembered", "gateway", n.Known["gateway"], "dhcp", n.Known["dhcp"], "router", n.Known["router"])
		}
		return nil
	})
}

// runNetworks has the networks looked at when the kernel tells of a change, or a link does.
func (d *daemon) runNetworks(ctx context.Context) error {
	for ctx.Err() == nil {
		if d.listen == nil {
			d.clock.wait(ctx, forever, nil)
			continue
		}
		if err := d.listenOn(ctx); err != nil && ctx.Err() == nil {
			d.warn.set(warnNetworksUnheard, "netlink", "changes of networks are not heard: "+err.Error(), "run the agent as root; scans by schedule go on")
			d.clock.wait(ctx, retryEar, nil)
		}
	}
	return nil
}

func (d *daemon) listenOn(ctx context.Context) error {
	ear, err := d.listen()
	if err != nil {
		return err
	}
	part, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		err = ear.Run(part)
		stop()
		close(ended)
	}()
	defer func() {
		stop()
		<-ended
		d.ear.Store(nil)
	}()
	d.ear.Store(ear)
	d.warn.clear(warnNetworksUnheard)
	tables := d.networkTables()
	for most := forever; ; {
		d.clock.wait(part, most, ear.Changed())
		if part.Err() != nil {
			<-ended
			return err
		}
		d.probing.wake()
		d.ship.network()
		heard, settle, due := ear.Heard()
		d.tellDeaf(heard.Deaf)
		if most = forever; !due.IsZero() {
			most = max(time.Until(due), networkRest)
		}
		if _, scanned := d.judging.device(); scanned { // the first scan sees all
			d.todo.some(tables, d.clock.awake()+max(settle, networkRest))
		}
	}
}

// networkTables are those that tell of networks, and those that need them; but not what needs the
// packages too: containers change the links all the time, and reading packages is dear.
func (d *daemon) networkTables() (tables []string) {
	needs, about := dependents(d.judging.collectors), networkSources()
	for _, c := range d.judging.collectors {
		if slices.ContainsFunc(c.Reads.Probes, func(s scanner.Source) bool { return slices.Contains(about, s) }) {
			tables = append(append(tables, c.Table), needs[c.Table]...)
		}
	}
	tables = slices.DeleteFunc(tables, func(table string) bool { return slices.Contains(needs["packages"], table) })
	slices.Sort(tables)
	return slices.Compact(tables)
}

// tellDeaf makes what cannot be heard a warning.
func (d *daemon) tellDeaf(deaf map[string]string) {
	for _, what := range []string{"events", "packets", "wireless"} {
		if why := deaf[what]; why != "" {
			d.warn.set(warnNetworksUnheard, what, "some of what networks tell is not heard: "+why, "run the agent as root, or give it CAP_NET_RAW")
			return
		}
	}
	d.warn.clear(warnNetworksUnheard)
}

// networkSources are those that change when a network does.
func networkSources() []scanner.Source {
	return []scanner.Source{scanner.SourceInterfaces, scanner.SourceRoutes, scanner.SourceNeighbours, scanner.SourceWiFi, scanner.SourceNetworkHeard,
		scanner.Dumpsys("connectivity"), scanner.SourceIPNeigh}
}
