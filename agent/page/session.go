package page

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync"
	"time"
)

const (
	cookieName  = "picket"
	tokenTime   = 2 * time.Minute
	sessionTime = 8 * time.Hour    // the longest
	sessionIdle = 30 * time.Minute // without a request
	tokensMax   = 32
	sessionsMax = 16
)

// Grant is what the one who asked for a token may do, and the language that they use.
type Grant struct {
	Act      bool   // have the device checked; else look alone
	Language string // ISO 639-1; "" for the browser's
}

// session is a browser that showed a token.
type session struct {
	id, secret string
	act        bool
	began      time.Time

	mu     sync.Mutex
	last   time.Time
	spoken string
}

func (s *session) path() string { return "/s/" + s.id + "/" }

func (s *session) language(lang string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoken = lang
}

func (s *session) lang() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spoken
}

// sessions holds tokens by their digest, and sessions by their id.
type sessions struct {
	now    func() time.Time
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]issued
	open   map[string]*session
	used   time.Time // when somebody last had anything of the page
}

type issued struct {
	at    time.Time
	grant Grant
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, tokens: map[[sha256.Size]byte]issued{}, open: map[string]*session{}, used: now()}
}

func (s *sessions) token(g Grant) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy()
	if len(s.tokens) >= tokensMax {
		clear(s.tokens) // somebody asks without end; who wants in asks again
	}
	s.tokens[sha256.Sum256([]byte(token))] = issued{s.now(), g}
	s.used = s.now()
	return token
}

// enter spends a token.
func (s *sessions) enter(token, lang string) (*session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy()
	digest := sha256.Sum256([]byte(token))
	i, ok := s.tokens[digest]
	if !ok {
		return nil, false
	}
	delete(s.tokens, digest)
	if i.grant.Language != "" {
		lang = i.grant.Language
	}
	if len(s.open) >= sessionsMax {
		s.dropOldest()
	}
	now := s.now()
	in := &session{id: rand.Text(), secret: rand.Text(), act: i.grant.Act, began: now, last: now, spoken: lang}
	s.open[in.id] = in
	s.used = now
	return in, true
}

// find gives the session that a request is of: the path names it, the cookie proves it.
func (s *sessions) find(r *http.Request, id string) (*session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy()
	in := s.open[id]
	if in == nil {
		return nil, false
	}
	for _, c := range r.CookiesNamed(cookieName) {
		if subtle.ConstantTimeCompare([]byte(c.Value), []byte(in.secret)) == 1 {
			in.last = s.now()
			s.used = in.last
			return in, true
		}
	}
	return nil, false
}

// lives tells whether a session has not ended, which is no use of it.
func (s *sessions) lives(in *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy()
	return s.open[in.id] == in
}

// leave ends a session.
func (s *sessions) leave(in *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, in.id)
}

func (s *sessions) idle() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tidy()
	return s.now().Sub(s.used)
}

// tidy takes out what has ended. A clock that was set back ends everything.
func (s *sessions) tidy() {
	now := s.now()
	for digest, i := range s.tokens {
		if age := now.Sub(i.at); age < 0 || age > tokenTime {
			delete(s.tokens, digest)
		}
	}
	for id, in := range s.open {
		if age := now.Sub(in.began); age < 0 || age > sessionTime || now.Sub(in.last) > sessionIdle {
			delete(s.open, id)
		}
	}
}

func (s *sessions) dropOldest() {
	var oldest *session
	for _, in := range s.open {
		if oldest == nil || in.last.Before(oldest.last) {
			oldest = in
		}
	}
	delete(s.open, oldest.id)
}
