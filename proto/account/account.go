// Package account knows an account configuration: its JSON schema as the C tools 4.x and 5.x write and
// read it, the directory where the files lie, how they are written and locked so that neither a crash nor
// a second agent on another login node loses a refresh token, and the list of issuers.
//
// oidc-agent, oidc-gen and oidc-add enter; what is inside the encrypted files comes from room crypt.
// Start at [Account] for the contents, at [FindDir] for the files, at [LoadIssuers] and [LoadConfig] for the
// settings.
package account

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// Account is the configuration of one account. The zero value is an empty one. Whoever takes it out of
// use calls Wipe.
type Account struct {
	Name                              string // short name: "name"; the agent knows the account under it
	ClientName                        string // "client_name", told to the provider at registration
	IssuerURL                         string // "issuer_url"
	MytokenURL                        string // "mytoken_url"
	ConfigEndpoint                    string // "config_endpoint": the discovery URL that worked
	DeviceAuthorizationEndpoint       string // "device_authorization_endpoint"
	DeviceAuthorizationEndpointByUser bool   // "daeSetByUser": the endpoint above beats discovery
	ClientID                          string // "client_id"
	ClientSecret                      secret.Secret
	RefreshToken                      secret.Secret
	CertPath                          string   // "cert_path": a bundle of CAs, empty for the system's
	AuthScope                         string   // "auth_scope": the scopes asked for at login
	RefreshScope                      string   // "refresh_scope": the scope of the first token reply
	Audience                          string   // "audience", separated by spaces
	OAuth2                            bool     // "oauth": the provider knows no OpenID Connect
	UsesPubClient                     bool     // "uses_pub_client"
	RedirectURIs                      []string // "redirect_uris"
	Username                          string   // "username"
	Password                          secret.Secret

	mytokenProfile []byte        // "mytoken_profile", raw JSON
	extra          *cjson.Object // the members that no field above stands for; nil if there are none
}

// keys are those of the fields above, in the order in which 5.3.3 writes them.
var keys = [...]string{
	"name", "client_name", "issuer_url", "mytoken_url", "config_endpoint", "device_authorization_endpoint",
	"daeSetByUser", "client_id", "client_secret", "refresh_token", "cert_path", "auth_scope", "refresh_scope",
	"audience", "oauth", "uses_pub_client", "mytoken_profile", "redirect_uris", "username", "password",
}

// maxKeys is how many keys an account may have. With those that we add it must stay within what cjson
// reads, or a rewritten file could not be read again.
const maxKeys = 1000

// Parse reads the JSON text of an account. The account keeps copies: data may be wiped afterwards.
func Parse(data []byte) (*Account, error) {
	o, err := cjson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("account configuration: %w", err)
	}
	return FromObject(o)
}

// FromObject reads an account leniently, as the C tools do: every key may be missing, a 4.x file says
// `scope` where 5.x says `auth_scope`, and older ones `issuer`. The account keeps copies: o may be wiped
// afterwards. It is an error if o is nil, as [cjson.Object.Object] returns where there is no object.
func FromObject(o *cjson.Object) (*Account, error) {
	if o == nil {
		return nil, errors.New("account configuration: not a JSON object")
	}
	if len(o.Keys()) > maxKeys {
		return nil, fmt.Errorf("account configuration: more than %d keys", maxKeys)
	}
	a := &Account{
		Name:                              o.Text("name"),
		ClientName:                        o.Text("client_name"),
		IssuerURL:                         firstText(o, "issuer_url", "issuer"),
		MytokenURL:                        o.Text("mytoken_url"),
		ConfigEndpoint:                    o.Text("config_endpoint"),
		DeviceAuthorizationEndpoint:       o.Text("device_authorization_endpoint"),
		DeviceAuthorizationEndpointByUser: o.Bool("daeSetByUser"),
		ClientID:                          o.Text("client_id"),
		ClientSecret:                      o.Secret("client_secret"),
		RefreshToken:                      o.Secret("refresh_token"),
		CertPath:                          o.Text("cert_path"),
		AuthScope:                         firstText(o, "auth_scope", "scope"),
		Audience:                          o.Text("audience"),
		OAuth2:                            o.Bool("oauth"),
		UsesPubClient:                     o.Bool("uses_pub_client"),
		RedirectURIs:                      o.Texts("redirect_uris"),
		Username:                          o.Text("username"),
		Password:                          o.Secret("password"),
	}
	if o.Text("auth_scope") != "" { // 5.3.3 lets refresh_scope count only then
		a.RefreshScope = o.Text("refresh_scope")
	}
	if o.Text("mytoken_profile") != "" {
		a.mytokenProfile = bytes.Clone(o.Raw("mytoken_profile"))
	}
	for _, key := range o.Keys() {
		if !slices.Contains(keys[:], key) {
			a.Extra().SetRaw(key, bytes.Clone(o.Raw(key)))
		}
	}
	return a, nil
}

// firstText returns the first text of the given keys that is not empty.
func firstText(o *cjson.Object, keys ...string) string {
	for _, key := range keys {
		if text := o.Text(key); text != "" {
			return text
		}
	}
	return ""
}

// Extra returns the members that no field stands for, such as registration_access_token and
// registration_client_uri. They were in what was read, or are set here, and are written with the rest.
func (a *Account) Extra() *cjson.Object {
	if a.extra == nil {
		a.extra = cjson.New()
	}
	return a.extra
}

// Object returns the account with every key that 5.3.3 writes, in its order, empty ones included, then
// what Extra holds. redirect_uris alone is left out if there are none, as 5.3.3 does. A `scope` that was
// there for 4.x, which knows no auth_scope, follows AuthScope.
func (a *Account) Object() *cjson.Object {
	o := cjson.New().
		SetText("name", a.Name).
		SetText("client_name", a.ClientName).
		SetText("issuer_url", a.IssuerURL).
		SetText("mytoken_url", a.MytokenURL).
		SetText("config_endpoint", a.ConfigEndpoint).
		SetText("device_authorization_endpoint", a.DeviceAuthorizationEndpoint).
		SetInt("daeSetByUser", number(a.DeviceAuthorizationEndpointByUser)).
		SetText("client_id", a.ClientID).
		SetSecret("client_secret", a.ClientSecret).
		SetSecret("refresh_token", a.RefreshToken).
		SetText("cert_path", a.CertPath).
		SetText("auth_scope", a.AuthScope).
		SetText("refresh_scope", a.RefreshScope).
		SetText("audience", a.Audience).
		SetInt("oauth", number(a.OAuth2)).
		SetInt("uses_pub_client", number(a.UsesPubClient)).
		SetRaw("mytoken_profile", a.profile())
	if len(a.RedirectURIs) > 0 {
		o.SetTexts("redirect_uris", a.RedirectURIs)
	}
	o.SetText("username", a.Username).SetSecret("password", a.Password)
	if a.extra == nil {
		return o
	}
	for _, key := range a.extra.Keys() {
		o.SetRaw(key, bytes.Clone(a.extra.Raw(key)))
	}
	if o.Has("scope") {
		o.SetText("scope", a.AuthScope)
	}
	return o
}

func (a *Account) profile() []byte {
	if a.mytokenProfile == nil {
		return []byte("{}")
	}
	return bytes.Clone(a.mytokenProfile)
}

// number writes a boolean as the C tools do.
func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Wipe overwrites the secrets, also those among the members that we do not know.
func (a *Account) Wipe() {
	a.ClientSecret.Wipe()
	a.RefreshToken.Wipe()
	a.Password.Wipe()
	clear(a.mytokenProfile)
	a.mytokenProfile = nil
	if a.extra != nil {
		a.extra.Wipe()
	}
}

// SameIssuer reports whether two issuer URLs are equal but for one trailing slash: IAM's has one, and
// users and C tools write it with and without.
func SameIssuer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}
