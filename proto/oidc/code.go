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

// AuthorizationRequest is what the browser asks the provider for (RFC 6749 section 4.1.1).
type AuthorizationRequest struct {
	RedirectURI   string
	Scope         string
	State         string // unguessable, for this login only (RFC 6749 section 10.12)
	Nonce         string // comes back in the id_token (Core section 3.1.2.1); empty: none
	CodeChallenge string // of NewPKCE
	Audience      []string
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

// AuthorizationURL returns where to send the browser. It fails for a provider without authorization endpoint, and for
// one that announces PKCE without S256.
func (p *Provider) AuthorizationURL(req AuthorizationRequest) (string, error) {
	if p.AuthorizationEndpoint == "" {
		return "", NoEndpointError("authorization_endpoint")
	}
	u, err := parseURL(p.AuthorizationEndpoint)
	if err != nil {
		return "", fmt.Errorf("authorization endpoint: %w", err)
	}
	// RFC 7636 section 7.2, RFC 9700 section 2.1.1: no way back to plain. One that announces nothing gets S256 all the
	// same and ignores it if need be (RFC 6749 section 3.1).
	if offered := p.CodeChallengeMethodsSupported; len(offered) > 0 && !slices.Contains(offered, "S256") {
		return "", fmt.Errorf("the provider supports the code challenge methods %s, but not S256", shown(fmt.Sprint(offered)))
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
	f.add("prompt", "consent")             // Core section 11: offline_access needs it; Google wants it without
	// Google has no offline_access scope; others do not look at it (RFC 6749 section 3.1).
	f.add("access_type", "offline")
	p.addAudience(req.Audience, f) // RFC 8707 section 2.1
	if p.Extend != nil {
		p.Extend("auth_url", f.add)
	}
	// RFC 6749 section 3.1: the endpoint's own query stays.
	u.RawQuery = strings.TrimLeft(strings.TrimSuffix(u.RawQuery, "&")+"&"+string(f.body), "&")
	return u.String(), nil
}

// ParseAuthorizationResponse reads the query that the browser brings to the redirect URI (RFC 6749 section 4.1.2).
// state is what this login sent. An error of type [*Error] is the provider's refusal and ends the login. Any other
// error is an answer that cannot be the provider's: show nothing of it, go on waiting for the right one.
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
	// RFC 9207 section 2.4: compared as strings, before anything else is believed, errors too. One that was not
	// announced but is right does no harm.
	if iss, ok := values["iss"]; ok && iss[0] != md.Issuer {
		return secret.Secret{}, fmt.Errorf("answer comes from the issuer %s, not from %s", shown(iss[0]), shown(md.Issuer))
	} else if !ok && md.AuthorizationResponseIssParameterSupported {
		return secret.Secret{}, fmt.Errorf("answer names no issuer, though %s promises to", shown(md.Issuer))
	}
	refusal, text := values.Get("error"), values.Get("code")
	switch {
	case (text != "") == (refusal != ""):
		return secret.Secret{}, errors.New("answer must have either a code or an error")
	case refusal != "":
		return secret.Secret{}, (&response{}).refusal(refusal, values.Get("error_description"))
	}
	return secret.FromString(text), nil
}
