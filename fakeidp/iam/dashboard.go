package iam

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// shownTokens is how many tokens the dashboard lists: after a load test there are too many for a page.
const shownTokens = 50

// member makes a page for a user who is signed in; anybody else is sent to the login, and comes back.
func (s *Server) member(h func(w http.ResponseWriter, r *http.Request, t session) error) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		t := s.session(w, r)
		if t.user == nil {
			s.toLogin(w, r, r.URL.RawQuery)
			return nil
		}
		return h(w, r, t)
	})
}

// action makes an address for a form of a user who is signed in. Afterwards the browser goes to next, below
// the issuer, so that a page that is loaded again does nothing twice.
func (s *Server) action(act func(r *http.Request, u *User, f url.Values) (next string, err error)) http.Handler {
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		t, f, err := s.postedByUser(w, r)
		if err != nil {
			return err
		}
		next, err := act(r, t.user, f)
		if err == nil {
			http.Redirect(w, r, s.base+next, http.StatusSeeOther)
		}
		return err
	})
}

// tokenLine is a token as its user sees it.
type tokenLine struct {
	Kind, Value, Client, Scope string
	Issued, Expires            time.Time // Expires is zero if it never does
}

func (s *Server) dashboard(w http.ResponseWriter, r *http.Request, t session) error {
	s.mu.Lock()
	tokens := s.tokensLocked(t.user)
	var clients []*client
	for _, c := range s.clients {
		if c.owner == t.user {
			clients = append(clients, c)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(clients, func(a, b *client) int { return strings.Compare(a.ClientName+a.ClientID, b.ClientName+b.ClientID) })
	all := len(tokens)
	tokens = tokens[:min(all, shownTokens)]
	return s.render(w, http.StatusOK, "dashboard", t, map[string]any{"Clients": clients, "Tokens": tokens, "More": all - len(tokens)})
}

// tokensLocked lists a user's tokens that can still be used: refresh tokens first, the newest first.
func (s *Server) tokensLocked(u *User) []tokenLine {
	var lines []tokenLine
	add := func(kind, value string, g *grant, scope []string, issued, expires time.Time) {
		if c := s.clients[g.clientID]; g.user == u && c != nil {
			lines = append(lines, tokenLine{kind, value, c.ClientName, strings.Join(scope, " "), issued.UTC(), expires.UTC()})
		}
	}
	now := s.nowLocked()
	for v, t := range s.refresh {
		if !t.used && !t.grant.dead && !t.expiredAt(now) {
			add("Refresh token", v, t.grant, t.grant.scope, t.issued, t.expires)
		}
	}
	for v, t := range s.access {
		if t.validAt(now) {
			add("Access token", v, t.grant, t.scope, t.issued, t.expires)
		}
	}
	slices.SortFunc(lines, func(a, b tokenLine) int {
		if a.Kind != b.Kind {
			return strings.Compare(b.Kind, a.Kind)
		}
		return b.Issued.Compare(a.Issued)
	})
	return lines
}

// revokeOwn is the button beside a token.
func (s *Server) revokeOwn(r *http.Request, u *User, f url.Values) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.grantOfLocked(f.Get("token")); g != nil && g.user == u {
		s.revokeLocked(f.Get("token"))
	}
	return "dashboard", nil // one that is gone already is what the user wanted
}

// choice is a box to tick or a line to select.
type choice struct {
	Value, Text string
	Chosen      bool
}

func choices(values, chosen []string, text func(string) string) []choice {
	var list []choice
	for _, v := range values {
		list = append(list, choice{v, text(v), slices.Contains(chosen, v)})
	}
	return list
}

func grantText(grantType string) string {
	return map[string]string{
		grantAuthorizationCode: "Authorization code: sign in through a browser",
		grantDeviceCode:        "Device code: sign in on another device",
		grantRefreshToken:      "Refresh token: new tokens without signing in again",
		grantClientCredentials: "Client credentials: tokens for the client itself",
	}[grantType]
}

func methodText(method string) string {
	return map[string]string{
		authBasic: "Secret in the header",
		authPost:  "Secret in the body",
		authNone:  "No secret: a public client",
	}[method]
}

func (s *Server) newClientPage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.renderNewClient(w, http.StatusOK, t, "", Client{
		GrantTypes: []string{grantAuthorizationCode, grantDeviceCode, grantRefreshToken}, Scope: strings.Join(s.cfg.DefaultScopes, " "),
	})
}

func (s *Server) renderNewClient(w http.ResponseWriter, status int, t session, problem string, c Client) error {
	words := strings.Fields(c.Scope)
	more := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return slices.Contains(s.cfg.Scopes, w) })
	return s.render(w, status, "newclient", t, map[string]any{
		"Problem": problem, "Client": c,
		"Grants":  choices([]string{grantAuthorizationCode, grantDeviceCode, grantRefreshToken, grantClientCredentials}, c.GrantTypes, grantText),
		"Methods": choices(authMethods, []string{c.TokenEndpointAuthMethod}, methodText),
		"Scopes":  choices(s.cfg.Scopes, words, scopeText), "More": strings.Join(more, " "),
	})
}

// makeClient registers the client that a user has described: with the rules of registration, but for the
// grant types that IAM keeps from anonymous callers only.
func (s *Server) makeClient(w http.ResponseWriter, r *http.Request) error {
	t, f, err := s.postedByUser(w, r)
	if err != nil {
		return err
	}
	c := Client{
		ClientID: newUUID(), ClientName: strings.TrimSpace(f.Get("client_name")), RedirectURIs: strings.Fields(f.Get("redirect_uris")),
		GrantTypes: f["grant_types"], TokenEndpointAuthMethod: f.Get("token_endpoint_auth_method"),
		Scope: strings.Join(append(slices.Clone(f["scope"]), strings.Fields(f.Get("more_scopes"))...), " "),
	}
	asked := c
	var p *protocolError
	if err := s.checkMetadata(&c, userForbidden); errors.As(err, &p) {
		return s.renderNewClient(w, p.Status, t, p.Code, asked)
	}
	s.mu.Lock()
	s.clients[c.ClientID] = &client{Client: c, owner: t.user, createdAt: s.nowLocked(), fresh: true}
	s.mu.Unlock()
	http.Redirect(w, r, s.base+"dashboard/clients/"+c.ClientID, http.StatusSeeOther)
	return nil
}

// ownLocked finds the client of a page's address, if it is this user's.
func (s *Server) ownLocked(r *http.Request, u *User) (client, error) {
	c := s.clients[r.PathValue("id")]
	if c == nil || c.owner != u {
		return client{}, refuse(http.StatusNotFound, "No such client", "You have no client %q.", r.PathValue("id"))
	}
	return *c, nil
}

// clientPage shows a client, and its secret if that was not seen yet.
func (s *Server) clientPage(w http.ResponseWriter, r *http.Request, t session) error {
	s.mu.Lock()
	c, err := s.ownLocked(r, t.user)
	if err == nil && c.fresh {
		seen := c
		seen.fresh = false
		s.clients[c.ClientID] = &seen
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	data := map[string]any{"Client": c, "Method": methodText(c.TokenEndpointAuthMethod), "Created": c.createdAt.UTC(), "Scopes": scopeLines(c.scopes())}
	if c.fresh {
		data["Secret"] = c.ClientSecret
	}
	return s.render(w, http.StatusOK, "client", t, data)
}

// newSecret gives a client another secret. The tokens that it has stay good.
func (s *Server) newSecret(r *http.Request, u *User, f url.Values) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.ownLocked(r, u)
	if err != nil {
		return "", err
	}
	if c.TokenEndpointAuthMethod != authNone {
		c.ClientSecret, c.fresh = newClientSecret(), true
		s.clients[c.ClientID] = &c
	}
	return "dashboard/clients/" + c.ClientID, nil
}

func (s *Server) deleteOwn(r *http.Request, u *User, f url.Values) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.ownLocked(r, u)
	if err == nil {
		s.deleteClientLocked(c.ClientID)
	}
	return "dashboard", err
}
