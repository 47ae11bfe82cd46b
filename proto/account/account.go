// Package account reads and writes account files and settings: the JSON of an account as the C tools 4.x and 5.x
// know it; the configuration directory; writing and locking of files so that neither a crash nor an agent on
// another login node loses a refresh token; the list of issuers, the `config` files and the custom parameters.
//
// oidc-agent, oidc-gen and oidc-add import it. It does not encrypt: that is the job of the package crypt. Start
// with [Account] for the contents of an account file, with [FindDir] for the files, and with [LoadIssuers] and
// [LoadConfig] for the settings.
package account

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"oidc-agent/proto/cjson"
	"oidc-agent/proto/secret"
)

// Account is the configuration of one account. Its fields have the keys and the order with which version 5.3.3
// writes them. The zero value is an empty account. Call Wipe when the account is no longer needed.
type Account struct {
	Name                              string        `key:"name"`        // short name
	ClientName                        string        `key:"client_name"` // as registered with the provider
	IssuerURL                         string        `key:"issuer_url issuer"`
	MytokenURL                        string        `key:"mytoken_url"`
	ConfigEndpoint                    string        `key:"config_endpoint"` // the discovery URL that worked
	DeviceAuthorizationEndpoint       string        `key:"device_authorization_endpoint"`
	DeviceAuthorizationEndpointByUser bool          `key:"daeSetByUser"` // the endpoint above overrides discovery
	ClientID                          string        `key:"client_id"`
	ClientSecret                      secret.Secret `key:"client_secret"`
	RefreshToken                      secret.Secret `key:"refresh_token"`
	CertPath                          string        `key:"cert_path"`        // a bundle of CAs; empty: the system's
	AuthScope                         string        `key:"auth_scope scope"` // requested at login; `scope` in 4.x
	RefreshScope                      string        `key:"refresh_scope"`    // scope of the first token response
	Audience                          string        `key:"audience"`         // separated by spaces
	OAuth2                            bool          `key:"oauth"`            // the provider lacks OpenID Connect
	UsesPubClient                     bool          `key:"uses_pub_client"`
	MytokenProfile                    []byte        `key:"mytoken_profile"` // raw JSON; nil means {}
	RedirectURIs                      []string      `key:"redirect_uris"`
	Username                          string        `key:"username"`
	Password                          secret.Secret `key:"password"`

	extra *cjson.Object // the members without a field; nil if there are none
}

// maxKeys limits the keys of an account. With the keys that we add, a rewritten file must stay within the limit of
// cjson.
const maxKeys = 1000

// Parse reads the JSON text of an account. The account does not alias data, which may be wiped.
func Parse(data []byte) (*Account, error) {
	o, err := cjson.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("account configuration: %w", err)
	}
	return FromObject(o)
}

// FromObject reads an account leniently, as the C tools do: every key may be missing. The account does not alias
// o, which may be wiped. If o is nil, which [cjson.Object.Object] returns for a missing object, that is an error.
func FromObject(o *cjson.Object) (*Account, error) {
	if o == nil {
		return nil, errors.New("account configuration: not a JSON object")
	}
	if len(o.Keys()) > maxKeys {
		return nil, fmt.Errorf("account configuration: more than %d keys", maxKeys)
	}
	a := new(Account)
	fromJSON(o, a)
	if o.Text("auth_scope") == "" { // version 5.3.3 ignores refresh_scope then
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

// Extra returns the members without a field, such as registration_access_token and registration_client_uri. They
// are those that were read, and those that the caller sets in the result. They are written with the account.
func (a *Account) Extra() *cjson.Object {
	if a.extra == nil {
		a.extra = cjson.New()
	}
	return a.extra
}

// Object returns all keys that version 5.3.3 writes, in its order, even if they are empty, and then those of
// Extra. Like 5.3.3 it omits redirect_uris if there are none. If the account has a `scope`, which 4.x reads
// instead of auth_scope, its value becomes AuthScope.
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

// Wipe overwrites the secrets, and the members without a field, which may be secrets.
func (a *Account) Wipe() {
	a.ClientSecret.Wipe()
	a.RefreshToken.Wipe()
	a.Password.Wipe()
	clear(a.MytokenProfile)
	a.MytokenProfile = nil
	a.Extra().Wipe()
}

// SameIssuer reports whether two issuer URLs are equal apart from one trailing slash: the issuer URL of IAM has
// one, but users and C tools often omit it.
func SameIssuer(a, b string) bool {
	return strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}
