package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cjson"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/ipc"
)

// register has the agent register a client (RFC 7591) and puts it into the account. Where the provider
// refuses, a public client of the issuer will do.
func register(ctx context.Context, r *request, config *account.Account) error {
	fmt.Println("Registering Client ...")
	question := ipc.Request(ipc.RequestRegister).SetObject(ipc.KeyConfig, r.object(config)).
		SetTexts(ipc.KeyFlow, r.loginFlows()).SetSecret(ipc.KeyAuthorization, r.authorize)
	answer, err := ask(ctx, question)
	if err == nil {
		return takeClient(config, answer)
	}
	var refused *ipc.Failure
	if !errors.As(err, &refused) {
		return err
	}
	if answer != nil && answer.Object(ipc.KeyClient) != nil {
		return fmt.Errorf("the client was registered, but without the scopes openid and offline_access, which an account needs: %w", err)
	}
	if refused.Text == noRegistration {
		fmt.Println(refused.Text)
	} else {
		fmt.Fprintf(os.Stderr, "The following error occurred during dynamic client registration:\n%s\n", cli.Printable(refused.Text))
	}
	fmt.Println("Try using a public client ...")
	dir, dirErr := account.FindDir()
	if dirErr == nil && usePublicClient(dir, config) == nil {
		return nil
	}
	return noClient(r, config)
}

// noRegistration is what agents say of a provider without registration endpoint.
const noRegistration = "Dynamic client registration not supported by this issuer."

// noClient ends a registration that was refused where there is no public client: the way out is a client made
// by hand, or a token that allows to register.
func noClient(r *request, config *account.Account) error {
	contact, page := "", ""
	if dir, err := account.FindDir(); err == nil {
		if issuers, err := account.LoadIssuers(dir); err == nil {
			if known := issuers.Find(config.IssuerURL); known != nil {
				contact, page = known.Contact, known.Register
			}
		}
	}
	hint := "Register a client at the provider's web page and type  oidc-gen --manual " + r.name +
		"  or, if the provider wants a token for the registration, add  --at=ACCESS_TOKEN"
	if page != "" {
		hint += "\nThe page is " + page
	}
	if contact != "" {
		hint += "\nContact: " + contact
	} else {
		fmt.Printf("Unfortunately no contact information were found for issuer '%s'\n", config.IssuerURL)
	}
	return cli.WithHint(errors.New("Dynamic client registration not successful for this issuer and could not find a public client for this issuer."), hint)
}

// takeClient puts the registered client into the account, with what is needed to manage it later (RFC 7592).
func takeClient(config *account.Account, answer *cjson.Object) error {
	client := answer.Object(ipc.KeyClient)
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
