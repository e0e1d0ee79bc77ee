// Package page serves the local page of the person who holds the device: what was found, what it means,
// how to fix it, whether access comes back, and what the organisation sees.
//
// It listens on loopback alone. Who opens it shows a one-time token, which the agent gives to those
// who may ask its local API, and gets a session: a cookie and a path, both secret. Nothing on a page is from elsewhere
// and nothing runs that is not the page's own file.
package page

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

//go:embed pages/*.html pages/page.css pages/page.js words/*.yaml columns/*.yaml
var files embed.FS

// Bounds of what a client can hold of the agent.
const (
	bodyMax    = 4 << 10 // bytes of a form
	headerMax  = 16 << 10
	appsOnPage = 200
	eventsMax  = 50 // of either kind, on the page of what the organisation sees
	followMax  = 16 // clients that follow a check at once
	connsMax   = 64 // a browser has six
	renderTime = 20 * time.Second
	writeTime  = renderTime + 10*time.Second // from a request to the end of its answer, but for who follows
)

// Server answers for one listener.
type Server struct {
	source    Source
	log       *slog.Logger
	hosts     []string // what Host may say
	sessions  *sessions
	templates *template.Template
	words     map[string]Words
	checks    *checks
	followers chan struct{}
}

// New makes a server for the page at address, host and port as the listener has them.
func New(address string, source Source, now func() time.Time, log *slog.Logger) (*Server, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("the page's address: %w", err)
	}
	words, err := LoadWords(files)
	if err != nil {
		return nil, err
	}
	columns, err := byLanguage(files, "columns")
	if err != nil {
		return nil, err
	}
	t, err := template.New("page").Funcs(functions(columns)).ParseFS(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("the page's templates: %w", err)
	}
	return &Server{source: source, log: log, hosts: []string{address, "localhost:" + port}, sessions: newSessions(now), templates: t, words: words,
		checks: newChecks(), followers: make(chan struct{}, followMax)}, nil
}

// Token gives what opens the page once, within two minutes.
func (s *Server) Token(g Grant) string { return s.sessions.token(g) }

// Idle says for how long nobody has had the page open.
func (s *Server) Idle() time.Duration { return s.sessions.idle() }

// Serve answers until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	h := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: writeTime, IdleTimeout: time.Minute, MaxHeaderBytes: headerMax,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), BaseContext: func(net.Listener) context.Context { return ctx }}
	done := make(chan error, 1)
	go func() { done <- h.Serve(&bounded{Listener: l, most: connsMax}) }()
	select {
	case err := <-done:
		return fmt.Errorf("serving the page: %w", err)
	case <-ctx.Done():
		h.Close()
		<-done
		return nil
	}
}

// ServeHTTP holds every request to where it was sent to and where it comes from before anything
// is looked at.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
		"X-Frame-Options":         "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
	} {
		w.Header().Set(name, value)
	}
	if !s.ours(r.Host) {
		// A name that another site points at this machine: its page must not read ours.
		http.Error(w, "this page is not served under that name", http.StatusMisdirectedRequest)
		return
	}
	switch {
	case r.Method == http.MethodPost:
		if origin := r.Header.Get("Origin"); origin != "http://"+r.Host {
			http.Error(w, "this request comes from another page", http.StatusForbidden)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, bodyMax)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	switch site := r.Header.Get("Sec-Fetch-Site"); {
	case site == "cross-site" && r.Header.Get("Sec-Fetch-Mode") != "navigate":
		http.Error(w, "this request comes from another page", http.StatusForbidden)
		return
	}
	s.route(w, r)
}

func (s *Server) ours(host string) bool {
	for _, h := range s.hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		s.door(w, r, http.StatusOK, "")
		return
	case "/enter":
		s.enter(w, r)
		return
	case "/page.css":
		s.file(w, r, "text/css; charset=utf-8")
		return
	case "/page.js":
		s.file(w, r, "text/javascript; charset=utf-8")
		return
	}
	rest, ok := strings.CutPrefix(r.URL.Path, "/s/")
	id, path, slash := strings.Cut(rest, "/")
	session, known := s.sessions.find(r, id)
	if !ok || !slash || !known {
		s.door(w, r, http.StatusForbidden, "door.closed")
		return
	}
	if lang := r.URL.Query().Get("lang"); s.words[lang] != nil {
		session.language(lang)
	}
	s.inside(w, r, session, path)
}

// door is the page before a session: it takes the token out of the link, or lets it be pasted.
func (s *Server) door(w http.ResponseWriter, r *http.Request, code int, why string) {
	s.render(w, r, code, "door", s.words[s.preferred(r)], map[string]any{"Why": why})
}

func (s *Server) enter(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if err := r.ParseForm(); err != nil {
		s.door(w, r, http.StatusBadRequest, "door.refused")
		return
	}
	session, ok := s.sessions.enter(r.PostForm.Get("token"), s.preferred(r))
	if !ok {
		s.door(w, r, http.StatusForbidden, "door.refused")
		return
	}
	if s.words[session.lang()] == nil {
		session.language(s.preferred(r))
	}
	// The cookie goes with this path alone: another program of this machine that a browser is led to, on another
	// port, does not get it.
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: session.secret, Path: session.path(), HttpOnly: true, SameSite: http.SameSiteStrictMode})
	http.Redirect(w, r, session.path(), http.StatusSeeOther)
}

// preferred is the language that a browser asks for, among those there are.
func (s *Server) preferred(r *http.Request) string {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		if s.words[tag] != nil {
			return tag
		}
	}
	return english
}

func (s *Server) file(w http.ResponseWriter, r *http.Request, kind string) {
	b, err := files.ReadFile("pages" + r.URL.Path)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	write(w, r, http.StatusOK, b)
}

// render makes a page whole before a byte of it is sent: a failure is a failure's page.
func (s *Server) render(w http.ResponseWriter, r *http.Request, code int, name string, words Words, data map[string]any) {
	data["Words"], data["Lang"] = words, words["lang"]
	var page bytes.Buffer
	if err := s.templates.ExecuteTemplate(&page, name, data); err != nil {
		s.log.Error("a page could not be made", "page", name, "error", err)
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	write(w, r, code, page.Bytes())
}

// write sends, compressed where that is understood. What is on a page is not mixed with what another site can choose:
// it can send nothing here, so that sizes tell nobody anything.
func write(w http.ResponseWriter, r *http.Request, code int, b []byte) {
	if len(b) < 1400 || !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Method == http.MethodHead {
		w.WriteHeader(code)
		if r.Method != http.MethodHead {
			w.Write(b)
		}
		return
	}
	// Whole first: a client that takes its time holds what is sent, and not what compresses it, which is larger.
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	z.Write(b)
	z.Close()
	w.Header().Set("Content-Encoding", "gzip")
	w.WriteHeader(code)
	w.Write(packed.Bytes())
}
