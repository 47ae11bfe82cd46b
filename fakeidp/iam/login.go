package iam

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	sessionCookie   = "fakeidp_session"
	sessionLifetime = 8 * time.Hour
)

// session is a browser; anonymous until its user signs in. Its id changes then, so that one which somebody
// planted before is worth nothing.
type session struct {
	id       string
	csrf     string // every form carries it
	user     *User
	authTime time.Time
	expires  time.Time
}

// session finds the session of a request, or begins one.
func (s *Server) session(w http.ResponseWriter, r *http.Request) session {
	if c, err := r.Cookie(sessionCookie); err == nil {
		if t := s.sessions[c.Value]; t != nil && s.now().Before(t.expires) {
			if t.user != nil && t.user.Disabled {
				t.user = nil
			}
			return *t
		}
	}
	return s.newSession(w, nil)
}

func (s *Server) newSession(w http.ResponseWriter, u *User) session {
	if len(s.sessions)%1024 == 1023 {
		s.prune()
	}
	now := s.now()
	t := &session{id: rand.Text(), csrf: rand.Text(), user: u, authTime: now, expires: now.Add(sessionLifetime)}
	s.sessions[t.id] = t
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: t.id, Path: s.base, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.cfg.Issuer, "https:"),
	})
	return *t
}

// next returns a target below our issuer, from a parameter that anybody may have written.
func (s *Server) next(param string) string {
	u, err := url.Parse(param)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(u.Path, s.base) || strings.HasPrefix(param, "//") || strings.Contains(param, `\`) {
		return s.base
	}
	return param
}

// toLogin sends the browser to the login page, and from there back to where it is, with this query.
func (s *Server) toLogin(w http.ResponseWriter, r *http.Request, query string) error {
	here := s.base + strings.TrimPrefix(r.URL.Path, "/")
	if query != "" {
		here += "?" + query
	}
	return s.redirect(w, r, "login?next="+url.QueryEscape(here))
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.render(w, http.StatusOK, "login", t, map[string]any{"Next": s.next(r.URL.Query().Get("next"))})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request, t session, f url.Values) error {
	next := s.next(f.Get("next"))
	u := s.users[f.Get("username")]
	if u == nil || u.Disabled || !sameText(f.Get("password"), u.Password) {
		return s.render(w, http.StatusUnauthorized, "login", t, map[string]any{
			"Next": next, "Username": f.Get("username"), "Problem": "Wrong username or password.",
		})
	}
	delete(s.sessions, t.id)
	s.newSession(w, u)
	return s.redirect(w, r, strings.TrimPrefix(next, s.base))
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request, t session, _ url.Values) error {
	delete(s.sessions, t.id)
	return s.redirect(w, r, "")
}
