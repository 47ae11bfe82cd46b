package oidc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Metadata describes a provider (Discovery section 3, RFC 8414 section 2). All endpoints are https, or http on
// loopback if the issuer is, too. An endpoint that the provider does not have is empty.
type Metadata struct {
	Issuer                      string // as the provider spells it, with or without a final slash
	AuthorizationEndpoint       string
	TokenEndpoint               string
	RegistrationEndpoint        string // RFC 7591
	DeviceAuthorizationEndpoint string // RFC 8628 section 4
	RevocationEndpoint          string // RFC 7009
	JWKSURI                     string // RFC 7517

	// A list is empty if the provider does not say.
	ScopesSupported                   []string
	GrantTypesSupported               []string
	TokenEndpointAuthMethodsSupported []string
	CodeChallengeMethodsSupported     []string // RFC 7636

	AuthorizationResponseIssParameterSupported bool // RFC 9207 section 3

	ConfigurationEndpoint string        // the URL of the document
	Lifetime              time.Duration // how long to use the document; 0 if the server does not say
}

// Discover fetches and checks a provider's metadata, from configurationEndpoint, which may be a file:// URL, or if that
// is empty from the issuer's well-known locations. The document must name the issuer, except for a final slash. If
// issuer is empty the document decides who it is: a user who chooses the endpoint trusts it for that.
func (c *Client) Discover(ctx context.Context, issuer, configurationEndpoint string) (*Metadata, error) {
	locations := []string{configurationEndpoint}
	if configurationEndpoint == "" {
		u, err := parseIssuer(issuer)
		if err != nil {
			return nil, err
		}
		locations = wellKnown(u)
	}
	var first error // the one to report, because few providers use the other locations
	for _, location := range locations {
		md, err := c.fetchMetadata(ctx, issuer, location)
		refusal, _ := errors.AsType[*Error](err)
		if refusal == nil || refusal.Status != http.StatusNotFound {
			return md, err
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// parseIssuer parses an issuer URL, which has no query and no fragment (RFC 8414 section 2, Discovery section 3).
func parseIssuer(issuer string) (*url.URL, error) {
	u, err := parseURL(issuer)
	if err != nil {
		return nil, fmt.Errorf("issuer URL: %w", err)
	}
	if u.RawQuery != "" || u.ForceQuery {
		return nil, fmt.Errorf("issuer URL: %s has a query", shown(issuer))
	}
	return u, nil
}

// wellKnown returns the URLs at which to look for an issuer's metadata, in this order.
func wellKnown(issuer *url.URL) []string {
	const openid, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	host, path := issuer.Scheme+"://"+issuer.Host, strings.TrimSuffix(issuer.EscapedPath(), "/")
	locations := []string{
		host + path + openid, // Discovery section 4.1: after the path without its final slash
		host + oauth + path,  // RFC 8414 section 3.1: between host and path
	}
	if path != "" {
		locations = append(locations, host+path+oauth) // not by the RFC, but some providers and the C tools use it
	}
	return locations
}

func (c *Client) fetchMetadata(ctx context.Context, issuer, location string) (md *Metadata, err error) {
	read := func(o *object, r *response) {
		md = &Metadata{ConfigurationEndpoint: location, Lifetime: lifetime(r.header)}
		md.read(o)
	}
	if file, local := strings.CutPrefix(location, "file://"); local {
		r := &response{status: http.StatusOK}
		if r.body, err = readFile(file, maxBody); err == nil {
			err = r.take(read)
		}
	} else {
		err = c.exchange(ctx, newRequest(http.MethodGet, location), read)
	}
	// A document with another issuer's name could lead us to endpoints that steal secrets.
	if md != nil && md.Issuer != "" && issuer != "" && !sameIssuer(md.Issuer, issuer) {
		err = fmt.Errorf("the provider calls itself %s, not %s", shown(md.Issuer), shown(issuer))
	}
	if err == nil {
		return md, nil
	}
	if _, broken := errors.AsType[*ConnectionError](err); broken { // it names the host already
		return nil, err
	}
	return nil, fmt.Errorf("discovery at %s: %w", shown(location), err)
}

// lifetime returns max-age (RFC 9111 section 5.2.2.1) within limits, because many servers forbid caching everywhere.
func lifetime(header http.Header) time.Duration {
	_, value, _ := strings.Cut(strings.ToLower(header.Get("Cache-Control")), "max-age=")
	value, _, _ = strings.Cut(value, ",")
	seconds, err := strconv.ParseUint(strings.Trim(value, `" `), 10, 31)
	if err != nil {
		return 0
	}
	return min(max(time.Duration(seconds)*time.Second, 5*time.Minute), 24*time.Hour)
}

// sameIssuer compares exactly (Discovery section 4.3, RFC 8414 section 3.3, Core section 3.1.3.7 step 2), except for
// one final slash: INDIGO IAM always adds it to the configured issuer in its metadata, but not in its tokens.
func sameIssuer(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

func (md *Metadata) read(o *object) {
	md.Issuer = o.text("issuer")
	o.required("issuer", "token_endpoint") // RFC 8414 section 2: only the implicit grant has no token endpoint
	issuer, err := parseIssuer(md.Issuer)
	if err != nil {
		o.fail("%w", err)
	}
	for name, endpoint := range map[string]*string{
		"authorization_endpoint":        &md.AuthorizationEndpoint,
		"token_endpoint":                &md.TokenEndpoint,
		"registration_endpoint":         &md.RegistrationEndpoint,
		"device_authorization_endpoint": &md.DeviceAuthorizationEndpoint,
		"revocation_endpoint":           &md.RevocationEndpoint,
		"jwks_uri":                      &md.JWKSURI,
	} {
		*endpoint = o.url(name)
		// http on loopback is for a provider that runs on this host. A remote one must not send us to a local port.
		if u, _ := parseURL(*endpoint); u != nil && issuer != nil && u.Scheme == "http" && issuer.Scheme == "https" {
			o.fail("%q: %s is not https, but the issuer is", name, shown(*endpoint))
		}
	}
	md.ScopesSupported = o.texts("scopes_supported")
	md.GrantTypesSupported = o.texts("grant_types_supported")
	md.TokenEndpointAuthMethodsSupported = o.texts("token_endpoint_auth_methods_supported")
	md.CodeChallengeMethodsSupported = o.texts("code_challenge_methods_supported")
	o.get("authorization_response_iss_parameter_supported", "a boolean", &md.AuthorizationResponseIssParameterSupported)
}
