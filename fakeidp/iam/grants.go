package iam

import (
	"slices"
	"strings"
	"time"
)

// grant is what a user (or a client, for itself) has allowed once. All tokens that come from it die with it.
type grant struct {
	clientID string
	user     *User // nil: the client itself
	scope    []string
	audience []string // asked for at the authorization endpoint
	nonce    string
	authTime time.Time
	act      any    // claim of a token exchange (RFC 8693 section 4.1)
	subject  string // sub where there is no user
	dead     bool
}

type accessToken struct {
	grant    *grant
	scope    []string
	audience []string
	claims   map[string]any
	issued   time.Time
	expires  time.Time
	revoked  bool
}

type refreshToken struct {
	value   string
	grant   *grant
	issued  time.Time
	expires time.Time // zero: never
	used    bool      // rotated out; whoever shows it again has stolen it, or was stolen from
}

func (t *accessToken) validAt(now time.Time) bool {
	return !t.revoked && !t.grant.dead && now.Before(t.expires)
}

func (t *refreshToken) expiredAt(now time.Time) bool {
	return !t.expires.IsZero() && !now.Before(t.expires)
}

func seconds(s int64, fallback time.Duration) time.Duration {
	return orDefault(time.Duration(s)*time.Second, fallback)
}

// newRefreshTokenLocked makes a refresh token as IAM's: an unsigned JWT with jti and, if it expires, exp.
func (s *Server) newRefreshTokenLocked(c *client, g *grant) (*refreshToken, error) {
	now := s.nowLocked()
	claims := map[string]any{"jti": newUUID()}
	t := &refreshToken{grant: g, issued: now}
	if life := seconds(c.RefreshTokenValiditySeconds, s.settings.RefreshTokenLifetime); life > 0 {
		t.expires = now.Add(life)
		claims["exp"] = t.expires.Unix()
	}
	value, err := unsigned(claims)
	if err != nil {
		return nil, err
	}
	t.value = s.oddLocked(value)
	s.refresh[t.value] = t
	return t, nil
}

// mayRefresh reports whether a client gets a refresh token with these scopes.
func mayRefresh(c *client, scope []string) bool {
	return c.has(grantRefreshToken) && slices.Contains(scope, "offline_access")
}

// refreshTokenLocked finds the refresh token of a request, with IAM's words for each that is no good. IAM
// answers invalid_token with 401 where RFC 6749 section 5.2 has invalid_grant, and repeats the token.
func (s *Server) refreshTokenLocked(c *client, value string) (*refreshToken, error) {
	t := s.refresh[value]
	switch {
	case value == "":
		return nil, invalidRequest("Missing refresh_token")
	case t == nil:
		return nil, invalidToken("Refresh token for value %s was not found", value)
	case t.grant.clientID != c.ClientID:
		s.killLocked(t.grant)
		return nil, invalidClient("Client does not own the presented refresh token")
	case t.used:
		s.killLocked(t.grant) // RFC 9700 section 4.14.2
		return nil, invalidToken("Refresh token for value %s was not found", value)
	case t.grant.dead:
		return nil, invalidToken("Refresh token for value %s was not found", value)
	case t.expiredAt(s.nowLocked()):
		delete(s.refresh, value)
		return nil, invalidToken("Expired refresh token: %s", value)
	}
	return t, nil
}

// killLocked ends a grant with all its tokens.
func (s *Server) killLocked(g *grant) { g.dead = true }

// deleteClientLocked ends a client with all its grants.
func (s *Server) deleteClientLocked(id string) {
	delete(s.clients, id)
	for _, t := range s.refresh {
		if t.grant.clientID == id {
			s.killLocked(t.grant)
		}
	}
	for _, t := range s.access {
		if t.grant.clientID == id {
			s.killLocked(t.grant)
		}
	}
	s.pruneLocked()
}

// pruneLocked forgets what can never be valid again, so that a server may run for months. Refresh tokens
// that were rotated out stay as long as their grant lives.
func (s *Server) pruneLocked() {
	now := s.nowLocked()
	for v, t := range s.access {
		if !t.validAt(now) {
			delete(s.access, v)
		}
	}
	for v, t := range s.refresh {
		if t.grant.dead || t.expiredAt(now) {
			delete(s.refresh, v)
		}
	}
	for v, d := range s.devices {
		if now.After(d.expires.Add(time.Hour)) { // a late poll still hears that it has expired
			delete(s.devices, v)
		}
	}
	for v, c := range s.codes {
		if c.used != nil && c.used.dead || now.After(c.expires.Add(time.Hour)) {
			delete(s.codes, v)
		}
	}
	for v, t := range s.sessions {
		if now.After(t.expires) {
			delete(s.sessions, v)
		}
	}
	s.pruneAt = max(1024, 2*len(s.access))
}

// audience reads who a token is for: IAM takes resource (RFC 8707), aud and audience, words separated by spaces.
func audience(f map[string][]string) []string {
	for _, name := range []string{"resource", "aud", "audience"} {
		if words := strings.Fields(strings.Join(f[name], " ")); len(words) > 0 {
			return words
		}
	}
	return nil
}
