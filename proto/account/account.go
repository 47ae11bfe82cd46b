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
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// Account is the configuration of one account, with the keys and in the order in which 5.3.3 writes it. The zero
// value is an empty one. Whoever takes it out of use calls Wipe.
type Account struct {
	Name                              string        `key:"name"`        // the agent knows the account under it
	ClientName                        string        `key:"client_name"` // told to the provider at registration
	IssuerURL                         string        `key:"issuer_url issuer"`
	MytokenURL                        string        `key:"mytoken_url"`
	ConfigEndpoint                    string        `key:"config_endpoint"` // the discovery URL that worked
	DeviceAuthorizationEndpoint       string        `key:"device_authorization_endpoint"`
	DeviceAuthorizationEndpointByUser bool          `key:"daeSetByUser"` // the endpoint above beats discovery
	ClientID                          string        `key:"client_id"`
	ClientSecret                      secret.Secret `key:"client_secret"`
	RefreshToken                      secret.Secret `key:"refresh_token"`
	CertPath                          string        `key:"cert_path"`        // a bundle of CAs, empty for the system's
	AuthScope                         string        `key:"auth_scope scope"` // asked for at login; `scope` in 4.x
	RefreshScope                      string        `key:"refresh_scope"`    // the scope of the first token reply
	Audience                          string        `key:"audience"`         // separated by spaces
	OAuth2                            bool          `key:"oauth"`            // the provider knows no OpenID Connect
	UsesPubClient                     bool          `key:"uses_pub_client"`
	MytokenProfile                    []byte        `key:"mytoken_profile"` // raw JSON; nil is {}
	RedirectURIs                      []string      `key:"redirect_uris"`
	Username                          string        `key:"username"`
	Password                          secret.Secret `key:"password"`

	extra *cjson.Object // the members that no field above stands for; nil if there are none
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

// FromObject reads an account leniently, as the C tools do: every key may be missing. The account keeps copies: o
// may be wiped afterwards. It is an error if o is nil, as [cjson.Object.Object] returns where there is no object.
func FromObject(o *cjson.Object) (*Account, error) {
	if o == nil {
		return nil, errors.New("account configuration: not a JSON object")
	}
	if len(o.Keys()) > maxKeys {
		return nil, fmt.Errorf("account configuration: more than %d keys", maxKeys)
	}
	a := new(Account)
	fromJSON(o, a)
	if o.Text("auth_scope") == "" { // 5.3.3 lets refresh_scope count only with it
		a.RefreshScope = ""
	}
	known := make(map[string]bool)
	for keys := range members(a) {
		known[keys[0]] = true
	}
	for _, key := range o.Keys() {
		if !known[key] {
			a.Extra().SetRaw(key, bytes.Clone(o.Raw(key)))
		}
	}
	return a, nil
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
	o := toJSON(a)
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

// Wipe overwrites the secrets, also those among the members that we do not know.
func (a *Account) Wipe() {
	a.ClientSecret.Wipe()
	a.RefreshToken.Wipe()
	a.Password.Wipe()
	clear(a.MytokenProfile)
	a.MytokenProfile = nil
	a.Extra().Wipe()
}

// SameIssuer reports whether two issuer URLs are equal but for one trailing slash: IAM's has one, and
// users and C tools write it with and without.
func SameIssuer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}
