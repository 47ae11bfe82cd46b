package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Metadata are a provider's settings (Discovery section 3, RFC 8414 section 2). All endpoints are https, or
// http on loopback where the issuer is; an absent one is empty.
type Metadata struct {
	// Issuer as the provider spells it: with or without a last slash. Compare iss with it exactly.
	Issuer                      string
	AuthorizationEndpoint       string
	TokenEndpoint               string
	RegistrationEndpoint        string // RFC 7591
	DeviceAuthorizationEndpoint string // RFC 8628 section 4
	RevocationEndpoint          string // RFC 7009
	UserinfoEndpoint            string // Core section 5.3
	IntrospectionEndpoint       string // RFC 7662
	JWKSURI                     string // RFC 7517

	// The lists are empty where the provider does not say.
	ScopesSupported                   []string
	GrantTypesSupported               []string
	ResponseTypesSupported            []string
	TokenEndpointAuthMethodsSupported []string
	CodeChallengeMethodsSupported     []string // RFC 7636
	IDTokenSigningAlgValuesSupported  []string

	// AuthorizationResponseIssParameterSupported promises iss at the redirect URI (RFC 9207 section 3).
	AuthorizationResponseIssParameterSupported bool

	// ConfigurationEndpoint is the URL that the document came from.
	ConfigurationEndpoint string
	// Lifetime is how long the document may be believed; 0 where its server does not say.
	Lifetime time.Duration
}

// Discover fetches and checks a provider's metadata: from configurationEndpoint, or where that is empty
// from the issuer's well-known places. The document must be the issuer's own, a last slash apart, else the
// error is an [*IssuerMismatchError]. Where only an endpoint is given, which may be a file:// URL, the document
// says who the issuer is: whoever names the endpoint trusts it for that.
func (c *Client) Discover(ctx context.Context, issuer, configurationEndpoint string) (*Metadata, error) {
	places := []string{configurationEndpoint}
	if configurationEndpoint == "" {
		u, err := parseIssuer(issuer)
		if err != nil {
			return nil, err
		}
		places = wellKnown(u)
	}
	var failed error
	for _, place := range places {
		md, err := c.fetchMetadata(ctx, issuer, place)
		if err == nil {
			return md, nil
		}
		// The first 404 is the one to report: the places behind it are for few providers.
		if !isNotFound(err) || failed == nil {
			failed = err
		}
		if !isNotFound(err) {
			break
		}
	}
	return nil, failed
}

// parseIssuer checks an issuer identifier. RFC 8414 section 2, Discovery section 3: no query, no fragment.
func parseIssuer(issuer string) (*url.URL, error) {
	if issuer == "" {
		return nil, errors.New("no issuer URL given")
	}
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
	base := *issuer
	base.Path, base.RawPath = "", ""
	host, path := base.String(), strings.TrimSuffix(issuer.EscapedPath(), "/")
	places := []string{
		host + path + openid, // Discovery section 4.1: behind the path, whose last slash goes
		host + oauth + path,  // RFC 8414 section 3.1: between host and path
	}
	if path != "" {
		places = append(places, host+path+oauth) // where the C tools look, and some providers have it
	}
	return places
}

func isNotFound(err error) bool {
	var e *HTTPError
	var o *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound || errors.As(err, &o) && o.Status == http.StatusNotFound
}

func (c *Client) fetchMetadata(ctx context.Context, issuer, place string) (*Metadata, error) {
	var r *response
	var err error
	if file, local := strings.CutPrefix(place, "file://"); local {
		r, err = readLocal(file)
	} else {
		r, err = c.do(ctx, &request{method: http.MethodGet, url: place})
	}
	if err == nil {
		var o *object
		if o, err = r.object(); err == nil {
			md := parseMetadata(o, issuer)
			if o.err == nil {
				md.ConfigurationEndpoint, md.Lifetime = place, lifetime(r.header)
				return md, nil
			}
			err = o.err
		}
	}
	var unreachable *ConnectionError // names the host itself
	if errors.As(err, &unreachable) {
		return nil, err
	}
	return nil, fmt.Errorf("discovery at %s: %w", shown(place), err)
}

const (
	// minLifetime is for the many servers that forbid caching everywhere without a thought.
	minLifetime = 5 * time.Minute
	maxLifetime = 24 * time.Hour
)

// lifetime reads max-age (RFC 9111 section 5.2.2.1), within bounds.
func lifetime(header http.Header) time.Duration {
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if strings.EqualFold(name, "max-age") && err == nil {
			return min(max(time.Duration(seconds)*time.Second, minLifetime), maxLifetime)
		}
	}
	return 0
}

// readLocal reads metadata that the user keeps in a file.
func readLocal(path string) (*response, error) {
	body, err := readFile(path, maxBody)
	if err != nil {
		return nil, err
	}
	return &response{status: http.StatusOK, body: body}, nil
}

// parseMetadata reads the document; what is wrong with it stands in o.err.
func parseMetadata(o *object, issuer string) *Metadata {
	md := &Metadata{Issuer: o.text("issuer")}
	o.required("issuer")
	if o.err == nil {
		// Discovery section 4.3, RFC 8414 section 3.3. INDIGO IAM adds a slash to the issuer it was given.
		if issuer != "" && strings.TrimSuffix(md.Issuer, "/") != strings.TrimSuffix(issuer, "/") {
			o.err = &IssuerMismatchError{Expected: issuer, Found: md.Issuer}
			return md
		}
		_, o.err = parseIssuer(md.Issuer)
	}
	o.required("token_endpoint") // RFC 8414 section 2; we have no implicit grant
	md.readEndpoints(o)
	md.ScopesSupported = o.texts("scopes_supported")
	md.GrantTypesSupported = o.texts("grant_types_supported")
	md.ResponseTypesSupported = o.texts("response_types_supported")
	md.TokenEndpointAuthMethodsSupported = o.texts("token_endpoint_auth_methods_supported")
	md.CodeChallengeMethodsSupported = o.texts("code_challenge_methods_supported")
	md.IDTokenSigningAlgValuesSupported = o.texts("id_token_signing_alg_values_supported")
	md.AuthorizationResponseIssParameterSupported = o.flag("authorization_response_iss_parameter_supported")
	return md
}

func (md *Metadata) readEndpoints(o *object) {
	for _, endpoint := range []struct {
		name string
		url  *string
	}{
		{"authorization_endpoint", &md.AuthorizationEndpoint},
		{"token_endpoint", &md.TokenEndpoint},
		{"registration_endpoint", &md.RegistrationEndpoint},
		{"device_authorization_endpoint", &md.DeviceAuthorizationEndpoint},
		{"revocation_endpoint", &md.RevocationEndpoint},
		{"userinfo_endpoint", &md.UserinfoEndpoint},
		{"introspection_endpoint", &md.IntrospectionEndpoint},
		{"jwks_uri", &md.JWKSURI},
	} {
		*endpoint.url = o.text(endpoint.name)
		if *endpoint.url == "" || o.err != nil {
			continue
		}
		u, err := parseURL(*endpoint.url)
		switch {
		case err != nil:
			o.fail("%q: %w", endpoint.name, err)
		case u.Scheme != "https" && strings.HasPrefix(md.Issuer, "https:"):
			// Loopback's exception is for a provider that runs there, not for what a provider says of our host.
			o.fail("%q: %s is not https, as the issuer is", endpoint.name, shown(*endpoint.url))
		}
	}
}

// isIAM recognises an INDIGO IAM, which knows no resource parameter, by its registration endpoint.
func (md *Metadata) isIAM() bool {
	u, err := url.Parse(md.RegistrationEndpoint)
	return err == nil && strings.Contains(u.Path, "/iam/api/")
}
