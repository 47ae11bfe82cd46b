package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/oidc"
)

// config returns the account in the request.
func (r request) config() (*account.Account, error) {
	object := r.Object.Object(ipc.KeyConfig)
	if object == nil {
		return nil, errNoConfig
	}
	return account.FromObject(object)
}

// register registers a client at the provider (RFC 7591) and answers with the provider's response.
func (a *agent) register(ctx context.Context, r request) (*cjson.Object, error) {
	config, err := r.config()
	names := r.Texts(ipc.KeyFlow)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, errNoFlowGiven
	case a.accounts.find(config.Name) != nil:
		return nil, errAlreadyLoaded
	}
	p, err := a.provider(ctx, config, true)
	if err != nil {
		return nil, err
	}
	maxScopes := strings.Join(p.ScopesSupported, " ")
	if config.AuthScope == "max" {
		config.AuthScope = maxScopes
	}
	authorization := r.Secret(ipc.KeyAuthorization)
	defer authorization.Wipe()
	made, err := p.Register(ctx, registration(config, names), authorization)
	if err != nil {
		return nil, err
	}
	defer clear(made)
	client, err := cjson.Parse(made)
	if err != nil {
		return nil, fmt.Errorf("registration at %s: %w", p.Issuer, err)
	}
	answer, have := ipc.Success(""), strings.Fields(client.Text("scope"))
	// An account needs both scopes. A provider that lists none has not refused any.
	if len(have) > 0 && !config.OAuth2 && !(slices.Contains(have, "openid") && slices.Contains(have, "offline_access")) {
		answer = errRegisteredScopes.Encode()
	}
	return answer.SetObject(ipc.KeyClient, client).SetText(ipc.KeyMaxScopes, maxScopes), nil
}

// registration returns what is asked for: a native application (RFC 8252) with the grants of the given flows.
func registration(config *account.Account, names []string) oidc.Registration {
	asked := oidc.Registration{
		ClientName: config.ClientName, GrantTypes: []string{oidc.GrantRefreshToken},
		RedirectURIs: config.RedirectURIs, Scope: loginScope(config),
	}
	for _, f := range flows {
		if f.grant != "" && slices.Contains(names, f.name) {
			asked.GrantTypes = append(asked.GrantTypes, f.grant)
		}
	}
	if len(asked.RedirectURIs) == 0 {
		// A random port below the dynamic range (RFC 6335 section 6) is unlikely to be in use. The last URI leads
		// back to oidc-gen without a web server (RFC 8252 section 7.1).
		port := 1024 + rand.IntN(49152-1024)
		asked.RedirectURIs = []string{"http://localhost:4242", fmt.Sprintf("http://localhost:%d", port),
			"http://localhost:8080", "edu.kit.data.oidc-agent:/redirect"}
	}
	return asked
}

// delete revokes the refresh token (RFC 7009) and forgets the account.
func (a *agent) delete(ctx context.Context, r request) (*cjson.Object, error) {
	config, err := r.config()
	if err != nil {
		return nil, err
	}
	l := a.accounts.find(config.Name)
	if l != nil { // memory or the file may hold a newer refresh token than the request
		release, err := a.exclusive(ctx, l)
		if err != nil {
			return nil, err
		}
		defer release()
		_ = a.reconcile(ctx, l, digest{})
		config.Wipe()
		if config, err = a.withSecrets(l); err != nil {
			return nil, err
		}
	}
	defer config.Wipe()
	p, err := a.provider(ctx, config, false)
	if err == nil {
		err = p.Revoke(ctx, config.RefreshToken)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotRevoked, err)
	}
	if l != nil {
		a.accounts.take(func(other *loaded) bool { return other == l })
		a.dropBearers(l.name())
	}
	a.noteIssuer(config, false)
	return nil, nil
}

// deleteClient removes a registered client (RFC 7592 section 2.3).
func (a *agent) deleteClient(ctx context.Context, r request) (*cjson.Object, error) {
	token := r.Secret("registration_access_token")
	defer token.Wipe()
	client, err := a.client(cmp.Or(r.Text(ipc.KeyCertPath), a.settings.CertPath))
	if err == nil {
		err = client.DeleteRegistration(ctx, r.Text("registration_client_uri"), token)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNotDeleted, err)
	}
	return nil, nil
}

// scopes answers with the scopes that the provider lists.
func (a *agent) scopes(ctx context.Context, r request) (*cjson.Object, error) {
	config := &account.Account{
		IssuerURL: r.Text(ipc.KeyIssuer), ConfigEndpoint: r.Text(ipc.KeyConfigEndpoint), CertPath: r.Text(ipc.KeyCertPath),
	}
	if config.IssuerURL == "" && config.ConfigEndpoint == "" {
		return nil, errNoIssuer
	}
	p, err := a.provider(ctx, config, true)
	if err != nil {
		return nil, err
	}
	return ipc.Success(strings.Join(p.ScopesSupported, " ")), nil
}
