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

// TokenRequest says what an access token is for.
type TokenRequest struct {
	Scope    string   // separated by blanks; if empty, what the user has granted
	Audience []string // the services that should accept the token; if empty, the provider decides
}

// TokenResponse is a successful response of the token endpoint (RFC 6749 section 5.1, Core section 3.1.3.3).
type TokenResponse struct {
	AccessToken  secret.Secret
	ExpiresIn    int64         // lifetime in seconds, at least 1; 0 if the provider does not say
	Scope        string        // the granted scope
	HasScope     bool          // if false, the granted scope is the requested one (RFC 6749 section 5.1)
	RefreshToken secret.Secret // if empty, the present refresh token stays valid (RFC 6749 section 6)
	IDToken      secret.Secret // not verified, see [Provider.VerifyIDToken]; may be empty
	date         time.Time     // the provider's clock (RFC 9110 section 6.6.1); zero if the response does not say
}

// Wipe overwrites the tokens.
func (t *TokenResponse) Wipe() {
	t.AccessToken.Wipe()
	t.RefreshToken.Wipe()
	t.IDToken.Wipe()
}

// Refresh requests a new access token (RFC 6749 section 6). An [*Error] whose TokenExpired method returns true means
// that the user must log in again.
//
// If the provider's response is a success but has a fault, Refresh returns an error and, if there is one, the new
// refresh token alone. The caller must keep that token, because the provider has probably revoked the old one.
func (p *Provider) Refresh(ctx context.Context, refreshToken secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.addSecret("refresh_token", refreshToken)
	return p.requestToken(ctx, "refresh", GrantRefreshToken, f, t)
}

// Password logs in with a user name and a password (RFC 6749 section 4.3). RFC 9700 section 2.4 forbids this grant.
// It is for providers that have no other, and only if the user asks for it.
func (p *Provider) Password(
	ctx context.Context, username string, password secret.Secret, t TokenRequest,
) (*TokenResponse, error) {
	f := new(form)
	f.add("username", username)
	f.addSecret("password", password)
	return p.requestToken(ctx, "password", GrantPassword, f, t)
}

// ExchangeCode redeems an authorization code (RFC 6749 section 4.1.3). redirectURI must be exactly that of the
// authorization request, and verifier must belong to its code challenge. t must not have a scope.
func (p *Provider) ExchangeCode(
	ctx context.Context, code secret.Secret, redirectURI string, verifier secret.Secret, t TokenRequest,
) (*TokenResponse, error) {
	f := new(form)
	f.addSecret("code", code)
	f.add("redirect_uri", redirectURI)
	f.addSecret("code_verifier", verifier) // RFC 7636 section 4.5
	return p.requestToken(ctx, "code-exchange", GrantAuthorizationCode, f, t)
}

// Revoke revokes a refresh token (RFC 7009 section 2.1). It also succeeds if the provider does not know the token
// (section 2.2). After an error the token may still be valid.
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

// addAudience adds a resource for each absolute URI (RFC 8707 section 2), and one audience for all others.
func (p *Provider) addAudience(audience []string, f *form) {
	var names []string
	// INDIGO IAM, recognized by its registration endpoint, knows only audience, separated by blanks.
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

// isResource reports whether s is an absolute URI without a fragment (RFC 8707 section 2, RFC 3986 section 4.3).
// host:8443 would be one by its syntax, but is meant as a host and a port.
func isResource(s string) bool {
	u, err := url.Parse(s)
	if err != nil || !u.IsAbs() || strings.Contains(s, "#") {
		return false
	}
	return u.Opaque == "" || strings.Trim(u.Opaque, "0123456789") != ""
}

// read reads a response. If that has a fault, read keeps the new refresh token and nothing else.
func (t *TokenResponse) read(o *object) {
	t.RefreshToken = o.secret("refresh_token")
	o.required("access_token", "token_type") // RFC 6749 section 5.1
	t.AccessToken = o.secret("access_token")
	if kind := o.text("token_type"); !strings.EqualFold(kind, "Bearer") {
		// RFC 6749 section 7.1: a client must not use a token of an unknown type.
		o.fail("\"token_type\" is %s, Bearer expected", shown(kind))
	}
	t.Scope, t.HasScope = o.text("scope"), o.has("scope")
	t.IDToken = o.secret("id_token")
	if o.has("expires_in") {
		// RFC 6749 section 5.1. A lifetime of 0 must not look like an unknown one.
		t.ExpiresIn = max(1, o.seconds("expires_in"))
	}
	if o.err != nil {
		t.AccessToken.Wipe()
		t.IDToken.Wipe()
		*t = TokenResponse{RefreshToken: t.RefreshToken}
	}
}
