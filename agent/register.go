package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

// grants are the grant types that a client needs for each flow (RFC 7591 section 2), besides refresh_token.
var grants = map[string]string{
	"code":     "authorization_code",
	"device":   "urn:ietf:params:oauth:grant-type:device_code",
	"password": "password",
}

// customScheme is the redirect URI that comes back to oidc-gen without a web server (RFC 8252 section 7.1).
const customScheme = "edu.kit.data.oidc-agent:/redirect"

// register makes a client at the provider (RFC 7591) and answers with what the provider said of it.
func (a *agent) register(ctx context.Context, r request) (*cjson.Object, error) {
	config, names, err := flowRequest(r)
	if err != nil {
		return nil, err
	}
	if a.accounts.find(config.Name) != nil {
		return nil, errAlreadyLoaded
	}
	p, err := a.provider(ctx, config, true)
	if err != nil {
		return nil, err
	}
	if config.AuthScope == "max" {
		config.AuthScope = strings.Join(p.metadata.ScopesSupported, " ")
	}
	authorization := r.Secret(ipc.KeyAuthorization)
	defer authorization.Wipe()
	made, err := p.Register(ctx, p.metadata, registration(config, names), authorization)
	if err != nil {
		return nil, err
	}
	defer made.ClientSecret.Wipe()
	defer made.RegistrationAccessToken.Wipe()
	defer clear(made.Raw)
	client, err := cjson.Parse(made.Raw)
	if err != nil {
		return nil, fmt.Errorf("registration at %s: %w", p.metadata.Issuer, err)
	}
	maxScopes := strings.Join(p.metadata.ScopesSupported, " ")
	answer := ipc.Success("")
	if !config.OAuth2 && !registeredScopes(made) {
		answer = failure(errRegisteredScopes, "")
	}
	return answer.SetObject("client", client).SetText("max_scopes", maxScopes), nil
}

// registration is what we ask for: a native application (RFC 8252), with the grants of the flows that the
// user allows.
func registration(config *account.Account, names []string) oidc.Registration {
	grantTypes := []string{"refresh_token"}
	var responseTypes []string
	for _, name := range names {
		if grant := grants[name]; grant != "" && !slices.Contains(grantTypes, grant) {
			grantTypes = append(grantTypes, grant)
		}
		if name == "code" {
			responseTypes = []string{"code"}
		}
	}
	redirects := config.RedirectURIs
	if len(redirects) == 0 {
		redirects = []string{"http://localhost:4242", "http://localhost:" + strconv.Itoa(registeredPort()), "http://localhost:8080", customScheme}
	}
	return oidc.Registration{
		ClientName: config.ClientName, ApplicationType: "native",
		GrantTypes: grantTypes, ResponseTypes: responseTypes,
		RedirectURIs: redirects, Scope: loginScope(config),
	}
}

// registeredPort is a port of the registered range (RFC 6335 section 6) that is unlikely to be in use.
func registeredPort() int { return 1024 + rand.IntN(49152-1024) }

// registeredScopes reports whether the client got the scopes without which there is no account. A provider
// that says nothing of scopes has not refused any.
func registeredScopes(made *oidc.RegistrationResponse) bool {
	if !made.HasScope {
		return true
	}
	have := strings.Fields(made.Scope)
	return slices.Contains(have, "openid") && slices.Contains(have, "offline_access")
}

// flowRequest reads the account and the flows of register and gen.
func flowRequest(r request) (*account.Account, []string, error) {
	object := r.Object.Object("config")
	if object == nil {
		return nil, nil, errNoConfig
	}
	config, err := account.FromObject(object)
	if err != nil {
		return nil, nil, err
	}
	names := r.Texts("flow")
	if len(names) == 0 {
		return nil, nil, errNoFlowGiven
	}
	return config, names, nil
}

func (a *agent) gen(ctx context.Context, r request) (*cjson.Object, error) {
	config, names, err := flowRequest(r)
	if err != nil {
		return nil, err
	}
	o := loginOptions{
		onlyAT:      r.Bool(ipc.KeyOnlyAT),
		entry:       a.sealEntry(r.Object.Object(ipc.KeyPwEntry)),
		fromC:       r.Has(ipc.KeyPwEntry),
		noWebserver: r.Bool(ipc.KeyNoWebserver) || a.settings.noWebserver,
		noScheme:    r.Bool(ipc.KeyNoScheme) || a.settings.noScheme,
	}
	answer, err := a.startLogin(ctx, config, names, o)
	if err != nil {
		config.Wipe()
	}
	return answer, err
}

func (a *agent) device(ctx context.Context, r request) (*cjson.Object, error) {
	device := r.Object.Object("oidc_device")
	if device == nil {
		return nil, errWrongDeviceCode
	}
	return a.pollDevice(ctx, device.Text("device_code"))
}

// reauthenticate starts a new login for a loaded account.
func (a *agent) reauthenticate(ctx context.Context, r request) (*cjson.Object, error) {
	name := r.Text("account")
	if name == "" {
		return nil, errAccountMissing
	}
	l, err := a.named(ctx, name, r.Bool(ipc.KeyNoAutoload))
	if err != nil {
		return nil, err
	}
	config, err := a.withSecrets(l)
	if err != nil {
		return nil, err
	}
	answer, err := a.startLogin(ctx, config, []string{"device", "code"},
		loginOptions{noWebserver: a.settings.noWebserver, noScheme: a.settings.noScheme})
	if err != nil {
		config.Wipe()
	}
	return answer, err
}

// delete revokes the refresh token (RFC 7009) and forgets the account.
func (a *agent) delete(ctx context.Context, r request) (*cjson.Object, error) {
	object := r.Object.Object("config")
	if object == nil {
		return nil, errNoConfig
	}
	config, err := account.FromObject(object)
	if err != nil {
		return nil, err
	}
	l := a.accounts.find(config.Name)
	if l != nil { // memory or the file may hold a newer refresh token than the one that oidc-gen has read
		release, _, err := a.exclusive(ctx, l)
		if err != nil {
			return nil, err
		}
		defer release()
		a.adopt(l, false)
		config.Wipe()
		if config, err = a.withSecrets(l); err != nil {
			return nil, err
		}
	}
	defer config.Wipe()
	p, err := a.provider(ctx, config, false)
	if err == nil {
		err = p.Revoke(ctx, p.metadata, a.credentials(config), config.RefreshToken, "refresh_token")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRevoked, err)
	}
	if l != nil {
		a.accounts.remove(l)
		a.dropBearers(l.name())
	}
	a.noteIssuer(config, account.RemoveAccount)
	return ipc.Success(""), nil
}

// deleteClient removes a registered client (RFC 7592 section 2.3).
func (a *agent) deleteClient(ctx context.Context, r request) (*cjson.Object, error) {
	token := r.Secret("registration_access_token")
	defer token.Wipe()
	client, err := a.client(firstOf(r.Text(ipc.KeyCertPath), a.settings.certPath))
	if err == nil {
		err = client.DeleteRegistration(ctx, r.Text("registration_client_uri"), token)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotDeleted, err)
	}
	return ipc.Success(""), nil
}

// scopes answers with the scopes that the provider lists.
func (a *agent) scopes(ctx context.Context, r request) (*cjson.Object, error) {
	config := &account.Account{IssuerURL: r.Text("issuer"), ConfigEndpoint: r.Text("config_endpoint"), CertPath: r.Text("cert_path")}
	if config.IssuerURL == "" && config.ConfigEndpoint == "" {
		return nil, errNoIssuer
	}
	p, err := a.provider(ctx, config, true)
	if err != nil {
		return nil, err
	}
	return ipc.Success(strings.Join(p.metadata.ScopesSupported, " ")), nil
}
