package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"oidc-agent/proto/secret"
)

// Registration is the metadata of a new client, a native application (RFC 7591 section 2).
type Registration struct {
	ClientName   string   `json:"client_name,omitempty"`
	GrantTypes   []string `json:"grant_types,omitempty"`
	RedirectURIs []string `json:"redirect_uris,omitempty"`
	Scope        string   `json:"scope,omitempty"`
	// Register sets the remaining fields.
	ApplicationType         string   `json:"application_type"`
	ResponseTypes           []string `json:"response_types"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
}

// Register registers a client (RFC 7591 section 3), with those of the grant types that the provider supports. It
// returns the provider's JSON (section 3.2.1), which may differ from what was asked for and takes precedence. It has
// the client's secrets, so the caller wipes it. initialAccessToken may be empty; a refusal with status 401 or 403
// usually means that the provider requires one.
func (p *Provider) Register(ctx context.Context, asked Registration, initialAccessToken secret.Secret) ([]byte, error) {
	if p.RegistrationEndpoint == "" {
		return nil, NoEndpointError("registration_endpoint")
	}
	asked.GrantTypes = slices.DeleteFunc(slices.Clone(asked.GrantTypes), p.lacks)
	asked.ApplicationType = "native" // RFC 8252 section 8.4: may have http redirects to loopback
	asked.ResponseTypes = []string{} // RFC 7591 section 2.1: must match the grant types; the default is "code"
	if slices.Contains(asked.GrantTypes, GrantAuthorizationCode) {
		asked.ResponseTypes = []string{"code"}
	}
	// RFC 7591 section 2: the default is Basic, which providers that do not support it reject.
	asked.TokenEndpointAuthMethod = preferred(p.TokenEndpointAuthMethodsSupported)
	q := newRequest(http.MethodPost, p.RegistrationEndpoint)
	q.header.Set("Content-Type", "application/json")
	q.body, _ = json.Marshal(asked) // cannot fail
	q.bearer(initialAccessToken)
	var client []byte
	// Some providers return status 200 instead of 201 (RFC 7591 section 3.2.1).
	err := p.exchange(ctx, q, func(o *object, r *response) {
		o.required("client_id")
		for _, name := range []string{"client_id", "client_secret", "registration_access_token", "registration_client_uri"} {
			o.secret(name).Wipe() // checks the type
		}
		if o.err == nil {
			client = bytes.Clone(r.body)
		}
	})
	return client, err
}

// lacks reports whether the provider does not support a grant type. One that lists none supports authorization_code
// and implicit by RFC 8414 section 2, but in practice it usually has others, too. RFC 8628 section 4: the device
// grant may be announced by its endpoint alone.
func (md *Metadata) lacks(grant string) bool {
	return len(md.GrantTypesSupported) > 0 && !slices.Contains(md.GrantTypesSupported, grant) &&
		(grant != GrantDeviceCode || md.DeviceAuthorizationEndpoint == "")
}

// DeleteRegistration deletes a client (RFC 7592 section 2.3). uri and token are its registration_client_uri and its
// registration access token.
func (c *Client) DeleteRegistration(ctx context.Context, uri string, token secret.Secret) error {
	q := newRequest(http.MethodDelete, uri)
	q.bearer(token)
	return c.exchange(ctx, q, nil)
}
