package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"picket/scanner"
)

// checkTime is the longest that a check may take.
const checkTime = 15 * time.Minute

// inside answers who has a session.
func (s *Server) inside(w http.ResponseWriter, r *http.Request, in *session, path string) {
	ctx, cancel := context.WithTimeout(r.Context(), renderTime)
	defer cancel()
	key, isThreat := strings.CutPrefix(path, "threats/")
	switch {
	case path == "progress" && r.Method == http.MethodGet:
		s.progress(w, r, in)
	case r.Method == http.MethodPost:
		s.act(w, r, in, path)
	case path == "":
		s.overview(ctx, w, r, in)
	case isThreat:
		s.threat(ctx, w, r, in, key)
	case path == "apps":
		s.apps(ctx, w, r, in)
	case path == "network":
		s.view(ctx, w, r, in, path, nil)
	case path == "unchecked":
		s.unchecked(ctx, w, r, in)
	case path == "sent":
		s.sent(ctx, w, r, in)
	default:
		s.show(w, r, in, http.StatusNotFound, "missing", map[string]any{})
	}
}

// act does what a form asks for, and leads back to a page.
func (s *Server) act(w http.ResponseWriter, r *http.Request, in *session, path string) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "this form cannot be read", http.StatusBadRequest)
		return
	}
	switch path {
	case "check":
		if !in.act {
			s.show(w, r, in, http.StatusForbidden, "denied", map[string]any{})
			return
		}
		key := r.PostForm.Get("key")
		if key != "" && !isKey(key) {
			s.show(w, r, in, http.StatusNotFound, "missing", map[string]any{})
			return
		}
		s.check(r.Context(), key)
		back := in.path()
		if key != "" {
			back += "threats/" + key
		}
		http.Redirect(w, r, back, http.StatusSeeOther)
	case "leave":
		s.sessions.leave(in)
		http.SetCookie(w, &http.Cookie{Name: cookieName, Path: in.path(), MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteStrictMode})
		s.door(w, r, http.StatusOK, "door.left")
	default:
		s.show(w, r, in, http.StatusNotFound, "missing", map[string]any{})
	}
}

// isKey tells what may be a finding's key: hex, as scanner.FindingKey gives it.
func isKey(key string) bool {
	return len(key) == 32 && strings.Trim(key, "0123456789abcdef") == ""
}

// check has a finding, or all, looked at again, beside the request.
func (s *Server) check(of context.Context, key string) {
	if !s.checks.begin(key) {
		return // it is under way
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(of), checkTime)
	go func() {
		defer cancel()
		err := s.source.Check(ctx, key)
		if err != nil {
			s.log.Warn("a check that was asked for on the page failed", "error", err)
		}
		there := false
		if v, unread := s.source.View(ctx); err == nil && unread == nil {
			there = slices.ContainsFunc(v.Threats, func(t Threat) bool { return t.Key == key })
		}
		s.checks.end(key, checked{s.sessions.now(), there, err})
	}()
}

// progress tells the page's script when a check begins and ends, as server-sent events.
func (s *Server) progress(w http.ResponseWriter, r *http.Request, in *session) {
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		http.Error(w, "too many follow at once", http.StatusServiceUnavailable)
		return
	}
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		checking, changed := s.checks.any()
		state, _ := json.Marshal(map[string]bool{"checking": checking})
		control.SetWriteDeadline(time.Now().Add(10 * time.Second))
		if _, err := fmt.Fprintf(w, "data: %s\n\n", state); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-time.After(15 * time.Second): // so that a client that is gone is noticed
		}
		if !s.sessions.lives(in) { // following is no use of it
			return
		}
	}
}

// show renders a page of a session.
func (s *Server) show(w http.ResponseWriter, r *http.Request, in *session, code int, name string, data map[string]any) {
	lang := in.lang()
	data["Base"], data["Page"], data["Act"] = in.path(), name, in.act
	data["Checking"], _ = s.checks.any()
	if key, about := data["About"].(string); about {
		if last, there := s.checks.last(key, s.sessions.now()); there {
			data["Checked"] = last.at
			if last.err != nil {
				data["Failed"] = last.err.Error()
			} else if key == "" || last.there == (name == "threat") { // else it has come back since, or gone by itself
				data["Done"] = "checked." + name
			}
		}
	}
	var others []string
	for l := range s.words {
		if l != lang {
			others = append(others, l)
		}
	}
	slices.Sort(others)
	data["Others"], data["AllWords"], data["Path"] = others, s.words, r.URL.Path
	s.render(w, r, code, name, s.words[lang], data)
}

// view shows a page of the device as a whole.
func (s *Server) view(ctx context.Context, w http.ResponseWriter, r *http.Request, in *session, name string, more map[string]any) *View {
	v, err := s.source.View(ctx)
	if err != nil {
		s.failed(w, r, in, err)
		return nil
	}
	data := map[string]any{"View": v}
	for k, x := range more {
		data[k] = x
	}
	s.show(w, r, in, http.StatusOK, name, data)
	return v
}

// failed says that a page cannot be filled.
func (s *Server) failed(w http.ResponseWriter, r *http.Request, in *session, err error) {
	s.log.Warn("the page cannot be filled", "error", err)
	s.show(w, r, in, http.StatusServiceUnavailable, "failed", map[string]any{"Error": err.Error()})
}

// told is a threat in the words of the session's language.
type told struct {
	Threat
	Title, Means, Fix string
	Language          string // of the three, when it is not the page's
	Sets              bool   // the level, or what the organisation requires
}

func (s *Server) tell(t Threat, lang string, sets []string) told {
	out := told{Threat: t, Title: t.Finding.Title, Means: t.Finding.Means, Fix: t.Finding.Fix, Sets: slices.Contains(sets, t.Key)}
	if lang == english {
		return out
	}
	if title, means, fix, ok := s.source.Text(lang, &t.Finding); ok {
		out.Title, out.Means, out.Fix = title, means, fix
	} else {
		out.Language = english
	}
	return out
}

func (s *Server) overview(ctx context.Context, w http.ResponseWriter, r *http.Request, in *session) {
	v, err := s.source.View(ctx)
	if err != nil {
		s.failed(w, r, in, err)
		return
	}
	sets := setters(v)
	var (
		counts, rest []told
		first        *told
	)
	for _, t := range v.Threats {
		told := s.tell(t, in.lang(), sets)
		if t.IgnoredUntil.IsZero() && t.Severity > scanner.Informational {
			counts = append(counts, told)
		} else {
			rest = append(rest, told)
		}
	}
	// What is first to be seen to: what blocks or sets the level, and what a bystander may read before the rest.
	for _, wanted := range []func(told) bool{func(t told) bool { return t.Sets && !t.Discreet }, func(t told) bool { return !t.Discreet }, func(told) bool { return true }} {
		if i := slices.IndexFunc(counts, wanted); i >= 0 {
			first = &counts[i]
			break
		}
	}
	s.show(w, r, in, http.StatusOK, "overview", map[string]any{"View": v, "Threats": counts, "Rest": rest, "First": first, "SetsWhat": setsWhat(v), "About": ""})
}

// setsWhat names the text for what a setter does.
func setsWhat(v *View) string {
	if len(v.Access.Reasons) > 0 {
		return "sets.access"
	}
	return "sets"
}

// setters are the findings that block, where they do, and else those that set the level.
func setters(v *View) []string {
	if len(v.Access.Reasons) > 0 {
		return v.Access.Reasons
	}
	return v.SetBy
}

func (s *Server) threat(ctx context.Context, w http.ResponseWriter, r *http.Request, in *session, key string) {
	if !isKey(key) {
		s.show(w, r, in, http.StatusNotFound, "missing", map[string]any{})
		return
	}
	v, err := s.source.View(ctx)
	if err != nil {
		s.failed(w, r, in, err)
		return
	}
	i := slices.IndexFunc(v.Threats, func(t Threat) bool { return t.Key == key })
	if i < 0 {
		s.show(w, r, in, http.StatusOK, "gone", map[string]any{"View": v, "About": key})
		return
	}
	s.show(w, r, in, http.StatusOK, "threat", map[string]any{"View": v, "Threat": s.tell(v.Threats[i], in.lang(), setters(v)), "SetsWhat": setsWhat(v), "About": key})
}

func (s *Server) apps(ctx context.Context, w http.ResponseWriter, r *http.Request, in *session) {
	all, err := s.source.Apps(ctx)
	if err != nil {
		s.failed(w, r, in, err)
		return
	}
	query := r.URL.Query().Get("q")
	found := all
	if query != "" {
		wanted := strings.ToLower(query)
		found = nil
		for _, a := range all {
			if strings.Contains(strings.ToLower(a.Name), wanted) || strings.Contains(strings.ToLower(a.ID), wanted) {
				found = append(found, a)
			}
		}
	}
	pages := max(1, (len(found)+appsOnPage-1)/appsOnPage)
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil {
		n = 1
	}
	n = min(max(n, 1), pages)
	data := map[string]any{"All": len(all), "Found": len(found), "Query": query, "N": n, "Pages": pages,
		"Apps": found[(n-1)*appsOnPage : min(n*appsOnPage, len(found))]}
	link := func(n int) string { return "apps?" + url.Values{"q": {query}, "n": {strconv.Itoa(n)}}.Encode() }
	if n > 1 {
		data["Before"] = link(n - 1)
	}
	if n < pages {
		data["After"] = link(n + 1)
	}
	s.show(w, r, in, http.StatusOK, "apps", data)
}

func (s *Server) sent(ctx context.Context, w http.ResponseWriter, r *http.Request, in *session) {
	sent, waiting, err := s.source.Events(ctx, eventsMax)
	if err != nil {
		s.failed(w, r, in, err)
		return
	}
	s.view(ctx, w, r, in, "sent", map[string]any{"Sent": labelled(sent), "Waiting": labelled(waiting)})
}

// shownEvent is an event with what it is, in short.
type shownEvent struct {
	Event
	Kind string
	Size int64
}

// labelled says of each event what class it is of and nothing of what it says: that is for who opens it.
func labelled(events []Event) []shownEvent {
	out := make([]shownEvent, len(events))
	for i, e := range events {
		var is struct {
			Class    string `json:"class_name"`
			Activity string `json:"activity_name"`
		}
		_ = json.Unmarshal([]byte(e.Body), &is) // what is none of ours is shown all the same
		out[i] = shownEvent{e, strings.Trim(is.Class+": "+is.Activity, ": "), int64(len(e.Body))}
	}
	return out
}

// reason is why rules could not be judged.
type reason struct {
	Why   string // in English
	Rules []unjudged
}

// reasons are those of one kind.
type reasons struct {
	Kind    string // of a text named unchecked.why.KIND
	Rules   int
	Reasons []*reason
}

// reasonKind sorts the scanner's reasons into the few that people can do something with.
func reasonKind(why string) string {
	for _, kind := range []struct{ name, mark string }{
		{"rights", "run as root"}, {"rights", "privileges"}, {"rights", "could not be listed"},
		{"asks", "asks nothing of the network"}, {"absent", scanner.ErrUnavailable.Error()},
	} {
		if strings.Contains(why, kind.mark) {
			return kind.name
		}
	}
	return "unread"
}

// unjudged is a rule without a verdict, in the session's language where that can be.
type unjudged struct{ Rule, Title, Language string }

// unchecked puts what was not checked under its reasons, those with the most first.
func (s *Server) unchecked(ctx context.Context, w http.ResponseWriter, r *http.Request, in *session) {
	v, err := s.source.View(ctx)
	if err != nil {
		s.failed(w, r, in, err)
		return
	}
	var kinds []*reasons
	for _, n := range v.NotChecked {
		u := unjudged{n.Rule, n.Title, ""}
		if in.lang() != english {
			if title, ok := s.source.Title(in.lang(), n.Rule); ok {
				u.Title = title
			} else {
				u.Language = english
			}
		}
		kind := reasonKind(n.Why)
		same := found(&kinds, func(k *reasons) bool { return k.Kind == kind }, &reasons{Kind: kind})
		same.Rules++
		why := found(&same.Reasons, func(o *reason) bool { return o.Why == n.Why }, &reason{Why: n.Why})
		why.Rules = append(why.Rules, u)
	}
	slices.SortStableFunc(kinds, func(a, b *reasons) int { return b.Rules - a.Rules })
	for _, k := range kinds {
		slices.SortStableFunc(k.Reasons, func(a, b *reason) int { return len(b.Rules) - len(a.Rules) })
	}
	s.show(w, r, in, http.StatusOK, "unchecked", map[string]any{"View": v, "Kinds": kinds})
}

// found gives the one of a list that fits, and adds one where there is none.
func found[T any](list *[]*T, fits func(*T) bool, otherwise *T) *T {
	if i := slices.IndexFunc(*list, fits); i >= 0 {
		return (*list)[i]
	}
	*list = append(*list, otherwise)
	return otherwise
}
