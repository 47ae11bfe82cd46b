package oidc

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"oidc-agent/proto/secret"
)

// Provider is a provider and the OAuth client that is registered with it.
type Provider struct {
	*Client
	*Metadata
	// Register and VerifySignature do not need the remaining fields.
	ClientID     string
	ClientSecret secret.Secret // empty for a client that does not authenticate (RFC 6749 section 2.1, public)
	AuthMethod   string        // token_endpoint_auth_method of the registration; if empty, the metadata decides
	// Public means that the client is shared by many users, so that its secret, if it has one, is not secret.
	// Providers that give it one (Google) expect it in the body.
	Public         bool
	LegacyAudience bool // send the audience in one parameter, as before RFC 8707
	// Extend, if not nil, adds the extension parameters (RFC 6749 section 8.2) that the site or the user has
	// configured for a kind of request. The kinds have the names that the C tools use: "refresh", "auth_url",
	// "code-exchange", "device-init", "device-polling", "revocation" and "password".
	Extend func(kind string, add func(name, value string))
}

// The supported client authentication methods (RFC 7591 section 2, Core section 9).
const (
	secretBasic = "client_secret_basic"
	secretPost  = "client_secret_post"
	authNone    = "none"
)

// preferred returns the best of the offered methods, or an empty string. RFC 6749 section 2.3.1: servers must support
// Basic, and the secret in the body is not recommended.
func preferred(offered []string) string {
	for _, method := range []string{secretBasic, secretPost, authNone} {
		if slices.Contains(offered, method) {
			return method
		}
	}
	return ""
}

// authMethod chooses one method, because RFC 6749 section 2.3 forbids more than one in a request.
func (p *Provider) authMethod() (string, error) {
	offered := p.TokenEndpointAuthMethodsSupported
	switch {
	case p.ClientSecret.IsEmpty():
		return authNone, nil
	case p.AuthMethod != "":
		offered = []string{p.AuthMethod}
	case p.Public:
		return secretPost, nil
	case len(offered) == 0:
		return secretBasic, nil // RFC 8414 section 2: the default
	}
	if method := preferred(offered); method != "" {
		return method, nil
	}
	return "", fmt.Errorf("client authentication with %s is not supported", shown(fmt.Sprint(offered)))
}

// post sends the form with the client's authentication and the extension parameters, wipes it, and passes the
// response to read. name is the endpoint's name in the metadata.
func (p *Provider) post(ctx context.Context, kind, name, endpoint string, f *form, read reader) error {
	defer func() { clear(f.body) }() // as it is then, not now
	if endpoint == "" {
		return NoEndpointError(name)
	}
	method, err := p.authMethod()
	if err != nil {
		return err
	}
	if p.Extend != nil {
		p.Extend(kind, f.add)
	}
	q := newRequest(http.MethodPost, endpoint)
	q.header.Set("Content-Type", "application/x-www-form-urlencoded")
	if method == secretBasic {
		q.header.Set("Authorization", p.basic())
		f.secrets = append(f.secrets, p.ClientSecret)
	}
	if method != secretBasic || kind == "device-init" {
		// RFC 6749 section 3.2.1: only public clients need it, but INDIGO IAM requires it for the device flow.
		f.add("client_id", p.ClientID)
	}
	if method == secretPost {
		f.addSecret("client_secret", p.ClientSecret)
	}
	q.body, q.secrets = f.body, f.secrets
	return p.exchange(ctx, q, read)
}

// basic returns the Authorization header. RFC 6749 section 2.3.1: id and secret are form-encoded first.
func (p *Provider) basic() string {
	pair := append(appendEscaped(nil, []byte(p.ClientID)), ':')
	pair = appendEscaped(pair, p.ClientSecret.Reveal())
	defer clear(pair)
	header := base64.StdEncoding.AppendEncode([]byte("Basic "), pair)
	defer clear(header)
	return string(header)
}

// form is an application/x-www-form-urlencoded body. Unlike url.Values it leaves no copies of secrets in memory.
type form struct {
	body    []byte
	secrets []secret.Secret
}

// addBytes appends name=value (RFC 6749 appendix B), unless value is empty (sections 3.1 and 3.2: the same as omitted).
func (f *form) addBytes(name string, value []byte) {
	if len(value) == 0 {
		return
	}
	f.body = secret.Grow(f.body, 2+3*len(name)+3*len(value))
	if len(f.body) > 0 {
		f.body = append(f.body, '&')
	}
	f.body = append(appendEscaped(f.body, []byte(name)), '=')
	f.body = appendEscaped(f.body, value)
}

func (f *form) add(name, value string) { f.addBytes(name, []byte(value)) }

func (f *form) addSecret(name string, value secret.Secret) {
	f.addBytes(name, value.Reveal())
	f.secrets = append(f.secrets, value)
}

// addScope separates scopes by single blanks (RFC 6749 section 3.3), because some providers reject anything else.
func (f *form) addScope(scope string) { f.add("scope", strings.Join(strings.Fields(scope), " ")) }

// appendEscaped appends value in form encoding (RFC 6749 appendix B).
func appendEscaped(dst, value []byte) []byte {
	const digits = "0123456789ABCDEF"
	dst = secret.Grow(dst, 3*len(value))
	for _, c := range value {
		switch {
		case c == ' ':
			dst = append(dst, '+')
		case strings.IndexByte(unreserved, c) >= 0:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', digits[c>>4], digits[c&15])
		}
	}
	return dst
}
