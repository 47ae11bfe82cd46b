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

// Provider is a provider as one client sees it: what all requests need.
type Provider struct {
	*Client
	*Metadata
	// Register and VerifySignature need nothing of what follows.
	ClientID     string
	ClientSecret secret.Secret // empty: the client does not authenticate (RFC 6749 section 2.1, public)
	AuthMethod   string        // the token_endpoint_auth_method of the registration; empty: the metadata decide
	// Public clients are shared by many users and only name themselves. Some providers (Google) give them a secret that
	// is none and want it in the body.
	Public         bool
	LegacyAudience bool // send the audience in one parameter, as it was done before RFC 8707
	// Extend adds the extension parameters (RFC 6749 section 8.2) that a site or a user wants in a kind of request:
	// "refresh", "auth_url", "code-exchange", "device-init", "device-polling", "revocation" or "password", as the C
	// tools call them. nil: there are none.
	Extend func(kind string, add func(name, value string))
}

// Client authentication methods that we have (RFC 7591 section 2, Core section 9).
const (
	secretBasic = "client_secret_basic"
	secretPost  = "client_secret_post"
	authNone    = "none"
)

// preferred is the best of the methods that are offered, or empty. RFC 6749 section 2.3.1: every server knows Basic,
// the body is for those that cannot have it.
func preferred(offered []string) string {
	for _, method := range []string{secretBasic, secretPost, authNone} {
		if slices.Contains(offered, method) {
			return method
		}
	}
	return ""
}

// authMethod chooses one method, for RFC 6749 section 2.3 forbids more than one in a request.
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
	return "", fmt.Errorf("client authentication by %s is not supported", shown(fmt.Sprint(offered)))
}

// post sends the form with the client's authentication and the extension parameters, wipes it, and has read take the
// answer. The endpoint stands in the metadata under name.
func (p *Provider) post(ctx context.Context, kind, name, endpoint string, f *form, read reader) error {
	defer func() { clear(f.body) }() // where it is by then
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
		// RFC 6749 section 3.2.1: only those who do not authenticate need it, but IAM wants it for devices from all.
		f.add("client_id", p.ClientID)
	}
	if method == secretPost {
		f.addSecret("client_secret", p.ClientSecret)
	}
	q.body, q.secrets = f.body, f.secrets
	return p.exchange(ctx, q, read)
}

// basic returns the Authorization header. RFC 6749 section 2.3.1: both parts are form-encoded first, so that a colon, a
// blank or a percent sign in them arrives as it is.
func (p *Provider) basic() string {
	pair := append(appendEscaped(nil, []byte(p.ClientID)), ':')
	pair = appendEscaped(pair, p.ClientSecret.Reveal())
	defer clear(pair)
	header := base64.StdEncoding.AppendEncode([]byte("Basic "), pair)
	defer clear(header)
	return string(header)
}

// form is an application/x-www-form-urlencoded body that leaves no copy of its secrets behind, as url.Values would.
type form struct {
	body    []byte
	secrets []secret.Secret
}

// addBytes appends name=value (RFC 6749 appendix B). An empty value is left out: RFC 6749 sections 3.1 and 3.2 take it
// for omitted.
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

// addScope joins the words by single blanks (RFC 6749 section 3.3): some providers refuse any other.
func (f *form) addScope(scope string) { f.add("scope", strings.Join(strings.Fields(scope), " ")) }

// appendEscaped encodes as HTML forms do: UTF-8, a blank as +, unreserved characters as they are, the rest as %XX (RFC
// 6749 appendix B).
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
