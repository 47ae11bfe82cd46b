package iam

import (
	"fmt"
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
	ExpiresIn       *int64 `json:"expires_in,omitempty"` // seconds
	Scope           string `json:"scope,omitempty"`
	IDToken         string `json:"id_token,omitempty"`
	IssuedTokenType string `json:"issued_token_type,omitempty"` // RFC 8693 section 2.2.1
}

// issue describes the tokens to issue.
type issue struct {
	grant           *grant
	scope           []string
	audience        []string
	refreshToken    string // to return; empty: none
	issuedTokenType string
}

// giveTokens is POST /token.
func (s *Server) giveTokens(w http.ResponseWriter, r *http.Request, c *client, f url.Values) error {
	grantType := f.Get("grant_type")
	decide := map[string]func(*client, url.Values) (*issue, error){
		grantAuthorizationCode: s.grantCode,
		grantRefreshToken:      s.grantRefresh,
		grantClientCredentials: s.grantClient,
		grantPassword:          s.grantPassword,
		grantDeviceCode:        s.grantDevice,
		grantTokenExchange:     s.grantExchange,
	}[grantType]
	switch {
	case grantType == "":
		return badRequest("invalid_request", "Missing grant type")
	case decide == nil:
		return badRequest("unsupported_grant_type", "Unsupported grant type: %s", grantType)
	case !c.has(grantType):
		return unauthorized("invalid_client", "Unauthorized grant type: %s", grantType)
	}
	decision, err := decide(c, f)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, s.issue(c, decision))
}

// narrow returns the words of the scope parameter, or all granted words if it is empty. Where a word was not granted
// the error has the text that refusal returns.
func narrow(granted []string, f url.Values, refusal func(word string) string) ([]string, error) {
	words, err := parseScope(f.Get("scope"))
	if err != nil {
		return nil, err
	}
	if len(words) == 0 {
		return granted, nil
	}
	if w := firstOutside(granted, words); w != "" {
		return nil, badRequest("invalid_scope", "%s", refusal(w))
	}
	return words, nil
}

func clientScope(c *client, f url.Values) ([]string, error) {
	return narrow(c.scopes(), f, func(w string) string {
		return fmt.Sprintf("Scope '%s' not allowed for client '%s'", w, c.ClientID)
	})
}

// enabled returns an error for a disabled user.
func enabled(u *User) error {
	if u != nil && u.Disabled {
		return unauthorized("invalid_grant", "User %s is not active", u.Username)
	}
	return nil
}

// firstIssue describes the tokens of a new grant.
func (s *Server) firstIssue(c *client, g *grant, f url.Values) (*issue, error) {
	if err := enabled(g.user); err != nil {
		return nil, err
	}
	decision := &issue{grant: g, scope: g.scope, audience: audience(f, g.audience)}
	if g.user != nil && c.has(grantRefreshToken) && slices.Contains(g.scope, "offline_access") {
		decision.refreshToken = s.newRefreshToken(c, g)
	}
	return decision, nil
}

// grantRefresh is the refresh grant (RFC 6749 section 6): the scope is the granted one or a part of it.
func (s *Server) grantRefresh(c *client, f url.Values) (*issue, error) {
	value := f.Get("refresh_token")
	t, err := s.refreshToken(c, value)
	if err != nil {
		return nil, err
	}
	if err := enabled(t.grant.user); err != nil {
		return nil, err
	}
	words, err := narrow(t.scope, f, func(string) string { return "Up-scoping is not allowed." })
	if err != nil {
		return nil, err
	}
	if c.ClearAccessTokensOnRefresh {
		for _, old := range s.tokens {
			old.ended = old.ended || old.grant == t.grant && !old.refresh
		}
	}
	if s.settings.Rotate || !isTrue(c.ReuseRefreshToken) {
		t.ended = true
		value = s.newRefreshToken(c, t.grant)
	}
	return &issue{grant: t.grant, scope: words, audience: audience(f, t.grant.audience), refreshToken: value}, nil
}

// grantClient is the client credentials grant (RFC 6749 section 4.4): no user, no refresh token.
func (s *Server) grantClient(c *client, f url.Values) (*issue, error) {
	if c.TokenEndpointAuthMethod == authNone {
		return nil, unauthorized("invalid_client", "Unauthorized grant type: %s", grantClientCredentials)
	}
	scope, err := clientScope(c, f)
	if err != nil {
		return nil, err
	}
	return s.firstIssue(c, &grant{clientID: c.ClientID, sub: c.ClientID, scope: scope}, f)
}

// grantPassword is the password grant (RFC 6749 section 4.3).
func (s *Server) grantPassword(c *client, f url.Values) (*issue, error) {
	scope, err := clientScope(c, f)
	if err != nil {
		return nil, err
	}
	u := s.users[f.Get("username")]
	if u == nil || !sameText(f.Get("password"), u.Password) {
		return nil, badRequest("invalid_grant", "Bad credentials")
	}
	return s.firstIssue(c, &grant{clientID: c.ClientID, user: u, sub: u.Sub, scope: scope, authTime: s.now()}, f)
}

// grantExchange is token exchange (RFC 8693) as IAM has it: impersonation with an access token.
func (s *Server) grantExchange(c *client, f url.Values) (*issue, error) {
	subject := s.tokens[f.Get("subject_token")]
	switch {
	case f.Get("subject_token") == "":
		return nil, badRequest("invalid_request", "subject_token not found in token exchange request!")
	case f.Has("actor_token") || f.Has("want_composite"):
		return nil, badRequest("invalid_request", "Delegation not supported")
	case f.Get("scope") == "":
		return nil, badRequest("invalid_request", "The scope parameter is required for a token exchange request!")
	case subject == nil || subject.refresh || !subject.validAt(s.now()):
		return nil, unauthorized("invalid_token", "Access token for value %s was not found", f.Get("subject_token"))
	}
	scope, err := clientScope(c, f)
	if err != nil {
		return nil, err
	}
	from := subject.grant
	if from.clientID == c.ClientID && slices.Contains(scope, "offline_access") {
		return nil, refuse(http.StatusForbidden, "access_denied", "Token exchange not allowed: "+
			"the actor and the subject are the same client and offline_access is in the requested scopes")
	}
	act := map[string]any{"sub": c.ClientID}
	if from.act != nil {
		act["act"] = from.act
	}
	g := &grant{clientID: c.ClientID, user: from.user, sub: from.sub, scope: scope, authTime: from.authTime, act: act}
	decision, err := s.firstIssue(c, g, f)
	if err == nil {
		decision.issuedTokenType = "urn:ietf:params:oauth:token-type:jwt" // RFC 8693 section 3
	}
	return decision, err
}

// issue makes the described tokens.
func (s *Server) issue(c *client, d *issue) *tokenResponse {
	now := s.now()
	life, idLife := seconds(c.AccessTokenValiditySeconds, s.settings.AccessTokenLifetime), s.settings.IDTokenLifetime
	expiresIn := new(int64(life / time.Second))
	if s.settings.Conformance {
		idLife, expiresIn = 300*time.Second, nil // as the suite's provider
	}
	t := &token{grant: d.grant, scope: d.scope, issued: now, expires: now.Add(life)}
	t.claims = s.accessClaims(c, d, now, t.expires)
	value := s.sign(t.claims)
	s.tokens[value] = t
	answer := &tokenResponse{
		AccessToken: value, TokenType: "Bearer", RefreshToken: d.refreshToken, ExpiresIn: expiresIn,
		Scope: strings.Join(d.scope, " "), IssuedTokenType: d.issuedTokenType,
	}
	if d.grant.user != nil && slices.Contains(d.scope, "openid") {
		answer.IDToken = s.sign(s.idClaims(c, d, now, now.Add(idLife), value))
	}
	return answer
}

// sign unlocks the mutex while it signs: RSA takes a millisecond, and the first key may not exist yet.
func (s *Server) sign(claims map[string]any) string {
	s.mu.Unlock()
	defer s.mu.Lock()
	return s.keys.sign(claims)
}
