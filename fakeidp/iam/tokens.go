package iam

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// grant is one authorization by a user, or by a client for itself. All its tokens end with it.
type grant struct {
	clientID string
	user     *User  // nil: the client itself
	sub      string // claim of the tokens
	scope    []string
	audience []string // asked for at the authorization endpoint
	nonce    string
	authTime time.Time
	act      any // claim after a token exchange (RFC 8693 section 4.1)
	dead     bool
}

// token is an issued access or refresh token.
type token struct {
	refresh bool
	grant   *grant
	scope   []string
	claims  map[string]any // for introspection
	issued  time.Time
	expires time.Time // zero: never
	ended   bool      // revoked or rotated out
}

func (t *token) validAt(now time.Time) bool { return !t.ended && !t.grant.dead && !t.expiredAt(now) }

func (t *token) expiredAt(now time.Time) bool { return !t.expires.IsZero() && !now.Before(t.expires) }

// revoke ends a token, and with a refresh token its access tokens (RFC 7009 section 2.1).
func (t *token) revoke() {
	t.ended = true
	if t.refresh {
		t.grant.dead = true
	}
}

// newRefreshToken returns a refresh token like IAM's: an unsigned JWT with jti and, if it expires, exp.
func (s *Server) newRefreshToken(c *client, g *grant) string {
	now := s.now()
	t := &token{refresh: true, grant: g, scope: g.scope, issued: now}
	t.claims = map[string]any{"iss": s.cfg.Issuer, "sub": g.sub, "client_id": g.clientID}
	claims := map[string]any{"jti": newUUID()}
	if life := seconds(c.RefreshTokenValiditySeconds, s.settings.RefreshTokenLifetime); life > 0 {
		t.expires = now.Add(life)
		t.claims["exp"], claims["exp"] = t.expires.Unix(), t.expires.Unix()
	}
	value := s.odd(jwtPart(map[string]any{"alg": "none"}) + "." + jwtPart(claims) + ".") // RFC 7519 section 6.1
	s.tokens[value] = t
	return value
}

// refreshToken returns the refresh token with this value, or an error in IAM's words. IAM answers 401 invalid_token
// where RFC 6749 section 5.2 has 400 invalid_grant, and repeats the token.
func (s *Server) refreshToken(c *client, value string) (*token, error) {
	t := s.tokens[value]
	switch {
	case value == "":
		return nil, badRequest("invalid_request", "Missing refresh_token")
	case t == nil || !t.refresh || t.grant.dead:
	case t.grant.clientID != c.ClientID:
		t.grant.dead = true
		return nil, unauthorized("invalid_client", "Client does not own the presented refresh token")
	case t.ended:
		t.grant.dead = true // reuse: the token was stolen (RFC 9700 section 4.14.2)
	case t.expiredAt(s.now()):
		return nil, unauthorized("invalid_token", "Expired refresh token: %s", value)
	default:
		return t, nil
	}
	return nil, unauthorized("invalid_token", "Refresh token for value %s was not found", value)
}

// forgetClient removes a client and ends its grants.
func (s *Server) forgetClient(id string) {
	delete(s.clients, id)
	for _, t := range s.tokens {
		t.grant.dead = t.grant.dead || t.grant.clientID == id
	}
}

func seconds(n int64, fallback time.Duration) time.Duration {
	return cmp.Or(time.Duration(n)*time.Second, fallback)
}

// audience returns the requested audience, or fallback: IAM reads resource (RFC 8707), aud and audience, each with
// words separated by spaces.
func audience(f url.Values, fallback []string) []string {
	for _, name := range []string{"resource", "aud", "audience"} {
		if words := strings.Fields(strings.Join(f[name], " ")); len(words) > 0 {
			return words
		}
	}
	return fallback
}

// bearer returns the access token in the header (RFC 6750 section 2.1).
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// userinfo is GET or POST /userinfo (Core section 5.3). The token is in the header or, with POST, in the body; one in
// the query is ignored (RFC 9700 section 4.3.2).
func (s *Server) userinfo(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	value, inHeader := bearer(r)
	switch {
	case inHeader && f.Has("access_token"):
		return badRequest("invalid_request", "The token is in both header and body") // RFC 6750 section 2
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

// goodToken returns the access token with this value, if it is valid.
func (s *Server) goodToken(value string) (*token, error) {
	t := s.tokens[value]
	if t == nil || t.refresh || !s.active(t) {
		return nil, unauthorized("invalid_token", "Invalid access token: %s", value)
	}
	return t, nil
}

// active reports whether a token is valid and neither its user nor its client is suspended.
func (s *Server) active(t *token) bool {
	c := s.clients[t.grant.clientID]
	return t.validAt(s.now()) && c != nil && isTrue(c.Active) && enabled(t.grant.user) == nil
}

// introspect is POST /introspect (RFC 7662), for clients that have a secret and the permission.
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

// revoke is POST /revoke (RFC 7009). An unknown token is no error (section 2.2).
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

// Revoke ends an access or refresh token, as its user can on the dashboard. It reports whether the token was known.
func (s *Server) Revoke(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[token]
	if t != nil {
		t.revoke()
	}
	return t != nil
}

// Suspend suspends a user, a client or both, or with false lifts that: tokens are inactive and logins refused. An empty
// name means none.
func (s *Server) Suspend(username, clientID string, suspended bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, c := s.users[username], s.clients[clientID]
	switch {
	case u == nil && username != "":
		return fmt.Errorf("there is no user %q", username)
	case c == nil && clientID != "":
		return fmt.Errorf("there is no client %q", clientID)
	}
	if u != nil {
		u.Disabled = suspended
	}
	if c != nil {
		c.Active = new(!suspended)
	}
	return nil
}
