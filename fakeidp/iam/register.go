package iam

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

const registrationPath = "/iam/api/client-registration"

// registration is what the client gets back (RFC 7591 section 3.2.1, RFC 7592 section 3).
type registration struct {
	Client
	RegistrationAccessToken string `json:"registration_access_token,omitempty"`
	RegistrationClientURI   string `json:"registration_client_uri,omitempty"`
	ClientIDIssuedAt        int64  `json:"client_id_issued_at"`
	CreatedAt               int64  `json:"created_at"`                         // milliseconds, as IAM's
	ClientSecretExpiresAt   *int64 `json:"client_secret_expires_at,omitempty"` // 0: never; with a secret only
	DynamicallyRegistered   bool   `json:"dynamically_registered"`
	Active                  bool   `json:"active"`
}

// badMetadata is IAM's answer to a registration that it refuses: a text in error, no code.
func badMetadata(text string) error { return refuse(http.StatusBadRequest, text, "") }

// register is POST /iam/api/client-registration, open to anyone (RFC 7591 section 3).
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	c, err := decodeClient(r)
	if err != nil {
		return err
	}
	if c.ClientID != "" || c.ClientSecret != "" {
		return badMetadata("client_id and client_secret must not be present in a registration request")
	}
	owner, err := s.registrant(r)
	if err != nil {
		return err
	}
	forbidden, token := userForbidden, ""
	odd := s.conformance()
	if odd && orDefault(c.TokenEndpointAuthMethod, authBasic) != authBasic {
		return badMetadata("token_endpoint_auth_method: only client_secret_basic is supported")
	}
	s.mu.Lock()
	c.ClientID = s.oddLocked(newUUID())
	if odd {
		c.ClientSecret, c.CodeChallengeMethod = s.oddLocked(newClientSecret()), "S256"
	}
	s.mu.Unlock()
	if owner == nil {
		forbidden = anonymousForbidden
		if token, err = s.registrationToken(r, c.ClientID); err != nil {
			return err
		}
	}
	if err := s.checkMetadata(&c, forbidden); err != nil {
		return err
	}
	s.mu.Lock()
	kept := &client{Client: c, registrationToken: token, owner: owner, createdAt: s.nowLocked()}
	s.clients[c.ClientID] = kept
	answer := s.registrationLocked(kept)
	s.mu.Unlock()
	if odd {
		return writeJSON(w, http.StatusCreated, answer.likeConformance())
	}
	return writeJSON(w, http.StatusCreated, answer)
}

// registrant is the user whose access token came with a registration: the client is then theirs, and managed
// on the dashboard. Without a token it is nil.
func (s *Server) registrant(r *http.Request) (*User, error) {
	value, ok := bearer(r)
	if !ok {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.goodTokenLocked(value)
	if err != nil {
		return nil, err
	}
	return t.grant.user, nil
}

func decodeClient(r *http.Request) (Client, error) {
	var c Client
	if mediaType(r) != "application/json" { // RFC 7591 section 3.1
		return c, &protocolError{Status: http.StatusUnsupportedMediaType}
	}
	if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
		return c, badMetadata("The request is not a client in JSON: " + err.Error())
	}
	// These are the administrator's.
	c.Active, c.AllowIntrospection = nil, nil
	c.AccessTokenValiditySeconds, c.RefreshTokenValiditySeconds, c.DeviceCodeValiditySeconds = 0, 0, 0
	return c, nil
}

// The grant types that IAM does not give to users, and to those who are nobody.
var (
	userForbidden      = []string{grantPassword, grantTokenExchange}
	anonymousForbidden = append(userForbidden, grantClientCredentials)
)

// checkMetadata obeys IAM's limits, and drops scopes that not anyone may have.
func (s *Server) checkMetadata(c *Client, forbidden []string) error {
	if n := utf8.RuneCountInString(c.ClientName); n < 4 || n > 256 {
		return badMetadata("client_name: size must be between 4 and 256")
	}
	if len(c.GrantTypes) == 0 {
		return badMetadata("grant_types: must not be empty")
	}
	if len(c.Scope) > 512 {
		return badMetadata("scope: size must be at most 512")
	}
	for _, g := range forbidden {
		if slices.Contains(c.GrantTypes, g) {
			return badMetadata("Grant type not allowed: " + g)
		}
	}
	needsRedirect := slices.Contains(c.GrantTypes, grantAuthorizationCode) || slices.Contains(c.GrantTypes, grantImplicit)
	if needsRedirect && len(c.RedirectURIs) == 0 {
		return badMetadata("Authorization code and implicit grants require at least one valid redirect URI")
	}
	for _, m := range c.Contacts {
		if !strings.Contains(m, "@") {
			return badMetadata("contacts: must be e-mail addresses")
		}
	}
	if err := c.complete(); err != nil {
		return badMetadata(err.Error())
	}
	words := slices.DeleteFunc(strings.Fields(c.Scope), func(w string) bool {
		return !validScopeToken(w) || firstOutside(s.cfg.Scopes, []string{w}) != ""
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

// registrationToken makes the token that manages a client: a JWT, as at IAM.
func (s *Server) registrationToken(r *http.Request, clientID string) (string, error) {
	return s.keys.sign(r.Context(), map[string]any{
		"iss": s.cfg.Issuer, "sub": clientID, "aud": s.cfg.Issuer, "iat": s.Now().Unix(), "jti": newUUID(), "scope": "registration-token",
	})
}

func (s *Server) registrationLocked(c *client) registration {
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

// managed finds the client that a management request is about, and checks its token (RFC 7592 section 2).
func (s *Server) managed(r *http.Request) (*client, error) {
	token, ok := bearer(r)
	if !ok {
		return nil, invalidToken("Full authentication is required to access this resource")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.clients[r.PathValue("id")]
	switch {
	case c == nil:
		return nil, refuse(http.StatusNotFound, "Client not found: "+r.PathValue("id"), "")
	case c.registrationToken == "" || !sameText(token, c.registrationToken):
		return nil, badMetadata("Invalid registration access token")
	case !isTrue(c.Active):
		return nil, refuse(http.StatusForbidden, "Client is suspended: "+c.ClientID, "")
	}
	return c, nil
}

// answerClient stores the client, with a new token where the settings say so, and writes it.
func (s *Server) answerClient(w http.ResponseWriter, r *http.Request, c client) error {
	token, err := s.registrationToken(r, c.ClientID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.settings.RotateRegistrationTokens {
		c.registrationToken = token
	}
	s.clients[c.ClientID] = &c
	answer := s.registrationLocked(&c)
	s.mu.Unlock()
	return writeJSON(w, http.StatusOK, answer)
}

// readClient is GET at the registration_client_uri (RFC 7592 section 2.1).
func (s *Server) readClient(w http.ResponseWriter, r *http.Request) error {
	c, err := s.managed(r)
	if err != nil {
		return err
	}
	return s.answerClient(w, r, *c)
}

// updateClient is PUT (RFC 7592 section 2.2): it replaces all metadata. The ID must be that of the client;
// the secret too, or absent.
func (s *Server) updateClient(w http.ResponseWriter, r *http.Request) error {
	old, err := s.managed(r)
	if err != nil {
		return err
	}
	c, err := decodeClient(r)
	if err != nil {
		return err
	}
	if c.ClientID != old.ClientID {
		return badMetadata("client_id: it must be that of the client")
	}
	if c.ClientSecret != "" && !sameText(c.ClientSecret, old.ClientSecret) {
		return badMetadata("client_secret: it cannot be chosen")
	}
	c.ClientSecret, c.AllowIntrospection = old.ClientSecret, old.AllowIntrospection
	if err := s.checkMetadata(&c, anonymousForbidden); err != nil {
		return err
	}
	return s.answerClient(w, r, client{Client: c, registrationToken: old.registrationToken, createdAt: old.createdAt})
}

// deleteClient is DELETE (RFC 7592 section 2.3): the client and all its tokens are gone.
func (s *Server) deleteClient(w http.ResponseWriter, r *http.Request) error {
	c, err := s.managed(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.deleteClientLocked(c.ClientID)
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
	return nil
}
