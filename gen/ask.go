package main

import (
	"context"
	"errors"
	"fmt"
	"os"
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

// missing is the error for what may not be asked for (--prompt=none).
func missing(what, option string) error {
	return fmt.Errorf("Required argument %s not given. Please enable a prompt mode or pass %s to the '%s' option.", what, what, option)
}

// silent reports whether nothing may be asked.
func (r *request) silent() bool { return r.prompt == "none" }

func askName(ctx context.Context, r *request) (string, error) {
	if r.silent() {
		return "", errors.New("No account short name given.")
	}
	for {
		name, err := prompt.Line(ctx, "Enter short name for the account to configure: ")
		if name != "" || err != nil {
			return name, err
		}
	}
}

// askIssuer shows the known issuers and takes a number or a URL.
func askIssuer(ctx context.Context, r *request, t *target, config *account.Account) error {
	if config.IssuerURL != "" || config.ConfigEndpoint != "" && !r.manual {
		return nil
	}
	if r.silent() {
		return missing("issuer url", "--issuer")
	}
	issuers, err := account.LoadIssuers(t.dir)
	if err != nil {
		return err
	}
	byDefault := ""
	for i, known := range issuers {
		fmt.Fprintf(os.Stderr, "[%d] %s\n", i+1, known.Issuer)
		if byDefault == "" && len(known.Accounts) == 0 { // a new account is mostly for another issuer
			byDefault = known.Issuer
		}
	}
	if byDefault == "" && len(issuers) > 0 {
		byDefault = issuers[0].Issuer
	}
	for config.IssuerURL == "" {
		line, err := prompt.Line(ctx, "Issuer ["+byDefault+"]: ")
		if err != nil {
			return err
		}
		line = strings.TrimSpace(line)
		number, notNumber := strconv.Atoi(line)
		switch {
		case line == "":
			config.IssuerURL = byDefault
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
	question := ipc.Request(ipc.RequestScopes).SetText(ipc.KeyIssuer, config.IssuerURL).
		SetText(ipc.KeyConfigEndpoint, config.ConfigEndpoint).SetText(ipc.KeyCertPath, config.CertPath)
	answer, err := ask(ctx, question)
	if err != nil {
		return fmt.Errorf("the scopes that %q supports: %w", config.IssuerURL, err)
	}
	supported := answer.Text(ipc.KeyInfo)
	editing := r.manual && config.AuthScope != "" && r.given.AuthScope == ""
	if config.AuthScope == "" || editing && !r.silent() {
		if r.silent() {
			return missing("scope", "--scope")
		}
		if err := promptScope(ctx, config, supported); err != nil {
			return err
		}
	}
	if config.AuthScope == "max" {
		config.AuthScope = supported
	}
	return nil
}

func promptScope(ctx context.Context, config *account.Account, supported string) error {
	byDefault := config.AuthScope
	if byDefault == "" {
		byDefault = defaultScope
	}
	fmt.Fprintln(os.Stderr, "The following scopes are supported:", supported)
	line, err := prompt.Line(ctx, "Scopes or 'max' (space separated) ["+byDefault+"]: ")
	if err != nil {
		return err
	}
	if config.AuthScope = strings.Join(strings.Fields(line), " "); config.AuthScope == "" {
		config.AuthScope = byDefault
	}
	return nil
}

// askClient asks for the client that was registered by hand. What the account has already is offered in
// brackets, a secret as ***: Enter keeps it.
func askClient(ctx context.Context, r *request, config *account.Account) error {
	if r.given.ClientID == "" && !(config.ClientID != "" && r.silent()) && !config.UsesPubClient {
		if r.silent() {
			return missing("client id", "--client-id")
		}
		line, err := keepOr(ctx, "Client id", config.ClientID)
		if err != nil {
			return err
		}
		config.ClientID = line
	}
	if config.UsesPubClient || !r.given.ClientSecret.IsEmpty() || r.silent() && !config.ClientSecret.IsEmpty() {
		return nil
	}
	if r.silent() {
		return cli.WithHint(missing("client secret", "--client-secret"), "For a client without a secret use --pub or --client-secret= with an empty value.")
	}
	return askClientSecret(ctx, config)
}

func askClientSecret(ctx context.Context, config *account.Account) error {
	question := "Client secret: "
	if !config.ClientSecret.IsEmpty() {
		question = "Client secret [***]: "
	}
	typed, err := prompt.Password(ctx, question)
	if err != nil {
		return err
	}
	if !typed.IsEmpty() {
		config.ClientSecret = typed
	}
	return nil
}

func askRedirectURIs(ctx context.Context, r *request, config *account.Account) error {
	if len(r.given.RedirectURIs) > 0 || r.silent() {
		return nil
	}
	line, err := keepOr(ctx, "Redirect_uris (space separated)", strings.Join(config.RedirectURIs, " "))
	if err != nil {
		return err
	}
	config.RedirectURIs = strings.Fields(line)
	return nil
}

// keepOr asks for a value; Enter keeps the present one.
func keepOr(ctx context.Context, what, present string) (string, error) {
	question := what + ": "
	if present != "" {
		question = what + " [" + present + "]: "
	}
	line, err := prompt.Line(ctx, question)
	if line = strings.TrimSpace(line); line == "" {
		line = present
	}
	return line, err
}

// askNewPassword asks twice for the password of a new file, or takes it from where the options say. have is
// the password's place when there is one already: then Enter keeps it.
func askNewPassword(ctx context.Context, r *request, mayKeep bool) (secret.Secret, error) {
	question := fmt.Sprintf("Enter encryption password for account configuration '%s': ", r.name)
	if r.password.Given() {
		return r.password.Read(ctx, question)
	}
	if mayKeep {
		question = strings.TrimSuffix(question, ": ") + " [***]: "
	}
	for {
		password, err := prompt.NewPassword(ctx, question, "Confirm encryption password: ", mayKeep)
		if !errors.Is(err, prompt.ErrMismatch) {
			return password, err
		}
		fmt.Fprintln(os.Stderr, "Encryption passwords did not match.")
	}
}
