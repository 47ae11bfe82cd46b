package iam

import (
	"fmt"
	"net/http"
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
	if inHeader && f.Has("access_token") {
		return invalidRequest("The token is in the header and in the body") // RFC 6750 section 2
	}
	if !inHeader {
		value = f.Get("access_token")
	}
	claims, err := s.userinfoClaims(value)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, claims)
}

func (s *Server) userinfoClaims(value string) (map[string]any, error) {
	if value == "" {
		e := refuse(http.StatusUnauthorized, "unauthorized", "Full authentication is required to access this resource")
		e.Header = map[string]string{"WWW-Authenticate": `Bearer realm="fakeidp"`} // RFC 6750 section 3.1: no error code
		return nil, e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.goodTokenLocked(value)
	if err != nil {
		return nil, err
	}
	if t.grant.user == nil || !slices.Contains(t.scope, "openid") {
		e := refuse(http.StatusForbidden, "insufficient_scope", "Insufficient scope for this resource")
		e.Header = map[string]string{"WWW-Authenticate": `Bearer realm="fakeidp", error="insufficient_scope", scope="openid"`}
		return nil, e
	}
	claims := map[string]any{}
	s.addUserClaims(claims, s.clients[t.grant.clientID], t.grant.user, t.scope)
	return claims, nil
}

// goodTokenLocked finds the access token that a request came with.
func (s *Server) goodTokenLocked(value string) (*accessToken, error) {
	t := s.access[value]
	if t == nil || !t.validAt(s.nowLocked()) || !s.activeLocked(t.grant) {
		return nil, invalidToken("Invalid access token: %s", value)
	}
	return t, nil
}

// activeLocked reports whether the user and the client of a grant may still act.
func (s *Server) activeLocked(g *grant) bool {
	c := s.clients[g.clientID]
	return !g.dead && c != nil && isTrue(c.Active) && enabled(g.user) == nil
}

// introspect is POST /introspect (RFC 7662): for clients that authenticate with a secret and are allowed it.
func (s *Server) introspect(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	if !isTrue(c.AllowIntrospection) || c.TokenEndpointAuthMethod == authNone {
		return refuse(http.StatusForbidden, "access_denied", "Client %s is not allowed to call introspection endpoint", c.ClientID)
	}
	if f.Get("token") == "" {
		return invalidRequest("Missing token")
	}
	return writeJSON(w, http.StatusOK, s.introspection(f.Get("token")))
}

func (s *Server) introspection(value string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.nowLocked()
	if t := s.access[value]; t != nil && t.validAt(now) && s.activeLocked(t.grant) {
		answer := map[string]any{"active": true, "token_type": "Bearer", "scope": strings.Join(t.scope, " ")}
		for _, name := range []string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti", "client_id", "act", "wlcg.groups"} {
			if v, ok := t.claims[name]; ok {
				answer[name] = v
			}
		}
		addUserNames(answer, t.grant.user)
		return answer
	}
	if t := s.refresh[value]; t != nil && !t.used && !t.expiredAt(now) && s.activeLocked(t.grant) {
		answer := map[string]any{"active": true, "scope": strings.Join(t.grant.scope, " "), "client_id": t.grant.clientID, "sub": subject(t.grant), "iss": s.cfg.Issuer}
		if !t.expires.IsZero() {
			answer["exp"] = t.expires.Unix()
		}
		addUserNames(answer, t.grant.user)
		return answer
	}
	return map[string]any{"active": false}
}

func addUserNames(answer map[string]any, u *User) {
	if u != nil {
		answer["user_id"], answer["username"] = u.Username, u.Username
	}
}

// revoke is POST /revoke (RFC 7009): 200 for what it knows and for what it does not know.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	value := f.Get("token")
	if value == "" {
		return invalidRequest("Missing token")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.grantOfLocked(value); g != nil && g.clientID != c.ClientID {
		return refuse(http.StatusForbidden, "access_denied", "Client tried to revoke a token it doesn't own")
	}
	s.revokeLocked(value)
	w.WriteHeader(http.StatusOK)
	return nil
}

func (s *Server) grantOfLocked(value string) *grant {
	if t := s.access[value]; t != nil {
		return t.grant
	}
	if t := s.refresh[value]; t != nil {
		return t.grant
	}
	return nil
}

// revokeLocked ends a token; a refresh token takes its access tokens with it (RFC 7009 section 2.1).
func (s *Server) revokeLocked(value string) bool {
	if t := s.access[value]; t != nil {
		t.revoked = true
		return true
	}
	if t := s.refresh[value]; t != nil {
		s.killLocked(t.grant)
		return true
	}
	return false
}

// Revoke ends an access or refresh token, as its owner would on the dashboard. It reports whether the
// server knew the token.
func (s *Server) Revoke(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revokeLocked(token)
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
	changed, active := *c, !suspended
	changed.Active = &active
	s.clients[clientID] = &changed
	return nil
}
