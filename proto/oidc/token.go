package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oidc-agent/proto/secret"
)

// Grant types (RFC 7591 section 2, RFC 8628 section 3.4).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
)

// TokenRequest is what an access token shall be good for.
type TokenRequest struct {
	Scope    string   // words; empty: what was granted
	Audience []string // the services that shall accept the token; empty: the provider's choice
}

// TokenResponse is a successful answer of the token endpoint (RFC 6749 section 5.1, Core section 3.1.3.3).
type TokenResponse struct {
	AccessToken  secret.Secret
	ExpiresIn    int64         // lifetime in seconds; 0: not told; at least 1 when told
	Scope        string        // what was granted
	HasScope     bool          // the answer has a scope; else it is the one asked for (RFC 6749 section 5.1)
	RefreshToken secret.Secret // empty: a refresh token that was used stays good (RFC 6749 section 6)
	IDToken      secret.Secret // not verified: see [Provider.VerifyIDToken]; may be empty
	date         time.Time     // of the answer by the provider's clock, zero: not told (RFC 9110 section 6.6.1)
}

// Wipe overwrites all tokens.
func (t *TokenResponse) Wipe() {
	t.AccessToken.Wipe()
	t.RefreshToken.Wipe()
	t.IDToken.Wipe()
}

// Refresh asks for a new access token (RFC 6749 section 6). An [*Error] whose TokenExpired is true means that the user
// must log in again.
//
// With an error that finds fault with a successful answer the response may still not be nil: it then holds only a new
// refresh token. Keep that, for the provider has most likely put the old one out of use.
func (p *Provider) Refresh(ctx context.Context, refreshToken secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.addSecret("refresh_token", refreshToken)
	return p.requestToken(ctx, "refresh", GrantRefreshToken, f, t)
}

// Password logs in by user name and password (RFC 6749 section 4.3). RFC 9700 section 2.4 forbids this grant; it is for
// providers that have no other, and never chosen unasked.
func (p *Provider) Password(
	ctx context.Context, username string, password secret.Secret, t TokenRequest,
) (*TokenResponse, error) {
	f := new(form)
	f.add("username", username)
	f.addSecret("password", password)
	return p.requestToken(ctx, "password", GrantPassword, f, t)
}

// ExchangeCode redeems an authorization code (RFC 6749 section 4.1.3). redirectURI is the one of the authorization
// request, to the letter; verifier belongs to its challenge. A scope is not for here.
func (p *Provider) ExchangeCode(
	ctx context.Context, code secret.Secret, redirectURI string, verifier secret.Secret, t TokenRequest,
) (*TokenResponse, error) {
	f := new(form)
	f.addSecret("code", code)
	f.add("redirect_uri", redirectURI)
	f.addSecret("code_verifier", verifier) // RFC 7636 section 4.5
	return p.requestToken(ctx, "code-exchange", GrantAuthorizationCode, f, t)
}

// Revoke puts a refresh token out of use (RFC 7009 section 2.1). It succeeds as well when the provider does not know
// the token (section 2.2); after an error the token must be taken for alive.
func (p *Provider) Revoke(ctx context.Context, refreshToken secret.Secret) error {
	f := new(form)
	f.addSecret("token", refreshToken)
	f.add("token_type_hint", "refresh_token")
	return p.post(ctx, "revocation", "revocation_endpoint", p.RevocationEndpoint, f, nil)
}

func (p *Provider) requestToken(ctx context.Context, kind, grant string, f *form, t TokenRequest) (*TokenResponse, error) {
	f.add("grant_type", grant)
	f.addScope(t.Scope)
	p.addAudience(t.Audience, f)
	answer := new(TokenResponse)
	err := p.post(ctx, kind, "token_endpoint", p.TokenEndpoint, f, func(o *object, r *response) {
		answer.read(o)
		answer.date, _ = http.ParseTime(r.header.Get("Date"))
	})
	if err != nil && answer.RefreshToken.IsEmpty() {
		return nil, err
	}
	return answer, err
}

// addAudience adds a resource parameter for each absolute URI (RFC 8707 section 2), and one audience parameter for the
// rest, which that RFC has no place for.
func (p *Provider) addAudience(audience []string, f *form) {
	var names []string
	// An INDIGO IAM, known by its registration endpoint, has only audience, words separated by blanks.
	legacy := p.LegacyAudience || strings.Contains(p.RegistrationEndpoint, "/iam/api/")
	for _, service := range audience {
		if !legacy && isResource(service) {
			f.add("resource", service)
		} else {
			names = append(names, service)
		}
	}
	f.add("audience", strings.Join(names, " "))
}

// isResource tells an absolute URI without fragment (RFC 8707 section 2, RFC 3986 section 4.3). host:8443 has the shape
// of one as well, but is none in anybody's mind.
func isResource(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !u.IsAbs() || strings.Contains(s, "#") {
		return false
	}
	return u.Opaque == "" || strings.Trim(u.Opaque, "0123456789") != ""
}

// read keeps a new refresh token even of an answer that is faulty otherwise, and nothing else then.
func (t *TokenResponse) read(o *object) {
	t.RefreshToken = o.secret("refresh_token")
	o.required("access_token", "token_type") // RFC 6749 section 5.1
	t.AccessToken = o.secret("access_token")
	if kind := o.text("token_type"); !strings.EqualFold(kind, "Bearer") {
		// RFC 6749 section 7.1: a token of a type that one does not understand must not be used.
		o.fail("\"token_type\" is %s, Bearer expected", shown(kind))
	}
	t.Scope, t.HasScope = o.text("scope"), o.has("scope")
	t.IDToken = o.secret("id_token")
	if o.has("expires_in") {
		// RFC 6749 section 5.1. What lives no time at all must not pass for "not told".
		t.ExpiresIn = max(1, o.seconds("expires_in"))
	}
	if o.err != nil {
		t.AccessToken.Wipe()
		t.IDToken.Wipe()
		*t = TokenResponse{RefreshToken: t.RefreshToken}
	}
}
