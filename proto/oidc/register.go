package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"oidc-agent/proto/secret"
)

// Registration asks for a new client (RFC 7591 section 2), a native application. Empty fields are not sent.
type Registration struct {
	ClientName   string   `json:"client_name,omitempty"`
	GrantTypes   []string `json:"grant_types,omitempty"`
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	Scope        string   `json:"scope,omitempty"`
	// What follows is set by Register.
	ApplicationType         string   `json:"application_type"`
	ResponseTypes           []string `json:"response_types"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
}

// Register makes a client (RFC 7591 section 3) and returns the provider's JSON (section 3.2.1), which may differ from
// what was asked for: live by this one, and wipe it, for it holds the client's secrets. The grant types are cut down to
// those that the provider supports. initialAccessToken may be empty; a refusal with status 401 or 403 mostly means that
// such a token is wanted.
func (p *Provider) Register(ctx context.Context, asked Registration, initialAccessToken secret.Secret) ([]byte, error) {
	if p.RegistrationEndpoint == "" {
		return nil, NoEndpointError("registration_endpoint")
	}
	asked.GrantTypes = slices.DeleteFunc(slices.Clone(asked.GrantTypes), p.lacks)
	asked.ApplicationType = "native" // RFC 8252 section 8.4: http redirects to loopback are for such
	asked.ResponseTypes = []string{} // RFC 7591 section 2.1: they must fit the grant types; the default would be "code"
	if slices.Contains(asked.GrantTypes, GrantAuthorizationCode) {
		asked.ResponseTypes = []string{"code"}
	}
	// The default, Basic (RFC 7591 section 2), is refused by providers that do not have it.
	asked.TokenEndpointAuthMethod = preferred(p.TokenEndpointAuthMethodsSupported)
	q := newRequest(http.MethodPost, p.RegistrationEndpoint)
	q.header.Set("Content-Type", "application/json")
	q.body, _ = json.Marshal(asked) // strings do not fail
	q.bearer(initialAccessToken)
	var client []byte
	// Several providers answer 200 instead of 201 (RFC 7591 section 3.2.1).
	err := p.exchange(ctx, q, func(o *object, r *response) {
		o.required("client_id")
		for _, name := range []string{"client_id", "client_secret", "registration_access_token", "registration_client_uri"} {
			o.secret(name).Wipe() // for its type
		}
		if o.err == nil {
			client = bytes.Clone(r.body)
		}
	})
	return client, err
}

// lacks reports whether the provider does not have a grant. One that announces none has authorization_code and implicit
// by RFC 8414 section 2, but in the field it is mostly one that did not say. RFC 8628 section 4: the endpoint alone
// announces the device grant.
func (md *Metadata) lacks(grant string) bool {
	return len(md.GrantTypesSupported) > 0 && !slices.Contains(md.GrantTypesSupported, grant) &&
		(grant != GrantDeviceCode || md.DeviceAuthorizationEndpoint == "")
}

// DeleteRegistration removes a client at its registration_client_uri (RFC 7592 section 2.3). The token is its
// registration access token.
func (c *Client) DeleteRegistration(ctx context.Context, uri string, token secret.Secret) error {
	q := newRequest(http.MethodDelete, uri)
	q.bearer(token)
	return c.exchange(ctx, q, nil)
}
