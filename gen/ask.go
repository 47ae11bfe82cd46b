package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
	"oidc-agent/proto/cli/prompt"
	"oidc-agent/proto/ipc"
	"oidc-agent/proto/secret"
)

// defaultScope is offered where the user names no scope.
const defaultScope = "openid profile offline_access"

// silent reports whether nothing may be asked.
func (r *request) silent() bool { return r.prompt == "none" }

// missing is the error for what may not be asked for.
func missing(what, option string) error {
	return fmt.Errorf("Required argument %s not given. Please enable a prompt mode or pass %s to the '%s' option.", what, what, option)
}

// keepOr asks for a value; Enter keeps the present one.
func keepOr(ctx context.Context, what, present string) (string, error) {
	question := what + ": "
	if present != "" {
		question = what + " [" + present + "]: "
	}
	line, err := prompt.Line(question)
	return cmp.Or(strings.TrimSpace(line), present), err
}

func askName(ctx context.Context, r *request) (name string, err error) {
	if r.silent() {
		return "", errors.New("No account short name given.")
	}
	for name == "" && err == nil {
		name, err = prompt.Line("Enter short name for the account to configure: ")
	}
	return name, err
}

// askIssuer shows the known issuers and takes a number or a URL.
func askIssuer(ctx context.Context, r *request, config *account.Account) error {
	if config.IssuerURL != "" || config.ConfigEndpoint != "" && !r.manual {
		return nil
	}
	if r.silent() {
		return missing("issuer url", "--issuer")
	}
	issuers, err := knownIssuers()
	if err != nil {
		return err
	}
	for i, known := range issuers {
		fmt.Fprintf(os.Stderr, "[%d] %s\n", i+1, known.Issuer)
	}
	// A new account is mostly for another issuer.
	other := slices.IndexFunc(issuers, func(known account.Issuer) bool { return len(known.Accounts) == 0 })
	for config.IssuerURL == "" {
		line, err := keepOr(ctx, "Issuer", issuers[max(other, 0)].Issuer)
		if err != nil {
			return err
		}
		number, notNumber := strconv.Atoi(line)
		switch {
		case notNumber != nil:
			config.IssuerURL = line
		case number < 1 || number > len(issuers):
			fmt.Fprintln(os.Stderr, "Input out of bound")
		default:
			config.IssuerURL = issuers[number-1].Issuer
		}
	}
	return nil
}

// askScope asks the provider, through the agent, which scopes there are, and the user which he wants.
func askScope(ctx context.Context, r *request, config *account.Account) error {
	answer, err := ask(ctx, ipc.Request(ipc.RequestScopes).SetText(ipc.KeyIssuer, config.IssuerURL).
		SetText(ipc.KeyConfigEndpoint, config.ConfigEndpoint).SetText(ipc.KeyCertPath, config.CertPath))
	if err != nil {
		return fmt.Errorf("the scopes that %q supports: %w", config.IssuerURL, err)
	}
	supported := answer.Text(ipc.KeyInfo)
	switch editing := r.manual && r.given.AuthScope == ""; {
	case config.AuthScope == "" && r.silent():
		return missing("scope", "--scope")
	case config.AuthScope == "" || editing && !r.silent():
		fmt.Fprintln(os.Stderr, "The following scopes are supported:", supported)
		line, err := keepOr(ctx, "Scopes or 'max' (space separated)", cmp.Or(config.AuthScope, defaultScope))
		if err != nil {
			return err
		}
		config.AuthScope = strings.Join(strings.Fields(line), " ")
	}
	if config.AuthScope == "max" {
		config.AuthScope = supported
	}
	return nil
}

// askClient asks for the client that was registered by hand. What the account has already is offered in
// brackets, a secret as ***: Enter keeps it.
func askClient(ctx context.Context, r *request, config *account.Account) (err error) {
	if r.given.ClientID == "" && !(config.ClientID != "" && r.silent()) {
		if r.silent() {
			return missing("client id", "--client-id")
		}
		if config.ClientID, err = keepOr(ctx, "Client id", config.ClientID); err != nil {
			return err
		}
	}
	question := "Client secret: "
	switch {
	case r.secretGiven || r.silent() && !config.ClientSecret.IsEmpty():
		return nil
	case r.silent():
		return cli.WithHint(missing("client secret", "--client-secret"), "For a client without a secret use --pub or --client-secret= with an empty value.")
	case !config.ClientSecret.IsEmpty():
		question = "Client secret [***]: "
	}
	typed, err := prompt.Password(question)
	if !typed.IsEmpty() {
		config.ClientSecret = typed
	}
	return err
}

func askRedirectURIs(ctx context.Context, r *request, config *account.Account) error {
	if len(r.given.RedirectURIs) > 0 || r.silent() {
		return nil
	}
	line, err := keepOr(ctx, "Redirect_uris (space separated)", strings.Join(config.RedirectURIs, " "))
	config.RedirectURIs = strings.Fields(line)
	return err
}

// askNewPassword asks twice for the password of a new file, or takes it from where the options say. Where the user may
// keep the one that the file has, Enter does, and the password is empty.
func askNewPassword(ctx context.Context, r *request, mayKeep bool) (secret.Secret, error) {
	question := fmt.Sprintf("Enter encryption password for account configuration '%s': ", r.name)
	if r.password.Given() {
		return r.password.Read(ctx, question)
	}
	if mayKeep {
		question = strings.TrimSuffix(question, ": ") + " [***]: "
	}
	for {
		password, err := prompt.NewPassword(question, "Confirm encryption password: ", mayKeep)
		if !errors.Is(err, prompt.ErrMismatch) {
			return password, err
		}
		fmt.Fprintln(os.Stderr, "Encryption passwords did not match.")
	}
}
