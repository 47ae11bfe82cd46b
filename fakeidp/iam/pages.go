package iam

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

//go:embed pages/*.html pages/style.css
var pageFiles embed.FS

// templates are parsed when the first page is shown: a server starts faster without.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/*.html"))
})

// page makes an address for people of h; the error that h returns is shown as a page.
func (s *Server) page(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		err := h(w, r)
		if err == nil {
			return
		}
		var p *protocolError
		if !errors.As(err, &p) {
			p = refuse(http.StatusInternalServerError, "Something went wrong", "%v", err)
		}
		s.render(w, p.Status, "error", session{}, map[string]any{"Title": p.Code, "Text": p.Description})
	})
}

// render writes a page for a session: its user and its token for forms are added to the data.
func (s *Server) render(w http.ResponseWriter, status int, name string, t session, data map[string]any) error {
	if data == nil {
		data = map[string]any{}
	}
	data["CSRF"], data["User"], data["Base"] = t.csrf, t.user, s.base
	var b bytes.Buffer
	if err := templates().ExecuteTemplate(&b, name+".html", data); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	// No form-action: browsers apply it to the redirect after a consent, too, which leads to the client.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	w.Write(b.Bytes())
	return nil
}

func serveStyle(w http.ResponseWriter, r *http.Request) {
	http.ServeFileFS(w, r, pageFiles, "pages/style.css")
}

func (s *Server) homePage(w http.ResponseWriter, r *http.Request) error {
	t := s.session(w, r)
	if t.user != nil {
		http.Redirect(w, r, s.base+"dashboard", http.StatusSeeOther)
		return nil
	}
	return s.render(w, http.StatusOK, "home", t, map[string]any{"Issuer": s.cfg.Issuer})
}

func (s *Server) aboutPage(w http.ResponseWriter, r *http.Request) error {
	return s.render(w, http.StatusOK, "about", s.session(w, r), nil)
}

// scopeText tells a person what a scope lets a client do.
func scopeText(word string) string {
	switch word {
	case "openid":
		return "know who you are"
	case "profile":
		return "see your name and username"
	case "email":
		return "see your e-mail address"
	case "offline_access":
		return "act for you when you are away"
	case "wlcg.groups":
		return "see the groups you belong to"
	}
	switch prefix, path, _ := storagePath(word); prefix {
	case "storage.read":
		return "read your files below " + path
	case "storage.create":
		return "add files below " + path
	case "storage.modify":
		return "change and delete files below " + path
	case "storage.stage":
		return "bring files from tape below " + path
	}
	return ""
}

type scopeLine struct{ Word, Text string }

func scopeLines(words []string) []scopeLine {
	var lines []scopeLine
	for _, w := range words {
		lines = append(lines, scopeLine{w, scopeText(w)})
	}
	return lines
}

// devicePage asks for a user code; the complete URI brings it along, and the user still has to say yes
// (RFC 8628 section 3.3.1).
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.render(w, http.StatusOK, "device", t, map[string]any{"UserCode": r.URL.Query().Get("user_code")})
}

// deviceVerify shows what a user code asks for.
func (s *Server) deviceVerify(w http.ResponseWriter, r *http.Request) error {
	t, f, err := s.postedByUser(w, r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	d, err := s.pendingLocked(f.Get("user_code"))
	var c *client
	if err == nil {
		if c = s.clients[d.clientID]; c == nil {
			err = errors.New("the client that asked is gone")
		}
	}
	s.mu.Unlock()
	if err != nil {
		return s.render(w, http.StatusBadRequest, "device", t, map[string]any{"UserCode": f.Get("user_code"), "Problem": "Sorry, " + err.Error() + "."})
	}
	return s.render(w, http.StatusOK, "approve", t, map[string]any{"UserCode": d.userCode, "Client": c.ClientName, "Scopes": scopeLines(d.scope)})
}

// deviceApprove ends a device authorization: user_oauth_approval is true or false.
func (s *Server) deviceApprove(w http.ResponseWriter, r *http.Request) error {
	t, f, err := s.postedByUser(w, r)
	if err != nil {
		return err
	}
	decision := f.Get("user_oauth_approval")
	if !slices.Contains([]string{"true", "false"}, decision) {
		return invalidRequest("user_oauth_approval is true or false")
	}
	s.mu.Lock()
	err = s.decideLocked(f.Get("user_code"), t.user, decision == "true")
	s.mu.Unlock()
	if err != nil {
		return s.render(w, http.StatusBadRequest, "device", t, map[string]any{"UserCode": f.Get("user_code"), "Problem": "Sorry, " + err.Error() + "."})
	}
	return s.render(w, http.StatusOK, "done", t, map[string]any{"Approved": decision == "true"})
}

// postedByUser checks a form that only a user who is signed in may send.
func (s *Server) postedByUser(w http.ResponseWriter, r *http.Request) (session, url.Values, error) {
	t, f, err := s.posted(w, r)
	if err == nil && t.user == nil {
		err = refuse(http.StatusForbidden, "You are not signed in", "Sign in first.")
	}
	return t, f, err
}
