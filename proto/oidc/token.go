package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// TokenRequest is what an access token shall be good for.
type TokenRequest struct {
	Scope string // words; empty: what was granted
	// Audience lists the services that shall accept the token; empty: the provider's choice.
	Audience []string
	// LegacyAudience sends the list in one audience parameter, as it was done before RFC 8707.
	LegacyAudience bool
}

// TokenResponse is a successful answer of the token endpoint (RFC 6749 section 5.1, Core section 3.1.3.3).
type TokenResponse struct {
	AccessToken  secret.Secret
	TokenType    string        // "Bearer", in any case of letters
	ExpiresIn    int64         // lifetime in seconds, counted from Received; 0: not told; at least 1 when told
	Scope        string        // what was granted
	HasScope     bool          // the answer has a scope; else it is the one asked for (RFC 6749 section 5.1)
	RefreshToken secret.Secret // empty: a refresh token that was used stays good (RFC 6749 section 6)
	IDToken      secret.Secret // not verified; may be empty
	Received     time.Time     // when the answer arrived
	Date         time.Time     // the same by the provider's clock, zero: not told (RFC 9110 section 6.6.1)
}

// Wipe overwrites all tokens.
func (t *TokenResponse) Wipe() {
	t.AccessToken.Wipe()
	t.RefreshToken.Wipe()
	t.IDToken.Wipe()
}

// Refresh asks for a new access token (RFC 6749 section 6). An error of type [*Error] whose TokenExpired
// is true means that the user must log in again.
//
// With an error that finds fault with a successful answer the response may still not be nil: it then holds
// only a new refresh token. Keep that, for the provider has most likely put the old one out of use.
func (c *Client) Refresh(ctx context.Context, md *Metadata, cred ClientCredentials, refreshToken secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.add("grant_type", GrantRefreshToken)
	f.addSecret("refresh_token", refreshToken)
	f.addScope(t.Scope)
	t.addAudience(md, f)
	cred.extend(f, ForRefresh)
	return c.requestToken(ctx, md, cred, f)
}

// Password logs in by user name and password (RFC 6749 section 4.3). RFC 9700 section 2.4 forbids this
// grant; it is for providers that have no other, and never chosen unasked.
func (c *Client) Password(ctx context.Context, md *Metadata, cred ClientCredentials, username string, password secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.add("grant_type", GrantPassword)
	f.add("username", username)
	f.addSecret("password", password)
	f.addScope(t.Scope)
	t.addAudience(md, f)
	cred.extend(f, ForPassword)
	return c.requestToken(ctx, md, cred, f)
}

// addAudience adds the audience: a resource parameter for each absolute URI (RFC 8707 section 2), and one
// audience parameter for the rest, which that RFC has no place for.
func (t TokenRequest) addAudience(md *Metadata, f *form) {
	var names []string
	for _, audience := range t.Audience {
		// IAM knows only audience, words separated by blanks.
		if !t.LegacyAudience && !md.isIAM() && isResource(audience) {
			f.add("resource", audience)
		} else {
			names = append(names, audience)
		}
	}
	f.add("audience", strings.Join(names, " "))
}

// isResource tells an absolute URI without fragment (RFC 8707 section 2, RFC 3986 section 4.3). host:8443
// has the shape of one as well, but is none in anybody's mind.
func isResource(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || strings.Contains(s, "#") {
		return false
	}
	return u.Opaque == "" || strings.Trim(u.Opaque, "0123456789") != ""
}

// requestToken sends a grant to the token endpoint.
func (c *Client) requestToken(ctx context.Context, md *Metadata, cred ClientCredentials, f *form) (*TokenResponse, error) {
	r, err := c.post(ctx, md, "token_endpoint", md.TokenEndpoint, cred, f)
	if err != nil {
		return nil, err
	}
	defer r.wipe()
	o, err := r.object()
	if err != nil {
		return nil, err
	}
	defer o.wipe()
	t, err := parseTokenResponse(o, r.received)
	if err != nil {
		return t, r.unexpected(err.Error())
	}
	t.Date, _ = http.ParseTime(r.header.Get("Date"))
	return t, nil
}

// parseTokenResponse returns a new refresh token even from an answer that is faulty otherwise.
func parseTokenResponse(o *object, received time.Time) (*TokenResponse, error) {
	t := &TokenResponse{Received: received, RefreshToken: o.secret("refresh_token")}
	o.required("access_token", "token_type") // RFC 6749 section 5.1
	t.AccessToken = o.secret("access_token")
	t.TokenType = o.text("token_type")
	if !strings.EqualFold(t.TokenType, "Bearer") {
		// RFC 6749 section 7.1: a token of a type that one does not understand must not be used.
		o.fail("\"token_type\" is %s, Bearer expected", shown(t.TokenType))
	}
	t.Scope, t.HasScope = o.text("scope"), o.has("scope")
	t.IDToken = o.secret("id_token")
	if o.has("expires_in") {
		// RFC 6749 section 5.1. What lives no time at all must not pass for "not told".
		t.ExpiresIn = max(1, o.seconds("expires_in"))
	}
	if o.err == nil {
		return t, nil
	}
	t.AccessToken.Wipe()
	t.IDToken.Wipe()
	if t.RefreshToken.IsEmpty() {
		return nil, o.err
	}
	return &TokenResponse{Received: received, RefreshToken: t.RefreshToken}, o.err
}
