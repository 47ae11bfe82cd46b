package iam

import (
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, err := r.Cookie(sessionCookie); err == nil {
		if t := s.sessions[c.Value]; t != nil && s.nowLocked().Before(t.expires) {
			if t.user != nil && t.user.Disabled {
				t.user = nil
			}
			return *t
		}
	}
	return s.newSessionLocked(w, nil)
}

func (s *Server) newSessionLocked(w http.ResponseWriter, u *User) session {
	now := s.nowLocked()
	if len(s.sessions)%1024 == 1023 {
		s.pruneLocked()
	}
	t := &session{id: randomText(32), csrf: randomText(32), user: u, authTime: now, expires: now.Add(sessionLifetime)}
	s.sessions[t.id] = t
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: t.id, Path: s.base, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.cfg.Issuer, "https:"),
	})
	return *t
}

// posted checks that a form comes from a page of ours in this browser.
func (s *Server) posted(w http.ResponseWriter, r *http.Request) (session, url.Values, error) {
	t := s.session(w, r)
	if err := r.ParseForm(); err != nil {
		return t, nil, invalidRequest("The body is not a form: %v", err)
	}
	f := r.PostForm // boxes to tick repeat their names
	if !sameText(f.Get("csrf"), t.csrf) {
		return t, nil, refuse(http.StatusForbidden, "This form is not valid any more", "Go back, load the page again and repeat what you did.")
	}
	return t, f, nil
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
func (s *Server) toLogin(w http.ResponseWriter, r *http.Request, query string) {
	here := s.base + strings.TrimPrefix(r.URL.Path, "/")
	if query != "" {
		here += "?" + query
	}
	http.Redirect(w, r, s.base+"login?next="+url.QueryEscape(here), http.StatusSeeOther)
}

func (s *Server) loginPage(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, http.StatusOK, "login", s.session(w, r), map[string]any{"Next": s.next(r.URL.Query().Get("next"))})
}

func (s *Server) login(w http.ResponseWriter, r *http.Request) error {
	t, f, err := s.posted(w, r)
	if err != nil {
		return err
	}
	next := s.next(f.Get("next"))
	s.mu.Lock()
	u := s.users[f.Get("username")]
	ok := u != nil && !u.Disabled && sameText(f.Get("password"), u.Password)
	if ok {
		delete(s.sessions, t.id)
		s.newSessionLocked(w, u)
	}
	s.mu.Unlock()
	if !ok {
		return s.render(w, http.StatusUnauthorized, "login", t, map[string]any{
			"Next": next, "Username": f.Get("username"), "Problem": "Wrong username or password.",
		})
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
	return nil
}

func (s *Server) logout(w http.ResponseWriter, r *http.Request) error {
	t, _, err := s.posted(w, r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.sessions, t.id)
	s.mu.Unlock()
	http.Redirect(w, r, s.base, http.StatusSeeOther)
	return nil
}
