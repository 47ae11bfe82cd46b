package iam

import (
	"bytes"
	"crypto/rand"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const sessionCookie = "fakeidp_session"

// session is a browser's session, anonymous until a user signs in. The id changes then, so that an attacker gains
// nothing by planting one.
type session struct {
	id       string
	csrf     string // part of every form
	user     *User
	authTime time.Time
	expires  time.Time
}

// session returns the session of a request, or starts one.
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
	now := s.now()
	t := &session{id: rand.Text(), csrf: rand.Text(), user: u, authTime: now, expires: now.Add(8 * time.Hour)}
	s.sessions[t.id] = t
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: t.id, Path: s.base, HttpOnly: true, SameSite: http.SameSiteLaxMode,
		Secure: strings.HasPrefix(s.cfg.Issuer, "https:"),
	})
	return *t
}

// next returns the page to show after the login: the untrusted parameter, if it is below the issuer.
func (s *Server) next(param string) string {
	u, err := url.Parse(param)
	below := err == nil && !u.IsAbs() && u.Host == "" && strings.HasPrefix(u.Path, s.base)
	if !below || strings.HasPrefix(param, "//") || strings.Contains(param, `\`) {
		return s.base
	}
	return param
}

// toLogin sends the browser to the login page, and then back to the current page with this query.
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

func (s *Server) login(w http.ResponseWriter, r *http.Request, t session) error {
	f := r.PostForm
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

func (s *Server) logout(w http.ResponseWriter, r *http.Request, t session) error {
	delete(s.sessions, t.id)
	return s.redirect(w, r, "")
}

//go:embed pages/*.html pages/style.css
var pageFiles embed.FS

// templates parses the templates with the first page, not at the start of the server, to start faster.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("").Funcs(template.FuncMap{
		"has": slices.Contains[[]string], "hasPrefix": strings.HasPrefix, "trimPrefix": strings.TrimPrefix,
	}).ParseFS(pageFiles, "pages/*.html"))
})

// pageFunc shows a page or handles a form. An error that it returns is shown as a page.
type pageFunc func(w http.ResponseWriter, r *http.Request, t session) error

// page makes a page that needs no login.
func (s *Server) page(h pageFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t := s.session(w, r)
		err := checkForm(r, t)
		if err == nil {
			err = h(w, r, t)
		}
		if err != nil {
			p := asProtocolError(err)
			s.render(w, p.Status, "error", session{}, map[string]any{"Title": p.Code, "Text": p.Description})
		}
	})
}

// checkForm refuses forms that do not come from our own page in this session.
func checkForm(r *http.Request, t session) error {
	if r.Method != http.MethodPost {
		return nil
	}
	if err := r.ParseForm(); err != nil {
		return badRequest("invalid_request", "The body is not a form: %v", err)
	}
	if !sameText(r.PostForm.Get("csrf"), t.csrf) {
		return refuse(http.StatusForbidden, "This form is no longer valid", "Go back, reload the page and try again.")
	}
	return nil
}

// member makes a page for signed-in users. Others are sent to the login page first.
func (s *Server) member(h pageFunc) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request, t session) error {
		switch {
		case t.user != nil:
			return h(w, r, t)
		case r.Method == http.MethodPost:
			return refuse(http.StatusForbidden, "You are not signed in", "Sign in first.")
		}
		return s.toLogin(w, r, r.URL.RawQuery)
	})
}

// redirect sends the browser to a page below the issuer. After a form, reloading that page repeats nothing.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, below string) error {
	http.Redirect(w, r, s.base+below, http.StatusSeeOther)
	return nil
}

// render writes a page. It adds the session's user and CSRF token to the data.
func (s *Server) render(w http.ResponseWriter, status int, name string, t session, data map[string]any) error {
	data["CSRF"], data["User"], data["Base"] = t.csrf, t.user, s.base
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name+".html", data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	// No form-action: browsers apply it to the redirect after the consent too, which leads to the client.
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

func (s *Server) homePage(w http.ResponseWriter, r *http.Request, t session) error {
	if t.user != nil {
		return s.redirect(w, r, "dashboard")
	}
	return s.render(w, http.StatusOK, "home", t, map[string]any{"Issuer": s.cfg.Issuer})
}

func (s *Server) aboutPage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.render(w, http.StatusOK, "about", t, map[string]any{})
}
