package oidc

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"oidc-agent/proto/secret"
)

// AuthorizationRequest has the parameters of an authorization request (RFC 6749 section 4.1.1).
type AuthorizationRequest struct {
	RedirectURI   string
	Scope         string
	State         string // unguessable, and different for each login (RFC 6749 section 10.12)
	Nonce         string // returned in the id_token (Core section 3.1.2.1); may be empty
	CodeChallenge string // from NewPKCE
	Audience      []string
}

// NewPKCE returns a new code verifier and its S256 challenge (RFC 7636 section 4).
func NewPKCE() (verifier secret.Secret, challenge string) {
	var random [32]byte // RFC 7636 section 4.1: 32 octets, which make 43 characters
	rand.Read(random[:])
	defer clear(random[:])
	verifier = secret.New(base64.RawURLEncoding.AppendEncode(nil, random[:]))
	return verifier, codeChallenge(verifier)
}

// codeChallenge returns BASE64URL(SHA256(verifier)) (RFC 7636 section 4.2).
func codeChallenge(verifier secret.Secret) string {
	sum := sha256.Sum256(verifier.Reveal())
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// AuthorizationURL returns the URL to open in the user's browser. It fails if the provider's PKCE lacks S256.
func (p *Provider) AuthorizationURL(req AuthorizationRequest) (string, error) {
	if p.AuthorizationEndpoint == "" {
		return "", NoEndpointError("authorization_endpoint")
	}
	u, err := parseURL(p.AuthorizationEndpoint)
	if err != nil {
		return "", fmt.Errorf("authorization endpoint: %w", err)
	}
	// RFC 7636 section 7.2, RFC 9700 section 2.1.1: never fall back to plain. A provider that announces nothing also
	// gets S256; if it does not know PKCE it ignores that (RFC 6749 section 3.1).
	if offered := p.CodeChallengeMethodsSupported; len(offered) > 0 && !slices.Contains(offered, "S256") {
		return "", fmt.Errorf("the provider supports the code challenge methods %s, but not S256",
			shown(fmt.Sprint(offered)))
	}
	f := new(form)
	f.add("response_type", "code")
	f.add("client_id", p.ClientID)
	f.add("redirect_uri", req.RedirectURI)
	f.addScope(req.Scope)
	f.add("state", req.State)
	f.add("nonce", req.Nonce)
	f.add("code_challenge", req.CodeChallenge)
	f.add("code_challenge_method", "S256") // RFC 7636 section 4.3
	f.add("prompt", "consent")             // Core section 11: for offline_access; Google always needs it
	// Google has this instead of the scope offline_access; others ignore it (RFC 6749 section 3.1).
	f.add("access_type", "offline")
	p.addAudience(req.Audience, f) // RFC 8707 section 2.1
	if p.Extend != nil {
		p.Extend("auth_url", f.add)
	}
	// RFC 6749 section 3.1: keep the endpoint's own query.
	u.RawQuery = strings.TrimLeft(strings.TrimSuffix(u.RawQuery, "&")+"&"+string(f.body), "&")
	return u.String(), nil
}

// ParseAuthorizationResponse parses the query of the request to the redirect URI (RFC 6749 section 4.1.2). state is
// the one that this login sent. An [*Error] is the provider's refusal and ends the login. Any other error means that
// the response is not the provider's: the caller should show nothing of it and wait for the right one.
func (md *Metadata) ParseAuthorizationResponse(query, state string) (code secret.Secret, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return secret.Secret{}, fmt.Errorf("malformed answer: %w", err)
	}
	for _, name := range []string{"code", "state", "iss", "error", "error_description"} {
		if len(values[name]) > 1 { // RFC 6749 section 3.1
			return secret.Secret{}, fmt.Errorf("answer has %s more than once", name)
		}
	}
	if state == "" || values.Get("state") != state { // RFC 6749 section 10.12, RFC 9700 section 4.7.1
		return secret.Secret{}, errors.New("answer is for another login: its state is not ours")
	}
	// RFC 9207 section 2.4: compare as strings, before trusting anything else, even an error. A right issuer is fine
	// even if the provider does not announce the parameter.
	if iss, ok := values["iss"]; ok && iss[0] != md.Issuer {
		return secret.Secret{}, fmt.Errorf("answer comes from the issuer %s, not from %s", shown(iss[0]), shown(md.Issuer))
	} else if !ok && md.AuthorizationResponseIssParameterSupported {
		return secret.Secret{}, fmt.Errorf("answer names no issuer, though %s promises to", shown(md.Issuer))
	}
	refusal, granted := values.Get("error"), values.Get("code")
	switch {
	case (granted != "") == (refusal != ""):
		return secret.Secret{}, errors.New("answer must have either a code or an error")
	case refusal != "":
		return secret.Secret{}, (&response{}).refusal(refusal, values.Get("error_description"))
	}
	return secret.FromString(granted), nil
}
