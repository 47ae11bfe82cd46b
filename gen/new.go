package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"oidc-agent/proto/account"
	"oidc-agent/proto/cli"
)

// newAccount makes an account: what is missing is asked for, the agent registers the client and logs the
// user in, and the result is encrypted into a file.
func newAccount(r *request) error {
	if err := r.findAgent(); err != nil {
		return err
	}
	f, err := r.choose()
	if err != nil {
		return err
	}
	config, err := r.describe(f.config)
	if err == nil && !r.manual && !r.onlyAT {
		err = r.register(config)
	}
	if err != nil {
		return err
	}
	answer, err := r.login(config)
	if err != nil {
		return err
	}
	return f.save(r, answer, nil)
}

// choose finds the account's name and its place, and makes sure that a file can be written there before
// anything is asked of a provider. With -m the account may exist: it is opened. --only-at makes none.
func (r *request) choose() (*file, error) {
	if r.onlyAT {
		return new(file), nil
	}
	if err := r.askName(); err != nil {
		return nil, err
	}
	f, exists, err := r.locate(account.OpenDir)
	switch {
	case err != nil:
	case exists && !r.manual:
		err = cli.WithHint(fmt.Errorf("there is an account %q already", r.name),
			"Edit it with  oidc-gen -m "+r.name+"  log in again with  oidc-gen --reauthenticate "+r.name+"  or choose another name.")
	case exists:
		err = f.open(r)
	case r.manual:
		fmt.Println("No account exists with this short name. Creating new configuration ...")
	}
	return f, err
}

// describe puts together what the agent has to know of the account: options first, then what the account
// had, then questions.
func (r *request) describe(old *account.Account) (*account.Account, error) {
	config, err := r.startingPoint(old)
	if err != nil {
		return nil, err
	}
	config.Name = r.name
	if config.ClientName == "" || r.cnid != "" { // in the provider's list of his clients it tells the user which one this is
		host, _ := os.Hostname()
		host, _, _ = strings.Cut(host, ".")
		config.ClientName = "oidc-agent:" + r.name + "-" + cmp.Or(r.cnid, host)
	}
	err = r.askIssuer(config)
	hasClient := false
	if err == nil {
		hasClient, err = r.useKnownIssuer(config)
	}
	byHand := (r.manual || r.onlyAT) && !config.UsesPubClient && !hasClient
	r.manual = r.manual || hasClient // nothing is registered
	if err == nil && byHand {
		err = r.askClient(config)
	}
	if err == nil {
		err = r.askScope(config)
	}
	if err == nil && byHand {
		err = r.askRedirectURIs(config)
	}
	return config, err
}

// startingPoint is the account of the options, laid over the account that -m edits or over the file of -f. A user's
// password at the provider is taken from nowhere else.
func (r *request) startingPoint(old *account.Account) (*account.Account, error) {
	if old == nil && r.clientFile != "" {
		var err error
		if old, err = readClient(r); err != nil {
			return nil, err
		}
	}
	merged := cmp.Or(old, new(account.Account)).Object()
	given := r.given.Object()
	for _, key := range given.Keys() {
		switch string(given.Raw(key)) {
		case `""`, "0", "{}":
		default:
			merged.SetRaw(key, given.Raw(key))
		}
	}
	merged.SetSecret("password", r.given.Password)
	defer merged.Wipe()
	return account.FromObject(merged)
}
