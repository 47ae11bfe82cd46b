package iam

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// tokenResponse is RFC 6749 section 5.1 with Core section 3.1.3.3.
type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	TokenType       string `json:"token_type"`
	RefreshToken    string `json:"refresh_token,omitempty"`
	ExpiresIn       *int64 `json:"expires_in,omitempty"`
	Scope           string `json:"scope,omitempty"`
	IDToken         string `json:"id_token,omitempty"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
}

// issue is a decision to give out tokens. Grants make it under the mutex; signing then needs no mutex.
type issue struct {
	grant           *grant
	client          *client
	scope           []string
	audience        []string
	refresh         *refreshToken // given out too; nil: none
	issuedTokenType string
}

// token is POST /token.
func (s *Server) token(w http.ResponseWriter, r *http.Request) error {
	f, err := form(r)
	if err != nil {
		return err
	}
	c, err := s.authenticate(r, f)
	if err != nil {
		return err
	}
	decide, err := s.granter(c, f.Get("grant_type"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	decision, err := decide(c, f)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	answer, err := s.issue(r.Context(), decision)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, answer)
}

// granter finds the function that decides on a grant type. It runs under the mutex.
func (s *Server) granter(c *client, grantType string) (func(*client, url.Values) (*issue, error), error) {
	granters := map[string]func(*client, url.Values) (*issue, error){
		grantAuthorizationCode: s.grantCodeLocked,
		grantRefreshToken:      s.grantRefreshLocked,
		grantClientCredentials: s.grantClientLocked,
		grantPassword:          s.grantPasswordLocked,
		grantDeviceCode:        s.grantDeviceLocked,
		grantTokenExchange:     s.grantExchangeLocked,
	}
	switch decide := granters[grantType]; {
	case grantType == "":
		return nil, invalidRequest("Missing grant type")
	case decide == nil:
		return nil, refuse(http.StatusBadRequest, "unsupported_grant_type", "Unsupported grant type: %s", grantType)
	case !c.has(grantType):
		return nil, invalidClient("Unauthorized grant type: %s", grantType)
	default:
		return decide, nil
	}
}

// clientScope reads the scope parameter: words that the client has, or all that it has when there is none.
func clientScope(c *client, f url.Values) ([]string, error) {
	words, err := parseScope(f.Get("scope"))
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return c.scopes(), nil
	}
	if w := firstOutside(c.scopes(), words); w != "" {
		return nil, invalidScope("Scope '%s' not allowed for client '%s'", w, c.ClientID)
	}
	return words, nil
}

// enabled refuses a user who may not sign in any more.
func enabled(u *User) error {
	if u != nil && u.Disabled {
		return refuse(http.StatusUnauthorized, "invalid_grant", "User %s is not active", u.Username)
	}
	return nil
}

// firstIssueLocked decides on the tokens of a new grant.
func (s *Server) firstIssueLocked(c *client, g *grant, aud []string) (*issue, error) {
	if err := enabled(g.user); err != nil {
		return nil, err
	}
	if len(aud) == 0 {
		aud = g.audience
	}
	decision := &issue{grant: g, client: c, scope: g.scope, audience: aud}
	if g.user == nil || !mayRefresh(c, g.scope) {
		return decision, nil
	}
	var err error
	decision.refresh, err = s.newRefreshTokenLocked(c, g)
	return decision, err
}

// grantRefreshLocked is the refresh grant (RFC 6749 section 6): without scope all that was granted, with it
// no more than that.
func (s *Server) grantRefreshLocked(c *client, f url.Values) (*issue, error) {
	t, err := s.refreshTokenLocked(c, f.Get("refresh_token"))
	if err != nil {
		return nil, err
	}
	if err := enabled(t.grant.user); err != nil {
		return nil, err
	}
	words, err := parseScope(f.Get("scope"))
	if err != nil {
		return nil, err
	}
	if firstOutside(t.grant.scope, words) != "" {
		return nil, invalidScope("Up-scoping is not allowed.")
	}
	if len(words) == 0 {
		words = t.grant.scope
	}
	aud := audience(f)
	if len(aud) == 0 {
		aud = t.grant.audience
	}
	if c.ClearAccessTokensOnRefresh {
		s.revokeAccessLocked(t.grant)
	}
	if s.settings.Rotate || !isTrue(c.ReuseRefreshToken) {
		t.used = true
		if t, err = s.newRefreshTokenLocked(c, t.grant); err != nil {
			return nil, err
		}
	}
	return &issue{grant: t.grant, client: c, scope: words, audience: aud, refresh: t}, nil
}

func (s *Server) revokeAccessLocked(g *grant) {
	for _, t := range s.access {
		if t.grant == g {
			t.revoked = true
		}
	}
}

// grantClientLocked is the client credentials grant (RFC 6749 section 4.4): no user, no refresh token.
func (s *Server) grantClientLocked(c *client, f url.Values) (*issue, error) {
	if c.TokenEndpointAuthMethod == authNone {
		return nil, invalidClient("Unauthorized grant type: %s", grantClientCredentials)
	}
	scope, err := clientScope(c, f)
	if err != nil {
		return nil, err
	}
	return s.firstIssueLocked(c, &grant{clientID: c.ClientID, scope: scope, subject: c.ClientID}, audience(f))
}

// grantPasswordLocked is the password grant (RFC 6749 section 4.3).
func (s *Server) grantPasswordLocked(c *client, f url.Values) (*issue, error) {
	scope, err := clientScope(c, f)
	if err != nil {
		return nil, err
	}
	u := s.users[f.Get("username")]
	if u == nil || !sameText(f.Get("password"), u.Password) {
		return nil, invalidGrant("Bad credentials")
	}
	return s.firstIssueLocked(c, &grant{clientID: c.ClientID, user: u, scope: scope, authTime: s.nowLocked()}, audience(f))
}

const tokenTypeJWT = "urn:ietf:params:oauth:token-type:jwt"

// grantExchangeLocked is token exchange (RFC 8693) as IAM knows it: impersonation with an access token.
func (s *Server) grantExchangeLocked(c *client, f url.Values) (*issue, error) {
	switch {
	case f.Get("subject_token") == "":
		return nil, invalidRequest("subject_token not found in token exchange request!")
	case f.Has("actor_token") || f.Has("want_composite"):
		return nil, invalidRequest("Delegation not supported")
	case f.Get("scope") == "":
		return nil, invalidRequest("The scope parameter is required for a token exchange request!")
	}
	subject := s.access[f.Get("subject_token")]
	if subject == nil || !subject.validAt(s.nowLocked()) {
		return nil, invalidToken("Access token for value %s was not found", f.Get("subject_token"))
	}
	scope, err := clientScope(c, f)
	if err != nil {
		return nil, err
	}
	if subject.grant.clientID == c.ClientID && slices.Contains(scope, "offline_access") {
		return nil, refuse(http.StatusForbidden, "access_denied", "Token exchange not allowed: the actor and the subject are the same client and offline_access is in the requested scopes")
	}
	act := map[string]any{"sub": c.ClientID}
	if subject.grant.act != nil {
		act["act"] = subject.grant.act
	}
	g := &grant{clientID: c.ClientID, user: subject.grant.user, subject: subject.grant.subject, scope: scope, authTime: subject.grant.authTime, act: act}
	decision, err := s.firstIssueLocked(c, g, audience(f))
	if err == nil {
		decision.issuedTokenType = tokenTypeJWT
	}
	return decision, err
}

// issue makes the tokens that were decided on.
func (s *Server) issue(ctx context.Context, d *issue) (*tokenResponse, error) {
	s.mu.Lock()
	now := s.nowLocked()
	life := seconds(d.client.AccessTokenValiditySeconds, s.settings.AccessTokenLifetime)
	idLife := s.settings.IDTokenLifetime
	expiresIn := new(int64)
	*expiresIn = int64(life / time.Second)
	if s.settings.Conformance {
		idLife, expiresIn = conformanceIDTokenLifetime, nil
	}
	s.mu.Unlock()

	t := &accessToken{grant: d.grant, scope: d.scope, audience: d.audience, issued: now, expires: now.Add(life)}
	t.claims = s.accessClaims(d, t)
	value, err := s.keys.sign(ctx, t.claims)
	if err != nil {
		return nil, err
	}
	answer := &tokenResponse{
		AccessToken: value, TokenType: "Bearer", ExpiresIn: expiresIn,
		Scope: strings.Join(d.scope, " "), IssuedTokenType: d.issuedTokenType,
	}
	if d.refresh != nil {
		answer.RefreshToken = d.refresh.value
	}
	if d.grant.user != nil && slices.Contains(d.scope, "openid") {
		if answer.IDToken, err = s.keys.sign(ctx, s.idClaims(d, now, now.Add(idLife), value)); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.access[value] = t
	if len(s.access) > s.pruneAt {
		s.pruneLocked()
	}
	return answer, nil
}
