package iam

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"
)

// shownTokens limits the tokens on the dashboard: a load test leaves too many for a page.
const shownTokens = 50

// tokenLine is a token on the dashboard.
type tokenLine struct {
	Kind, Value, Client, Scope string
	Issued, Expires            time.Time // Expires is zero if it never does
}

func (s *Server) dashboard(w http.ResponseWriter, r *http.Request, t session) error {
	tokens := s.tokensOf(t.user)
	var clients []*client
	for _, c := range s.clients {
		if c.owner == t.user {
			clients = append(clients, c)
		}
	}
	slices.SortFunc(clients, func(a, b *client) int { return strings.Compare(a.ClientName+a.ClientID, b.ClientName+b.ClientID) })
	more := max(0, len(tokens)-shownTokens)
	return s.render(w, http.StatusOK, "dashboard", t, map[string]any{
		"Clients": clients, "Tokens": tokens[:len(tokens)-more], "More": more,
	})
}

// tokensOf returns a user's valid tokens: refresh tokens first, then by age, newest first.
func (s *Server) tokensOf(u *User) []tokenLine {
	var lines []tokenLine
	for value, t := range s.tokens {
		c := s.clients[t.grant.clientID]
		if t.grant.user != u || c == nil || !t.validAt(s.now()) {
			continue
		}
		kind := "Access token"
		if t.refresh {
			kind = "Refresh token"
		}
		lines = append(lines, tokenLine{kind, value, c.ClientName, strings.Join(t.scope, " "), t.issued, t.expires.UTC()})
	}
	slices.SortFunc(lines, func(a, b tokenLine) int {
		return cmp.Or(strings.Compare(b.Kind, a.Kind), b.Issued.Compare(a.Issued))
	})
	return lines
}

// revokeOwn revokes a token of the user.
func (s *Server) revokeOwn(w http.ResponseWriter, r *http.Request, t session) error {
	if own := s.tokens[r.PostForm.Get("token")]; own != nil && own.grant.user == t.user {
		own.revoke()
	}
	return s.redirect(w, r, "dashboard") // a token that no longer exists is no error
}

func (s *Server) newClientPage(w http.ResponseWriter, r *http.Request, t session) error {
	return s.renderNewClient(w, http.StatusOK, t, "", Client{
		GrantTypes: []string{grantAuthorizationCode, grantDeviceCode, grantRefreshToken}, Scope: strings.Join(s.cfg.DefaultScopes, " "),
	})
}

func (s *Server) renderNewClient(w http.ResponseWriter, status int, t session, problem string, c Client) error {
	more := slices.DeleteFunc(c.scopes(), func(w string) bool { return slices.Contains(s.cfg.Scopes, w) })
	return s.render(w, status, "newclient", t, map[string]any{
		"Problem": problem, "Client": c, "Methods": authMethods,
		"Grants": []string{grantAuthorizationCode, grantDeviceCode, grantRefreshToken, grantClientCredentials},
		"Scopes": s.cfg.Scopes, "Chosen": c.scopes(), "More": strings.Join(more, " "),
	})
}

// makeClient registers a client for the user, who may have grant types that anonymous callers cannot register.
func (s *Server) makeClient(w http.ResponseWriter, r *http.Request, t session) error {
	f := r.PostForm // checkboxes repeat their names
	asked := Client{
		ClientID: newUUID(), ClientName: strings.TrimSpace(f.Get("client_name")), RedirectURIs: strings.Fields(f.Get("redirect_uris")),
		GrantTypes: f["grant_types"], TokenEndpointAuthMethod: f.Get("token_endpoint_auth_method"),
		Scope: strings.Join(append(f["scope"], f.Get("more_scopes")), " "),
	}
	c := &client{Client: asked, owner: t.user, createdAt: s.now(), secretUnseen: true}
	if err := s.checkMetadata(&c.Client, userForbidden); err != nil {
		return s.renderNewClient(w, http.StatusBadRequest, t, asProtocolError(err).Code, asked)
	}
	s.clients[c.ClientID] = c
	return s.redirect(w, r, "dashboard/clients/"+c.ClientID)
}

// owner makes a page of h, which needs a client that belongs to the user.
func (s *Server) owner(h func(w http.ResponseWriter, r *http.Request, t session, c *client) error) http.Handler {
	return s.member(func(w http.ResponseWriter, r *http.Request, t session) error {
		c := s.clients[r.PathValue("id")]
		if c == nil || c.owner != t.user {
			return refuse(http.StatusNotFound, "No such client", "You have no client %q.", r.PathValue("id"))
		}
		return h(w, r, t, c)
	})
}

// clientPage shows a client, and its secret once.
func (s *Server) clientPage(w http.ResponseWriter, r *http.Request, t session, c *client) error {
	data := map[string]any{"Client": c, "Created": c.createdAt.UTC(), "Scopes": c.scopes()}
	if c.secretUnseen {
		data["Secret"], c.secretUnseen = c.ClientSecret, false
	}
	return s.render(w, http.StatusOK, "client", t, data)
}

// newSecret replaces a client's secret. Its tokens stay valid.
func (s *Server) newSecret(w http.ResponseWriter, r *http.Request, t session, c *client) error {
	if c.TokenEndpointAuthMethod != authNone {
		c.ClientSecret, c.secretUnseen = newClientSecret(), true
	}
	return s.redirect(w, r, "dashboard/clients/"+c.ClientID)
}

func (s *Server) deleteOwn(w http.ResponseWriter, r *http.Request, t session, c *client) error {
	s.forgetClient(c.ClientID)
	return s.redirect(w, r, "dashboard")
}
