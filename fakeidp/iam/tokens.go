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

// grant is what a user (or a client, for itself) has allowed once. All tokens that come from it die with it.
type grant struct {
	clientID string
	user     *User  // nil: the client itself
	sub      string // of its tokens
	scope    []string
	audience []string // asked for at the authorization endpoint
	nonce    string
	authTime time.Time
	act      any // claim of a token exchange (RFC 8693 section 4.1)
	dead     bool
}

// token is an access token or a refresh token that was given out.
type token struct {
	refresh bool
	grant   *grant
	scope   []string
	claims  map[string]any // for introspection
	issued  time.Time
	expires time.Time // zero: never
	ended   bool      // revoked, or rotated out; whoever shows that again has stolen it, or was stolen from
}

func (t *token) validAt(now time.Time) bool { return !t.ended && !t.grant.dead && !t.expiredAt(now) }

func (t *token) expiredAt(now time.Time) bool { return !t.expires.IsZero() && !now.Before(t.expires) }

// revoke ends a token; a refresh token takes its access tokens with it (RFC 7009 section 2.1).
func (t *token) revoke() {
	t.ended = true
	if t.refresh {
		t.grant.dead = true
	}
}

// newRefreshToken makes a refresh token as IAM's: an unsigned JWT with jti and, if it expires, exp.
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

// refreshToken finds the refresh token of a request, with IAM's words for each that is no good. IAM
// answers invalid_token with 401 where RFC 6749 section 5.2 has invalid_grant, and repeats the token.
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
		t.grant.dead = true // RFC 9700 section 4.14.2
	case t.expiredAt(s.now()):
		return nil, unauthorized("invalid_token", "Expired refresh token: %s", value)
	default:
		return t, nil
	}
	return nil, unauthorized("invalid_token", "Refresh token for value %s was not found", value)
}

// forgetClient ends a client with all its grants.
func (s *Server) forgetClient(id string) {
	delete(s.clients, id)
	for _, t := range s.tokens {
		t.grant.dead = t.grant.dead || t.grant.clientID == id
	}
}

func seconds(n int64, fallback time.Duration) time.Duration {
	return cmp.Or(time.Duration(n)*time.Second, fallback)
}

// audience reads who a token is for: IAM takes resource (RFC 8707), aud and audience, words separated by
// spaces. Without any it is fallback.
func audience(f url.Values, fallback []string) []string {
	for _, name := range []string{"resource", "aud", "audience"} {
		if words := strings.Fields(strings.Join(f[name], " ")); len(words) > 0 {
			return words
		}
	}
	return fallback
}

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

// Suspend lets a user, a client or both get nothing more (or again, with false): tokens are inactive, logins refused. An
// empty name means nobody.
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
