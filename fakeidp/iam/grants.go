package iam

import (
	"cmp"
	"maps"
	"net/url"
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
		delete(s.tokens, value)
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
	s.prune()
}

// prune forgets what can never be valid again, so that a server may run for months. Refresh tokens
// that were rotated out stay as long as their grant lives.
func (s *Server) prune() {
	now := s.now()
	late := now.Add(-time.Hour) // who comes that late still hears that a code has expired
	maps.DeleteFunc(s.tokens, func(_ string, t *token) bool {
		return t.grant.dead || t.expiredAt(now) || t.ended && !t.refresh
	})
	maps.DeleteFunc(s.devices, func(_ string, d *deviceCode) bool { return late.After(d.expires) })
	maps.DeleteFunc(s.codes, func(_ string, c *authorizationCode) bool { return c.grant.dead || late.After(c.expires) })
	maps.DeleteFunc(s.sessions, func(_ string, t *session) bool { return now.After(t.expires) })
	s.pruneAt = max(1024, 2*len(s.tokens))
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
