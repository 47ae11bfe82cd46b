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

// Profile decides which claims an access token carries.
type Profile string

// The profiles of IAM. A client that has a scope of the same name gets that profile.
const (
	WLCG Profile = "wlcg" // WLCG Common JWT Profiles 1.0: scope, wlcg.ver, wlcg.groups, nbf, aud
	IAM  Profile = "iam"  // IAM's own: neither scope nor nbf
	AARC Profile = "aarc" // AARC guidelines: entitlements and eduperson claims
)

var profiles = []Profile{WLCG, IAM, AARC}

// Algorithms that sign access and ID tokens (RFC 7518 section 3.1).
const (
	RS256 = "RS256"
	ES256 = "ES256"
)

// Settings are what may change while a server runs; a zero duration means the default.
type Settings struct {
	AccessTokenLifetime       time.Duration // default 20 minutes
	RefreshTokenLifetime      time.Duration // default 30 days; below zero: they never expire
	IDTokenLifetime           time.Duration // default 10 minutes
	DeviceCodeLifetime        time.Duration // default 10 minutes
	AuthorizationCodeLifetime time.Duration // default 5 minutes

	// DeviceInterval is the least time between two polls. IAM tells none and never says slow_down: so does
	// a server with 0.
	DeviceInterval time.Duration
	// Rotate gives a new refresh token with every refresh; the old one is dead, and whoever uses it again
	// kills the whole family. Without it a client still gets this by registering reuse_refresh_token false.
	Rotate bool
	// AutoApprove asks nobody: device codes and authorization requests are approved at once, for the first user.
	AutoApprove bool
	// SilentDenial keeps a denied device code pending until it expires, as IAM does. Otherwise the client
	// is told access_denied (RFC 8628 section 3.5).
	SilentDenial bool
	// StrictAuthMethod refuses a client whose secret comes in the header where it registered the body, or the
	// reverse, as certified providers do. IAM takes either.
	StrictAuthMethod bool
	// RotateRegistrationTokens gives a new registration access token with every read and update (RFC 7592 section 2.1).
	RotateRegistrationTokens bool
	// Conformance makes the server look like the provider of the OpenID Foundation's conformance suite:
	// client_id, client_secret and refresh tokens end in punctuation, only client_secret_basic is offered, a
	// client that registers cannot be managed and must use S256, no answer has expires_in, and among the keys
	// are those that nobody can read.
	Conformance bool
}

// Config is what a server is made from. The zero value is a complete IAM, but for the issuer that [New] needs.
type Config struct {
	Settings

	Issuer  string        // URL that the server calls itself; a last slash is added, as IAM does
	Profile Profile       // default WLCG
	Alg     string        // RS256 (default) or ES256
	Key     crypto.Signer // RSA or P-256 key to sign with; nil: made in the background
	Users   []User        // the first one is the default; none: alice and bob
	Clients []Client      // clients that exist from the start
	Scopes  []string      // scopes that anyone may have; nil: those of a WLCG IAM
	// DefaultScopes are what a client gets that registers without naming any; nil: openid profile email address
	// phone offline_access.
	DefaultScopes []string
	Now           func() time.Time // clock; nil: time.Now
	Control       bool             // serve the control API below /_fake/
	Listener      net.Listener     // where Start listens; nil: a port of 127.0.0.1 that the kernel chooses
}

// User is a person who can sign in.
type User struct {
	Username   string   `json:"username"`
	Password   string   `json:"password"`
	Sub        string   `json:"sub"` // a UUID; made when empty
	GivenName  string   `json:"given_name"`
	FamilyName string   `json:"family_name"`
	Email      string   `json:"email"`
	Groups     []string `json:"groups"`   // names without a leading slash: "wlcg/pilots"
	Disabled   bool     `json:"disabled"` // may not sign in, and gets no token
}

// Name is the full name.
func (u *User) Name() string { return strings.TrimSpace(u.GivenName + " " + u.FamilyName) }

func defaults() (c Config) {
	file, err := documents.Open("default.json")
	if err == nil {
		err = c.ReadFile(file)
	}
	if err != nil {
		panic(err) // a test reads it
	}
	return c
}

// DefaultUsers are the users of a server that was given none.
func DefaultUsers() []User { return defaults().Users }

// ReadFile adds the users, clients and scopes of a JSON document: {"users": [...], "clients": [...],
// "scopes": [...], "default_scopes": [...]}. Clients use the names of RFC 7591. Members that are not known
// are an error.
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

// complete fills in the defaults and refuses what cannot work.
func (c Config) complete() (Config, error) {
	u, err := url.Parse(c.Issuer)
	// RFC 8414 section 2: an issuer has no query and no fragment.
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" || u.Fragment != "" {
		return c, fmt.Errorf("issuer %q: not an http or https URL without query and fragment", c.Issuer)
	}
	c.Issuer = strings.TrimRight(c.Issuer, "/") + "/"
	c.Profile = cmp.Or(c.Profile, WLCG)
	if !slices.Contains(profiles, c.Profile) {
		return c, fmt.Errorf("profile %q: it is wlcg, iam or aarc", c.Profile)
	}
	c.Alg = cmp.Or(c.Alg, RS256)
	if c.Alg != RS256 && c.Alg != ES256 {
		return c, fmt.Errorf("algorithm %q: it is RS256 or ES256", c.Alg)
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
