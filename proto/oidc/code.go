package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"oidc-agent/proto/secret"
)

// AuthorizationRequest is what the browser asks the provider for (RFC 6749 section 4.1.1).
type AuthorizationRequest struct {
	ClientID      string
	RedirectURI   string
	Scope         string
	State         string // unguessable, for this login only (RFC 6749 section 10.12)
	Nonce         string // comes back in the id_token (Core section 3.1.2.1); empty: none
	CodeChallenge string // of NewPKCE
	// Prompt is "consent" if empty: offline_access needs that (Core section 11), Google even without.
	Prompt         string
	Audience       []string // as in [TokenRequest]
	LegacyAudience bool     // as in [TokenRequest]
	Parameters     []Parameter
}

// NewPKCE returns a new code verifier with its S256 challenge (RFC 7636 section 4).
func NewPKCE() (verifier secret.Secret, challenge string) {
	var random [32]byte // RFC 7636 section 4.1: 32 octets, which make 43 characters
	rand.Read(random[:])
	defer clear(random[:])
	verifier = secret.New(base64.RawURLEncoding.AppendEncode(nil, random[:]))
	return verifier, codeChallenge(verifier)
}

// codeChallenge is RFC 7636 section 4.2: BASE64URL(SHA256(verifier)).
func codeChallenge(verifier secret.Secret) string {
	sum := sha256.Sum256(verifier.Reveal())
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// AuthorizationURL returns where to send the browser. It fails for a provider without authorization
// endpoint, and for one that announces PKCE without S256.
func AuthorizationURL(md *Metadata, req AuthorizationRequest) (string, error) {
	if md.AuthorizationEndpoint == "" {
		return "", &NoEndpointError{Name: "authorization_endpoint"}
	}
	u, err := parseURL(md.AuthorizationEndpoint)
	if err != nil {
		return "", fmt.Errorf("authorization endpoint: %w", err)
	}
	// RFC 7636 section 7.2, RFC 9700 section 2.1.1: no way back to plain. One that announces nothing gets
	// S256 all the same and ignores it if need be (RFC 6749 section 3.1).
	if offered := md.CodeChallengeMethodsSupported; len(offered) > 0 && !slices.Contains(offered, "S256") {
		return "", fmt.Errorf("the provider supports the code challenge methods %s, but not S256", shown(fmt.Sprint(offered)))
	}
	if req.Prompt == "" {
		req.Prompt = "consent"
	}
	f := new(form)
	f.add("response_type", "code")
	f.add("client_id", req.ClientID)
	f.add("redirect_uri", req.RedirectURI)
	f.addScope(req.Scope)
	f.add("state", req.State)
	f.add("nonce", req.Nonce)
	f.add("code_challenge", req.CodeChallenge)
	f.add("code_challenge_method", "S256") // RFC 7636 section 4.3
	f.add("prompt", req.Prompt)
	// Google has no offline_access scope; others do not look at it (RFC 6749 section 3.1).
	f.add("access_type", "offline")
	TokenRequest{Audience: req.Audience, LegacyAudience: req.LegacyAudience}.addAudience(md, f) // RFC 8707 section 2.1
	for _, p := range req.Parameters {
		f.add(p.Name, p.Value)
	}
	return appendQuery(u, string(f.body)), nil
}

// appendQuery keeps the endpoint's own query (RFC 6749 section 3.1).
func appendQuery(u *url.URL, query string) string {
	if u.RawQuery != "" {
		query = strings.TrimSuffix(u.RawQuery, "&") + "&" + query
	}
	copied := *u
	copied.RawQuery = query
	return copied.String()
}

// ParseAuthorizationResponse reads the query that the browser brings to the redirect URI (RFC 6749
// section 4.1.2). state is what this login sent. An error of type [*Error] is the provider's refusal
// and ends the login. Any other error is an answer that cannot be the provider's: show nothing of it, go
// on waiting for the right one.
func ParseAuthorizationResponse(md *Metadata, query, state string) (code secret.Secret, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("malformed answer: %w", err)
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri"} {
		if len(values[name]) > 1 { // RFC 6749 section 3.1
			return secret.Secret{}, fmt.Errorf("answer has %s more than once", name)
		}
	}
	if state == "" || values.Get("state") != state { // RFC 6749 section 10.12, RFC 9700 section 4.7.1
		return secret.Secret{}, fmt.Errorf("answer is for another login: its state is not ours")
	}
	// RFC 9207 section 2.4: compared as strings, before anything else is believed, errors too. One that was
	// not announced but is right does no harm.
	if iss, ok := values["iss"]; ok && iss[0] != md.Issuer {
		return secret.Secret{}, fmt.Errorf("answer comes from the issuer %s, not from %s", shown(iss[0]), shown(md.Issuer))
	} else if !ok && md.AuthorizationResponseIssParameterSupported {
		return secret.Secret{}, fmt.Errorf("answer names no issuer, though %s promises to", shown(md.Issuer))
	}
	switch hasCode, hasError := values.Get("code") != "", values.Get("error") != ""; {
	case hasCode == hasError:
		return secret.Secret{}, fmt.Errorf("answer must have either a code or an error")
	case hasError:
		return secret.Secret{}, (&response{}).newError(values.Get("error"), values.Get("error_description"), values.Get("error_uri"))
	}
	return secret.FromString(values.Get("code")), nil
}

// ExchangeCode redeems an authorization code (RFC 6749 section 4.1.3). redirectURI is the one of the
// authorization request, to the letter; verifier belongs to its challenge. t.Scope is not used: it
// was part of the authorization request.
func (c *Client) ExchangeCode(ctx context.Context, md *Metadata, cred ClientCredentials, code secret.Secret, redirectURI string, verifier secret.Secret, t TokenRequest) (*TokenResponse, error) {
	f := new(form)
	f.add("grant_type", GrantAuthorizationCode)
	f.addSecret("code", code)
	f.add("redirect_uri", redirectURI)
	f.addSecret("code_verifier", verifier) // RFC 7636 section 4.5
	t.addAudience(md, f)
	cred.extend(f, ForCode)
	return c.requestToken(ctx, md, cred, f)
}
