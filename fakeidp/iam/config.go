package iam

import (
	"cmp"
	"crypto"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Profile selects the claims of an access token.
type Profile string

// The profiles of IAM. A client with a scope of the same name gets that profile.
const (
	WLCG Profile = "wlcg" // WLCG Common JWT Profiles 1.0: scope, wlcg.ver, wlcg.groups, nbf, aud
	IAM  Profile = "iam"  // IAM's own: without scope and nbf
	AARC Profile = "aarc" // AARC guidelines: entitlements and eduperson claims
)

var profiles = []Profile{WLCG, IAM, AARC}

// Signature algorithms of access and ID tokens (RFC 7518 section 3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// Settings may change while a server runs. A zero duration means the default.
type Settings struct {
	AccessTokenLifetime       time.Duration // default 20 minutes
	RefreshTokenLifetime      time.Duration // default 30 days; negative: they never expire
	IDTokenLifetime           time.Duration // default 10 minutes
	DeviceCodeLifetime        time.Duration // default 10 minutes
	AuthorizationCodeLifetime time.Duration // default 5 minutes

	// DeviceInterval is the minimum time between two polls. With 0, as at IAM, the server announces no interval
	// and never answers slow_down.
	DeviceInterval time.Duration
	// Rotate replaces the refresh token with every refresh. Reuse of an old one revokes all tokens of the grant.
	// A client can also ask for rotation by registering with reuse_refresh_token false.
	Rotate bool
	// AutoApprove approves device codes and authorization requests at once, for the first user.
	AutoApprove bool
	// SilentDenial keeps a denied device code pending until it expires, as IAM does. Otherwise the client gets
	// access_denied (RFC 8628 section 3.5).
	SilentDenial bool
	// StrictAuthMethod refuses a client that authenticates by another method than it registered, as certified
	// providers do. IAM accepts the secret in the header and in the body.
	StrictAuthMethod bool
	// RotateRegistrationTokens replaces the registration access token with every read and update (RFC 7592
	// section 2.1).
	RotateRegistrationTokens bool
	// Conformance makes the server behave like the provider of the OpenID Foundation's conformance suite:
	// client_id, client_secret and refresh tokens end in punctuation, client_secret_basic is the only method, a
	// client that registers cannot be managed and must use S256, token responses have no expires_in, and the
	// JWK set has keys that hardly any client can parse.
	Conformance bool
}

// Config describes a server. The zero value is a complete IAM, except that [New] needs an issuer.
type Config struct {
	Settings

	Issuer  string        // its URL; a final slash is added, as IAM does
	Profile Profile       // default WLCG
	Alg     string        // RS256 (default) or ES256
	Key     crypto.Signer // RSA or P-256 key to sign with; nil: generated in the background
	Users   []User        // the first one is the default; none: alice and bob
	Clients []Client      // clients that exist from the start
	Scopes  []string      // scopes that any client may have; nil: those of a WLCG IAM
	// DefaultScopes are those of a client that registers without any; nil: openid profile email address phone
	// offline_access.
	DefaultScopes []string
	Now           func() time.Time // clock; nil: time.Now
	Control       bool             // serve the control API below /_fake/
	Listener      net.Listener     // where Start listens; nil: a free port of 127.0.0.1
}

// User is a person who can sign in.
type User struct {
	Username   string   `json:"username"`
	Password   string   `json:"password"`
	Sub        string   `json:"sub"` // empty: a new UUID
	GivenName  string   `json:"given_name"`
	FamilyName string   `json:"family_name"`
	Email      string   `json:"email"`
	Groups     []string `json:"groups"`   // names without a leading slash: "wlcg/pilots"
	Disabled   bool     `json:"disabled"` // cannot sign in or get tokens
}

// Name returns the full name.
func (u *User) Name() string { return strings.TrimSpace(u.GivenName + " " + u.FamilyName) }

func defaults() (c Config) {
	file, err := documents.Open("default.json")
	if err == nil {
		err = c.ReadFile(file)
	}
	if err != nil {
		panic(err) // the file is embedded, and a test reads it
	}
	return c
}

// DefaultUsers returns the users of a server that is configured without any.
func DefaultUsers() []User { return defaults().Users }

// ReadFile adds the users, clients and scopes of a JSON document: {"users": [...], "clients": [...],
// "scopes": [...], "default_scopes": [...]}. The members of a client are those of RFC 7591. Unknown members are an
// error.
func (c *Config) ReadFile(r io.Reader) error {
	var file struct {
		Users         []User   `json:"users"`
		Clients       []Client `json:"clients"`
		Scopes        []string `json:"scopes"`
		DefaultScopes []string `json:"default_scopes"`
	}
	if err := decodeStrictly(r, &file); err != nil {
		return fmt.Errorf("reading users and clients: %w", err)
	}
	c.Users = append(c.Users, file.Users...)
	c.Clients = append(c.Clients, file.Clients...)
	c.Scopes = append(c.Scopes, file.Scopes...)
	c.DefaultScopes = append(c.DefaultScopes, file.DefaultScopes...)
	return nil
}

// complete fills in the defaults and checks the result.
func (c Config) complete() (Config, error) {
	u, err := url.Parse(c.Issuer)
	// RFC 8414 section 2: an issuer has no query and no fragment.
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return c, fmt.Errorf("issuer %q: must be an http or https URL without query and fragment", c.Issuer)
	}
	c.Issuer = strings.TrimRight(c.Issuer, "/") + "/"
	c.Profile = cmp.Or(c.Profile, WLCG)
	if !slices.Contains(profiles, c.Profile) {
		return c, fmt.Errorf("profile %q: must be wlcg, iam or aarc", c.Profile)
	}
	c.Alg = cmp.Or(c.Alg, RS256)
	if c.Alg != RS256 && c.Alg != ES256 {
		return c, fmt.Errorf("algorithm %q: must be RS256 or ES256", c.Alg)
	}
	d := defaults()
	if len(c.Users) == 0 {
		c.Users = d.Users
	}
	if c.Scopes == nil {
		c.Scopes = d.Scopes
	}
	if c.DefaultScopes == nil {
		c.DefaultScopes = d.DefaultScopes
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Settings = c.Settings.complete()
	return c, nil
}

func (s Settings) complete() Settings {
	s.AccessTokenLifetime = cmp.Or(s.AccessTokenLifetime, 20*time.Minute)
	s.RefreshTokenLifetime = cmp.Or(s.RefreshTokenLifetime, 30*24*time.Hour)
	s.IDTokenLifetime = cmp.Or(s.IDTokenLifetime, 10*time.Minute)
	s.DeviceCodeLifetime = cmp.Or(s.DeviceCodeLifetime, 10*time.Minute)
	s.AuthorizationCodeLifetime = cmp.Or(s.AuthorizationCodeLifetime, 5*time.Minute)
	return s
}
