package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"picket/scanner/report"
)

// apiLimits bound what clients can hold of the agent.
type apiLimits struct {
	Conns   int           // open at once
	Readers int           // of them, of others than root and the agent's own user
	Lists   int           // answers in memory at once, counted for those two apart
	Request time.Duration // from the connection to the end of the request
	Write   time.Duration // for a client to take some of the answer
	Answer  time.Duration // for all of it
	Rescan  time.Duration // to wait for a scan
	Stop    time.Duration // for answers under way when the agent stops
}

func defaultLimits() apiLimits {
	return apiLimits{
		Conns: 64, Readers: 48, Lists: 2,
		Request: 5 * time.Second, Write: 10 * time.Second, Answer: time.Minute,
		Rescan: 15 * time.Minute, Stop: time.Second,
	}
}

// apiServer answers requests on a socket.
type apiServer struct {
	socket *apiSocket
	deps   apiDeps
	limits apiLimits
	log    *slog.Logger
	// Tokens for answers that hold a list in memory: of readers, and of those who may act.
	readerLists, actorLists chan struct{}

	mu             sync.Mutex
	conns, readers int
}

// newAPIServer serves on a socket of listenSocket, which it then owns.
func newAPIServer(socket *apiSocket, deps apiDeps, limits apiLimits) *apiServer {
	log := deps.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &apiServer{
		socket: socket, deps: deps, limits: limits, log: log,
		readerLists: make(chan struct{}, limits.Lists), actorLists: make(chan struct{}, limits.Lists),
	}
}

// serve answers until ctx is done, and returns when all connections are closed: in little more
// than limits.Stop, whatever the clients do. The socket is gone then.
func (s *apiServer) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	defer s.socket.remove()
	defer context.AfterFunc(ctx, func() { s.socket.Close() })()
	failing := false
	for {
		c, err := s.socket.AcceptUnix()
		switch {
		case err == nil:
			failing = false
			s.admit(ctx, c, &open)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting connections: %w", err)
		default: // out of descriptors or memory, which passes
			if !failing {
				s.log.Warn("the local API cannot take connections", "error", err)
			}
			failing = true
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

// admit starts the answer to a connection, or refuses it at once, without a goroutine.
func (s *apiServer) admit(ctx context.Context, c *net.UnixConn, open *sync.WaitGroup) {
	peer, err := peerOf(c, s.socket.gid)
	if err == nil {
		err = s.enter(peer)
	}
	if err != nil {
		// What is so short always fits into an empty socket buffer.
		c.SetWriteDeadline(time.Now().Add(time.Second))
		writeLine(c, apiLine{V: apiVersion, Error: asAPIError(err)})
		c.Close()
		return
	}
	open.Go(func() {
		defer s.leave(peer)
		defer c.Close()
		s.converse(ctx, c, peer)
	})
}

func (s *apiServer) enter(p apiPeer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns >= s.limits.Conns || !p.acts && s.readers >= s.limits.Readers {
		return &apiError{codeBusy, fmt.Sprintf("%d connections are open already", s.conns), "try again in a few seconds"}
	}
	s.conns++
	if !p.acts {
		s.readers++
	}
	return nil
}

func (s *apiServer) leave(p apiPeer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns--
	if !p.acts {
		s.readers--
	}
}

// converse reads the request and answers it.
func (s *apiServer) converse(ctx context.Context, c *net.UnixConn, peer apiPeer) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &answer{ctx: ctx, conn: c, each: s.limits.Write, stop: s.limits.Stop}
	defer context.AfterFunc(ctx, w.hurry)()
	w.buf = bufio.NewWriterSize(w, 16<<10)
	end, err := s.respond(ctx, c, peer, w)
	if err == nil {
		err = w.line(apiLine{V: apiVersion, End: end})
	}
	if err != nil && w.broken == nil {
		w.line(apiLine{V: apiVersion, Error: asAPIError(err)})
	}
	w.buf.Flush()
}

// respond gives the end of the answer. A panic in it is an error of this one request.
func (s *apiServer) respond(ctx context.Context, c *net.UnixConn, peer apiPeer, w *answer) (end json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("the local API failed", "panic", p, "stack", string(debug.Stack()))
			end, err = nil, apiErrorf(codeInternal, "a fault in Picket: %v", p)
		}
	}()
	req, err := s.request(ctx, c)
	if err != nil {
		return nil, err
	}
	op, known := apiOps()[req.Op]
	if !known {
		return nil, apiErrorf(codeUnknownOp, "there is no op %s", quoted(req.Op))
	}
	if op.acts && !peer.acts {
		return nil, &apiError{codeDenied, req.Op + " is for root and the agent's own user", "run it as root"}
	}
	if !op.long(req) {
		w.until(time.Now().Add(s.limits.Answer))
	}
	if op.lists {
		release, err := s.listToken(ctx, peer)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	v, err := op.run(&apiCall{ctx: ctx, server: s, req: req, peer: peer, conn: c, out: w})
	if err != nil {
		return nil, err
	}
	return encodeJSON(v)
}

// listToken waits for its turn to hold a list in memory.
func (s *apiServer) listToken(ctx context.Context, peer apiPeer) (release func(), err error) {
	tokens := s.readerLists
	if peer.acts {
		tokens = s.actorLists
	}
	wait := time.NewTimer(s.limits.Write)
	defer wait.Stop()
	select {
	case tokens <- struct{}{}:
		return func() { <-tokens }, nil
	case <-wait.C:
		return nil, &apiError{codeBusy, "others are reading lists, and slowly", "try again in a few seconds"}
	case <-ctx.Done():
		return nil, errStopping()
	}
}

func errStopping() *apiError { return apiErrorf(codeStopping, "the agent stops") }

// request reads the one line that a client sends, and what it says.
func (s *apiServer) request(ctx context.Context, c *net.UnixConn) (apiRequest, error) {
	c.SetReadDeadline(time.Now().Add(s.limits.Request))
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })()
	line, err := bufio.NewReader(io.LimitReader(c, apiRequestMax)).ReadBytes('\n')
	switch {
	case err == nil:
		return parseRequest(line)
	case ctx.Err() != nil:
		return apiRequest{}, errStopping()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return apiRequest{}, apiErrorf(codeTimeout, "no whole line came within %v", s.limits.Request)
	case len(line) >= apiRequestMax:
		return apiRequest{}, apiErrorf(codeTooLarge, "a request is a line of at most %d bytes", apiRequestMax)
	}
	return apiRequest{}, apiErrorf(codeMalformed, "the request ends before its line does")
}

// parseRequest reads a request. An older or newer version is told apart from what is no request.
func parseRequest(line []byte) (apiRequest, error) {
	var head struct {
		V *int `json:"v"`
	}
	if err := json.Unmarshal(line, &head); err != nil {
		return apiRequest{}, apiErrorf(codeMalformed, "the request is no JSON object: %s", report.Clean(err.Error()))
	}
	if head.V == nil {
		return apiRequest{}, apiErrorf(codeMalformed, `the request has no version: "v":%d`, apiVersion)
	}
	if *head.V != apiVersion {
		return apiRequest{}, &apiError{codeVersion, fmt.Sprintf("version %d is asked for, and this agent has %d", *head.V, apiVersion),
			"use the picket command of the agent's own version"}
	}
	var req apiRequest
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&req); err != nil {
		return apiRequest{}, apiErrorf(codeMalformed, "the request: %s", quoted(err.Error()))
	}
	return req, nil
}

// answer writes lines to a client, in bounded time.
type answer struct {
	ctx  context.Context
	conn *net.UnixConn
	buf  *bufio.Writer
	each time.Duration // for one write
	stop time.Duration // for what is left when ctx is done

	mu       sync.Mutex
	deadline time.Time // of the whole; zero for none
	broken   error     // the client is gone or too slow
}

// until sets the deadline of the whole answer, unless an earlier one is set.
func (a *answer) until(t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.deadline.IsZero() || t.Before(a.deadline) {
		a.deadline = t
	}
}

// hurry is for when the agent stops or the client is gone.
func (a *answer) hurry() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deadline = time.Now().Add(a.stop)
	a.conn.SetWriteDeadline(a.deadline)
}

// Write is what the buffer writes through.
func (a *answer) Write(p []byte) (int, error) {
	a.mu.Lock()
	t := time.Now().Add(a.each)
	if !a.deadline.IsZero() && a.deadline.Before(t) {
		t = a.deadline
	}
	a.conn.SetWriteDeadline(t)
	a.mu.Unlock()
	n, err := a.conn.Write(p)
	if err != nil {
		a.broken = err
	}
	return n, err
}

func (a *answer) line(l apiLine) error {
	if a.broken != nil {
		return a.broken
	}
	return writeLine(a.buf, l)
}

// item sends one value of a list.
func (a *answer) item(v any) error {
	if a.ctx.Err() != nil {
		return errStopping()
	}
	b, err := encodeJSON(v)
	if err != nil {
		return err
	}
	if len(b) > apiLineMax-64 {
		return apiErrorf(codeFailed, "an item has %d bytes, and a line may have %d", len(b), apiLineMax)
	}
	return a.line(apiLine{V: apiVersion, Item: b})
}

func writeLine(w io.Writer, l apiLine) error {
	b, err := encodeJSON(l)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// encodeJSON is json.Marshal without the escapes for HTML, so that an event stays as it was encoded.
func encodeJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
