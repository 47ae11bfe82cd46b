package iam

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"sync"
)

//go:embed pages/*.html pages/style.css
var pageFiles embed.FS

// templates are parsed when the first page is shown: a server starts faster without.
var templates = sync.OnceValue(func() *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/*.html"))
})

// pageFunc makes a page for a browser, formFunc does what a form of ours says. The errors that they return
// are shown as pages.
type (
	pageFunc func(w http.ResponseWriter, r *http.Request, t session) error
	formFunc func(w http.ResponseWriter, r *http.Request, t session, f url.Values) error
)

// page makes an address for anybody's browser.
func (s *Server) page(h pageFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r, s.session(w, r)); err != nil {
			p := asProtocolError(err)
			s.render(w, p.Status, "error", session{}, map[string]any{"Title": p.Code, "Text": p.Description})
		}
	})
}

// member makes a page for a user who is signed in; anybody else is sent to the login, and comes back.
func (s *Server) member(h pageFunc) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request, t session) error {
		if t.user == nil {
			return s.toLogin(w, r, r.URL.RawQuery)
		}
		return h(w, r, t)
	})
}

// form makes an address for a form that comes from a page of ours in this browser.
func (s *Server) form(h formFunc) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request, t session) error {
		if err := r.ParseForm(); err != nil {
			return badRequest("invalid_request", "The body is not a form: %v", err)
		}
		if !sameText(r.PostForm.Get("csrf"), t.csrf) {
			return refuse(http.StatusForbidden, "This form is not valid any more", "Go back, load the page again and repeat what you did.")
		}
		return h(w, r, t, r.PostForm) // boxes to tick repeat their names
	})
}

// memberForm makes an address for a form of a user who is signed in.
func (s *Server) memberForm(h formFunc) http.Handler {
	return s.form(func(w http.ResponseWriter, r *http.Request, t session, f url.Values) error {
		if t.user == nil {
			return refuse(http.StatusForbidden, "You are not signed in", "Sign in first.")
		}
		return h(w, r, t, f)
	})
}

// redirect sends the browser to an address below the issuer. After a form the page that it sees can be loaded
// again, and nothing is done twice.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, below string) error {
	http.Redirect(w, r, s.base+below, http.StatusSeeOther)
	return nil
}

// render writes a page for a session: its user and its token for forms are added to the data.
func (s *Server) render(w http.ResponseWriter, status int, name string, t session, data map[string]any) error {
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

func (s *Server) homePage(w http.ResponseWriter, r *http.Request, t session) error {
	if t.user != nil {
		return s.redirect(w, r, "dashboard")
	}
	return s.render(w, http.StatusOK, "home", t, map[string]any{"Issuer": s.cfg.Issuer})
}

func (s *Server) aboutPage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.render(w, http.StatusOK, "about", t, map[string]any{})
}

// scopeTexts tell a person what a scope lets a client do, scopeVerbs what it does below a path.
var (
	scopeTexts = map[string]string{
		"openid":         "know who you are",
		"profile":        "see your name and username",
		"email":          "see your e-mail address",
		"offline_access": "act for you when you are away",
		"wlcg.groups":    "see the groups you belong to",
	}
	scopeVerbs = map[string]string{
		"storage.read":   "read your files below ",
		"storage.create": "add files below ",
		"storage.modify": "change and delete files below ",
		"storage.stage":  "bring files from tape below ",
	}
)

type scopeLine struct{ Word, Text string }

func scopeLines(words []string) []scopeLine {
	var lines []scopeLine
	for _, w := range words {
		text := scopeTexts[w]
		if prefix, path, _ := storagePath(w); scopeVerbs[prefix] != "" {
			text = scopeVerbs[prefix] + path
		}
		lines = append(lines, scopeLine{w, text})
	}
	return lines
}

// devicePage asks for a user code; the complete URI brings it along, and the user still has to say yes
// (RFC 8628 section 3.3.1).
func (s *Server) devicePage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.render(w, http.StatusOK, "device", t, map[string]any{"UserCode": r.URL.Query().Get("user_code")})
}

// askAgain shows the page for a user code again, with what is wrong with it.
func (s *Server) askAgain(w http.ResponseWriter, t session, userCode string, err error) error {
	return s.render(w, http.StatusBadRequest, "device", t, map[string]any{"UserCode": userCode, "Problem": "Sorry, " + err.Error() + "."})
}

// deviceVerify shows what a user code asks for.
func (s *Server) deviceVerify(w http.ResponseWriter, r *http.Request, t session, f url.Values) error {
	d, err := s.pending(f.Get("user_code"))
	if err != nil {
		return s.askAgain(w, t, f.Get("user_code"), err)
	}
	return s.render(w, http.StatusOK, "approve", t, map[string]any{
		"UserCode": d.userCode, "Client": s.clients[d.clientID].ClientName, "Scopes": scopeLines(d.scope),
	})
}

// deviceApprove ends a device authorization: user_oauth_approval is true or false.
func (s *Server) deviceApprove(w http.ResponseWriter, r *http.Request, t session, f url.Values) error {
	approval := f.Get("user_oauth_approval")
	if approval != "true" && approval != "false" {
		return badRequest("invalid_request", "user_oauth_approval is true or false")
	}
	if err := s.decide(f.Get("user_code"), t.user, approval == "true"); err != nil {
		return s.askAgain(w, t, f.Get("user_code"), err)
	}
	return s.render(w, http.StatusOK, "done", t, map[string]any{"Approved": approval == "true"})
}
