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

// Metadata are a provider's settings (Discovery section 3, RFC 8414 section 2). All endpoints are https, or http on
// loopback where the issuer is; an absent one is empty.
type Metadata struct {
	// Issuer as the provider spells it: with or without a last slash. Compare iss with it exactly.
	Issuer                      string
	AuthorizationEndpoint       string
	TokenEndpoint               string
	RegistrationEndpoint        string // RFC 7591
	DeviceAuthorizationEndpoint string // RFC 8628 section 4
	RevocationEndpoint          string // RFC 7009
	JWKSURI                     string // RFC 7517

	// The lists are empty where the provider does not say.
	ScopesSupported                   []string
	GrantTypesSupported               []string
	TokenEndpointAuthMethodsSupported []string
	CodeChallengeMethodsSupported     []string // RFC 7636

	AuthorizationResponseIssParameterSupported bool // iss comes to the redirect URI (RFC 9207 section 3)

	ConfigurationEndpoint string        // the URL that the document came from
	Lifetime              time.Duration // how long it may be believed; 0 where its server does not say
}

// Discover fetches and checks a provider's metadata: from configurationEndpoint, or where that is empty from the
// issuer's well-known places. The document must be the issuer's own, a last slash apart. Where only an endpoint is
// given, which may be a file:// URL, the document says who the issuer is: whoever names the endpoint trusts it for
// that.
func (c *Client) Discover(ctx context.Context, issuer, configurationEndpoint string) (*Metadata, error) {
	places := []string{configurationEndpoint}
	if configurationEndpoint == "" {
		u, err := parseIssuer(issuer)
		if err != nil {
			return nil, err
		}
		places = wellKnown(u)
	}
	var first error // the one to report: the places behind it are for few providers
	for _, place := range places {
		md, err := c.fetchMetadata(ctx, issuer, place)
		answer, _ := errors.AsType[*Error](err)
		if answer == nil || answer.Status != http.StatusNotFound {
			return md, err
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// parseIssuer checks an issuer identifier. RFC 8414 section 2, Discovery section 3: no query, no fragment.
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

// wellKnown lists where an issuer's metadata may be, in the order of asking.
func wellKnown(issuer *url.URL) []string {
	const openid, oauth = "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"
	host, path := issuer.Scheme+"://"+issuer.Host, strings.TrimSuffix(issuer.EscapedPath(), "/")
	places := []string{
		host + path + openid, // Discovery section 4.1: behind the path, whose last slash goes
		host + oauth + path,  // RFC 8414 section 3.1: between host and path
	}
	if path != "" {
		places = append(places, host+path+oauth) // where the C tools look, and some providers have it
	}
	return places
}

func (c *Client) fetchMetadata(ctx context.Context, issuer, place string) (md *Metadata, err error) {
	read := func(o *object, r *response) {
		md = &Metadata{ConfigurationEndpoint: place, Lifetime: lifetime(r.header)}
		md.read(o)
	}
	if file, local := strings.CutPrefix(place, "file://"); local {
		r := &response{status: http.StatusOK}
		if r.body, err = readFile(file, maxBody); err == nil {
			err = r.take(read)
		}
	} else {
		err = c.exchange(ctx, newRequest(http.MethodGet, place), read)
	}
	// Whoever wrote another issuer's document could send us to endpoints that collect secrets.
	if md != nil && md.Issuer != "" && issuer != "" && !sameIssuer(md.Issuer, issuer) {
		err = fmt.Errorf("the provider calls itself %s, not %s", shown(md.Issuer), shown(issuer))
	}
	if err == nil {
		return md, nil
	}
	if _, broken := errors.AsType[*ConnectionError](err); broken { // names the host itself
		return nil, err
	}
	return nil, fmt.Errorf("discovery at %s: %w", shown(place), err)
}

// lifetime reads max-age (RFC 9111 section 5.2.2.1), within bounds: many servers forbid caching everywhere, unthinkingly.
func lifetime(header http.Header) time.Duration {
	_, value, _ := strings.Cut(strings.ToLower(header.Get("Cache-Control")), "max-age=")
	value, _, _ = strings.Cut(value, ",")
	seconds, err := strconv.ParseUint(strings.Trim(value, `" `), 10, 31)
	if err != nil {
		return 0
	}
	return min(max(time.Duration(seconds)*time.Second, 5*time.Minute), 24*time.Hour)
}

// sameIssuer compares exactly (Discovery section 4.3, RFC 8414 section 3.3, Core section 3.1.3.7 step 2), but for one
// slash at the end: INDIGO IAM adds it to the issuer that it was given, in its metadata always, in its tokens not.
func sameIssuer(a, b string) bool { return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/") }

func (md *Metadata) read(o *object) {
	md.Issuer = o.text("issuer")
	o.required("issuer", "token_endpoint") // RFC 8414 section 2; we have no implicit grant
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
		// Loopback's exception is for a provider that runs there, not for what a provider says of our host.
		if u, _ := parseURL(*endpoint); u != nil && issuer != nil && u.Scheme == "http" && issuer.Scheme == "https" {
			o.fail("%q: %s is not https, as the issuer is", name, shown(*endpoint))
		}
	}
	md.ScopesSupported = o.texts("scopes_supported")
	md.GrantTypesSupported = o.texts("grant_types_supported")
	md.TokenEndpointAuthMethodsSupported = o.texts("token_endpoint_auth_methods_supported")
	md.CodeChallengeMethodsSupported = o.texts("code_challenge_methods_supported")
	o.get("authorization_response_iss_parameter_supported", "a boolean", &md.AuthorizationResponseIssParameterSupported)
}
