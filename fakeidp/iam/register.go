package iam

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

const registrationPath = "/iam/api/client-registration"

// registration is the response to a registration (RFC 7591 section 3.2.1, RFC 7592 section 3).
type registration struct {
	Client
	RegistrationAccessToken string `json:"registration_access_token,omitempty"`
	RegistrationClientURI   string `json:"registration_client_uri,omitempty"`
	ClientIDIssuedAt        int64  `json:"client_id_issued_at"`
	CreatedAt               int64  `json:"created_at"`                         // milliseconds, as IAM's
	ClientSecretExpiresAt   *int64 `json:"client_secret_expires_at,omitempty"` // 0: never; only with a secret
	DynamicallyRegistered   bool   `json:"dynamically_registered"`
	Active                  bool   `json:"active"`
}

// badMetadata refuses a registration as IAM does: error has a text, not a code.
func badMetadata(text string) error { return badRequest(text, "") }

// register is POST /iam/api/client-registration, open to everyone (RFC 7591 section 3).
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	c, err := decodeClient(r)
	if err != nil {
		return err
	}
	if c.ClientID != "" || c.ClientSecret != "" {
		return badMetadata("client_id and client_secret must not be present in a registration request")
	}
	odd := s.settings.Conformance
	if odd && cmp.Or(c.TokenEndpointAuthMethod, authBasic) != authBasic {
		return badMetadata("token_endpoint_auth_method: only client_secret_basic is supported")
	}
	c.ClientID = s.odd(newUUID())
	if odd {
		c.ClientSecret, c.CodeChallengeMethod = s.odd(newClientSecret()), "S256"
	}
	kept, forbidden := &client{createdAt: s.now()}, userForbidden
	if value, ok := bearer(r); ok { // the client belongs to this user, who manages it on the dashboard
		t, err := s.goodToken(value)
		if err != nil {
			return err
		}
		kept.owner = t.grant.user
	}
	if kept.owner == nil {
		forbidden = anonymousForbidden
	}
	if err := s.checkMetadata(&c, forbidden); err != nil {
		return err
	}
	if kept.owner == nil && !odd {
		kept.registrationToken = s.newRegistrationToken(c.ClientID)
	}
	kept.Client = c
	s.clients[c.ClientID] = kept
	return writeJSON(w, http.StatusCreated, s.registration(kept))
}

func decodeClient(r *http.Request) (Client, error) {
	var c Client
	if mediaType(r) != "application/json" { // RFC 7591 section 3.1
		return c, &protocolError{Status: http.StatusUnsupportedMediaType}
	}
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return c, badMetadata("The request is not a client in JSON: " + err.Error())
	}
	// Only an administrator can set these.
	c.Active, c.AllowIntrospection = nil, nil
	c.AccessTokenValiditySeconds, c.RefreshTokenValiditySeconds, c.DeviceCodeValiditySeconds = 0, 0, 0
	return c, nil
}

// The grant types that IAM does not allow users, and anonymous callers, to register.
var (
	userForbidden      = []string{grantPassword, grantTokenExchange}
	anonymousForbidden = append(userForbidden, grantClientCredentials)
)

// checkMetadata applies IAM's limits and drops scopes that the server does not offer.
func (s *Server) checkMetadata(c *Client, forbidden []string) error {
	needsRedirect := slices.Contains(c.GrantTypes, grantAuthorizationCode) || slices.Contains(c.GrantTypes, grantImplicit)
	switch n := utf8.RuneCountInString(c.ClientName); {
	case n < 4 || n > 256:
		return badMetadata("client_name: size must be between 4 and 256")
	case len(c.GrantTypes) == 0:
		return badMetadata("grant_types: must not be empty")
	case len(c.Scope) > 512:
		return badMetadata("scope: size must be at most 512")
	case needsRedirect && len(c.RedirectURIs) == 0:
		return badMetadata("Authorization code and implicit grants require at least one valid redirect URI")
	case slices.ContainsFunc(c.Contacts, func(m string) bool { return !strings.Contains(m, "@") }):
		return badMetadata("contacts: must be e-mail addresses")
	}
	for _, g := range forbidden {
		if slices.Contains(c.GrantTypes, g) {
			return badMetadata("Grant type not allowed: " + g)
		}
	}
	if err := c.complete(); err != nil {
		return badMetadata(err.Error())
	}
	words := slices.DeleteFunc(strings.Fields(c.Scope), func(w string) bool {
		return !scopeToken.MatchString(w) || firstOutside(s.cfg.Scopes, []string{w}) != ""
	})
	if len(words) == 0 {
		words = s.cfg.DefaultScopes
	}
	c.Scope = strings.Join(words, " ")
	if len(c.ResponseTypes) == 0 && slices.Contains(c.GrantTypes, grantAuthorizationCode) {
		c.ResponseTypes = []string{"code"}
	}
	return nil
}

// newRegistrationToken returns a token to manage a client: a JWT, as at IAM.
func (s *Server) newRegistrationToken(clientID string) string {
	return s.sign(map[string]any{
		"iss": s.cfg.Issuer, "sub": clientID, "aud": s.cfg.Issuer, "iat": s.now().Unix(), "jti": newUUID(),
		"scope": "registration-token",
	})
}

func (s *Server) registration(c *client) registration {
	answer := registration{
		Client:                c.Client,
		ClientIDIssuedAt:      c.createdAt.Unix(),
		CreatedAt:             c.createdAt.UnixMilli(),
		DynamicallyRegistered: true,
		Active:                isTrue(c.Active),
	}
	if c.ClientSecret != "" {
		answer.ClientSecretExpiresAt = new(int64) // RFC 7591 section 3.2.1: required with a secret
	}
	if c.registrationToken != "" {
		answer.RegistrationAccessToken = c.registrationToken
		answer.RegistrationClientURI = s.cfg.Issuer + registrationPath[1:] + "/" + c.ClientID
	}
	return answer
}

// managed makes an endpoint of h, which needs the client that a management request is about. It checks the
// registration token (RFC 7592 section 2).
func (s *Server) managed(h func(w http.ResponseWriter, r *http.Request, c *client) error) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		id := r.PathValue("id")
		c := s.clients[id]
		switch token, ok := bearer(r); {
		case !ok:
			return unauthorized("invalid_token", notKnown)
		case c == nil:
			return refuse(http.StatusNotFound, "Client not found: "+id, "")
		case c.registrationToken == "" || !sameText(token, c.registrationToken):
			return badMetadata("Invalid registration access token")
		case !isTrue(c.Active):
			return refuse(http.StatusForbidden, "Client is suspended: "+id, "")
		}
		return h(w, r, c)
	}
}

// readClient is GET at the registration_client_uri (RFC 7592 section 2.1).
func (s *Server) readClient(w http.ResponseWriter, r *http.Request, c *client) error {
	if s.settings.RotateRegistrationTokens {
		c.registrationToken = s.newRegistrationToken(c.ClientID)
	}
	return writeJSON(w, http.StatusOK, s.registration(c))
}

// updateClient is PUT (RFC 7592 section 2.2): it replaces all metadata. The ID must be the client's; the secret too, if
// present.
func (s *Server) updateClient(w http.ResponseWriter, r *http.Request, c *client) error {
	update, err := decodeClient(r)
	switch {
	case err != nil:
		return err
	case update.ClientID != c.ClientID:
		return badMetadata("client_id must be that of the client")
	case update.ClientSecret != "" && !sameText(update.ClientSecret, c.ClientSecret):
		return badMetadata("client_secret cannot be changed")
	}
	update.ClientSecret = c.ClientSecret
	if err := s.checkMetadata(&update, anonymousForbidden); err != nil {
		return err
	}
	c.Client = update
	return s.readClient(w, r, c)
}

// deleteClient is DELETE (RFC 7592 section 2.3): it removes the client and revokes its tokens.
func (s *Server) deleteClient(w http.ResponseWriter, r *http.Request, c *client) error {
	s.forgetClient(c.ClientID)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
