package iam

import (
	"cmp"
	"crypto/subtle"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Grant types (RFC 6749 section 4, RFC 8628 section 3.4, RFC 8693 section 2.1).
const (
	grantAuthorizationCode = "authorization_code"
	grantImplicit          = "implicit" // can be registered, as at IAM, but not used
	grantRefreshToken      = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantPassword          = "password"
	grantDeviceCode        = "urn:ietf:params:oauth:grant-type:device_code"
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
)

var grantTypes = []string{grantAuthorizationCode, grantImplicit, grantRefreshToken, grantClientCredentials, grantPassword,
	grantDeviceCode, grantTokenExchange}

// Client authentication methods (Core section 9).
const (
	authBasic = "client_secret_basic"
	authPost  = "client_secret_post"
	authNone  = "none"
)

var authMethods = []string{authBasic, authPost, authNone}

// Client is the metadata of a client: the members of RFC 7591 section 2 and IAM's own. Lifetimes are in seconds; 0
// means that of the server.
type Client struct {
	ClientID                string   `json:"client_id,omitempty"`
	ClientSecret            string   `json:"client_secret,omitempty"`
	ClientName              string   `json:"client_name,omitempty"`
	ClientDescription       string   `json:"client_description,omitempty"`
	RedirectURIs            []string `json:"redirect_uris,omitempty"`
	ClientURI               string   `json:"client_uri,omitempty"`
	TosURI                  string   `json:"tos_uri,omitempty"`
	PolicyURI               string   `json:"policy_uri,omitempty"`
	Contacts                []string `json:"contacts,omitempty"`
	GrantTypes              []string `json:"grant_types,omitempty"`
	ResponseTypes           []string `json:"response_types,omitempty"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method,omitempty"`
	Scope                   string   `json:"scope,omitempty"` // separated by spaces
	DefaultMaxAge           int64    `json:"default_max_age,omitempty"`
	RequireAuthTime         bool     `json:"require_auth_time,omitempty"`
	CodeChallengeMethod     string   `json:"code_challenge_method,omitempty"` // the required one: plain, S256, or none

	ReuseRefreshToken          *bool `json:"reuse_refresh_token,omitempty"` // nil: true
	ClearAccessTokensOnRefresh bool  `json:"clear_access_tokens_on_refresh,omitempty"`
	AllowIntrospection         *bool `json:"allow_introspection,omitempty"` // nil: true
	Active                     *bool `json:"active,omitempty"`              // nil: true; false: suspended, refused everywhere

	AccessTokenValiditySeconds  int64 `json:"access_token_validity_seconds,omitempty"`
	RefreshTokenValiditySeconds int64 `json:"refresh_token_validity_seconds,omitempty"`
	DeviceCodeValiditySeconds   int64 `json:"device_code_validity_seconds,omitempty"`
}

// client is a client as the server stores it.
type client struct {
	Client
	registrationToken string // of RFC 7592; empty unless the client registered itself
	createdAt         time.Time
	owner             *User // the user who created it; nil if there is none
	secretUnseen      bool  // the dashboard has not shown the secret yet
}

func isTrue(b *bool) bool { return b == nil || *b }

func (c *Client) has(grantType string) bool { return slices.Contains(c.GrantTypes, grantType) }

func (c *Client) scopes() []string { return strings.Fields(c.Scope) }

// AddClient adds a client as an administrator would, with any grant type and scope. If they are empty, ID and secret
// are generated, the authentication method is client_secret_basic, and the scopes are those of the server.
func (s *Server) AddClient(c Client) error {
	c.ClientID = cmp.Or(c.ClientID, newUUID())
	c.ClientName = cmp.Or(c.ClientName, c.ClientID)
	if len(c.GrantTypes) == 0 {
		c.GrantTypes = []string{grantAuthorizationCode, grantRefreshToken, grantDeviceCode}
	}
	c.Scope = cmp.Or(c.Scope, strings.Join(s.cfg.Scopes, " "))
	if err := c.complete(); err != nil {
		return fmt.Errorf("client %q: %w", c.ClientID, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.clients[c.ClientID] != nil {
		return fmt.Errorf("client %q: defined twice", c.ClientID)
	}
	s.clients[c.ClientID] = &client{Client: c, createdAt: s.now()}
	return nil
}

// complete checks the metadata and fills in the defaults, for AddClient and registration.
func (c *Client) complete() error {
	c.TokenEndpointAuthMethod = cmp.Or(c.TokenEndpointAuthMethod, authBasic)
	unknown := slices.DeleteFunc(slices.Clone(c.GrantTypes), func(g string) bool { return slices.Contains(grantTypes, g) })
	switch {
	case !slices.Contains(authMethods, c.TokenEndpointAuthMethod):
		return fmt.Errorf("token_endpoint_auth_method: %s is not supported", c.TokenEndpointAuthMethod)
	case !slices.Contains([]string{"", "none", "plain", "S256"}, c.CodeChallengeMethod):
		return fmt.Errorf("code_challenge_method: %s is not supported", c.CodeChallengeMethod)
	case len(unknown) > 0:
		return fmt.Errorf("grant_types: %s is not supported", unknown[0])
	case c.TokenEndpointAuthMethod == authNone:
		c.ClientSecret = ""
	case c.ClientSecret == "":
		c.ClientSecret = newClientSecret()
	}
	for _, u := range c.RedirectURIs {
		if err := checkRedirectURI(u); err != nil {
			return err
		}
	}
	return nil
}

// newClientSecret returns 512 random bits in 86 characters, as IAM does.
func newClientSecret() string { return b64(randomBytes(64)) }

// odd appends punctuation to a credential in conformance mode: clients must encode it (RFC 6749 section 2.3.1 and
// appendix B).
func (s *Server) odd(credential string) string {
	if !s.settings.Conformance {
		return credential
	}
	return credential + "%+&:\"\\ !#$'()*,-./;<=>?@[]^_`{|}~"
}

// checkRedirectURI requires an absolute URI without fragment (RFC 6749 section 3.1.2). Private-use schemes are allowed
// (RFC 8252 section 7.1), schemes that run code in a browser are not.
func checkRedirectURI(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Scheme == "" || strings.Contains(text, "#"):
		return fmt.Errorf("redirect_uris: %s is not an absolute URI without fragment", text)
	case slices.Contains([]string{"javascript", "data", "file", "vbscript"}, u.Scheme):
		return fmt.Errorf("redirect_uris: the scheme of %s is not allowed", text)
	case (u.Scheme == "http" || u.Scheme == "https") && u.Host == "":
		return fmt.Errorf("redirect_uris: %s has no host", text)
	}
	return nil
}

func mediaType(r *http.Request) string {
	t, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return t
}

func sameText(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// form parses the body as a form, in which no parameter may be repeated (RFC 6749 section 3.2). The query is ignored:
// secrets do not belong there.
func form(r *http.Request) (url.Values, error) {
	if err := r.ParseForm(); err != nil {
		return nil, badRequest("invalid_request", "The body is not a form: %v", err)
	}
	return r.PostForm, single(r.PostForm)
}

// single refuses repeated parameters, except the two that are lists (RFC 8707 section 2, RFC 8693 section 2.1).
func single(v url.Values) error {
	for name, values := range v {
		if len(values) > 1 && name != "resource" && name != "audience" {
			return badRequest("invalid_request", "Parameter %s is repeated", name)
		}
	}
	return nil
}

// client makes an endpoint of h, which needs a form and the authenticated client that sent it.
func (s *Server) client(h func(w http.ResponseWriter, r *http.Request, c *client, f url.Values) error) api {
	return func(w http.ResponseWriter, r *http.Request) error {
		f, err := form(r)
		if err != nil {
			return err
		}
		c, err := s.authenticate(r, f)
		if err != nil {
			return err
		}
		return h(w, r, c, f)
	}
}

const (
	badClient = "Bad client credentials" // IAM's words
	notKnown  = "Full authentication is required to access this resource"
)

// authenticate returns the client that sent a request (RFC 6749 section 2.3). The secret may come in the header or in
// the body, whatever was registered, unless StrictAuthMethod is set.
func (s *Server) authenticate(r *http.Request, f url.Values) (*client, error) {
	id, secret, method, err := credentials(r, f)
	if err != nil {
		return nil, err
	}
	c := s.clients[id]
	switch {
	case c == nil || !sameText(secret, c.ClientSecret):
		return nil, unauthorized("invalid_client", badClient)
	case method != c.TokenEndpointAuthMethod && s.settings.StrictAuthMethod:
		return nil, unauthorized("invalid_client",
			"The client authenticated by %s, but registered %s", method, c.TokenEndpointAuthMethod)
	case !isTrue(c.Active):
		return nil, unauthorized("invalid_client", "Client is suspended: %s", id)
	}
	return c, nil
}

// credentials returns the client ID and secret of a request, and the method by which they came. Secrets in both header
// and body are refused (RFC 6749 section 2.3); the same client_id may be in both.
func credentials(r *http.Request, f url.Values) (id, secret, method string, err error) {
	id, secret = f.Get("client_id"), f.Get("client_secret")
	user, password, ok := r.BasicAuth()
	// RFC 6749 section 2.3.1: both are form-encoded before they are joined.
	user, err1 := url.QueryUnescape(user)
	password, err2 := url.QueryUnescape(password)
	switch inHeader := r.Header.Get("Authorization") != ""; {
	case !inHeader && id == "":
		return "", "", "", unauthorized("invalid_client", notKnown)
	case !inHeader && secret == "":
		return id, "", authNone, nil
	case !inHeader:
		return id, secret, authPost, nil
	case f.Has("client_secret") || f.Has("client_assertion"):
		return "", "", "", badRequest("invalid_request", "The client authenticates in more than one way")
	case !ok || err1 != nil || err2 != nil || password == "":
		return "", "", "", unauthorized("invalid_client", badClient)
	case id != "" && id != user:
		return "", "", "", unauthorized("invalid_client", "Given client ID does not match authenticated client")
	}
	return user, password, authBasic, nil
}
