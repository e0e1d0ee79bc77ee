package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	ui "picket/agent/page"
	"picket/scanner"
	"picket/store"
)

// apiOp is something that a client can ask for.
type apiOp struct {
	acts  bool // for root and the agent's own user
	lists bool // holds a list in memory
	run   func(*apiCall) (end any, err error)
}

// apiOps are all of them. docs/api.md describes each.
func apiOps() map[string]apiOp {
	return map[string]apiOp{
		"status":    {run: (*apiCall).status},
		"health":    {run: (*apiCall).health},
		"threats":   {lists: true, run: (*apiCall).threats},
		"inventory": {lists: true, run: (*apiCall).inventory},
		"history":   {lists: true, run: (*apiCall).history},
		"ignores":   {lists: true, run: (*apiCall).ignores},
		"ignore":    {acts: true, lists: true, run: (*apiCall).ignore},
		"unignore":  {acts: true, lists: true, run: (*apiCall).unignore},
		"events":    {run: (*apiCall).events},
		"rescan":    {acts: true, run: (*apiCall).rescan},
		"reload":    {acts: true, run: (*apiCall).reload},
		"enrolment": {acts: true, run: (*apiCall).enrolment},
		"page":      {run: (*apiCall).page},
		"notices":   {run: (*apiCall).notices},
		"posture":   {run: (*apiCall).posture},
		"token":     {acts: true, run: (*apiCall).token},
		"responses": {run: (*apiCall).responses},
		"cancel":    {acts: true, run: (*apiCall).decide},
		"approve":   {acts: true, run: (*apiCall).decide},
		"export":    {acts: true, lists: true, run: (*apiCall).export},
		"erase":     {acts: true, lists: true, run: (*apiCall).erase},
	}
}

// long says that the answer may take longer than others, for as long as the client stays.
func (apiOp) long(r apiRequest) bool {
	return (r.Op == "events" || r.Op == "notices") && r.Follow || r.Op == "rescan" && r.Wait
}

// apiCall is one request being answered.
type apiCall struct {
	ctx    context.Context
	server *apiServer
	req    apiRequest
	peer   apiPeer
	conn   *net.UnixConn
	out    *answer
}

func (c *apiCall) status() (any, error) {
	s := c.server.deps.Status()
	if s.Findings == nil {
		s.Findings = map[string]int{}
	}
	if s.Warnings == nil {
		s.Warnings = []Warning{}
	}
	return s, nil
}

func (c *apiCall) health() (any, error) {
	warnings := c.server.deps.Status().Warnings
	for _, w := range warnings {
		if err := c.out.item(w); err != nil {
			return nil, err
		}
	}
	return healthEnd{OK: len(warnings) == 0}, nil
}

func (c *apiCall) threats() (any, error) {
	open, err := c.server.deps.Findings()
	if err != nil {
		return nil, fmt.Errorf("reading the open findings: %w", err)
	}
	ignores, err := c.server.deps.Ignores()
	if err != nil {
		return nil, fmt.Errorf("reading what is ignored: %w", err)
	}
	byKey := map[string]*ignoreItem{}
	for _, i := range ignores {
		item := ignoreOf(i)
		byKey[i.Key] = &item
	}
	slices.SortStableFunc(open, func(a, b store.OpenFinding) int { return int(b.Severity) - int(a.Severity) })
	for _, f := range open {
		if err := c.out.item(threatOf(f, byKey[f.Key])); err != nil {
			return nil, err
		}
	}
	s := c.server.deps.Status()
	return threatsEnd{len(open), s.Level, s.NotChecked, s.scanned(), s.unkept()}, nil
}

// threatOf reads a finding as the store keeps it.
func threatOf(f store.OpenFinding, ignored *ignoreItem) threat {
	t := threat{Since: f.Since, Changed: f.Changed, Ignored: ignored}
	if err := json.Unmarshal(f.Body, &t.Finding); err != nil {
		t.Finding = scanner.Finding{Title: f.Title, Severity: severityOf(f.Severity), Evidence: []scanner.Evidence{}}
		t.Unread = err.Error()
	}
	t.Key, t.Rule = f.Key, f.Rule
	return t
}

// severityOf is a severity as the store keeps it; one from another version stays within those we know.
func severityOf(n uint8) scanner.Severity {
	return max(scanner.Informational, min(scanner.Critical, scanner.Severity(n)))
}

// unkept is why the store does not take what scans find, "" where it does.
func (s *Status) unkept() string {
	for _, w := range s.Warnings {
		if slices.Contains([]string{warnStoreFull, warnStoreReadOnly, warnStoreUnusable}, w.Code) {
			return w.Text
		}
	}
	return ""
}

// scanned is when the last whole scan ended, nil for none.
func (s *Status) scanned() *time.Time {
	if s.LastScan == nil {
		return nil
	}
	return &s.LastScan.Finished
}

func (c *apiCall) inventory() (any, error) {
	packages, err := c.server.deps.Packages()
	if err != nil {
		return nil, fmt.Errorf("reading the inventory: %w", err)
	}
	for _, p := range packages {
		if err := c.out.item(stored(p.Body, p.ID)); err != nil {
			return nil, err
		}
	}
	s := c.server.deps.Status()
	end := inventoryEnd{s.Packages, s.Device, s.scanned()}
	end.Count = len(packages)
	return end, nil
}

// unreadItem stands for a record that is no JSON.
type unreadItem struct {
	Unread string `json:"unread"` // its id
}

// stored gives a body as it is, or says that it cannot be read.
func stored(body []byte, id string) any {
	if !json.Valid(body) {
		return unreadItem{id}
	}
	return json.RawMessage(body)
}

func (c *apiCall) history() (any, error) {
	limit := c.req.Limit
	if limit == 0 {
		limit = 100
	}
	if limit < 0 || limit > apiHistoryMax {
		return nil, apiErrorf(codeInvalid, "limit: %d is out of range: 1 to %d", limit, apiHistoryMax)
	}
	var since time.Time
	if c.req.Since != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, c.req.Since); err != nil {
			return nil, apiErrorf(codeInvalid, "since: %s is no time as in RFC 3339", quoted(c.req.Since))
		}
	}
	entries, err := c.entries(c.req.Key, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the history: %w", err)
	}
	n := 0
	for _, e := range entries {
		if e.At.Before(since) {
			continue // not the end: the clock may have been set back between
		}
		if err := c.out.item(historyItem{e.At, e.Kind.String(), e.Key, e.Rule, e.Title, severityOf(e.Severity)}); err != nil {
			return nil, err
		}
		n++
	}
	return countEnd{n}, nil
}

// entries gives the history of all findings, or of those that id names, as findKey takes it.
func (c *apiCall) entries(id string, limit int) ([]store.Entry, error) {
	if id == "" || len(id) == keyLength {
		return c.server.deps.History(id, limit)
	}
	all, err := c.server.deps.History("", apiHistoryMax)
	all = slices.DeleteFunc(all, func(e store.Entry) bool { return !(findingName{e.Key, e.Rule}).is(id) })
	return all[:min(limit, len(all))], err
}

func (c *apiCall) rescan() (any, error) {
	if !c.req.Wait {
		if _, err := c.server.deps.Rescan(c.ctx, false); err != nil {
			return nil, fmt.Errorf("asking for a scan: %w", err)
		}
		return queuedEnd{true}, nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.server.limits.Rescan)
	defer cancel()
	defer c.watchClient(cancel)()
	sum, err := c.server.deps.Rescan(ctx, true)
	switch {
	case err == nil:
		return sum, nil
	case c.ctx.Err() != nil:
		return nil, errStopping()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, apiErrorf(codeTimeout, "the scan takes longer than %v; it goes on", c.server.limits.Rescan)
	}
	return nil, fmt.Errorf("scanning: %w", err)
}

func (c *apiCall) reload() (any, error) {
	changes, err := c.server.deps.Reload(c.ctx)
	if err != nil {
		return nil, err // says that the old one stays
	}
	return reloadEnd{append([]string{}, changes...)}, nil
}

func (c *apiCall) enrolment() (any, error) {
	s, err := c.server.deps.Enrolment()
	if err != nil {
		return nil, fmt.Errorf("reading the enrolment: %w", err)
	}
	return s, nil
}

func (c *apiCall) page() (any, error) {
	if len(c.req.Lang) > 8 {
		return nil, apiErrorf(codeInvalid, "lang: %s is no code of ISO 639-1", quoted(c.req.Lang))
	}
	url, err := c.server.deps.Page(ui.Grant{Act: c.peer.acts, Language: c.req.Lang})
	if err != nil {
		return nil, fmt.Errorf("opening the page: %w", err)
	}
	return pageEnd{url}, nil
}

func (c *apiCall) posture() (any, error) { return c.server.deps.Posture(), nil }

func (c *apiCall) token() (any, error) {
	token, err := c.server.deps.Token(c.req.Audience, c.req.Nonce)
	if err != nil {
		return nil, err
	}
	return tokenEnd{token}, nil
}

// notices sends what the one who asks has not been told, as it comes, until they go.
func (c *apiCall) notices() (any, error) {
	switch {
	case !c.req.Follow:
		return nil, apiErrorf(codeInvalid, "follow: notices come as they are due")
	case len(c.req.Lang) > 8:
		return nil, apiErrorf(codeInvalid, "lang: %s is no code of ISO 639-1", quoted(c.req.Lang))
	}
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer c.watchClient(cancel)()
	err := c.server.deps.Notices(ctx, c.peer.uid, c.req.Lang, func(n notice) error {
		if err := c.out.item(n); err != nil {
			return err
		}
		return c.out.buf.Flush()
	})
	if ctx.Err() != nil {
		return nil, errStopping()
	}
	return nil, err
}

func (c *apiCall) events() (any, error) {
	if c.req.Follow {
		return nil, c.follow()
	}
	release, err := c.server.listToken(c.ctx, c.peer)
	if err != nil {
		return nil, err
	}
	defer release()
	const page = 32 // of at most 64 KiB each
	n, after := 0, uint64(0)
	for {
		events, err := c.server.deps.Pending(after, page)
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		if len(events) == 0 {
			return countEnd{n}, nil
		}
		for _, e := range events {
			for line := range bytes.Lines(e.Body) { // a part of a snapshot has several
				if err := c.out.item(stored(bytes.TrimSuffix(line, []byte("\n")), e.ID)); err != nil {
					return nil, err
				}
				n++
			}
			after = e.Seq
		}
	}
}

// follow sends events as they come, until the client goes. It never ends well by itself.
func (c *apiCall) follow() error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer c.watchClient(cancel)()
	events, unsubscribe := c.server.deps.Subscribe()
	defer unsubscribe()
	for {
		select {
		case <-ctx.Done():
			return errStopping()
		case body, ok := <-events:
			if !ok {
				return &apiError{codeLagged, "events come faster than they are read here; some are missing", "'picket events' lists all that wait to be delivered"}
			}
			if err := c.out.item(stored(body, "")); err != nil {
				return err
			}
			if len(events) > 0 {
				continue
			}
			if err := c.out.buf.Flush(); err != nil {
				return err
			}
		}
	}
}

// watchClient calls gone when the client closes its side or sends more, until stop is called.
func (c *apiCall) watchClient(gone func()) (stop func()) {
	done := make(chan struct{})
	c.conn.SetReadDeadline(time.Time{})
	go func() {
		defer close(done)
		c.conn.Read(make([]byte, 1))
		gone()
	}()
	return func() {
		c.conn.SetReadDeadline(time.Unix(1, 0))
		<-done
	}
}
