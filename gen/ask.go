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

// silent reports whether the user must not be asked.
func (r *request) silent() bool { return r.prompt == "none" }

// mayAsk reports whether to ask for a value: it was not given, and questions are allowed. If they are not
// allowed, a value that is present is kept, and a missing one is an error.
func (r *request) mayAsk(given, present bool, what, option string) (bool, error) {
	if !given && !present && r.silent() {
		return false, fmt.Errorf("Required argument %s not given. "+
			"Please enable a prompt mode or pass %s to the '%s' option.", what, what, option)
	}
	return !given && !r.silent(), nil
}

// keepOr asks for a value. Enter keeps the present one.
func keepOr(what, present string) (string, error) {
	question := what + ": "
	if present != "" {
		question = what + " [" + present + "]: "
	}
	line, err := prompt.Line(question)
	return cmp.Or(strings.TrimSpace(line), present), err
}

func (r *request) askName() (err error) {
	if r.name == "" && r.silent() {
		return errors.New("No account short name given.")
	}
	for r.name == "" && err == nil {
		r.name, err = prompt.Line("Enter short name for the account to configure: ")
	}
	return err
}

// askIssuer lists the known issuers and takes a number or a URL.
func (r *request) askIssuer(config *account.Account) error {
	given := config.IssuerURL != "" || config.ConfigEndpoint != "" && !r.manual
	if ask, err := r.mayAsk(given, false, "issuer url", "--issuer"); !ask {
		return err
	}
	issuers, err := account.LoadIssuers()
	if err != nil {
		return err
	}
	for i, known := range issuers {
		fmt.Fprintf(os.Stderr, "[%d] %s\n", i+1, known.Issuer)
	}
	// A new account is usually for an issuer that has no account yet.
	other := slices.IndexFunc(issuers, func(known account.Issuer) bool { return len(known.Accounts) == 0 })
	for config.IssuerURL == "" {
		line, err := keepOr("Issuer", issuers[max(other, 0)].Issuer)
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

// askScope asks the provider, through the agent, which scopes it supports, and the user which of them to request.
func (r *request) askScope(config *account.Account) error {
	answer, err := ask(ipc.Request(ipc.RequestScopes).SetText(ipc.KeyIssuer, config.IssuerURL).
		SetText(ipc.KeyConfigEndpoint, config.ConfigEndpoint).SetText(ipc.KeyCertPath, config.CertPath))
	if err != nil {
		return fmt.Errorf("the scopes that %q supports: %w", config.IssuerURL, err)
	}
	supported, present := answer.Text(ipc.KeyInfo), config.AuthScope != ""
	ask, err := r.mayAsk(present && (!r.manual || r.given.AuthScope != ""), present, "scope", "--scope")
	if ask {
		fmt.Fprintln(os.Stderr, "The following scopes are supported:", cli.Printable(supported))
		offered := cmp.Or(config.AuthScope, "openid profile offline_access")
		config.AuthScope, err = keepOr("Scopes or 'max' (space separated)", offered)
		config.AuthScope = strings.Join(strings.Fields(config.AuthScope), " ")
	}
	if config.AuthScope == "max" {
		config.AuthScope = supported
	}
	return err
}

// askClient asks for the client that was registered by hand. What the account already has is offered in
// brackets, a secret as ***: Enter keeps it.
func (r *request) askClient(config *account.Account) error {
	ask, err := r.mayAsk(r.given.ClientID != "", config.ClientID != "", "client id", "--client-id")
	if ask {
		config.ClientID, err = keepOr("Client id", config.ClientID)
	}
	if err != nil {
		return err
	}
	question, hasSecret := "Client secret: ", !config.ClientSecret.IsEmpty()
	if ask, err = r.mayAsk(r.secretGiven, hasSecret, "client secret", "--client-secret"); err != nil {
		return cli.WithHint(err, "If the client has no secret, add --client-secret= with an empty value, or --pub.")
	}
	if !ask {
		return nil
	}
	if hasSecret {
		question = "Client secret [***]: "
	}
	typed, err := prompt.Password(question)
	if !typed.IsEmpty() {
		config.ClientSecret = typed
	}
	return err
}

func (r *request) askRedirectURIs(config *account.Account) error {
	if len(r.given.RedirectURIs) > 0 || r.silent() {
		return nil
	}
	line, err := keepOr("Redirect_uris (space separated)", strings.Join(config.RedirectURIs, " "))
	config.RedirectURIs = strings.Fields(line)
	return err
}

// newPassword asks twice for the password of a new file, or gets it from the source that the options name. If
// the user may keep the file's password, Enter does so, and newPassword returns an empty one.
func (r *request) newPassword(mayKeep bool) (secret.Secret, error) {
	question := fmt.Sprintf("Enter encryption password for account configuration '%s': ", r.name)
	if r.password.Given() {
		return r.password.Read(context.Background(), question)
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
