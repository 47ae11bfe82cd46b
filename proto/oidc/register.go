package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"oidc-agent/proto/secret"
)

// Grant types (RFC 7591 section 2, RFC 8628 section 3.4).
const (
	GrantAuthorizationCode = "authorization_code"
	GrantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	GrantPassword          = "password"
	GrantRefreshToken      = "refresh_token"
)

// Registration asks for a new client (RFC 7591 section 2). Empty fields are not sent, but for
// ResponseTypes, whose default would be "code".
type Registration struct {
	ClientName              string   `json:"client_name,omitempty"`
	ApplicationType         string   `json:"application_type,omitempty"` // empty: "native"
	GrantTypes              []string `json:"grant_types,omitempty"`
	ResponseTypes           []string `json:"response_types"` // nil: as GrantTypes demand
	RedirectURIs            []string `json:"redirect_uris,omitempty"`
	Scope                   string   `json:"scope,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"` // empty: as the metadata allow
	Contacts                []string `json:"contacts,omitempty"`
}

// RegistrationResponse is the client that the provider made (RFC 7591 section 3.2.1), which may differ from
// the one that was asked for: live by this one.
type RegistrationResponse struct {
	ClientID                string
	ClientSecret            secret.Secret // empty: a public client
	ClientSecretExpiresAt   int64         // Unix time in seconds; 0: never, or not told
	RegistrationAccessToken secret.Secret // RFC 7592 section 3; empty where the client cannot be managed
	RegistrationClientURI   string        // RFC 7592 section 3
	TokenEndpointAuthMethod string
	GrantTypes              []string
	Scope                   string
	HasScope                bool // the answer has a scope; else it is the one asked for
	RedirectURIs            []string
	// Raw is the provider's JSON as received. It holds the secrets: wipe it.
	Raw []byte
}

// Register makes a client (RFC 7591 section 3). The grant types are cut down to those that the provider
// supports. initialAccessToken may be empty. A refusal is an [*Error]; one with status 401 or 403
// mostly means that such a token is wanted.
func (c *Client) Register(ctx context.Context, md *Metadata, req Registration, initialAccessToken secret.Secret) (*RegistrationResponse, error) {
	if md.RegistrationEndpoint == "" {
		return nil, &NoEndpointError{Name: "registration_endpoint"}
	}
	body, err := json.Marshal(req.completed(md))
	if err != nil {
		return nil, fmt.Errorf("registration request: %w", err)
	}
	q := &request{
		method: http.MethodPost,
		url:    md.RegistrationEndpoint,
		header: http.Header{"Content-Type": {"application/json"}},
		body:   body,
	}
	q.bearer(initialAccessToken)
	r, err := c.do(ctx, q)
	if err != nil {
		return nil, err
	}
	return parseRegistration(r)
}

// completed fills in what follows from the metadata.
func (req Registration) completed(md *Metadata) Registration {
	if req.ApplicationType == "" {
		req.ApplicationType = "native" // RFC 8252 section 8.4: http redirects to loopback are for such
	}
	req.GrantTypes = md.supportedGrants(req.GrantTypes)
	if req.ResponseTypes == nil {
		req.ResponseTypes = []string{} // RFC 7591 section 2.1: the two lists must fit each other
		if slices.Contains(req.GrantTypes, GrantAuthorizationCode) {
			req.ResponseTypes = []string{"code"}
		}
	}
	if offered := md.TokenEndpointAuthMethodsSupported; req.TokenEndpointAuthMethod == "" && len(offered) > 0 {
		// The default, Basic (RFC 7591 section 2), is refused by providers that do not have it.
		for _, method := range []string{ClientSecretBasic, ClientSecretPost, AuthNone} {
			if slices.Contains(offered, method) {
				req.TokenEndpointAuthMethod = method
				break
			}
		}
	}
	return req
}

// supportedGrants keeps the grants that the provider has. One that announces none has authorization_code
// and implicit by RFC 8414 section 2, but in the field it is mostly one that did not say: all are kept then.
func (md *Metadata) supportedGrants(wanted []string) (kept []string) {
	for _, grant := range wanted {
		switch {
		case len(md.GrantTypesSupported) == 0,
			slices.Contains(md.GrantTypesSupported, grant),
			// RFC 8628 section 4: the endpoint alone announces the grant.
			grant == GrantDeviceCode && md.DeviceAuthorizationEndpoint != "":
			kept = append(kept, grant)
		}
	}
	return kept
}

// parseRegistration takes 200 as well as 201 (RFC 7591 section 3.2.1), as several providers answer.
func parseRegistration(r *response) (*RegistrationResponse, error) {
	o, err := r.object()
	if err != nil {
		return nil, err
	}
	defer o.wipe()
	o.required("client_id")
	res := &RegistrationResponse{
		ClientID:                o.text("client_id"),
		ClientSecret:            o.secret("client_secret"),
		ClientSecretExpiresAt:   o.timestamp("client_secret_expires_at"),
		RegistrationAccessToken: o.secret("registration_access_token"),
		RegistrationClientURI:   o.text("registration_client_uri"),
		TokenEndpointAuthMethod: o.text("token_endpoint_auth_method"),
		GrantTypes:              o.texts("grant_types"),
		HasScope:                o.has("scope"),
		Scope:                   o.text("scope"),
		RedirectURIs:            o.texts("redirect_uris"),
		Raw:                     r.body,
	}
	if o.err != nil {
		r.wipe()
		return nil, r.unexpected(o.err.Error())
	}
	return res, nil
}

// DeleteRegistration removes a client at its registration_client_uri (RFC 7592 section 2.3). The token is
// its registration access token.
func (c *Client) DeleteRegistration(ctx context.Context, uri string, token secret.Secret) error {
	q := &request{method: http.MethodDelete, url: uri, header: http.Header{}}
	q.bearer(token)
	r, err := c.do(ctx, q)
	if err != nil {
		return err
	}
	return r.check()
}

// bearer authorizes a request with a token (RFC 6750 section 2.1). An empty one changes nothing.
func (q *request) bearer(token secret.Secret) {
	if !token.IsEmpty() {
		q.header.Set("Authorization", "Bearer "+string(token.Reveal()))
		q.secrets = append(q.secrets, token)
	}
}
