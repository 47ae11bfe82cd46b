package iam

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// bearer reads an access token from the header (RFC 6750 section 2.1).
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// userinfo is GET or POST /userinfo (Core section 5.3). The token comes in the header or, posted, in the
// body; in the query it does not count (RFC 9700 section 4.3.2).
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	value, inHeader := bearer(r)
	switch {
	case inHeader && f.Has("access_token"):
		return badRequest("invalid_request", "The token is in the header and in the body") // RFC 6750 section 2
	case !inHeader:
		value = f.Get("access_token")
	}
	if value == "" {
		return unauthorized("unauthorized", notKnown)
	}
	t, err := s.goodToken(value)
	if err != nil {
		return err
	}
	if t.grant.user == nil || !slices.Contains(t.scope, "openid") {
		return refuse(http.StatusForbidden, "insufficient_scope", "Insufficient scope for this resource")
	}
	claims := map[string]any{}
	s.addUserClaims(claims, s.clients[t.grant.clientID], t.grant.user, t.scope)
	return writeJSON(w, http.StatusOK, claims)
}

// goodToken finds the access token that a request came with.
func (s *Server) goodToken(value string) (*token, error) {
	t := s.tokens[value]
	if t == nil || t.refresh || !s.active(t) {
		return nil, unauthorized("invalid_token", "Invalid access token: %s", value)
	}
	return t, nil
}

// active reports whether a token is good, and its user and client may still act.
func (s *Server) active(t *token) bool {
	c := s.clients[t.grant.clientID]
	return t.validAt(s.now()) && c != nil && isTrue(c.Active) && enabled(t.grant.user) == nil
}

// introspect is POST /introspect (RFC 7662): for clients that authenticate with a secret and are allowed it.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request, c *client, f url.Values) error {
	t := s.tokens[f.Get("token")]
	switch {
	case !isTrue(c.AllowIntrospection) || c.TokenEndpointAuthMethod == authNone:
		return refuse(http.StatusForbidden, "access_denied", "Client %s is not allowed to call introspection endpoint", c.ClientID)
	case f.Get("token") == "":
		return badRequest("invalid_request", "Missing token")
	case t == nil || !s.active(t):
		return writeJSON(w, http.StatusOK, map[string]any{"active": false})
	}
	answer := map[string]any{"active": true, "scope": strings.Join(t.scope, " ")}
	if !t.refresh {
		answer["token_type"] = "Bearer"
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "client_id", "act", "wlcg.groups"} {
		if v, ok := t.claims[name]; ok {
			answer[name] = v
		}
	}
	if u := t.grant.user; u != nil {
		answer["user_id"], answer["username"] = u.Username, u.Username
	}
	return writeJSON(w, http.StatusOK, answer)
}

// revoke is POST /revoke (RFC 7009): 200 for what it knows and for what it does not know.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, c *client, f url.Values) error {
	t := s.tokens[f.Get("token")]
	switch {
	case f.Get("token") == "":
		return badRequest("invalid_request", "Missing token")
	case t != nil && t.grant.clientID != c.ClientID:
		return refuse(http.StatusForbidden, "access_denied", "Client tried to revoke a token it doesn't own")
	case t != nil:
		t.revoke()
	}
	return nil
}

// Revoke ends an access or refresh token, as its owner would on the dashboard. It reports whether the
// server knew the token.
func (s *Server) Revoke(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[token]
	if t != nil {
		t.revoke()
	}
	return t != nil
}

// SuspendUser lets a user get nothing more (or again, with false): tokens are inactive, logins refused.
func (s *Server) SuspendUser(username string, suspended bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[username]
	if u == nil {
		return fmt.Errorf("there is no user %q", username)
	}
	u.Disabled = suspended
	return nil
}

// SuspendClient does the same to a client.
func (s *Server) SuspendClient(clientID string, suspended bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[clientID]
	if c == nil {
		return fmt.Errorf("there is no client %q", clientID)
	}
	c.Active = new(!suspended)
	return nil
}
