package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// register has the agent register a client (RFC 7591) and puts it into the account. If the provider refuses, a
// public client that is known for the issuer is used instead.
func (r *request) register(config *account.Account) error {
	fmt.Println("Registering Client ...")
	answer, err := ask(r.about(ipc.RequestRegister, config).
		SetTexts(ipc.KeyFlow, r.flows).SetSecret(ipc.KeyAuthorization, r.authorize))
	refused, ok := errors.AsType[*ipc.Failure](err)
	switch {
	case err == nil:
		return takeClient(config, answer.Object(ipc.KeyClient))
	case !ok:
		return err
	case answer.Object(ipc.KeyClient) != nil:
		return fmt.Errorf("the new client lacks the scopes openid and offline_access, which an account needs: %w", err)
	case errors.Is(err, ipc.ErrNoRegistration):
		fmt.Println(refused.Text)
	default:
		fmt.Fprintf(os.Stderr, "The following error occurred during dynamic client registration:\n%s\n",
			cli.Printable(refused.Text))
	}
	fmt.Println("Try using a public client ...")
	known, err := knownIssuer(config)
	if err == nil && usePublicClient(config, known) == nil {
		return nil
	}
	hint := "Register a client on the provider's web page and use it:  oidc-gen --manual " + r.name +
		"  or, if the provider asks for a token to register, add:  --at=ACCESS_TOKEN"
	if known.Register != "" {
		hint += "\nThe page is " + known.Register
	}
	if known.Contact != "" {
		hint += "\nContact: " + known.Contact
	} else {
		fmt.Printf("Unfortunately no contact information were found for issuer '%s'\n", config.IssuerURL)
	}
	return cli.WithHint(errors.New("Dynamic client registration not successful for this issuer "+
		"and could not find a public client for this issuer."), hint)
}

// knownIssuer returns what issuer.config says about the account's issuer: the zero Issuer if it says nothing.
func knownIssuer(config *account.Account) (account.Issuer, error) {
	issuers, err := account.LoadIssuers()
	return *cmp.Or(issuers.Find(config.IssuerURL), new(account.Issuer)), err
}

// useKnownIssuer completes the account from issuer.config. It reports whether that supplied the client.
func (r *request) useKnownIssuer(config *account.Account) (hasClient bool, err error) {
	known, err := knownIssuer(config)
	if err != nil {
		return false, err
	}
	config.ConfigEndpoint = cmp.Or(config.ConfigEndpoint, known.ConfigEndpoint)
	config.CertPath = cmp.Or(config.CertPath, known.CertPath)
	config.OAuth2 = config.OAuth2 || known.OAuth2
	if config.DeviceAuthorizationEndpoint == "" && known.DeviceAuthorizationEndpoint != "" {
		config.DeviceAuthorizationEndpoint, config.DeviceAuthorizationEndpointByUser = known.DeviceAuthorizationEndpoint, true
	}
	switch {
	case r.public:
		return true, usePublicClient(config, known)
	case config.ClientID != "" || known.UserClient.ClientID == "":
		return false, nil
	}
	useClient(config, known.UserClient)
	return true, nil
}

// usePublicClient puts into the account the client that issuer.config lists for everyone's use.
func usePublicClient(config *account.Account, known account.Issuer) error {
	if known.PubClient.ClientID == "" {
		return fmt.Errorf("no public client is known for the issuer %q", config.IssuerURL)
	}
	useClient(config, known.PubClient)
	config.UsesPubClient = true
	return nil
}

func useClient(config *account.Account, client account.Client) {
	config.ClientID, config.ClientSecret = client.ClientID, client.ClientSecret
	config.AuthScope = cmp.Or(config.AuthScope, client.Scope)
	if len(client.RedirectURIs) > 0 {
		config.RedirectURIs = client.RedirectURIs
	}
}

// takeClient puts the registered client into the account, along with what is needed to manage it later (RFC
// 7592).
func takeClient(config *account.Account, client *cjson.Object) error {
	if client == nil || client.Text("client_id") == "" {
		return errors.New("the agent's answer to the registration names no client_id")
	}
	config.ClientID = client.Text("client_id")
	config.ClientSecret = client.Secret("client_secret")
	if uris := client.Texts("redirect_uris"); len(uris) > 0 {
		config.RedirectURIs = uris
	}
	for _, key := range [...]string{"registration_access_token", "registration_client_uri", "token_endpoint_auth_method"} {
		if value := client.Secret(key); !value.IsEmpty() {
			config.Extra().SetSecret(key, value)
		}
	}
	return nil
}
